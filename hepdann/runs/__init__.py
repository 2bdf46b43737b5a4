"""A run: one training with its baselines, from a tensor file to a folder that holds everything."""

from typing import TYPE_CHECKING

from ..lazy import getter

if TYPE_CHECKING:
    from ..store.reading import Scan, open_scan
    from .folder import Run, open_run
    from .run_training import StackRates, first_process, suggest_rates
    from .start import resume, resume_scan, scan, train

__all__ = [
    "Run", "Scan", "StackRates", "first_process", "open_run", "open_scan", "resume", "resume_scan",
    "scan", "suggest_rates", "train",
]  # fmt: skip

# A run is opened, and its numbers are read, without importing torch.
__getattr__ = getter(__name__)
