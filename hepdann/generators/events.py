"""The events that a generator learns from: their images, and what it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SchemaError
from ..tensors import SPLITS, Tensors, open_tensors

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with conditions.

    Attributes:
        images: (N, C, H, W), energies of cells, or pictures in [0, 1].
        columns: (N, K) of what is asked for.
        label: (N,) class index.
        split: (N,) 0 train, 1 validation, 2 test.
    """

    images: Floats
    columns: Floats
    label: NDArray[np.int32]
    split: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.label)

    def part(self, *names: str) -> Self:
        """The events of some splits."""
        rows = np.isin(self.split, [SPLITS.index(name) for name in names])
        return type(self)(self.images[rows], self.columns[rows], self.label[rows], self.split[rows])


def read_examples(tensors: Tensors | str | Path, conditions: Sequence[str]) -> Examples:
    """The MC of a tensor file with images of one view.

    Args:
        tensors: the file.
        conditions: features or spectators that are asked for.

    Raises:
        SchemaError: no MC, not one view, or no such column.
        ConfigError: a condition that is missing in an event, or of showers an energy that is not
            positive.
    """
    file = open_tensors(tensors)
    if len(file.views) != 1 or "mc" not in file.domains:
        raise SchemaError(
            f"has images of {len(file.views)} views, and a generator learns of one",
            where=file.path,
            mend="convert showers or pictures",
        )
    view = file.views[0]
    if not view.pictures and not conditions:
        raise ConfigError(
            "showers need the energy of their particle",
            where="generate.conditions",
            mend="give --condition energy",
        )
    known = file.read_columns("mc", ("label", "split"))
    label, split = known["label"], known["split"]
    found = [file.column("mc", name) for name in conditions]
    columns = np.stack(found, axis=1) if found else np.zeros((len(label), 0), np.float32)
    bad = ~np.isfinite(columns)
    if not view.pictures:
        bad[:, 0] |= columns[:, 0] <= 0
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ConfigError(
            f"{conditions[column]} is {columns[row, column]:g} in event {row}",
            where="generate.conditions",
            mend="every event needs one, and an energy is positive",
        )
    images = file.read_views("mc", slice(0, len(label)))[view.name]
    if not view.pictures:
        kept = images.sum((1, 2, 3)) > 0  # a shower of nothing has no share of a cell
        return Examples(images[kept], columns[kept], label[kept], split[kept])
    return Examples(images, columns, label, split)
