"""Runs to one table and one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import getter
from .tables import (
    COLUMNS,
    Cell,
    Column,
    MethodRow,
    methods_table,
    named_runs,
    shown,
    to_csv,
    to_latex,
)

if TYPE_CHECKING:
    from .page import report

__all__ = [
    "COLUMNS", "Cell", "Column", "MethodRow", "methods_table", "named_runs", "report", "shown",
    "to_csv", "to_latex",
]  # fmt: skip

__getattr__ = getter(__name__)  # tables need no matplotlib
