"""The loop, its schedules, its checkpoints; it sees no target label, because none reaches it."""

from . import distributed
from .augment import Augment
from .checkpoint import load_checkpoint, save_checkpoint
from .domain_events import DomainEvents, resident, watched_rows
from .engine import choose_engine
from .finder import RateRange, find_learning_rate
from .health_figures import FIGURES
from .health_monitor import Health
from .image_events import resident_images
from .sampler import auto_batch_size, epoch_order
from .scaling import Scaling
from .schedules import LambdaSchedule, RateSchedule
from .settings import Member, MethodProgress, Progress, Settings, threads
from .timing import Clock
from .trainer import StackTrainer

__all__ = [
    "FIGURES",
    "Augment",
    "Clock",
    "DomainEvents",
    "Health",
    "LambdaSchedule",
    "Member",
    "MethodProgress",
    "Progress",
    "RateRange",
    "RateSchedule",
    "Scaling",
    "Settings",
    "StackTrainer",
    "auto_batch_size",
    "choose_engine",
    "distributed",
    "epoch_order",
    "find_learning_rate",
    "load_checkpoint",
    "resident",
    "resident_images",
    "save_checkpoint",
    "threads",
    "watched_rows",
]
