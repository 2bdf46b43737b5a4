"""The figures that the section ``plots`` of a configuration lists: their numbers and their jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import evaluation, stats
from ..config.plots import (
    ConfusionFigure,
    DataMCFigure,
    EfficiencyFigure,
    FigureConfig,
    RocFigure,
    ScoresFigure,
)
from ..errors import ConfigError
from ..evaluation import DataMC, Profile
from ..evaluation.curves import run_roc
from ..evaluation.datamc import folded
from ..stats import Roc, quantile_edges
from ..store.scores.reader import Domain
from ..tensors import SPLITS, Split
from .axes.styles import method_title, readable, sentence
from .figures.matrices import confusion
from .figures.panels import Scale, common_scale
from .figures.profiles import efficiency
from .figures.roc import roc
from .figures.stacks import data_mc, scores
from .jobs import Job, file_name
from .names import require
from .performance import confusion_of
from .quantities import Quantities, Stages

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

_DOMAINS: tuple[Domain, Domain] = ("mc", "target")
_PROFILE_BINS = 8  # of an efficiency, with equally many events
_WORKING_POINTS = {
    "fixed": "{:g} % {} efficiency",
    "flat": "{:g} % {} efficiency in each bin",
    "target": "{:g} % {} efficiency, share matched",
}


@dataclass(frozen=True, eq=False)
class ScoreByClass:
    """Score of MC classes and target.

    Attributes:
        shown: the classes as processes, normalised to the target.
        thresholds: of working points, by the signal efficiency that names each.
    """

    shown: DataMC
    thresholds: dict[str, float]


def configured_jobs(run: Quantities, figures: Sequence[FigureConfig]) -> list[Job]:
    """The figures of a list, each as often as it has methods or domains.

    Raises:
        ConfigError: one names a class, a method or a domain that the run does not have. When its
            numbers are computed: an expression that does not parse, or a column that is not there.
    """
    kinds: dict[type, Callable[..., Iterator[Job]]] = {
        DataMCFigure: _data_mc,
        ScoresFigure: _scores,
        RocFigure: _rocs,
        EfficiencyFigure: _efficiency,
        ConfusionFigure: _confusion,
    }
    return [job for figure in figures for job in kinds[type(figure)](run, figure)]


def _title(figure: FigureConfig, default: str) -> str:
    return readable(figure.title) if figure.title else default


def _stem(figure: FigureConfig, copies: int, default: str, *parts: str) -> str:
    """The figure's own name where it is drawn once; otherwise one for each copy."""
    if figure.name and copies == 1:
        return figure.name
    return file_name(figure.name or default, *parts)


def _axis(run: Quantities, figure: DataMCFigure | EfficiencyFigure) -> tuple[str, str]:
    """Label and unit of the axis: the feature's unless the figure has others."""
    name, unit = run.title(figure.variable)
    label = name if figure.label is None else readable(figure.label)
    return label, unit if figure.unit is None else readable(figure.unit)


def _data_mc(run: Quantities, figure: DataMCFigure) -> Iterator[Job]:
    def draw(numbers: Stages) -> Axes:
        label, unit = _axis(run, figure)
        stages = [figure.weight and "reweighted"]
        stages += [figure.alignment and f"after {method_title(figure.alignment)}"]
        return data_mc(
            numbers.shown,
            label,
            unit=unit,
            data_name=run.target_name,
            colours=run.colours,
            title=_title(figure, ", ".join(s for s in stages if s)),
            folded=numbers.folded,
            sentinels=numbers.sentinels,
            flow=figure.flow,
            log=figure.log,
            tests=figure.tests,
            before=numbers.before,
            lower=figure.lower,
            lower_range=figure.lower_range,
        )

    stage = ("after", figure.alignment) if figure.alignment else ()
    name = _stem(figure, 1, "data_mc", figure.variable, *stage)
    yield Job("data_mc", name, partial(_compare, run, figure), draw, run.is_simulation)


def _compare(run: Quantities, figure: DataMCFigure) -> Stages:
    """Data and MC in the variable of a figure.

    Cuts act on the events before map and weight, which therefore change none of them.
    """
    if figure.alignment is not None:
        require("alignment", figure.alignment, run.scores.aligned)
    rows = {d: _rows(run, d, figure.cut, figure.split) for d in _DOMAINS}
    mc = run.columns.values("mc", figure.variable)[rows["mc"]]
    unmapped = target = run.columns.values("target", figure.variable)[rows["target"]]
    if figure.alignment is not None:
        target = run.columns.values("target", figure.variable, figure.alignment)[rows["target"]]
    sentinels: tuple[float, ...] = ()
    if figure.range is None and not isinstance(figure.bins, Sequence):
        (mc, unmapped, target), sentinels = stats.without_sentinels(mc, unmapped, target)
    edges = _bin_edges(figure.bins, figure.range, mc, unmapped)
    weights = {d: run.columns.values(d, "weight")[rows[d]] for d in _DOMAINS}
    index, names = run.classes if figure.by == "class" else run.processes

    def compare(weight: Floats, data: Floats) -> DataMC:
        x, bins = _flow(mc, edges, figure.flow)
        y, _ = _flow(data, edges, figure.flow)
        return evaluation.data_mc(
            x,
            weight,
            index[rows["mc"]],
            names,
            y,
            weights["target"],
            bins,
            normalise=figure.scale_mc or run.scale_mc,
            blind=_window(figure.blind),
            ks="ks" in figure.tests,
        )

    used = weights["mc"]
    if figure.weight is not None:
        used = run.columns.values("mc", figure.weight)[rows["mc"]]
    changed = figure.weight is not None or figure.alignment is not None
    _, outside = folded(edges, mc, target)
    before = compare(weights["mc"], unmapped) if changed else None
    return Stages(compare(used, target), before, figure.flow == "sum" and outside, sentinels)


def _scores(run: Quantities, figure: ScoresFigure) -> Iterator[Job]:
    signal = run.signal(figure.signal)
    methods = run.methods(figure.methods or run.candidates, "target")

    @cache
    def scale() -> Scale:
        every = [_score_by_class(run, figure, method, signal).shown for method in methods]
        return common_scale(every, figure.log)

    def draw(method: str, numbers: ScoreByClass) -> Axes:
        return scores(
            numbers.shown,
            sentence(f"{run.class_names[signal]} score"),
            data_name=run.target_name,
            title=_title(figure, method_title(method)),
            colours=run.class_colours,
            log=figure.log,
            thresholds=numbers.thresholds,
            scale=scale(),
        )

    suffix = run.scores.classes[signal] if len(run.scores.classes) > 2 else ""
    for method in methods:
        stem = _stem(figure, len(methods), "scores", method, suffix)
        numbers = partial(_score_by_class, run, figure, method, signal)
        yield Job("scores", stem, numbers, partial(draw, method), run.is_simulation)


def _score_by_class(
    run: Quantities, figure: ScoresFigure, method: str, signal: int
) -> ScoreByClass:
    """Score of MC classes, normalised to the target, on the test split; and its thresholds."""
    rows = {d: _rows(run, d, figure.cut, "test") for d in _DOMAINS}
    mc, target = (run.scores.score(d, method)[rows[d], signal] for d in _DOMAINS)
    index, names = run.classes
    w_mc, w_target = (run.columns.values(d, "weight")[rows[d]] for d in _DOMAINS)
    edges = _bin_edges(figure.bins, figure.range, mc, target)
    (mc, target), _ = folded(edges, mc, target)
    numbers = evaluation.data_mc(
        mc,
        w_mc,
        index[rows["mc"]],
        names,
        target,
        w_target,
        edges,
        normalise=True,
        blind=_window(figure.blind),
    )
    thresholds = evaluation.run_thresholds(run.scores, method, figure.working_points, signal=signal)
    return ScoreByClass(numbers, {f"{100 * e:g} %": t for e, t in thresholds.items()})


def _rocs(run: Quantities, figure: RocFigure) -> Iterator[Job]:
    signal, domains = run.signal(figure.signal), _domains(run, figure.domain)
    run.methods(figure.methods, "target")  # refuses unknown ones now

    def numbers(domain: Domain) -> dict[str, Roc] | None:
        cut = None if figure.cut is None else run.columns.passing(domain, figure.cut)
        curves = {
            method: run_roc(run.scores, domain, method, signal=signal, cut=cut)
            for method in run.methods(figure.methods, domain)
        }
        for text in figure.curves:
            other = run.columns.values(domain, text)
            curves[text] = run_roc(run.scores, domain, text, signal=signal, other=other, cut=cut)
        return {name: curve for name, curve in curves.items() if curve is not None} or None

    def draw(title: str, curves: dict[str, Roc]) -> Axes:
        names = run.class_names
        return roc(
            curves,
            kind=figure.axes,
            reference=figure.reference or "source-only",
            signal=names[signal],
            background=names[1 - signal] if len(names) == 2 else "background",
            title=_title(figure, title),
            working_points=figure.working_points,
            references=[text for text in figure.curves if text in curves],
            points={readable(p.name): (p.signal, p.background) for p in figure.points},
        )

    for domain in domains:
        stem = _stem(figure, len(domains), "roc", domain)
        title = f"MC, {run.scores.judged}" if domain == "mc" else run.target_name
        yield Job("roc", stem, partial(numbers, domain), partial(draw, title), True)


def _efficiency(run: Quantities, figure: EfficiencyFigure) -> Iterator[Job]:
    _domains(run, figure.domain)
    run.methods(figure.methods, figure.domain)

    def draw(numbers: dict[str, Profile]) -> Axes:
        label, unit = _axis(run, figure)
        signal = run.class_names[run.signal(None)]
        background = run.background
        point = _WORKING_POINTS[figure.threshold].format(100 * figure.working_point, signal)
        where = "MC" if figure.domain == "mc" else run.target_name
        what = {
            "efficiency": f"{signal} efficiency",
            "mistag": f"{background} mistag rate",
            "rejection": rf"{background} rejection $1/\varepsilon_b$",
        }[figure.shows]
        return efficiency(
            numbers,
            label,
            unit=unit,
            what=sentence(what),
            title=_title(figure, f"{where}, {point}"),
            log=figure.shows != "efficiency",
            rejection=figure.shows == "rejection",
            level=figure.working_point if figure.shows == "efficiency" else None,
        )

    suffix = "" if figure.domain == "mc" else "target"
    stem = _stem(figure, 1, figure.shows, figure.variable, suffix)
    yield Job("efficiency", stem, partial(_profiles, run, figure), draw, True)


def _profiles(run: Quantities, figure: EfficiencyFigure) -> dict[str, Profile] | None:
    """Efficiency of each method against a variable; ``None`` without truth or spread."""
    domains = dict.fromkeys(("mc", figure.domain))
    variable = {d: run.columns.values(d, figure.variable) for d in domains}
    cut = {d: _rows(run, d, figure.cut, "all") for d in domains}
    edges = _even_edges(
        figure, variable[figure.domain][run.test[figure.domain] & cut[figure.domain]]
    )
    if len(edges) < 2:
        return None
    profiles = {
        method: evaluation.run_profile(
            run.scores,
            method,
            variable,
            edges,
            domain=figure.domain,
            signal=run.signal(None),
            of_signal=figure.shows == "efficiency",
            working_point=figure.working_point,
            threshold=figure.threshold,
            cut=cut,
        )
        for method in run.methods(figure.methods, figure.domain)
        # trained on the target: a threshold set on MC means nothing to it
        if method != "oracle" or figure.methods is not None
    }
    return {name: profile for name, profile in profiles.items() if profile is not None} or None


def _confusion(run: Quantities, figure: ConfusionFigure) -> Iterator[Job]:
    _domains(run, figure.domain)
    where = "MC" if figure.domain == "mc" else run.target_name
    methods = run.methods(figure.methods, figure.domain)
    for method in methods:
        default = f"confusion_{figure.normalise}_{figure.domain}"
        stem = _stem(figure, len(methods), default, method)
        title = _title(figure, f"{method_title(method)}, {where}")
        draw = partial(confusion, names=run.class_names, normalise=figure.normalise, title=title)
        numbers = partial(confusion_of, run, figure.domain, method)
        yield Job("confusion", stem, numbers, draw, True)


def _domains(run: Quantities, wanted: Domain | None) -> list[Domain]:
    """The domains that a figure is drawn for."""
    if wanted == "target" and not run.scores.has_truth:
        raise ConfigError(
            "the truth of this run's target is not known", where="plots.figures: domain",
            mend="show mc",
        )  # fmt: skip
    return [domain for domain, _ in run.labelled] if wanted is None else [wanted]


def _bin_edges(
    bins: int | Sequence[float] | None, limits: Sequence[float] | None, *values: Floats
) -> Floats:
    """The edges that a figure gives; what it leaves open follows from the values."""
    if isinstance(bins, Sequence):
        return np.asarray(bins, dtype=np.float64)
    if limits is None:
        return stats.binning(*values, bins=bins or 40)
    inside = [v[(v >= limits[0]) & (v <= limits[1])] for v in values]
    edges = stats.binning(*inside) if bins is None else np.empty(0)
    if len(edges) > 2 and np.allclose(np.diff(edges), 1.0) and np.allclose(edges % 1.0, 0.5):
        return edges  # whole numbers, each in the middle of its bin
    return np.linspace(limits[0], limits[1], (bins or 40) + 1)


def _even_edges(figure: EfficiencyFigure, values: Floats) -> Floats:
    """Edges as given, or of bins with about equally many events within the range."""
    if isinstance(figure.bins, Sequence):
        return np.asarray(figure.bins, dtype=np.float64)
    edges = (figure.bins or _PROFILE_BINS) + 1
    if figure.range is not None:
        return np.linspace(figure.range[0], figure.range[1], edges)
    return quantile_edges(values, np.linspace(0.001, 0.999, edges))


def _rows(run: Quantities, domain: Domain, cut: str | None, split: Literal["all"] | Split) -> Rows:
    rows = run.scores.rows(domain, *(SPLITS if split == "all" else (split,)))
    return rows if cut is None else rows & run.columns.passing(domain, cut)


def _flow(values: Floats, edges: Floats, flow: str) -> tuple[Floats, Floats]:
    if flow == "show":
        return evaluation.outside_bins(values, edges)
    return (folded(edges, values)[0][0] if flow == "sum" else values), edges


def _window(blind: Sequence[float] | None) -> tuple[float, float] | None:
    return None if blind is None else (blind[0], blind[1])
