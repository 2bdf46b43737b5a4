"""What a generator draws against events that it did not see: the figures of a calorimeter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stats.distances import kolmogorov
from ..stats.two_sample import Sample, separation
from ..store.model_file import ShowerReport, Validation, read_record
from ..store.paths import GeneratorPaths
from ..store.reading import write_json
from ..tensors import Tensors
from ..training.settings import threads
from .model import Generator
from .training import Examples, read_examples

Floats = NDArray[np.floating]

_BINS = 6  # of the energy
_SHAPE_BINS = 40
_MOST = 20_000  # events of each side that a classifier is given


def compare_showers(events: Floats, drawn: Floats, columns: Floats) -> ShowerReport:
    """Compare showers.

    Args:
        events: (N, strips, layers) energies of cells.
        drawn: the same for the same conditions.
        columns: (N, K) these; the first is the energy.
    """
    energy = columns[:, 0]
    edges = np.quantile(energy, np.linspace(0, 1, _BINS + 1))
    where = np.clip(np.searchsorted(edges, energy, side="right") - 1, 0, _BINS - 1)
    sides = (np.asarray(events, np.float64), np.asarray(drawn, np.float64))
    shapes = [_shapes(cells, energy) for cells in sides]
    pairs = {name: (shapes[0][name], shapes[1][name]) for name in shapes[0]}
    means, widths = (
        [np.array([of(r[where == b]) for b in range(_BINS)]) for r in pairs["response"]]
        for of in (np.mean, _half_width)
    )
    widths = [width / mean for width, mean in zip(widths, means, strict=True)]
    along, across = (
        [(z.sum(axis) / z.sum((1, 2))[:, None]).mean(0) for z in sides] for axis in (1, 2)
    )
    ks = {name: kolmogorov(*pair)[0] for name, pair in pairs.items()}
    for name, (one, other) in (("along", along), ("across", across)):
        ks[name] = float(np.abs(np.cumsum(one) - np.cumsum(other)).max())
    layers = [np.corrcoef((z.sum(1) / energy[:, None]).T) for z in sides]
    tables = [np.column_stack([*shape.values(), columns]) for shape in shapes]
    cells = [np.column_stack([z.reshape(len(z), -1), columns]) for z in sides]
    content = {
        "energy": edges.tolist(),
        "response": _pair(means), "resolution": _pair(widths),
        "along": _pair(along), "across": _pair(across), "correlation": _pair(layers),
        "shapes": {name: _histograms(*pair) for name, pair in pairs.items()},
        "ks": ks, "auc": {"shapes": _auc(tables), "cells": _auc(cells)},
        "worst_response": float(np.abs(means[1] / means[0] - 1).max()),
        "worst_resolution": float(np.abs(widths[1] / widths[0] - 1).max()),
    }  # fmt: skip
    return ShowerReport.model_validate(content)


def _pair(sides: Sequence[Floats]) -> dict[str, Any]:
    return {"events": sides[0].tolist(), "drawn": sides[1].tolist()}


def _histograms(events: Floats, drawn: Floats) -> dict[str, Any]:
    """Counts in bins that hold all but a thousandth; what is outside is in the outermost."""
    low, high = np.quantile(np.concatenate([events, drawn]), [0.0005, 0.9995])
    edges = np.linspace(low, high, _SHAPE_BINS + 1)
    if (events == np.round(events)).all():  # as many whole numbers in each bin
        width = np.ceil((high - low + 1) / _SHAPE_BINS)
        edges = np.arange(np.floor(low) - 0.5, high + width, width)
    counts = [np.histogram(np.clip(side, low, high), edges)[0] for side in (events, drawn)]
    return _pair([n.astype(np.float64) for n in counts]) | {"edges": edges.tolist()}


def _half_width(values: Floats) -> float:
    low, high = np.quantile(values, [0.1587, 0.8413])
    return float(high - low) / 2


def _shapes(cells: Floats, energy: Floats) -> dict[str, Floats]:
    """One number an event: response, mean depth, its width, position, width, cells with energy."""
    total = np.maximum(cells.sum((1, 2)), 1e-9)
    strips, layers = (np.arange(n, dtype=np.float64) for n in cells.shape[1:])
    along, across = cells.sum(1) / total[:, None], cells.sum(2) / total[:, None]
    depth, place = along @ layers, across @ strips
    return {
        "response": total / energy,
        "depth": depth,
        "length": np.sqrt(np.maximum(along @ layers**2 - depth**2, 0)),
        "place": place,
        "width": np.sqrt(np.maximum(across @ strips**2 - place**2, 0)),
        "cells": (cells > 0).sum((1, 2)).astype(np.float64),
    }


def held_out(generator: Generator, tensors: Tensors | str | Path) -> Examples:
    """Events of a tensor file that a generator was not trained on, with its conditions."""
    examples = read_examples(tensors, generator.header.settings.conditions)
    return examples.part("validation", "test")


def validate_generator(generator: Generator, folder: str | Path) -> Validation:
    """Draw what events that it was not trained on ask for, compare, write ``validation.json``.

    Args:
        generator: that was trained.
        folder: of its run.
    """
    events = held_out(generator, read_record(folder).tensors)
    started = time.process_time()
    with threads(1):  # of several the time spent waiting would count
        drawn = generator.draw(events.columns, events.label, generator.header.settings.seed)
    rate = len(events) / max(time.process_time() - started, 1e-9)
    if generator.header.pictures:
        pixels = [z[:, :, ::2, ::2].reshape(len(z), -1) for z in (events.images, drawn)]
        validation = Validation(auc={"pixels": _auc(pixels)}, rate=rate)
    else:
        report = compare_showers(events.images[:, 0], drawn[:, 0], events.columns)
        validation = Validation(auc=report.auc, rate=rate, showers=report)
    content = validation.model_dump(mode="json")
    write_json(GeneratorPaths(Path(folder)).validation, Validation, content)
    return validation


def _auc(tables: list[Floats]) -> float:
    """Of two halves: no condition stands on both sides."""
    half = len(tables[0]) // 2
    parts = tables[0][:half], tables[1][half:]
    samples = [
        Sample(part, np.ones(len(part)), np.arange(len(part), dtype=np.uint64) + k * half)
        for k, part in enumerate(parts)
    ]
    return separation(*samples, coarsen=False, max_events=_MOST).value
