"""Templates of a run for a fit: a quantity in bins, by region, process and class, and variation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..config import PlotConfig
from ..config.plots import DataMCFigure, ScoresFigure
from ..errors import ConfigError, RunError
from ..registry import suggestion
from ..stats.histograms import Histogram, binning, equal_signal_edges, fill, significance_edges
from ..store.reading import config_of, read_metrics
from ..store.scores_reader import Domain, RunScores, open_scores
from .run_columns import SIDES, RunColumns, assumed_fractions

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
NOMINAL = "nominal"
DATA = "data"
_NO_NAME = re.compile(r"[^\w.-]+", re.ASCII)
Window = tuple[float, float]
REGION = "all"  # where no region is given
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_MOST_BINS = 10_000


@dataclass(frozen=True)
class TemplateSample:
    """The events of one process and class.

    Attributes:
        signal: whether the signal strength scales it.
        events: how many there are of the MC that is filled.
        scale: what their weights are multiplied by, so that they stand for all of its events.
    """

    name: str
    process: str
    class_: str
    signal: bool
    events: int
    scale: float


@dataclass(frozen=True, eq=False)
class TemplateEvents:
    """The MC of a run by process and class.

    ``signal`` names the classes or processes that are signal, by default the last class; with
    ``include_training`` all events are filled, otherwise those of the test split alone.
    """

    columns: RunColumns
    scores: RunScores
    signal: Sequence[str] = ()
    include_training: bool = False

    @cached_property
    def filled(self) -> Rows:
        """(N,) the MC events that templates are filled with.

        Raises:
            RunError: there are none that trained no network.
        """
        rows = self.scores.rows("mc", "test")
        if self.include_training:
            return np.ones_like(rows)
        if not rows.any():
            what = "every MC event of this run trained a network or chose one"
            mend = "fill them all the same with --include-training"
            raise RunError(what, where=self.scores.path.parent, mend=mend)
        return rows

    @cached_property
    def choosing(self) -> Rows:
        """(N,) the MC events that choose bins: others than those that fill them, if there are."""
        rows = self.scores.rows("mc", "validation")
        return self.filled if self.include_training or not rows.any() else rows

    @cached_property
    def group(self) -> NDArray[np.int64]:
        """(N,) number of the sample of each MC event."""
        return self._groups[0]

    @cached_property
    def _groups(self) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
        """The numbers, and the process and class of each sample, in the order of both."""
        label = self.scores.column("mc", "label").astype(np.int64)
        process = np.zeros_like(label)
        if len(self.scores.samples) > 1:
            process = self.scores.column("mc", "sample").astype(np.int64)
        present, group = np.unique(process * len(self.scores.classes) + label, return_inverse=True)
        return group, [divmod(int(pair), len(self.scores.classes)) for pair in present]

    @cached_property
    def samples(self) -> tuple[TemplateSample, ...]:
        """The samples, in the order of processes and classes.

        Raises:
            RunError: a signal that is no class and no process, or two samples of one name.
        """
        processes, classes = self.scores.samples or ("mc",), self.scores.classes
        known = (*classes, *processes)
        for name in self.signal:
            if name not in known:
                what, mend = f"no class or process {name!r}", suggestion(name, known)
                raise RunError(what, where=self.scores.path.parent, mend=mend)
        signal = set(self.signal or classes[-1:])
        pairs = self._groups[1]
        names = [self._name(pair, pairs) for pair in pairs]
        if DATA in names or len(set(names)) < len(names):
            twice = next(n for n in names if n == DATA or names.count(n) > 1)
            what = f"two samples would be called {twice!r} in the templates"
            mend = "rename a process or class, and convert and train again"
            raise RunError(what, where=self.scores.path.parent, mend=mend)
        counts = np.bincount(self.group[self.filled], minlength=len(pairs))
        scales = self._scales("weight")
        return tuple(
            TemplateSample(
                name,
                processes[process],
                classes[class_],
                bool({processes[process], classes[class_]} & signal),
                int(counts[index]),
                float(scales[index]),
            )
            for index, (name, (process, class_)) in enumerate(zip(names, pairs, strict=True))
        )

    def _name(self, pair: tuple[int, int], pairs: Sequence[tuple[int, int]]) -> str:
        process, class_ = pair
        if len(self.scores.samples) < 2:
            return _NO_NAME.sub("_", self.scores.classes[class_])
        several = sum(one == process for one, _ in pairs) > 1
        parts = [self.scores.samples[process], *([self.scores.classes[class_]] if several else [])]
        return _NO_NAME.sub("_", "_".join(parts))

    def weights(self, column: str = "weight", rows: Rows | None = None) -> Floats:
        """(n,) weights of the events, scaled up to the yield of all events of their sample.

        ``column`` is "weight", or "weights.<name>" of a variation; ``rows`` are by default those
        filled.
        """
        chosen = self.filled if rows is None else rows
        weight = self.columns.column("mc", column).astype(np.float64)
        return np.asarray(weight[chosen] * self._scales(column, chosen)[self.group[chosen]])

    def _scales(self, column: str, rows: Rows | None = None) -> Floats:
        """(S,) yield of all events of each sample over that of some of them.

        Where these yields do not have one sign, as of few events with negative weights, it is how
        many MC events there are over how many of them are taken.
        """
        rows = self.filled if rows is None else rows
        weight, size = self.columns.column("mc", column).astype(np.float64), len(self._groups[1])
        total = np.bincount(self.group, weight, size)
        part = np.bincount(self.group[rows], weight[rows], size)
        share = np.full(size, len(rows) / max(int(rows.sum()), 1))
        return np.asarray(np.divide(total, part, out=share, where=total * part > 0))


@dataclass(frozen=True)
class TemplateSettings:
    """What is filled.

    Attributes:
        of: "score", "score.<class>", or an expression of what the run's events have.
        method: whose score that is; by default the recommended one's.
        regions: cut of each region by its name; without any, all events are one.
        bins: their number, or their edges.
        range: first and last edge; by default 0 and 1 of a score, and by MC's content.
        binning: even bins, as much signal in each, or the largest expected significance.
        variations: whether the further weights of the tensor file are filled too.
        signal: classes or processes that the signal strength scales; by default the last class.
        blind: windows without data, beside those of the configuration.
        asimov: MC's expectation in place of data, which are not read.
        include_training: fill also the MC events that trained networks.
    """

    of: str = "score"
    method: str | None = None
    regions: Mapping[str, str] = field(default_factory=dict)
    bins: int | Sequence[float] = 10
    range: Window | None = None
    binning: Literal["even", "equal-signal", "significance"] = "even"
    variations: bool = False
    signal: Sequence[str] = ()
    blind: Sequence[Window] = ()
    asimov: bool = False
    include_training: bool = False


@dataclass(frozen=True, eq=False)
class Templates:
    """The histograms.

    Attributes:
        quantity: what is in bins, as an expression.
        edges: (B+1,) of all histograms.
        regions: their names; ``samples`` those of MC.
        mc: variation to histogram, by region and name of the sample; the first is "nominal".
        data: histogram of the data by region; those of a blind bin are empty. ``None`` of Asimov
            data.
        blind: (B,) the bins that hold no data.
        assumed: at which class fractions a score was fitted to the data; empty of other quantities.
    """

    quantity: str
    edges: Floats
    regions: tuple[str, ...]
    samples: tuple[TemplateSample, ...]
    mc: Mapping[tuple[str, str], Mapping[str, Histogram]]
    data: Mapping[str, Histogram] | None
    blind: Rows
    assumed: str = ""

    def expected(self, region: str) -> Floats:
        """(B,) the nominal MC of a region, all samples."""
        parts = [self.mc[region, sample.name][NOMINAL].sumw for sample in self.samples]
        return np.asarray(np.sum(parts, axis=0))

    @property
    def notes(self) -> list[str]:
        """What a user should hear of before a fit."""
        return list(_notes(self))


def fill_templates(
    run: str | Path, settings: TemplateSettings | None = None, *, plots: PlotConfig | None = None
) -> Templates:
    """Fill the templates of a run; by default of the score of the recommended method.

    The figures of ``plots`` say which bins are blind; by default those of the run's configuration.

    Raises:
        RunError: no finished run; no such method, class or process; a region without MC; no event
            but those that trained.
        ConfigError: an expression, region or binning that is none; the key is named.
    """
    folder, settings = Path(run), settings or TemplateSettings()
    scores = open_scores(folder)
    method = _method(folder, scores, settings.method)
    columns = RunColumns(scores, method=method)
    events = TemplateEvents(columns, scores, settings.signal, settings.include_training)
    samples = events.samples
    values = columns.values("mc", settings.of)
    regions = _regions(settings.regions)
    passing = {name: _passing(columns, "mc", name, cut) for name, cut in regions.items()}
    for name, rows in passing.items():
        if not (rows & events.filled).any():
            raise RunError(
                f"no MC event of those to be filled is in region {name}",
                where=folder,
                mend=f"loosen its cut: {regions[name]}",
            )
    edges = _edges(settings, events, values, np.any(list(passing.values()), axis=0))
    plots = plots or config_of(folder).plots
    hidden = [*settings.blind, *blind_windows(plots, columns, settings.of)]
    windows = [] if settings.asimov else hidden
    mc: dict[tuple[str, str], dict[str, Histogram]] = {}

    def put(variation: str, values: Floats, weight: Floats, passing: Mapping[str, Rows]) -> None:
        for region, rows in passing.items():
            kept = rows[events.filled]
            group, x = events.group[events.filled][kept], values[events.filled][kept]
            filled = fill(x, weight[kept], edges, group, len(samples))
            for sample, one in zip(samples, filled, strict=True):
                mc.setdefault((region, sample.name), {})[variation] = one

    put(NOMINAL, values, events.weights(), passing)
    if not any(one[NOMINAL].sumw2.any() for one in mc.values()):
        what, mend = "no MC event lies in the bins", "choose others with --bins or --range"
        raise ConfigError(what, where=f"--of {settings.of}", mend=mend)
    weights, shifted = columns.variations if settings.variations else ((), ())
    for variation in weights:
        put(variation, values, events.weights(f"weights.{variation}"), passing)
    others = {f"calibration_{side}": RunColumns(scores, method, side) for side in SIDES}
    others |= {name: RunColumns(scores, method, variation=name) for name in shifted}
    for variation, varied in others.items():  # where the quantity or a cut depends on them
        moved, present = varied.values("mc", settings.of), varied.present
        inside = {n: _passing(varied, "mc", n, cut) & present for n, cut in regions.items()}
        if not np.array_equal(moved, values, equal_nan=True) or any(
            not np.array_equal(rows, passing[name]) for name, rows in inside.items()
        ):
            put(variation, moved, events.weights(), inside)
    blind = np.zeros(len(edges) - 1, bool)
    for low, high in windows:
        touched = (edges[:-1] < high) & (edges[1:] > low)
        if not touched.any() and (low, high) in settings.blind:
            what = f"the window {low:g},{high:g} touches no bin: they reach from"
            raise ConfigError(f"{what} {edges[0]:g} to {edges[-1]:g}", where="--blind")
        blind |= touched
    data = None if settings.asimov else _data(columns, settings.of, regions, edges, blind)
    assumed = assumed_fractions(folder, method) if columns.names.is_score(settings.of) else ""
    return Templates(settings.of, edges, tuple(regions), samples, mc, data, blind, assumed)


def blind_windows(plots: PlotConfig, columns: RunColumns, quantity: str) -> list[Window]:
    """The windows that figures of a quantity are blind in.

    The columns know which score the quantity is, under all of its names.
    """
    wanted = columns.names.canonical(quantity)
    windows = []
    for figure in plots.figures or ():
        if isinstance(figure, DataMCFigure):
            same = columns.names.canonical(figure.variable) == wanted
        else:
            same = isinstance(figure, ScoresFigure) and wanted in columns.names.canonical_scores(
                figure.methods, figure.signal
            )
        if same and isinstance(figure, DataMCFigure | ScoresFigure) and figure.blind is not None:
            windows.append((figure.blind[0], figure.blind[1]))
    return windows


def _method(folder: Path, scores: RunScores, name: str | None) -> str:
    if name is None:
        name = str(read_metrics(folder).recommended)
    if name not in scores.methods:
        raise RunError(f"no method {name!r}", where=folder, mend=suggestion(name, scores.methods))
    return name


def _regions(given: Mapping[str, str]) -> dict[str, str | None]:
    for name in given:
        if _NAME.fullmatch(name) is None:
            what, mend = (
                f"{name!r} is no name of a region",
                "take letters, digits and _, as in SR='x'",
            )
            raise ConfigError(what, where="--regions", mend=mend)
    return dict(given) or {REGION: None}


def _passing(columns: RunColumns, domain: Domain, name: str, cut: str | None) -> Rows:
    if cut is None:
        return np.ones(len(columns.column(domain, "weight")), bool)
    try:
        return columns.passing(domain, cut)
    except ConfigError as error:
        what = f"region {name}: {error.message}"
        raise ConfigError(what, where=f"cut {cut!r}", mend=error.mend) from error


def _edges(
    settings: TemplateSettings, events: TemplateEvents, values: Floats, inside: Rows
) -> Floats:
    if isinstance(settings.bins, Sequence):
        edges = np.asarray(settings.bins, np.float64)
        if len(edges) < 2 or not (np.diff(edges) > 0).all() or not np.isfinite(edges).all():
            raise ConfigError("edges must be two or more that rise", where="--bins")
        if settings.binning != "even":
            what = "edges are given, and nothing to choose"
            raise ConfigError(what, where="--binning", mend="give the number of bins")
        if settings.range is not None:
            what = "edges are given, and the first and the last of them are the range"
            raise ConfigError(what, where="--range", mend="leave it out, or give a number of bins")
        return edges
    count = settings.bins
    if not 1 <= count <= _MOST_BINS:
        raise ConfigError(f"must be 1 to {_MOST_BINS}", where="--bins")
    rows = events.choosing & inside
    limits = settings.range
    if limits is None:
        is_score = events.columns.names.is_score(settings.of)
        even = np.array([0.0, 1.0]) if is_score else binning(values[rows], bins=count)
        limits = float(even[0]), float(even[-1])
        if settings.binning == "even" and not is_score:
            return even
    if not -math.inf < limits[0] < limits[1] < math.inf:
        raise ConfigError("must be two numbers, the smaller one first", where="--range")
    if settings.binning == "even":
        return np.linspace(*limits, count + 1)
    signal = np.array([sample.signal for sample in events.samples])[events.group[rows]]
    weight = events.weights(rows=events.choosing)[inside[events.choosing]]
    if settings.binning == "equal-signal":
        return equal_signal_edges(values[rows][signal], weight[signal], count, limits)
    edges_of = significance_edges(values[rows], weight, signal, count, limits)
    if edges_of is None:
        raise ConfigError(
            "there are less than 10 effective events of background",
            where="--binning significance",
            mend="take --binning equal-signal, or a looser cut",
        )
    return edges_of


def _data(
    columns: RunColumns,
    quantity: str,
    regions: Mapping[str, str | None],
    edges: Floats,
    blind: Rows,
) -> dict[str, Histogram]:
    """Data by region; what lies in a blind bin is left out before anything is filled."""
    values, weight = columns.values("target", quantity), columns.column("target", "weight")
    bins = np.searchsorted(edges, values, side="right") - 1
    bins[values == edges[-1]] = len(edges) - 2
    inside = (bins >= 0) & (bins < len(blind))
    shown = np.ones(len(values), bool)
    shown[inside] = ~blind[bins[inside]]
    # Where the end bins are blind, what lies beyond them is as well.
    shown &= ~(blind[0] & (values < edges[0])) & ~(blind[-1] & (values > edges[-1]))
    return {
        name: fill(values[kept], weight[kept], edges)[0]
        for name, cut in regions.items()
        for kept in [shown & _passing(columns, "target", name, cut)]
    }


def _notes(templates: Templates) -> Iterator[str]:
    empty = [s.name for s in templates.samples if not s.events]
    if empty:
        yield f"no event of {', '.join(empty)} is in MC's test split: its templates are empty"
    for region in templates.regions:
        filled = {s.name: templates.mc[region, s.name][NOMINAL] for s in templates.samples}
        negative = [name for name, one in filled.items() if (one.sumw < 0).any()]
        if negative:
            yield f"{region}: negative bins of {', '.join(negative)}, which the workspace sets to 0"
        data = templates.data
        if data is not None:
            alone = (data[region].sumw > 0) & ~(templates.expected(region) > 0)
            for index in np.flatnonzero(alone):
                low, high = templates.edges[index : index + 2]
                yield (
                    f"{region}: data but no MC between {low:.4g} and {high:.4g}, "
                    "which no fit describes: merge bins, or narrow --range"
                )
        outside = sum(
            x[0] for one in filled.values() for x in (one.underflow, one.overflow, one.missing)
        )
        if outside:
            yield f"{region}: {outside:.4g} expected MC events lie outside the bins"
    if templates.blind.any() and templates.data is not None:
        bins = zip(templates.edges[:-1], templates.edges[1:], templates.blind, strict=True)
        spans = [f"[{low:.4g}, {high:.4g}]" for low, high, hidden in bins if hidden]
        yield f"blind, and not in the workspace: {', '.join(spans)}"
    if templates.assumed and templates.data is not None:
        yield templates.assumed
