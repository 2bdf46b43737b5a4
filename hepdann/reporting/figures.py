"""The figures of a run for the page: SVG, packed, with a caption and words for a screen reader."""

from __future__ import annotations

import base64
import gzip
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

from ..config import Config, override
from ..plotting.axes.styles import method_title, plain
from ..plotting.generated import plot_generated
from ..plotting.jobs import file_name
from ..plotting.quantities import Quantities
from ..plotting.run import DEFAULT_KINDS, figure_names, plot_run
from ..runs import Run

_PATH = re.compile(rb' d="[^"]+"')
_DECIMALS = re.compile(rb"(\.\d{2})\d+")
_FEATURES = 12  # of more, the page shows the first; the run folder has them all


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page; ``packed`` is base64 of the gzipped SVG."""

    name: str
    kind: str
    caption: str
    packed: str


def figures_of(
    run: Run,
    look: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PageFigure, ...]:
    """Draw the figures of a run anew, as its own configuration wants them to look.

    Those that the configuration lists come first, then what every run has, but for ROC curves and
    scores, which the page shows as charts with values. ``look`` are settings of ``plots`` in place
    of the configuration's.
    """
    kinds, configured = figure_names(run.folder), figure_names(run.folder, listed=True)
    recommended = str(run.metrics.get("recommended") or "")
    usual_kinds = {*DEFAULT_KINDS, "importance"} - {"roc", "scores"}
    usual = [name for name in kinds if name not in configured and kinds[name] in usual_kinds]
    usual = [name for name in usual if _belongs(name, kinds[name], recommended)]
    wanted = [*configured, *_few(usual, kinds)]
    changes = {f"plots.{key}": value for key, value in (look or {}).items()}
    plots = override(run.config, changes, known_names=False).plots
    quantities = Quantities.open(run.folder)
    titles = {
        file_name("data_mc", feature): plain(quantities.title(feature)[0])
        for feature in quantities.scores.features
    }
    plots = plots.model_copy(update={"formats": ["svg"]})
    with tempfile.TemporaryDirectory() as folder, mpl.rc_context():
        files = plot_run(
            run.folder,
            plots,
            wanted,
            output=folder,
            progress=progress,
            outlines=True,
            numbers=False,
        )
        return tuple(
            PageFigure(f.stem, kinds[f.stem], _caption(f.stem, run, configured, titles), _pack(f))
            for f in files
        )


def generated_figures(
    folder: Path, look: Mapping[str, Any] | None = None
) -> tuple[PageFigure, ...]:
    """Draw the figures of a generator anew.

    Args:
        folder: of the generator.
        look: settings of ``plots``.
    """
    plots = override(Config(), {f"plots.{key}": value for key, value in (look or {}).items()}).plots
    plots = plots.model_copy(update={"formats": ["svg"]})
    with tempfile.TemporaryDirectory() as output, mpl.rc_context():
        files = plot_generated(folder, plots, output, outlines=True)
        return tuple(PageFigure(f.stem, "generator", _drawn(f.stem), _pack(f)) for f in files)


def _drawn(name: str) -> str:
    """What a figure of a generator shows."""
    kind, _, what = name.partition("_")
    if kind == "correlation":
        return f"Linear correlations of the energies of layers: {what}."
    said = {
        "gallery": "Single events",
        "response": "Mean response in bins of the energy (band: 2 %)",
        "resolution": "Resolution in bins of the energy (band: 10 %)",
        "profile": f"Mean profile {what} the shower",
        "shape": f"Single showers: {what}",
    }[kind]
    return f"{said}: generator against simulation."


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


def _few(names: list[str], kinds: dict[str, str]) -> list[str]:
    features = [n for n in names if kinds[n] == "data_mc" and not n.startswith("data_mc_score_")]
    raw = [name for name in features if "_after_" not in name][:_FEATURES]
    kept = {n for n in features if any(n == r or n.startswith(f"{r}_after_") for r in raw)}
    return [name for name in names if name not in features or name in kept]


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


def _pack(path: Path) -> str:
    """Paths to a hundredth of a point; scales and matrices, which need more, stay as they are."""
    svg = _PATH.sub(lambda match: _DECIMALS.sub(rb"\1", match[0]), path.read_bytes())
    return base64.b64encode(gzip.compress(svg, mtime=0)).decode()
