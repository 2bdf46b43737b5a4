"""The experiments of the DANN paper, repeated: trainings, and the tables of their accuracies."""

from __future__ import annotations

from .benchmark import Line, Table, benchmark
from .plans import NAMES
from .trial import Plane

__all__ = ["NAMES", "Line", "Plane", "Table", "benchmark"]
