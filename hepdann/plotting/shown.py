"""The numbers of figures that a configuration asks for: expressions, cuts, windows, maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import evaluation, stats
from ..config.plots import DataMCFigure, EfficiencyFigure, RocFigure, ScoresFigure
from ..errors import ConfigError
from ..evaluation import DataMC, Profile
from ..evaluation.curves import run_roc
from ..registry import nearest
from ..stats import Roc, quantile_edges
from ..store.scores import Domain
from ..tensors import SPLITS
from .quantities import Quantities, Stages

__all__ = [
    "ScoreByClass",
    "compared",
    "domain_of",
    "methods_of",
    "profiles",
    "rocs",
    "score_by_class",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

_DOMAINS: tuple[Domain, Domain] = ("mc", "target")
_PROFILE_BINS = 8  # of an efficiency, with equally many events


@dataclass(frozen=True, eq=False)
class ScoreByClass:
    """Score of MC classes and target.

    Attributes:
        shown: the classes as processes, normalised to the target.
        thresholds: of working points, by the signal efficiency that names each.
    """

    shown: DataMC
    thresholds: dict[str, float]


def compared(run: Quantities, figure: DataMCFigure) -> Stages:
    """Data and MC in the variable of a figure.

    Cuts act on the events as they came, so that a map or a weight changes none of them.

    Raises:
        ConfigError: an expression that does not parse, or a name that the run does not have.
        RunError: it needs the tensor file, which is gone.
    """
    _check_map(run, figure.alignment)
    rows = {d: _rows(run, d, figure.cut, figure.split) for d in _DOMAINS}
    mc = run.columns.values("mc", figure.variable)[rows["mc"]]
    came = run.columns.values("target", figure.variable)[rows["target"]]
    target = came
    if figure.alignment is not None:
        target = run.columns.values("target", figure.variable, figure.alignment)[rows["target"]]
    sentinels: tuple[float, ...] = ()
    if figure.range is None and not isinstance(figure.bins, Sequence):
        (mc, came, target), sentinels = stats.without_sentinels(mc, came, target)
    edges = bin_edges(figure.bins, figure.range, mc, came)
    weights = {d: run.columns.values(d, "weight")[rows[d]] for d in _DOMAINS}
    used = weights["mc"]
    if figure.weight is not None:
        used = run.columns.values("mc", figure.weight)[rows["mc"]]
    index, names = run.classes if figure.by == "class" else run.processes
    folded = figure.flow == "sum" and any(_outside(v, edges) for v in (mc, target))

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

    shown = compare(used, target)
    changed = figure.weight is not None or figure.alignment is not None
    before = compare(weights["mc"], came) if changed else None
    return Stages(shown, before, folded, sentinels)


def score_by_class(run: Quantities, figure: ScoresFigure, method: str, signal: int) -> ScoreByClass:
    """Score of MC classes, normalised to the target, on the test split; and its thresholds.

    Raises:
        ConfigError: as :func:`compared` does.
    """
    rows = {d: _rows(run, d, figure.cut, "test") for d in _DOMAINS}
    mc, target = (run.scores.score(d, method)[rows[d], signal] for d in _DOMAINS)
    index, names = run.classes
    w_mc, w_target = (run.columns.values(d, "weight")[rows[d]] for d in _DOMAINS)
    edges = bin_edges(figure.bins, figure.range, mc, target)
    numbers = evaluation.data_mc(
        np.clip(mc, edges[0], edges[-1]),
        w_mc,
        index[rows["mc"]],
        names,
        np.clip(target, edges[0], edges[-1]),
        w_target,
        edges,
        normalise=True,
        blind=_window(figure.blind),
    )
    found = evaluation.run_thresholds(run.scores, method, figure.working_points, signal=signal)
    return ScoreByClass(numbers, {f"{100 * e:g} %": t for e, t in found.items()})


def rocs(run: Quantities, figure: RocFigure, domain: Domain, signal: int) -> dict[str, Roc] | None:
    """ROC curves of methods and of further scores; ``None`` without truth.

    Raises:
        ConfigError: as :func:`compared` does.
    """
    cut = None if figure.cut is None else run.columns.passing(domain, figure.cut)
    found = {
        method: run_roc(run.scores, domain, method, signal=signal, cut=cut)
        for method in methods_of(run, figure.methods, domain)
    }
    for text in figure.curves:
        other = run.columns.values(domain, text)
        found[text] = run_roc(run.scores, domain, text, signal=signal, other=other, cut=cut)
    return {name: curve for name, curve in found.items() if curve is not None} or None


def profiles(run: Quantities, figure: EfficiencyFigure, signal: int) -> dict[str, Profile] | None:
    """Efficiency of each method against a variable; ``None`` without truth or spread.

    Raises:
        ConfigError: as :func:`compared` does.
    """
    domains = dict.fromkeys(("mc", figure.domain))
    variable = {d: run.columns.values(d, figure.variable) for d in domains}
    cut = {d: _rows(run, d, figure.cut, "all") for d in domains}
    test = run.scores.column(figure.domain, "split") == SPLITS.index("test")
    edges = even_edges(figure, variable[figure.domain][test & cut[figure.domain]])
    if len(edges) < 2:
        return None
    found = {
        method: evaluation.run_profile(
            run.scores,
            method,
            variable,
            edges,
            domain=figure.domain,
            signal=signal,
            of_signal=figure.shows == "efficiency",
            working_point=figure.working_point,
            threshold=figure.threshold,
            cut=cut,
        )
        for method in methods_of(run, figure.methods, figure.domain)
        # trained on the target: a threshold set on MC means nothing to it
        if method != "oracle" or figure.methods is not None
    }
    return {name: profile for name, profile in found.items() if profile is not None} or None


def methods_of(run: Quantities, asked: Sequence[str] | None, domain: Domain) -> list[str]:
    """The methods of a figure; by default all that differ on the domain.

    On MC, an alignment's networks are those of source-only, and the oracle was not trained for it.

    Raises:
        ConfigError: a method that the run does not have.
    """
    known = run.scores.methods
    for name in asked or ():
        if name not in known:
            near = nearest(name, known)
            mend = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"no method {name!r} in this run", where="plots.figures", mend=mend)
    if asked is not None:
        return list(asked)
    if domain == "target":
        return list(known)
    return [m for m in known if m != "oracle" and m not in run.scores.aligned]


def domain_of(run: Quantities, asked: Domain | None) -> list[Domain]:
    """The domains that a figure is drawn for.

    Raises:
        ConfigError: the target is asked for, and its truth is not known.
    """
    if asked == "target" and not run.scores.has_truth:
        raise ConfigError(
            "the truth of this run's target is not known", where="plots.figures: domain",
            mend="show mc",
        )  # fmt: skip
    if asked is not None:
        return [asked]
    return ["mc", "target"] if run.scores.has_truth else ["mc"]


def bin_edges(
    bins: int | Sequence[float] | None, limits: Sequence[float] | None, *values: Floats
) -> Floats:
    """The edges that a figure asks for; what it leaves open follows from the values."""
    if isinstance(bins, Sequence):
        return np.asarray(bins, dtype=np.float64)
    if limits is not None:
        inside = [v[(v >= limits[0]) & (v <= limits[1])] for v in values]
        if bins is None and len(found := stats.binning(*inside)) > 2:
            whole = np.allclose(np.diff(found), 1.0) and np.allclose(found % 1.0, 0.5)
            if whole:
                return found
        return np.linspace(limits[0], limits[1], (bins or 40) + 1)
    return stats.binning(*values, bins=bins or 40)


def even_edges(figure: EfficiencyFigure, values: Floats) -> Floats:
    """Edges as given, or of bins with about equally many events within the range."""
    if isinstance(figure.bins, Sequence):
        return np.asarray(figure.bins, dtype=np.float64)
    edges = (figure.bins or _PROFILE_BINS) + 1
    if figure.range is not None:
        return np.linspace(figure.range[0], figure.range[1], edges)
    return quantile_edges(values, np.linspace(0.001, 0.999, edges))


def _rows(run: Quantities, domain: Domain, cut: str | None, split: str) -> Rows:
    stored = run.scores.column(domain, "split")
    rows = np.ones(len(stored), bool) if split == "all" else stored == SPLITS.index(split)
    return rows if cut is None else rows & run.columns.passing(domain, cut)


def _flow(values: Floats, edges: Floats, flow: str) -> tuple[Floats, Floats]:
    if flow == "show":
        return evaluation.outside_bins(values, edges)
    return (np.clip(values, edges[0], edges[-1]) if flow == "sum" else values), edges


def _outside(values: Floats, edges: Floats) -> bool:
    return bool(np.any((values < edges[0]) | (values > edges[-1])))


def _window(blind: Sequence[float] | None) -> tuple[float, float] | None:
    return None if blind is None else (blind[0], blind[1])


def _check_map(run: Quantities, name: str | None) -> None:
    known = run.scores.aligned
    if name is not None and name not in known:
        near = nearest(name, known)
        mend = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
        raise ConfigError(f"no alignment {name!r} in this run", where="plots.figures", mend=mend)
