"""Figures that lay several runs over one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..config import PlotConfig
from ..errors import RunError
from ..evaluation import open_scores
from ..evaluation.curves import run_roc
from ..stats import Roc
from ..store.scores.reader import Domain, RunScores
from .axes.label import Album
from .axes.styles import method_title
from .figures.roc import HasFolder, roc
from .jobs import file_name


def plot_comparison(
    runs: Mapping[str, HasFolder], output: str | Path, look: PlotConfig | None = None
) -> list[Path]:
    """Draw the ROC curves of each method in all runs that have it, on MC and on the target.

    The first run is the reference of the ratio panel; the runs' names stand in the legend.

    Raises:
        RunError: a run is not whole, or no method is in two of them.
    """
    opened = {name: open_scores(run.folder) for name, run in runs.items()}
    with Album.open(output, look) as album:
        for method in dict.fromkeys(m for s in opened.values() for m in s.methods):
            for domain in ("mc", "target"):
                curves = _curves(opened, method, domain)
                if len(curves) > 1:
                    where = "MC" if domain == "mc" else "target"
                    events = " and ".join(sorted({opened[name].judged for name in curves}))
                    title = f"{method_title(method)}, {where}, {events}"
                    ax = roc(curves, reference=next(iter(curves)), title=title)
                    album.keep(ax, file_name("roc", domain, method), simulation=domain == "mc")
    if not album.made:
        raise RunError("no method is in two of the runs", mend="compare runs that share one")
    return album.made


def _curves(runs: Mapping[str, RunScores], method: str, domain: Domain) -> dict[str, Roc]:
    curves = {
        name: run_roc(scores, domain, method)
        for name, scores in runs.items()
        if method in scores.methods
        and len(scores.classes) == 2
        # on MC, the networks of an alignment are those of source-only
        and (domain == "target" or method not in (*scores.aligned, "oracle"))
    }
    return {name: curve for name, curve in curves.items() if curve is not None}
