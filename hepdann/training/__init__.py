"""The loop, its schedules, its checkpoints; it sees no target label, because none reaches it."""

from . import distributed
from .checkpoint import load_checkpoint, save_checkpoint
from .event_dataset import EventDataset
from .health.figures import FIGURES
from .health.monitor import Health
from .learning_rate_finder import RateRange, find_learning_rate
from .schedules import LambdaSchedule, RateSchedule
from .settings import Member, MethodProgress, Progress, Settings, threads
from .step.engine import choose_engine
from .timing import Clock
from .trainer import StackTrainer

__all__ = [
    "FIGURES", "Clock", "EventDataset", "Health", "LambdaSchedule", "Member", "MethodProgress",
    "Progress", "RateRange", "RateSchedule", "Settings", "StackTrainer", "choose_engine",
    "distributed", "find_learning_rate", "load_checkpoint", "save_checkpoint", "threads",
]  # fmt: skip
