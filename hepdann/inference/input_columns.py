"""Events given to a trained model: columns by name, missing values as the conversion left them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..tensors import Tensors
from ..tensors.arrays import column_names, columns, numbers


@dataclass(frozen=True)
class InputColumns:
    """The features of a model and what marks a missing value in them.

    Attributes:
        indicators: columns that are 1 where a feature is missing, with that feature.
    """

    features: tuple[str, ...]
    missing: dict[str, float] = field(default_factory=dict)
    indicators: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> Self:
        """As the conversion recorded them in the tensor file."""
        info = dict(zip(tensors.features, tensors.feature_info, strict=True))
        return cls(
            tensors.features,
            {n: float(e["missing"]) for n, e in info.items() if e.get("missing") is not None},
            {n: e["indicator_of"] for n, e in info.items() if e.get("indicator_of")},
        )

    def table(self, events: Any) -> NDArray[np.float32]:
        """The features of events, NaN where a value is missing or not finite.

        Args:
            events: a DataFrame, mapping, structured array or awkward record array with a column of
                each feature (an indicator may be absent: it follows from its feature), or an
                array (N, F) in the order of ``features``.

        Raises:
            RunError: a feature is absent, or a column does not hold one number an event.
        """
        names = column_names(events)
        if names is None:
            table = numbers(events, "the events", RunError)
            if table.ndim != 2 or table.shape[1] != len(self.features):
                return table
        else:
            table = self._by_name(events, names)
        self._mark(table)
        return table

    def _by_name(self, events: Any, names: Sequence[Any]) -> NDArray[np.float32]:
        absent = [n for n in self.features if n not in names and n not in self.indicators]
        if absent:
            unknown = [str(name) for name in names if name not in self.features]
            beside = f"; beside the features they have {', '.join(unknown)}" if unknown else ""
            raise RunError(
                f"the events have no {', '.join(absent)}{beside}",
                mend=f"give columns of these names, or an array of {', '.join(self.features)}",
            )
        known = columns(events, [name for name in self.features if name in names], RunError)
        zero = np.zeros(next(iter(known.values())).shape, np.float32)
        return np.stack([known.get(name, zero) for name in self.features], axis=1)

    def _mark(self, table: NDArray[np.float32]) -> None:
        at = {name: number for number, name in enumerate(self.features)}
        for name, sentinel in self.missing.items():
            column = table[:, at[name]]
            column[column == np.float32(sentinel)] = np.nan
        table[~np.isfinite(table)] = np.nan
        for name, feature in self.indicators.items():
            table[np.isnan(table[:, at[feature]]), at[name]] = 1
