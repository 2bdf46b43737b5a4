"""Tables and lines for people; every command prints them through here.

Names of features, classes, methods and folders are the user's: a class ``W[/lv]`` is text, never
markup of rich.
"""

from __future__ import annotations

import math

from hepdann.display import WIDTH, console, table

__all__ = ["WIDTH", "console", "plus_minus", "table"]


def plus_minus(value: float, error: float) -> str:
    """A figure with its error, both to two digits of the error: ``39,870 ± 210``."""
    if error <= 0:
        return f"{value:,.6g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"
