"""The values of one feature, of events or of objects, and which of them are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..planning.columns import Columns
from ..planning.features import Feature


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """A copy in float32; what is too large becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, dtype=np.float32)


def _is_sentinel(values: NDArray[Any], sentinel: float) -> NDArray[np.bool_]:
    """Where a value is the sentinel, as the branch's own type holds it (-999.9 is no float32)."""
    if np.isnan(sentinel):
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    with np.errstate(over="ignore"):
        typed = values.dtype.type(sentinel) if values.dtype.kind == "f" else sentinel
    result: NDArray[np.bool_] = values == typed
    return result


def feature_values(
    feature: Feature,
    columns: Columns,
    arrays: Mapping[str, NDArray[Any]],
    size: int,
) -> tuple[NDArray[np.float32], int]:
    """The values, with NaN for missing ones, and how many these are.

    Missing is what carries the sentinel, and an element of a list that is too short to have it.
    """
    sentinel = feature.settings.missing
    plain = columns.lookup(arrays)
    missing = np.zeros(size, dtype=np.bool_)

    def masked(name: str) -> NDArray[Any]:
        # the sentinel in an operand: -999 GeV must not take part in arithmetic
        operand, absent = plain(name), columns.absent(name, arrays)
        if absent is not None:
            missing[absent] = True
        if sentinel is None or operand.shape != (size,):
            return operand
        is_missing = _is_sentinel(operand, sentinel)
        if not is_missing.any():
            return operand
        missing[is_missing] = True
        real = operand.astype(np.float64)
        real[is_missing] = np.nan
        return real

    result = feature.expression.evaluate(masked, size)
    values = float32(result)
    missing &= np.isnan(values)
    if sentinel is not None:
        missing |= _is_sentinel(result, sentinel)
    values[missing] = np.nan
    return values, int(np.count_nonzero(missing))
