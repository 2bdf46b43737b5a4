"""The experiments of the DANN paper, repeated: trainings, and the tables of their accuracies."""

from __future__ import annotations

from .benchmark import benchmark
from .plans import NAMES
from .table import Line, Table

__all__ = ["NAMES", "Line", "Table", "benchmark"]
