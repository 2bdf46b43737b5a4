"""Figures whose settings a configuration may give: data against MC, scores, ROC, efficiencies.

Those that every run has are the same with the default settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from ..evaluation import DataMC, EfficiencyProfile
from ..evaluation.curves import run_roc
from ..evaluation.datamc import folded
from ..stats import Confusion, Roc, quantile_edges
from ..store.scores_reader import Domain
from .axes.styles import method_title, readable, sentence
from .figures.matrices import confusion
from .figures.panels import Scale, common_scale
from .figures.profiles import efficiency
from .figures.roc import roc
from .figures.stacks import data_mc, scores
from .jobs import FigureJob, file_name
from .quantities import DOMAINS, Quantities, require_known

Floats = NDArray[np.float64]

_SHOWN: tuple[Literal["efficiency", "mistag"], ...] = ("efficiency", "mistag")
_PROFILE_BINS = 8  # of an efficiency, with equally many events
_WORKING_POINTS = {
    "fixed": "{:g} % {} efficiency",
    "flat": "{:g} % {} efficiency in each bin",
    "target": "{:g} % {} efficiency, share matched",
}


@dataclass(frozen=True, eq=False)
class Stages:
    """Data and MC in a variable, as the figure wants them, and before its weight and map.

    ``folded`` says whether the end bins hold events from outside; ``sentinels`` are values that
    stand for "there is none": events that have one are missing.
    """

    shown: DataMC
    before: DataMC | None = None
    folded: bool = False
    sentinels: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoreByClass:
    """Score of MC classes and target, and thresholds by the efficiency that names each."""

    shown: DataMC
    thresholds: dict[str, float]


def configured_jobs(run: Quantities, figures: Sequence[FigureConfig]) -> list[FigureJob]:
    """The figures of a list, each as often as it has methods or domains.

    Raises:
        ConfigError: one names a class, a method or a domain that the run does not have. When its
            numbers are computed: an expression that does not parse, or a column that is not there.
    """
    kinds: dict[type, Callable[..., Iterator[FigureJob]]] = {
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


def _values(run: Quantities, domain: Domain, text: str, aligned: str | None = None) -> Floats:
    """(N,) a feature, whatever its name, or an expression."""
    if text in run.scores.features:
        return np.asarray(run.columns.column(domain, text, aligned), dtype=np.float64)
    return run.columns.values(domain, text, aligned)


def data_mc_jobs(run: Quantities) -> Iterator[FigureJob]:
    """Features and scores of the target over the stack of MC."""
    for feature in run.scores.features:
        for aligned in (None, *run.scores.aligned):
            figure = DataMCFigure.model_construct(variable=feature, alignment=aligned)
            unmapped = "before adaptation" if run.scores.aligned else ""
            (job,) = _data_mc(run, figure, unmapped, before=False)
            asked, rest = aligned not in (None, run.teacher), feature not in run.most_shifted
            yield replace(job, asked=asked, rest=rest)

    def draw(method: str, index: int, name: str, numbers: DataMC) -> Axes:
        return data_mc(
            numbers,
            name=sentence(f"{name} score"),
            data_name=run.target_name,
            colours=run.colours,
            title=method_title(method),
            scale=run.scale(index, by="process", scale=False),
        )

    for method in run.candidates:
        for index, name, suffix in run.signals:
            numbers = partial(run.score, method, index, by="process")
            stem, drawn = file_name("data_mc_score", method, suffix), partial(draw, method, index)
            yield FigureJob("data_mc", stem, numbers, partial(drawn, name), run.is_simulation)


def _data_mc(
    run: Quantities, figure: DataMCFigure, unmapped: str = "", *, before: bool = True
) -> Iterator[FigureJob]:
    def draw(numbers: Stages) -> Axes:
        label, unit = _axis(run, figure)
        stages = [figure.weight and "reweighted"]
        stages += [f"after {method_title(figure.alignment)}" if figure.alignment else unmapped]
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
    yield FigureJob(
        "data_mc", name, partial(compare_stages, run, figure, before), draw, run.is_simulation
    )


def compare_stages(run: Quantities, figure: DataMCFigure, before: bool) -> Stages:
    """Data and MC in the variable of a figure, and on demand ``before`` its map and weight.

    Cuts act on the events before map and weight, which therefore change none of them, nor the bins.
    """
    if figure.alignment is not None:
        require_known("alignment", [figure.alignment], run.scores.aligned)
    rows = {d: run.rows(d, figure.cut, figure.split) for d in DOMAINS}
    mc, target = (_values(run, d, figure.variable)[rows[d]] for d in DOMAINS)
    unmapped = target
    if figure.alignment is not None:
        target = _values(run, "target", figure.variable, figure.alignment)[rows["target"]]
    sentinels: tuple[float, ...] = ()
    if figure.range is None and not isinstance(figure.bins, Sequence):
        (mc, unmapped, target), sentinels = stats.without_sentinels(mc, unmapped, target)
    edges = _bin_edges(figure.bins, figure.range, mc, unmapped)
    weights = {d: run.columns.column(d, "weight")[rows[d]] for d in DOMAINS}
    index, names = run.classes if figure.by == "class" else run.processes

    def bins(values: Floats) -> tuple[Floats, Floats]:
        if figure.flow == "show":
            return evaluation.outside_bins(values, edges)
        return (folded(edges, values)[0][0] if figure.flow == "sum" else values), edges

    def numbers(weight: NDArray[np.floating], data: Floats) -> DataMC:
        (x, shown), (y, _) = bins(mc), bins(data)
        return evaluation.data_mc(
            x, weight, index[rows["mc"]], names, y, weights["target"], shown,
            normalise=figure.scale_mc or run.scale_mc, blind=_window(figure.blind),
            ks="ks" in figure.tests,
        )  # fmt: skip

    used = weights["mc"]
    if figure.weight is not None:
        used = run.columns.values("mc", figure.weight)[rows["mc"]]
    changed = figure.weight is not None or figure.alignment is not None
    earlier = numbers(weights["mc"], unmapped) if changed and before else None
    outside = figure.flow == "sum" and folded(edges, mc, target)[1]
    return Stages(numbers(used, target), earlier, outside, sentinels)


def score_jobs(run: Quantities) -> Iterator[FigureJob]:
    """The score of each MC class and of the target."""

    def draw(method: str, index: int, name: str, numbers: DataMC) -> Axes:
        scale = run.scale(index, by="class", scale=True)
        return _draw_scores(run, numbers, name, method_title(method), scale)

    for method in run.candidates:
        for index, name, suffix in run.signals:
            numbers = partial(run.score, method, index, by="class", scale=True)
            stem, drawn = file_name("scores", method, suffix), partial(draw, method, index, name)
            yield FigureJob("scores", stem, numbers, drawn, run.is_simulation)


def _draw_scores(
    run: Quantities, numbers: DataMC, name: str, title: str, scale: Scale, log: bool | None = None,
    thresholds: dict[str, float] | None = None,
) -> Axes:  # fmt: skip
    return scores(
        numbers, sentence(f"{name} score"), data_name=run.target_name, title=title,
        colours=run.class_colours, log=log, thresholds=thresholds, scale=scale,
    )  # fmt: skip


def _scores(run: Quantities, figure: ScoresFigure) -> Iterator[FigureJob]:
    signal = run.signal(figure.signal)
    methods = run.methods(figure.methods or run.candidates, "target")

    def numbers(method: str) -> ScoreByClass:
        """On the test split, normalised to the target; and the thresholds."""
        given = figure.bins, figure.range
        shown = run.score(
            method, signal, by="class", scale=True, edges=_bin_edges(*given, np.empty(0)),
            cut=figure.cut, blind=_window(figure.blind),
        )  # fmt: skip
        points = figure.working_points
        thresholds = evaluation.run_thresholds(run.scores, method, points, signal=signal)
        return ScoreByClass(shown, {f"{100 * e:g} %": t for e, t in thresholds.items()})

    @cache
    def scale() -> Scale:
        return common_scale([numbers(method).shown for method in methods], figure.log)

    def draw(method: str, scored: ScoreByClass) -> Axes:
        title = _title(figure, method_title(method))
        look = scale(), figure.log, scored.thresholds
        return _draw_scores(run, scored.shown, run.class_names[signal], title, *look)

    suffix = run.scores.classes[signal] if len(run.scores.classes) > 2 else ""
    for method in methods:
        stem = _stem(figure, len(methods), "scores", method, suffix)
        drawn = partial(draw, method)
        yield FigureJob("scores", stem, partial(numbers, method), drawn, run.is_simulation)


def roc_jobs(run: Quantities) -> Iterator[FigureJob]:
    """Background rejection against signal efficiency."""
    for index, _, suffix in run.signals:
        figure = RocFigure.model_construct(kind="roc", signal=run.scores.classes[index])
        yield from _rocs(run, figure, suffix)


def _rocs(run: Quantities, figure: RocFigure, suffix: str = "") -> Iterator[FigureJob]:
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

    for domain, title in domains.items():
        stem = _stem(figure, len(domains), "roc", domain, suffix)
        yield FigureJob("roc", stem, partial(numbers, domain), partial(draw, title))


def efficiency_jobs(run: Quantities) -> Iterator[FigureJob]:
    """Signal efficiency and mistag rate of each method against each feature, on MC."""
    for feature in run.scores.features if len(run.scores.classes) == 2 else ():
        for shows in _SHOWN:
            yield from _efficiency(
                run,
                EfficiencyFigure.model_construct(kind="efficiency", variable=feature, shows=shows),
            )


def _efficiency(run: Quantities, figure: EfficiencyFigure) -> Iterator[FigureJob]:
    _domains(run, figure.domain)
    run.methods(figure.methods, figure.domain)

    def draw(numbers: dict[str, EfficiencyProfile]) -> Axes:
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
    yield FigureJob("efficiency", stem, partial(_profiles, run, figure), draw)


def _profiles(run: Quantities, figure: EfficiencyFigure) -> dict[str, EfficiencyProfile] | None:
    """Efficiency of each method against a variable; ``None`` without truth or spread."""
    domains = dict.fromkeys(("mc", figure.domain))
    variable = {d: _values(run, d, figure.variable) for d in domains}
    cut = {d: run.rows(d, figure.cut, "all") for d in domains}
    if isinstance(figure.bins, Sequence):
        edges = np.asarray(figure.bins, dtype=np.float64)
    elif figure.range is not None:
        edges = np.linspace(figure.range[0], figure.range[1], (figure.bins or _PROFILE_BINS) + 1)
    else:  # bins with about equally many events, without the outermost permille
        known = variable[figure.domain][run.test[figure.domain] & cut[figure.domain]]
        ranks = np.linspace(0.001, 0.999, (figure.bins or _PROFILE_BINS) + 1)
        edges = quantile_edges(known, ranks)
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


def confusion_jobs(run: Quantities) -> Iterator[FigureJob]:
    """Which class is taken for which."""
    for domain in run.labelled:
        figure = ConfusionFigure.model_construct(kind="confusion", domain=domain)
        yield from _confusion(run, figure, f"confusion_{domain}")


def _confusion(run: Quantities, figure: ConfusionFigure, stem: str = "") -> Iterator[FigureJob]:
    (where,) = _domains(run, figure.domain).values()
    methods = run.methods(figure.methods, figure.domain)
    default = stem or f"confusion_{figure.normalise}_{figure.domain}"
    for method in methods:
        title = _title(figure, f"{method_title(method)}, {where}")
        draw = partial(confusion, names=run.class_names, normalise=figure.normalise, title=title)
        numbers = partial(confusion_of, run, figure.domain, method)
        yield FigureJob("confusion", _stem(figure, len(methods), default, method), numbers, draw)


def confusion_of(run: Quantities, domain: Domain, method: str) -> Confusion:
    """Which class a method, or a reconstruction, takes for which, on the test split."""
    return stats.confusion(run.prediction(domain, method), *run.test_truth(domain))


def _domains(run: Quantities, wanted: Domain | None) -> dict[Domain, str]:
    """The domains that a figure is drawn for, with their names."""
    if wanted is None:
        return run.labelled
    if wanted not in run.labelled:
        raise ConfigError(
            "the truth of this run's target is not known",
            where="plots.figures: domain",
            mend="show mc",
        )
    return {wanted: run.labelled[wanted]}


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


def _window(blind: Sequence[float] | None) -> tuple[float, float] | None:
    return None if blind is None else (blind[0], blind[1])
