"""The loop, its schedules, its checkpoints; it sees no target label, because none reaches it."""

from . import distributed
from .checkpoint import load_checkpoint, save_checkpoint
from .dataset import EventDataset
from .engine import choose_engine
from .finder import RateRange, find_learning_rate
from .health_figures import FIGURES
from .health_monitor import Health
from .schedules import LambdaSchedule, RateSchedule
from .settings import Member, MethodProgress, Progress, Settings, threads
from .timing import Clock
from .trainer import StackTrainer

__all__ = [
    "FIGURES",
    "Clock",
    "EventDataset",
    "Health",
    "LambdaSchedule",
    "Member",
    "MethodProgress",
    "Progress",
    "RateRange",
    "RateSchedule",
    "Settings",
    "StackTrainer",
    "choose_engine",
    "distributed",
    "find_learning_rate",
    "load_checkpoint",
    "save_checkpoint",
    "threads",
]
