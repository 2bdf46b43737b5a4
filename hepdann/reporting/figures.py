"""The figures of a run for the page, with a caption and words for a screen reader."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config, PlotConfig, override
from ..errors import HepdannError
from ..evaluation.curves import run_roc
from ..plotting.axes.styles import banded, method_look, method_title, plain
from ..plotting.generated import plot_generated
from ..plotting.jobs import FigureJob, file_name
from ..plotting.quantities import Quantities
from ..plotting.run import DEFAULT_KINDS, configured_and_standard, mark_of, pictures, stored_picture
from ..runs import Run
from ..stats import Roc
from ..store.paths import RunPaths

_KINDS = {*DEFAULT_KINDS} - {"roc", "scores"}


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page; ``image`` is base64 of a PNG."""

    name: str
    kind: str
    caption: str
    image: str


def figures_of(
    run: Run,
    quantities: Quantities,
    look: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = 1,
) -> tuple[PageFigure, ...]:
    """The figures of a run, as its own configuration wants them to look.

    Those that the configuration lists come first, then what every run has, but for ROC curves and
    scores, which the page shows as charts with values; the importance of features is there if it
    was drawn. What ``plot`` has drawn is taken from the run's folder, if nothing has changed since.
    Where the tensor file is gone, figures that need it are left out. ``look`` are settings of
    ``plots`` in place of the configuration's.
    """
    plots = _plots(run.config, look)
    configured, standard = configured_and_standard(quantities, run.config.plots)
    recommended, mark = str(run.metrics.get("recommended") or ""), mark_of(quantities, plots)
    usual = [
        job
        for job in standard
        if (job.kind in _KINDS and not job.rest and _belongs(job.name, job.kind, recommended))
        or (job.kind == "importance" and stored_picture(RunPaths(run.folder).plots, job.name, mark))
    ]
    jobs = [*configured, *usual]
    if without_features(quantities):
        jobs = [job for job in jobs if _drawable(job)]
    titles = {
        file_name("data_mc", feature): plain(quantities.title(feature)[0])
        for feature in quantities.scores.features
    }
    kinds = {job.name: job.kind for job in configured}
    images = pictures(quantities, plots, jobs, progress, workers)
    return tuple(
        PageFigure(
            job.name, job.kind, _caption(job.name, run, kinds, titles), _text(images[job.name])
        )
        for job in jobs
        if job.name in images
    )


def without_features(quantities: Quantities) -> str:
    """Why the features of the run's MC cannot be read any more; "" if they can."""
    try:
        quantities.scores.tensor_rows("mc")
    except HepdannError as error:
        return str(error)
    return ""


def _drawable(job: FigureJob) -> bool:
    try:
        job.numbers()
    except HepdannError:
        return False
    return True


def _plots(config: Config, look: Mapping[str, Any] | None) -> PlotConfig:
    changes = {f"plots.{key}": value for key, value in (look or {}).items()}
    return override(config, changes, known_names=False).plots


def _text(png: bytes) -> str:
    return base64.b64encode(png).decode()


def generated_figures(
    folder: Path, look: Mapping[str, Any] | None = None
) -> tuple[PageFigure, ...]:
    """Draw the figures of a generator anew."""
    plots = _plots(Config(), look).model_copy(update={"formats": ["png"]})
    with tempfile.TemporaryDirectory() as output:
        files = plot_generated(folder, plots, output)
        return tuple(
            PageFigure(f.stem, "generator", _drawn(f.stem), _text(f.read_bytes())) for f in files
        )


def _drawn(name: str) -> str:
    """What a figure of a generator shows."""
    kind, _, what = name.partition("_")
    if kind == "correlation":
        return f"Linear correlations of the energies of layers: {what}."
    titles = {
        "gallery": "Single events",
        "response": "Mean response in bins of the energy (band: 2 %)",
        "resolution": "Resolution in bins of the energy (band: 10 %)",
        "profile": f"Mean profile {what} the shower",
        "shape": f"Single showers: {what}",
    }[kind]
    return f"{titles}: generator against simulation."


def _caption(name: str, run: Run, configured: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Of a figure that the configuration lists, its title there; else what it always shows."""
    if name not in configured:
        return caption(name, run, titles)
    listed = [f for f in run.config.plots.figures or [] if not isinstance(f, str)]
    heads = [f.title for f in listed if f.title and f.name == name]
    return f"{heads[0]}." if heads else f"{configured[name].replace('_', ' ')}: {name}."


def _belongs(name: str, kind: str, recommended: str) -> bool:
    """Features after an alignment are shown for the recommended one alone."""
    after = re.search(r"_after_(.+)$", name)
    return kind != "data_mc" or after is None or after[1] == recommended


_CAPTIONS = {  # by how a name begins; the longer first
    "loss": "Label loss of every method on training and validation split, and below the error of "
    "the domain classifier (0.5: it cannot tell MC from the target) with λ.",
    "roc_": "Background rejection against signal efficiency on held-out events of {where}.",
    "scores_": "Score of each MC class and of the {target}: {method}.",
    "calibration_": "Share of signal against score on held-out events of {where}: calibrated or "
    "not.",
    "correlation_difference": "Linear correlations of the features: {target} less those of MC.",
    "correlation_": "Linear correlations of the features: {where}.",
    "nuisance_": "{what}; MC test split.",
    "importance_": "Loss of AUC when a feature is shuffled: for the classes ({method}), and for "
    "telling MC from {target}, which shows the inputs that carry the mismodelling.",
    "data_mc_score_": "Score of {method}: {target} over the stack of MC, and their ratio.",
}
_NUISANCE = {
    "shape": "The background before and after a cut that keeps half of the signal",
    "score": "Mean score of the events that count against the nuisance",
    "": "1/JSD of the background before and after a cut, against its rejection: up and to the "
    "right is better",
}


def caption(name: str, run: Run, titles: Mapping[str, str]) -> str:
    """What a figure shows, in a sentence; ``titles`` are those of features, by name of figure."""
    target = "data" if run.metrics["target"]["kind"] == "data" else "pseudo-data"
    for start, text in _CAPTIONS.items():
        if name.startswith(start):
            rest = name.removeprefix(start)
            return text.format(
                target=target,
                where="MC" if rest.startswith("mc") else target,
                method=method_title(rest),
                what=_NUISANCE.get(name.rpartition("_")[2], _NUISANCE[""]),
            )
    figure, _, after = name.partition("_after_")
    feature = titles.get(figure, figure.removeprefix("data_mc_"))
    stage = f", after {method_title(after)}" if after else ""
    return f"{feature}: {target} over the stack of MC, and their ratio{stage}."


_LEAST = 0.02  # below this signal efficiency a rejection is all fluctuation
_DIGITS = 5


def charts_of(quantities: Quantities) -> list[dict[str, Any]]:
    """ROC curves and score distributions of a run, JSON-serialisable, as the page shows them."""
    classes = [plain(name) for name in quantities.class_names]
    charts: list[dict[str, Any]] = []
    for index, _, _ in quantities.signals:
        charts += _rocs(quantities, index, classes[index])
        charts += _scores(quantities, index, classes[index])
    return charts


def _rocs(quantities: Quantities, index: int, name: str) -> Iterator[dict[str, Any]]:
    scores = quantities.scores
    looks = method_look(list(scores.methods))
    for domain, where in reversed(quantities.labelled.items()):
        curves = []
        methods = quantities.methods(None, domain)
        for method in methods:
            curve = run_roc(scores, domain, method, signal=index)
            if curve is not None:
                look = {"name": method_title(method), "color": looks[method][0]}
                curves.append(_curve(curve) | look | {"band": method in banded(methods)})
        if curves:
            title = f"ROC, {name}: {where}"
            yield {"kind": "roc", "title": title, "signal": name, "curves": curves}


def _curve(curve: Roc) -> dict[str, Any]:
    measured = (curve.background_efficiency > 0) & (curve.signal_efficiency >= _LEAST)
    efficiency, error = curve.background_efficiency[measured], curve.background_error[measured]
    least = efficiency.min(initial=1.0)
    return {
        "auc": curve.auc.value,
        "auc_error": curve.auc.error,
        "x": _list(curve.signal_efficiency[measured]),
        "y": _list(1 / efficiency),
        "low": _list(1 / (efficiency + error)),
        "high": _list(1 / np.maximum(efficiency - error, 0.3 * least)),
        "threshold": _list(curve.thresholds[measured]),
    }


def _scores(quantities: Quantities, index: int, name: str) -> Iterator[dict[str, Any]]:
    for method in quantities.candidates:
        numbers = quantities.score(method, index, by="class", scale=True)
        colours = quantities.palette
        yield {
            "kind": "scores",
            "title": f"{name} score, {method_title(method)}",
            "method": method,
            "data_name": quantities.target_name,
            "scaled": numbers.scale != 1.0,
            "edges": _list(numbers.edges),
            "stack": [
                {"name": f"MC {plain(part)}", "color": colours[part], "y": _list(histogram.sumw)}
                for part, histogram in zip(numbers.names, numbers.stack, strict=True)
            ],
            "mc": {"y": _list(numbers.mc.sumw), "error": _list(numbers.mc.error)},
            "data": {
                "y": _list(numbers.data.sumw),
                "low": _list(numbers.data_error[0]),
                "high": _list(numbers.data_error[1]),
            },
        }


def _list(values: NDArray[np.float64]) -> list[float | None]:
    return [
        float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values.tolist()
    ]
