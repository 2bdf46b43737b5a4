"""A run: one training with its baselines, from a tensor file to a folder that holds everything."""

from .folder import Run, check_version, open_run
from .start import resume, train

__all__ = ["Run", "check_version", "open_run", "resume", "train"]
