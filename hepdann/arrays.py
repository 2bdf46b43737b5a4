"""Numbers of columns that a user holds in memory: DataFrames, mappings, structured, awkward arrays.

They are known by what they offer, so that neither pandas nor awkward is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import HepdannError


def column_names(events: Any) -> list[Any] | None:
    """Names of the columns, ``None`` of an array without any."""
    if isinstance(events, Mapping):
        return list(events)
    if (dtype := getattr(events, "dtype", None)) is not None and getattr(dtype, "names", None):
        return list(dtype.names)
    for attribute in ("columns", "fields"):  # of a DataFrame, of an awkward array
        # asked of the type: a column may have this name
        if hasattr(type(events), attribute) and len(names := getattr(events, attribute)):
            return list(names)
    return None


def columns(
    events: Any, names: Iterable[Any], error: type[HepdannError]
) -> dict[Any, NDArray[np.float32]]:
    """Some columns as numbers, see :func:`numbers`.

    Args:
        events: has these columns.
        names: of the columns.
        error: what to raise.

    Returns:
        By name, in order, each (N,).

    Raises:
        HepdannError: of type ``error``; a column does not hold one number an event.
    """
    found = {name: numbers(events[name], f"column {name!r}", error) for name in names}
    first = next(iter(found), None)
    for name, column in found.items():
        if column.ndim != 1 or column.shape != found[first].shape:
            raise error(
                f"column {name!r} has shape {column.shape}, and {first!r} has {found[first].shape}",
                mend="give every feature as a column of one number an event",
            )
    return found


def numbers(values: Any, what: str, error: type[HepdannError]) -> NDArray[np.float32]:
    """A float32 copy; a masked entry is NaN, and what float32 cannot hold infinite.

    Args:
        values: of any shape.
        what: begins the message of an error.
        error: what to raise.

    Raises:
        HepdannError: of type ``error``; they are not numbers.
    """
    try:
        with np.errstate(over="ignore"):
            if hasattr(type(values), "fields"):
                values = values.to_numpy(allow_missing=True)
            if isinstance(values, np.ma.MaskedArray):
                values = np.ma.filled(values.astype(np.float32), np.nan)
            return np.array(values, np.float32)
    except (TypeError, ValueError) as failure:
        raise error(
            f"{what} cannot be read as numbers: {failure}", mend="give one number a feature"
        ) from failure
