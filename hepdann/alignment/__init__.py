"""Maps from target to source that are fitted in closed form, feature by feature."""

from __future__ import annotations

from .moments import Moments
from .quantile import QuantileMap

__all__ = ["Moments", "QuantileMap"]
