"""Figures that judge a run's scores: calibration, confusion, efficiencies, what inputs carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import evaluation, stats
from ..evaluation import Calibration, Importance, Profile
from ..stats import Confusion, quantile_edges
from ..store.paths import RunPaths
from ..tensors import SPLITS
from .jobs import Job, file_name, on_mc, signals
from .matrices import confusion, correlation
from .profiles import calibration, efficiency, importance
from .quantities import Quantities
from .styles import method_title, sentence

__all__ = [
    "calibration_jobs",
    "confusion_jobs",
    "confusion_of",
    "correlation_jobs",
    "efficiency_jobs",
    "importance_jobs",
]

Domain = Literal["mc", "target"]

_WORKING_POINT = 0.7  # signal efficiency of the profiles
_BINS = 8  # of a profile, with equally many events
_ROWS = 4000  # events that are shuffled


def calibration_jobs(run: Quantities) -> Iterator[Job]:
    """Share of signal against score."""
    for domain, where in _domains(run):
        for index, name, suffix in signals(run):
            yield Job(
                "calibration",
                file_name("calibration", domain, suffix),
                partial(_calibration, run, domain, index),
                partial(calibration, signal=name, title=where),
                True,
            )


def confusion_jobs(run: Quantities) -> Iterator[Job]:
    """Which class is taken for which."""
    for domain, where in _domains(run):
        for method in run.scores.methods if domain == "target" else on_mc(run):
            title = f"{method_title(method)}, {where}"
            yield Job(
                "confusion",
                file_name("confusion", domain, method),
                partial(confusion_of, run, domain, method),
                partial(confusion, names=run.class_names, title=title),
                True,
            )


def _domains(run: Quantities) -> list[tuple[Domain, str]]:
    """Those whose truth is known, each with what a figure calls it."""
    domains: list[tuple[Domain, str]] = [("mc", "MC, test split")]
    if run.scores.has_truth:
        domains.append(("target", run.target_name))
    return domains


def _test(run: Quantities, domain: Domain) -> NDArray[np.bool_]:
    return np.asarray(run.scores.column(domain, "split") == SPLITS.index("test"))


def _labels(run: Quantities, domain: Domain) -> NDArray[np.int32]:
    found = run.scores.column("mc", "label") if domain == "mc" else run.scores.truth()
    assert found is not None
    return found


def _calibration(run: Quantities, domain: Domain, index: int) -> dict[str, Calibration]:
    rows = _test(run, domain)
    label = (_labels(run, domain)[rows] == index).astype(np.intp)
    weight = run.scores.column(domain, "weight")[rows]
    methods = run.scores.methods if domain == "target" else on_mc(run)
    return {
        method: evaluation.calibration(run.scores.score(domain, method)[rows, index], label, weight)
        for method in methods
    }


def confusion_of(run: Quantities, domain: Domain, method: str) -> Confusion:
    """Which class a method takes for which, on the test split."""
    rows = _test(run, domain)
    return stats.confusion(
        run.scores.score(domain, method)[rows],
        _labels(run, domain)[rows],
        run.scores.column(domain, "weight")[rows],
    )


def correlation_jobs(run: Quantities) -> Iterator[Job]:
    """Linear correlations of the features."""
    features = run.scores.features
    names = [run.tick_title(feature) for feature in features]

    domains: tuple[tuple[Domain, str], ...] = (("mc", "MC"), ("target", run.target_name))

    def of(domain: Domain) -> NDArray[np.float64]:
        return stats.correlation(
            run.scores.column(domain, "features"), run.scores.column(domain, "weight")
        )

    for domain, where in domains:
        draw = partial(correlation, names=names, title=where)
        simulation = domain == "mc" or run.is_simulation
        numbers = partial(_named, features, partial(of, domain))
        yield Job("correlation", f"correlation_{domain}", numbers, _matrix_of(draw), simulation)
    draw = partial(correlation, names=names, difference=True, title=f"{run.target_name} - MC")
    yield Job(
        "correlation",
        "correlation_difference",
        partial(_named, features, lambda: of("target") - of("mc")),
        _matrix_of(draw),
        run.is_simulation,
    )


def _named(
    features: Sequence[str], matrix: Callable[[], NDArray[np.float64]]
) -> dict[str, Sequence[str] | NDArray[np.float64]]:
    """A matrix with the names of its rows and columns."""
    return {"features": features, "correlation": matrix()}


def _matrix_of(draw: Callable[[NDArray[np.float64]], Axes]) -> Callable[[dict[str, Any]], Axes]:
    return lambda numbers: draw(numbers["correlation"])


def efficiency_jobs(run: Quantities) -> Iterator[Job]:
    """Signal efficiency and mistag rate of each method against each feature, on MC."""
    if len(run.scores.classes) != 2:
        return
    background, signal = run.class_names
    title = rf"MC, {100 * _WORKING_POINT:.0f}% {signal} efficiency"
    for index, feature in enumerate(run.scores.features):
        name, unit = run.title(feature)
        for which, label, what in ((1, signal, "efficiency"), (0, background, "mistag rate")):
            yield Job(
                "efficiency",
                file_name("efficiency" if which else "mistag", feature),
                partial(_profiles, run, index, which),
                partial(
                    efficiency,
                    name=name,
                    unit=unit,
                    what=sentence(f"{label} {what}"),
                    title=title,
                    log=not which,
                ),
                True,
            )


def _profiles(run: Quantities, index: int, which: int) -> dict[str, Profile] | None:
    rows = _test(run, "mc")
    label, weight = _labels(run, "mc"), run.scores.column("mc", "weight")
    variable = run.scores.column("mc", "features")[:, index]
    edges = _even(variable[rows])
    if len(edges) < 2:
        return None
    setting = run.scores.column("mc", "split") == SPLITS.index("validation")
    profiles = {}
    for method in on_mc(run):
        score = run.scores.score("mc", method)[:, 1]
        threshold = evaluation.threshold_at(
            score[setting], label[setting], weight[setting], _WORKING_POINT
        )
        profiles[method] = evaluation.efficiency_profile(
            variable[rows], score[rows], label[rows] == which, weight[rows], edges, threshold
        )
    return profiles


def _even(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Edges of bins with about equally many events, without the outermost permille."""
    return quantile_edges(values, np.linspace(0.001, 0.999, _BINS + 1))


def importance_jobs(run: Quantities) -> Iterator[Job]:
    """What each feature carries, of a run that has its networks."""
    if not RunPaths(run.folder).model.exists():
        return
    titles = {feature: run.tick_title(feature) for feature in run.scores.features}
    for method in on_mc(run):
        yield Job(
            "importance",
            file_name("importance", method),
            partial(_importance, run, method),
            partial(_draw_importance, titles, method_title(method)),
            run.is_simulation,
        )


def _draw_importance(
    titles: dict[str, str], title: str, numbers: dict[str, list[Importance]]
) -> Axes:
    return importance(numbers["classes"], numbers["domains"], titles=titles, title=title)


def _importance(run: Quantities, method: str) -> dict[str, list[Importance]]:
    """Of the label head on MC test events; of trees that tell MC from target."""
    from ..runs import open_run

    model = open_run(run.folder).model
    rows = np.flatnonzero(_test(run, "mc"))[:_ROWS]
    last = len(run.scores.classes) - 1
    classes = evaluation.permutation_importance(
        lambda x: model.score(x, method, "source").mean[:, last],
        run.scores.column("mc", "features")[rows],
        _labels(run, "mc")[rows] == last,
        run.scores.features,
        run.scores.column("mc", "weight")[rows],
    )
    domains = evaluation.domain_importance(
        run.scores.events("mc"), run.scores.events("target"), run.scores.features
    )
    return {"classes": classes, "domains": domains}
