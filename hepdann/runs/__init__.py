"""A run: one training with its baselines, from a tensor file to a folder that holds everything."""

from ..store.reading import check_version
from ..store.scan_folder import Scan, open_scan
from ..store.start_record import given_settings, has_begun
from ..store.state import is_scan
from .folder import Run, open_run
from .learning_rates import StackRates, suggest_rates
from .scan_start import resume_scan, scan
from .start import resume, train
from .torchrun import first_process

__all__ = [
    "Run",
    "Scan",
    "StackRates",
    "check_version",
    "first_process",
    "given_settings",
    "has_begun",
    "is_scan",
    "open_run",
    "open_scan",
    "resume",
    "resume_scan",
    "scan",
    "suggest_rates",
    "train",
]
