"""The language of cuts, weights, labels, computed features and what figures show."""

from __future__ import annotations

from .language import Expression, parse

__all__ = ["Expression", "parse"]
