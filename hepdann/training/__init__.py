"""The loop, its schedules, its checkpoints; it sees no target label, because none reaches it."""

from . import distributed
from .batches import EventDataset
from .engine import choose_engine
from .health import Health
from .health_figures import FIGURES
from .settings import Clock, Member, MethodProgress, Progress, Settings, threads
from .stack import load_checkpoint, save_checkpoint
from .trainer import RateRange, StackTrainer, find_learning_rate

__all__ = [
    "FIGURES", "Clock", "EventDataset", "Health", "Member", "MethodProgress",
    "Progress", "RateRange", "Settings", "StackTrainer", "choose_engine",
    "distributed", "find_learning_rate", "load_checkpoint", "save_checkpoint", "threads",
]  # fmt: skip
