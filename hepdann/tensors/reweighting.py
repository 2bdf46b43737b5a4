"""Event weights that give MC the distribution of data, or a class that of another, in bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .copying import columns_of, read_tiles, write_copy
from .reader import Tensors, open_tensors
from .writer import PreparedRows

if TYPE_CHECKING:
    from ..config.samples import ReweightConfig

Floats = NDArray[np.float64]


def reweight(
    path: Tensors | str | Path, output: str | Path, settings: Sequence[ReweightConfig]
) -> list[str]:
    """Write a tensor file with other weights of MC, whose sum stays.

    In each bin the factor is the share of the target there over that of the classes to be
    reweighted, clipped; it is 1 where these have no positive sum of weights. Bins beyond the first
    and last edge and one for missing values belong to each variable; an upper edge belongs to the
    next bin. Every weight of MC is multiplied, and ``weights/<name>_off`` holds the nominal one
    without this factor.

    Args:
        path: the tensor file.
        output: the new one.
        settings: one reweighting after the other, each on the weights that those before it made.

    Returns:
        What was done, a line for each.

    Raises:
        ConfigError: a variable or class that is not there, or a sum of weights is not positive.
        SchemaError: a file cannot be read or written.
    """
    file = open_tensors(path)
    factors: list[_Factor] = []
    for one in settings:
        factors.append(_Factor.fit(file, one, factors))
    names = [f"{one.name}_off" for one in settings]

    def change(tile: PreparedRows) -> PreparedRows:
        if tile.domain != "mc":
            return tile
        each = [factor.of(file, tile) for factor in factors]
        total = np.prod(each, axis=0)
        weight = tile.column("weight").astype(np.float64)
        changed = {n: v * total for n, v in tile.rows.items() if n.startswith("mc/weight")}
        for number, name in enumerate(names):
            others = [f for i, f in enumerate(each) if i != number]
            changed[f"mc/weights/{name}"] = weight * np.prod(others, axis=0)
        rows = {name: values.astype(np.float32) for name, values in changed.items()}
        return replace(tile, rows=tile.rows | rows)

    extra = {**file.provenance, "reweighted": [factor.note for factor in factors]}
    write_copy([file], output, weights=(*file.weights, *names), change=change, extra=extra)
    return [factor.note for factor in factors]


@dataclass(frozen=True, eq=False)
class _Factor:
    """What a reweighting multiplies the weights of its classes with, by bin."""

    settings: ReweightConfig
    labels: tuple[int, ...]
    values: Floats  # of all bins in a row
    note: str

    def of(self, file: Tensors, tile: PreparedRows) -> Floats:
        """(n,) of some MC events."""
        chosen = np.isin(tile.column("label"), self.labels)
        return np.where(chosen, self.values[_bins(self.settings, file, tile)], 1.0)

    @classmethod
    def fit(cls, file: Tensors, settings: ReweightConfig, before: Sequence[_Factor]) -> _Factor:
        """Fill the histograms of both sides, and divide them."""
        where = f"convert.reweight '{settings.name}'"
        known = (*file.features, *file.spectators)
        for kind, names, there in (
            ("feature or spectator", settings.variables, known),
            ("class", settings.classes or (), file.classes),
            ("class", () if settings.to == "data" else (settings.to,), file.classes),
            ("domain", ("data",) if settings.to == "data" else (), file.domains),
        ):
            for name in names:
                if name not in there:
                    mend = f"there are {', '.join(there)}"
                    raise ConfigError(f"no {kind} '{name}'", where=where, mend=mend)
        if f"{settings.name}_off" in file.weights:
            raise ConfigError("there is a weight of that name", where=where, mend="take another")
        classes = [c for c in settings.classes or file.classes if c != settings.to]
        labels = tuple(file.classes.index(name) for name in classes)
        size = int(np.prod([len(edges) + 2 for edges in settings.variables.values()]))
        source, squares, target = np.zeros((3, size))
        for tile in read_tiles(file, "mc"):
            bins, label = _bins(settings, file, tile), tile.column("label")
            weight = tile.column("weight").astype(np.float64)
            weight *= np.prod([factor.of(file, tile) for factor in before], axis=0)
            own = np.isin(label, labels)
            source += np.bincount(bins[own], weight[own], size)
            squares += np.bincount(bins[own], weight[own] ** 2, size)
            if settings.to != "data":
                other = label == file.classes.index(settings.to)
                target += np.bincount(bins[other], weight[other], size)
        for tile in read_tiles(file, "data") if settings.to == "data" else ():
            weight = tile.column("weight").astype(np.float64)
            target += np.bincount(_bins(settings, file, tile), weight, size)
        if source.sum() <= 0 or target.sum() <= 0:
            what = ", ".join(classes) if source.sum() <= 0 else settings.to
            raise ConfigError(
                f"the weights of {what or 'no class'} have no positive sum", where=where
            )
        ratio = np.ones(size)
        np.divide(target / target.sum(), source / source.sum(), out=ratio, where=source > 0)
        low, high = settings.clip
        values = np.clip(ratio, low, high)
        cut_off = np.count_nonzero((values != ratio) & (source > 0))
        values *= source.sum() / (source @ values)
        used = values[source != 0]
        effective = (source @ values) ** 2 / (squares @ values**2)
        share = effective / (source.sum() ** 2 / squares.sum())
        note = (
            f"{settings.name}: weights of {', '.join(classes)} follow {settings.to} in "
            f"{' and '.join(settings.variables)}, factors {used.min():.3g} to {used.max():.3g} "
            f"({cut_off} of {np.count_nonzero(source)} bins clipped), {100 * share:.0f} % of the "
            f"effective events are left; weights/{settings.name}_off is without it"
        )
        return cls(settings, labels, values, note)


def _bins(settings: ReweightConfig, file: Tensors, tile: PreparedRows) -> NDArray[np.int64]:
    """(n,) the bin of each event, of all variables in a row."""
    columns, bins = columns_of(file, tile), np.zeros(tile.count, np.int64)
    for name, edges in settings.variables.items():
        values = columns[name].astype(np.float64)
        place = np.searchsorted(edges, values, side="right")  # NaN would share the overflow
        bins = bins * (len(edges) + 2) + np.where(np.isnan(values), len(edges) + 1, place)
    return bins
