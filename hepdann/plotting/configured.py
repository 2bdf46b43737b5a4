"""The figures that the section ``plots`` of a configuration lists, as jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

from matplotlib.axes import Axes

from ..config.plots import (
    ConfusionFigure,
    DataMCFigure,
    EfficiencyFigure,
    FigureConfig,
    RocFigure,
    ScoresFigure,
)
from ..evaluation import Profile
from ..stats import Roc
from ..store.scores import Domain
from .curves import roc
from .jobs import Job, file_name
from .judgement import confusion_of
from .matrices import confusion
from .profiles import efficiency
from .quantities import Quantities, Stages
from .scales import Scale, common_scale
from .shown import ScoreByClass, compared, domain_of, methods_of, profiles, rocs, score_by_class
from .stacks import data_mc, scores
from .styles import method_title, readable, sentence

__all__ = ["configured_jobs"]


def configured_jobs(run: Quantities, figures: Sequence[FigureConfig]) -> list[Job]:
    """The figures of a list, each as often as it has methods or domains.

    Raises:
        ConfigError: one names a class, a method or a domain that the run does not have.
    """
    return [job for figure in figures for job in _jobs(run, figure)]


def _jobs(run: Quantities, figure: FigureConfig) -> Iterator[Job]:
    if isinstance(figure, DataMCFigure):
        yield _data_mc(run, figure)
    elif isinstance(figure, ScoresFigure):
        yield from _scores(run, figure)
    elif isinstance(figure, RocFigure):
        yield from _rocs(run, figure)
    elif isinstance(figure, EfficiencyFigure):
        yield _efficiency(run, figure)
    else:
        yield from _confusion(run, figure)


def _axis(run: Quantities, figure: DataMCFigure | EfficiencyFigure) -> tuple[str, str]:
    """Label and unit of the axis: the feature's own unless the figure has others."""
    name, unit = run.title(figure.variable)
    label = name if figure.label is None else readable(figure.label)
    return label, unit if figure.unit is None else readable(figure.unit)


def _data_mc(run: Quantities, figure: DataMCFigure) -> Job:
    stage = [part for part in (figure.alignment and "after", figure.alignment) if part]
    name = figure.name or file_name("data_mc", figure.variable, *stage)
    numbers = partial(compared, run, figure)
    return Job("data_mc", name, numbers, partial(_draw_stages, run, figure), run.is_simulation)


def _draw_stages(run: Quantities, figure: DataMCFigure, numbers: Stages) -> Axes:
    label, unit = _axis(run, figure)
    stages = [figure.weight and "reweighted"]
    stages += [figure.alignment and f"after {method_title(figure.alignment)}"]
    title = readable(figure.title) if figure.title else ", ".join(s for s in stages if s)
    return data_mc(
        numbers.shown,
        label,
        unit=unit,
        data_name=run.target_name,
        colours=run.colours,
        title=title,
        folded=numbers.folded,
        sentinels=numbers.sentinels,
        flow=figure.flow,
        log=figure.log,
        tests=figure.tests,
        before=numbers.before,
        lower=figure.lower,
        lower_range=figure.lower_range,
    )


def _scores(run: Quantities, figure: ScoresFigure) -> Iterator[Job]:
    signal = run.signal(figure.signal)
    methods = methods_of(
        run, figure.methods or [m for m in run.scores.methods if m != "oracle"], "target"
    )

    @cache
    def scale() -> Scale:
        every = [score_by_class(run, figure, method, signal).shown for method in methods]
        return common_scale(every, figure.log)

    for method in methods:
        suffix = run.scores.classes[signal] if len(run.scores.classes) > 2 else ""
        name = figure.name or "scores"
        stem = name if figure.name and len(methods) == 1 else file_name(name, method, suffix)
        numbers = partial(score_by_class, run, figure, method, signal)
        draw = partial(_draw_scores, run, figure, method, signal, scale)
        yield Job("scores", stem, numbers, draw, run.is_simulation)


def _draw_scores(
    run: Quantities,
    figure: ScoresFigure,
    method: str,
    signal: int,
    scale: Callable[[], Scale],
    numbers: ScoreByClass,
) -> Axes:
    return scores(
        numbers.shown,
        sentence(f"{run.class_names[signal]} score"),
        data_name=run.target_name,
        title=readable(figure.title) if figure.title else method_title(method),
        colours=run.class_colours,
        log=figure.log,
        thresholds=numbers.thresholds,
        scale=scale(),
    )


def _rocs(run: Quantities, figure: RocFigure) -> Iterator[Job]:
    signal, domains = run.signal(figure.signal), domain_of(run, figure.domain)
    methods_of(run, figure.methods, "target")  # refuses unknown ones now
    name = figure.name or "roc"
    for domain in domains:
        stem = name if figure.name and len(domains) == 1 else file_name(name, domain)
        numbers = partial(rocs, run, figure, domain, signal)
        draw = partial(_draw_rocs, run, figure, domain, signal)
        yield Job("roc", stem, numbers, draw, True)


def _draw_rocs(
    run: Quantities, figure: RocFigure, domain: Domain, signal: int, curves: dict[str, Roc]
) -> Axes:
    names = run.class_names
    where = "MC, test split" if domain == "mc" else run.target_name
    return roc(
        curves,
        kind=figure.axes,
        reference=figure.reference or "source-only",
        signal=names[signal],
        background=names[1 - signal] if len(names) == 2 else "background",
        title=readable(figure.title) if figure.title else where,
        working_points=figure.working_points,
        references=[text for text in figure.curves if text in curves],
        points={readable(p.name): (p.signal, p.background) for p in figure.points},
    )


def _efficiency(run: Quantities, figure: EfficiencyFigure) -> Job:
    domain_of(run, figure.domain)
    methods_of(run, figure.methods, figure.domain)
    what = figure.shows
    stem = figure.name or file_name(
        what, figure.variable, "" if figure.domain == "mc" else "target"
    )
    numbers = partial(profiles, run, figure, run.signal(None))
    return Job("efficiency", stem, numbers, partial(_draw_efficiency, run, figure), True)


_WORKING_POINTS = {
    "fixed": "{:g} % {} efficiency",
    "flat": "{:g} % {} efficiency in each bin",
    "target": "{:g} % {} efficiency, share matched",
}


def _draw_efficiency(
    run: Quantities, figure: EfficiencyFigure, numbers: dict[str, Profile]
) -> Axes:
    label, unit = _axis(run, figure)
    signal = run.class_names[run.signal(None)]
    background = run.class_names[0] if len(run.class_names) == 2 else "background"
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
        title=readable(figure.title) if figure.title else f"{where}, {point}",
        log=figure.shows != "efficiency",
        rejection=figure.shows == "rejection",
        level=figure.working_point if figure.shows == "efficiency" else None,
    )


def _confusion(run: Quantities, figure: ConfusionFigure) -> Iterator[Job]:
    domain_of(run, figure.domain)
    where = "MC" if figure.domain == "mc" else run.target_name
    methods = methods_of(run, figure.methods, figure.domain)
    for method in methods:
        name = figure.name or f"confusion_{figure.normalise}_{figure.domain}"
        stem = name if figure.name and len(methods) == 1 else file_name(name, method)
        title = readable(figure.title) if figure.title else f"{method_title(method)}, {where}"
        draw = partial(confusion, names=run.class_names, normalise=figure.normalise, title=title)
        numbers = partial(confusion_of, run, figure.domain, method)
        yield Job("confusion", stem, numbers, draw, True)
