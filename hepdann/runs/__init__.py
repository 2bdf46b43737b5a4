"""A run: one training with its baselines, from a tensor file to a folder that holds everything."""

from .folder import Run, next_name, open_run
from .start import resume, train

__all__ = ["Run", "next_name", "open_run", "resume", "train"]
