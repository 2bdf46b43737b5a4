"""What a generator draws against events that it did not see: the figures of a calorimeter."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Stored
from ..stats.distances import kolmogorov
from ..stats.two_sample import Sample, separation
from ..store.paths import GeneratorPaths
from ..store.reading import write_json
from ..tensors import Tensors
from .events import Examples, read_examples
from .model import Generator
from .training import read_record

Floats = NDArray[np.floating]

_BINS = 6  # of the energy
_MOST = 20_000  # events of each side that a classifier is given


@dataclass(frozen=True, eq=False)
class ShowerReport:
    """Showers that a generator drew, against others of the same energies and particles.

    The pairs are the events, then what was drawn for their conditions.

    Attributes:
        energy: (B + 1,) edges of bins of the energy.
        response: pairs of (B,) mean sums of the cells over the energy.
        resolution: pairs of (B,) half widths of the middle 68.3 % of it over its mean, which a few
            showers that leak do not move as they move a standard deviation.
        along: pairs of (layers,) mean shares of the layers.
        across: pairs of (strips,) mean shares of the strips.
        correlation: pairs of (layers, layers) correlations of the energies of layers over E.
        shapes: by name pairs of (N,) values, an event each.
        ks: Kolmogorov distances: of the mean profiles ``along`` and ``across``, and of each of the
            ``shapes``.
        auc: held-out AUC of a classifier between the two, of the shapes and of the cells.
    """

    energy: Floats
    response: tuple[Floats, Floats]
    resolution: tuple[Floats, Floats]
    along: tuple[Floats, Floats]
    across: tuple[Floats, Floats]
    correlation: tuple[Floats, Floats]
    shapes: dict[str, tuple[Floats, Floats]]
    ks: dict[str, float]
    auc: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As JSON has it, without the values of single events."""
        content = asdict(self)
        del content["shapes"]
        ratios = {
            "worst_response": float(np.abs(self.response[1] / self.response[0] - 1).max()),
            "worst_resolution": float(np.abs(self.resolution[1] / self.resolution[0] - 1).max()),
        }
        return {key: _plain(value) for key, value in content.items()} | ratios


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return {"events": value[0].tolist(), "drawn": value[1].tolist()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def compare_showers(events: Floats, drawn: Floats, columns: Floats, seed: int = 0) -> ShowerReport:
    """Compare showers.

    Args:
        events: (N, strips, layers) energies of cells.
        drawn: the same for the same conditions.
        columns: (N, K) these; the first is the energy.
        seed: of the classifier.
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
    along, across = (
        [(z.sum(axis) / z.sum((1, 2))[:, None]).mean(0) for z in sides] for axis in (1, 2)
    )
    ks = {name: kolmogorov(*pair)[0] for name, pair in pairs.items()}
    for name, (one, other) in (("along", along), ("across", across)):
        ks[name] = float(np.abs(np.cumsum(one) - np.cumsum(other)).max())
    layers = [np.corrcoef((z.sum(1) / energy[:, None]).T) for z in sides]
    tables = [np.column_stack([*shape.values(), columns]) for shape in shapes]
    cells = [np.column_stack([z.reshape(len(z), -1), columns]) for z in sides]
    return ShowerReport(
        edges,
        (means[0], means[1]),
        (widths[0] / means[0], widths[1] / means[1]),
        (along[0], along[1]),
        (across[0], across[1]),
        (layers[0], layers[1]),
        pairs,
        ks,
        {"shapes": _auc(tables, seed), "cells": _auc(cells, seed)},
    )


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


@dataclass(frozen=True, eq=False)
class Judged:
    """A generator against events that it was not trained on.

    Attributes:
        events: these.
        drawn: (N, C, H, W) for their conditions.
        classes: names.
        report: of showers.
        auc: held-out AUC of a classifier between both, by what it is given.
        rate: events a second of processor time that were drawn.
    """

    events: Examples
    drawn: Floats
    classes: tuple[str, ...]
    report: ShowerReport | None
    auc: dict[str, float]
    rate: float

    @property
    def lines(self) -> list[str]:
        """What was measured, a line each."""
        lines = [f"{self.rate:,.0f} events/s drawn on one core; held-out AUC of a classifier: "
                 + ", ".join(f"{key} {value:.3f}" for key, value in self.auc.items())]  # fmt: skip
        if self.report is not None:
            figures, ks = self.report.to_json(), self.report.ks
            lines.append(
                f"mean response within {figures['worst_response']:.1%}, resolution within "
                f"{figures['worst_resolution']:.0%} of the simulation in {_BINS} bins of energy"
            )
            lines.append(
                "Kolmogorov distances: " + ", ".join(f"{k} {v:.3f}" for k, v in ks.items())
            )
        return lines


def validate(
    generator: Generator, folder: str | Path, tensors: Tensors | str | Path | None = None
) -> Judged:
    """Draw what events that it was not trained on ask for, compare, write ``validation.json``.

    Args:
        generator: that was trained.
        folder: of its run.
        tensors: the file; by default that it was trained on.
    """
    settings, header = generator.header.settings, generator.header
    record = read_record(folder)
    events = read_examples(tensors or record.tensors, settings.conditions).part(
        "validation", "test"
    )
    started = time.process_time()
    drawn = generator.draw(events.columns, events.label, settings.seed)
    rate = len(events) / max(time.process_time() - started, 1e-9)
    if header.pictures:
        report = None
        auc = {"pixels": _auc([z[:, :, ::2, ::2].reshape(len(z), -1)
                               for z in (events.images, drawn)], 0)}  # fmt: skip
    else:
        report = compare_showers(events.images[:, 0], drawn[:, 0], events.columns)
        auc = report.auc
    judged = Judged(events, drawn, tuple(header.classes), report, auc, rate)
    content = {"format_version": 1, "auc": auc, "rate": rate}
    content |= {} if report is None else {"showers": report.to_json()}
    write_json(GeneratorPaths(Path(folder)).validation, Stored, content)
    return judged


def _auc(tables: list[Floats], seed: int) -> float:
    """Of two halves: no condition stands on both sides."""
    half = len(tables[0]) // 2
    parts = tables[0][:half], tables[1][half:]
    samples = [
        Sample(part, np.ones(len(part)), np.arange(len(part), dtype=np.uint64) + k * half)
        for k, part in enumerate(parts)
    ]
    return separation(*samples, seed=seed, coarsen=False, max_events=_MOST).value
