"""Runs to one table and one HTML page."""

from __future__ import annotations

from .page import report
from .tables import COLUMNS, Cell, Column, Row, methods_table, named_runs, to_csv, to_latex

__all__ = [
    "COLUMNS", "Cell", "Column", "Row", "methods_table", "named_runs", "report", "to_csv",
    "to_latex",
]  # fmt: skip
