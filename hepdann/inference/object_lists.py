"""Scores of objects as lists that run along those of the input file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..readers.conversion_record import Conversion
from ..readers.rows import Inputs


@dataclass(frozen=True)
class ObjectLists:
    """The columns with the scores of objects.

    Attributes:
        columns: by collection whose objects have classes, the column of each class.
    """

    columns: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, collections: Iterable[str], conversion: Conversion) -> Self:
        """The columns of some collections; the conversion names the classes of their objects."""
        columns = {}
        for name in collections:
            label = conversion.objects[name].label
            assert label is not None
            columns[name] = tuple(re.sub(r"\W+", "_", f"score_{name}_{c}") for c in label.classes)
        return cls(columns)

    @property
    def names(self) -> list[str]:
        """Names of all columns."""
        return [name for names in self.columns.values() for name in names]

    def empty(self, rows: int) -> dict[str, NDArray[Any]]:
        """Empty lists, in so many rows."""
        columns: dict[str, NDArray[Any]] = {name: np.full(rows, None) for name in self.names}
        for column in columns.values():
            column[:] = [np.empty(0, np.float32)] * rows
        return columns

    def put(
        self,
        columns: Mapping[str, NDArray[Any]],
        inputs: Inputs,
        scores: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Fill the rows of some events, NaN where an object was left out.

        Args:
            columns: of all rows.
            inputs: the events.
            scores: (objects, C) by collection.
        """
        for collection, names in self.columns.items():
            part = inputs.objects[collection]
            assert part.listed is not None
            begin = np.cumsum(part.listed) - part.listed
            at = np.repeat(begin, part.counts) + part.numbers["place"]
            for number, name in enumerate(names):
                flat = np.full(int(part.listed.sum()), np.nan, np.float32)
                flat[at] = scores[collection][:, number]
                for row, values in zip(inputs.rows, np.split(flat, begin[1:]), strict=False):
                    columns[name][row] = values
