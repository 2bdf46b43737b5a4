"""Range and sentinel of the values of a branch, for the comments of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..readers.prescan import FileScan

_SENTINEL_SHARE = 1e-3
_USUAL = {float(f"{sign}{'9' * n}") for sign in ("", "-") for n in range(2, 9)}
_USUAL |= {-(10.0**n) for n in range(3, 10)}


@dataclass(frozen=True)
class Survey:
    """The values of one branch.

    Attributes:
        low: smallest finite value, sentinel left out; NaN if there is none.
        high: largest finite value, sentinel left out.
        integer: whether all of them are whole numbers.
        sentinel: a value that seems to mark missing entries, ``None`` if none does.
        share: fraction of the events with exactly that value.
        non_finite: fraction of the events that are NaN or infinite.
    """

    low: float
    high: float
    integer: bool
    sentinel: float | None = None
    share: float = 0.0
    non_finite: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether there is but one value."""
        return self.low == self.high

    def __str__(self) -> str:
        parts = []
        if np.isnan(self.low):
            parts.append("no finite value")
        elif self.constant:
            parts.append(f"always {self.low:g}")
        else:
            kind = "integers " if self.integer else ""
            parts.append(f"{kind}{self.low:.4g} to {self.high:.4g}")
        if self.sentinel is not None:
            parts.append(f"exactly {self.sentinel:g} in {_percent(self.share)} of the events")
        if self.non_finite:
            parts.append(f"not finite in {_percent(self.non_finite)} of the events")
        return "; ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def survey(
    files: Iterable[FileScan], branches: Sequence[str], *, rows: int = 200_000
) -> dict[str, Survey]:
    """Summarise the first events of each file.

    Args:
        files: of the pre-scan; each has all the branches.
        branches: scalar branches.
        rows: events to read in all, shared evenly by the files.

    Raises:
        ReadError: a branch cannot be read.
    """
    from ..readers.pipeline.blocks import read_blocks

    files = list(files)
    share = max(1, rows // max(1, len(files)))
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in branches}
    for file in files if branches else []:
        left = share
        for block in read_blocks(file, branches, min(share, 50_000)):
            for name in branches:
                parts[name].append(block.columns[name][:left])
            left -= len(block)
            if left <= 0:
                break
    return {
        name: _summary(np.concatenate(values) if values else np.empty(0))
        for name, values in parts.items()
    }


def _summary(values: NDArray[Any]) -> Survey:
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Survey(np.nan, np.nan, False, non_finite=1.0 if len(values) else 0.0)
    sentinel, share = _sentinel(finite)
    kept = finite if sentinel is None else finite[finite != sentinel]
    return Survey(
        float(kept.min()),
        float(kept.max()),
        bool(np.all(kept == np.rint(kept))),
        sentinel,
        share * len(finite) / len(values),
        1.0 - len(finite) / len(values),
    )


def _sentinel(values: NDArray[np.float64]) -> tuple[float | None, float]:
    """An end of the range that repeats and stands apart: -999, or far from everything else."""
    low, high = float(values.min()), float(values.max())
    for end, sign in ((low, 1.0), (high, -1.0)):
        rest = values[values != end]
        share = 1.0 - len(rest) / len(values)
        if share < _SENTINEL_SHARE or not len(rest):
            continue
        gap = float((sign * (rest - end)).min())
        spread = float(rest.max() - rest.min())
        if (end in _USUAL and gap > 1.0) or gap > max(2.0 * spread, 50.0):
            return end, share
    return None, 0.0
