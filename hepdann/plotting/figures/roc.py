"""ROC curves: background rejection against signal efficiency, or the two rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from ..axes.frame import finish, new_axes
from ..axes.legend import GUIDE, ceiling
from ..axes.styles import banded, method_look, method_title, scaled, sentence
from .panels import VARIED, VARIED_NAME

if TYPE_CHECKING:
    from ...stats import Figure, Roc

Kind = Literal["rejection", "rates"]
Floats = NDArray[np.float64]

_DASHES: tuple[Any, ...] = ((0, (6, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))  # of references
_POINTS = "*DPXsd"  # markers of points of reference
_FIRST = 0.9  # the axis of signal efficiency begins there at the latest
_ABOVE = 15.0  # times the largest rejection: where the axis ends at the latest, for the legend
_LEAST = 0.02  # left end of the axis of signal efficiency; below, rejection is all fluctuation


def _auc(figure: Figure) -> str:
    """The area with as many decimals as its error deserves."""
    if not np.isfinite(figure.value):
        return "n/a"
    if not (np.isfinite(figure.error) and figure.error > 0):
        return f"{figure.value:.3f}"
    decimals = int(np.clip(1 - np.floor(np.log10(figure.error)), 2, 4))
    return rf"{figure.value:.{decimals}f} $\pm$ {figure.error:.{decimals}f}"


def _curve(roc: Roc, kind: Kind) -> tuple[Floats, Floats, Floats, Floats]:
    """(x, y, lower, upper) of a curve and its band, in the coordinates of ``kind``."""
    if kind == "rates":
        x, y, error = roc.background_efficiency, roc.signal_efficiency, roc.error
        return x, y, np.clip(y - error, 0, 1), np.clip(y + error, 0, 1)
    # No background left: the rejection is not measured there.
    measured = (roc.background_efficiency > 0) & (roc.signal_efficiency > 0)
    efficiency, error = roc.background_efficiency[measured], roc.background_error[measured]
    least = efficiency[efficiency > 0].min(initial=1.0)
    upper = 1 / np.maximum(efficiency - error, 0.3 * least)
    return roc.signal_efficiency[measured], 1 / efficiency, 1 / (efficiency + error), upper


def _best(curve: tuple[Floats, Floats, Floats, Floats]) -> tuple[Floats, Floats, Floats, Floats]:
    """The curve with one point at each x, its best: on a vertical step interpolation has none."""
    x, y, low, high = curve
    order = np.lexsort((-y, x))
    kept = order[np.diff(x[order], prepend=np.nan) != 0]
    return x[kept], y[kept], low[kept], high[kept]


def _ratio(
    ax: Axes,
    curves: Mapping[str, Roc],
    reference: str,
    kind: Kind,
    looks: Mapping[str, tuple[str, Any]],
) -> None:
    """Each curve over the reference's, at the reference's own points."""
    x, y, low, high = _best(_curve(curves[reference], kind))
    visible = (x >= _LEAST) & (y > 0)
    x, y, low, high = x[visible], y[visible], low[visible], high[visible]
    ax.axhline(1.0, color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
    extremes = [0.95, 1.05]
    measured = high - low < 0.6 * y  # where the reference is mere fluctuation, so is the ratio
    for method, roc in curves.items():
        colour, dashes = looks[method]
        if method == reference:
            ax.fill_between(x, low / y, high / y, color=colour, alpha=0.3, linewidth=0)
            ax.plot(x, np.ones_like(x), color=colour, linestyle=dashes)
            continue
        xs, ys, lows, highs = _best(_curve(roc, kind))
        centre, below, above = (np.interp(x, xs, v, left=np.nan) / y for v in (ys, lows, highs))
        ax.plot(x, centre, color=colour, linestyle=dashes)
        if kind == "rejection":
            _vary(ax, roc, kind, (x, y))
        if method in banded(list(curves)):
            ax.fill_between(x, below, above, color=colour, alpha=0.25, linewidth=0)
        significant = centre[measured & np.isfinite(centre)]
        if len(significant):
            extremes += list(np.quantile(significant, [0.01, 0.99]))
    room = 0.2 * (max(extremes) - min(extremes))
    ax.set_ylim(max(min(extremes) - room, 0.0), max(extremes) + room)
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.set_ylabel(f"Ratio to\n{method_title(reference)}", loc="center")


def _vary(ax: Axes, roc: Roc, kind: Kind, over: tuple[Floats, Floats] | None = None) -> None:
    """The band of a calibration's error; over a reference's (x, y) in a panel of ratios."""
    if roc.varied is None:
        return
    three = np.stack([roc.background_efficiency, *roc.varied])
    low, high, signal = three.min(axis=0), three.max(axis=0), roc.signal_efficiency
    label = None if VARIED_NAME in ax.get_legend_handles_labels()[1] else VARIED_NAME
    look = VARIED | {"zorder": 1.5, "label": label}
    if kind == "rates":
        ax.fill_betweenx(signal, low, high, **look)
        return
    known = low > 0
    x, ends = signal[known], [1 / high[known], 1 / low[known]]
    if over is not None:
        ends = [end / np.interp(x, *over) for end in ends]
        look["label"] = None
    ax.fill_between(x, *ends, **look)


def _mark(
    ax: Axes, curve: tuple[Floats, Floats], efficiencies: Sequence[float], kind: Kind, colour: str
) -> None:
    """An open circle where the curve has each signal efficiency."""
    x, y = curve
    if not len(efficiencies) or not len(x):
        return
    if kind == "rejection":
        at = np.interp(efficiencies, x, y, left=np.nan, right=np.nan)
        places = np.asarray(efficiencies), at
    else:
        places = np.interp(efficiencies, y, x), np.asarray(efficiencies)
    ax.plot(*places, "o", color=colour, markerfacecolor="white", markersize=scaled(7), zorder=4)


def _limits(
    ax: Axes, curves: Mapping[str, Roc], kind: Kind, points: Sequence[tuple[float, float]] = ()
) -> None:
    """Axes that end where the curves and the points, (signal, background) efficiency, do."""
    if kind == "rates":
        ax.plot([0, 1], [0, 1], color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
        ax.set_xlim(0.0, 1.0)
        ax.set_ylim(0.0, 1.0)
        ceiling(ax)
        return
    largest = max([2.0, *(1 / background for _, background in points)])
    first = min([_FIRST, *(signal - 0.02 for signal, _ in points)])
    for roc in curves.values():
        x, y, _, _ = _curve(roc, kind)
        largest = max(largest, float(y[x >= _LEAST].max(initial=1.0)))
        first = min(first, float(x[x >= _LEAST].min(initial=_FIRST)))
    ax.set_xlim(max(_LEAST, first), 1.0)
    ax.set_yscale("log")
    ax.set_ylim(1.0, largest * 1.5)
    ceiling(ax, largest * _ABOVE)
    ax.yaxis.set_minor_locator(LogLocator(subs=tuple(range(2, 10))))
    ax.yaxis.set_minor_formatter(NullFormatter())


def roc(
    curves: Mapping[str, Roc],
    *,
    kind: Kind = "rejection",
    ax: Axes | None = None,
    ratio_ax: Axes | None = None,
    reference: str = "source-only",
    signal: str = "signal",
    background: str = "background",
    title: str = "",
    working_points: Sequence[float] = (),
    points: Mapping[str, tuple[float, float]] | None = None,
    references: Sequence[str] = (),
) -> Axes:
    """ROC curve of each method, with the area in the legend; two at most have statistical bands.

    Args:
        curves: by method.
        kind: ``"rejection"``, 1/ε_b (logarithmic) against ε_s, or ``"rates"``, ε_s against ε_b.
        ax: where to draw; by default a new figure with a ratio panel.
        ratio_ax: where to draw the ratio to ``reference``; with ``ax`` alone, nowhere.
        reference: method of the denominator; without it among the curves there is no ratio.
        signal: name of the class that is selected.
        background: name of the rest.
        title: heads the legend: which events.
        working_points: signal efficiencies that are marked on every curve.
        points: (signal, background) efficiency of points of reference, by name.
        references: those of ``curves`` that are no method of the run; they are black.
    """
    if ax is None:
        with_ratio = reference in curves and len(curves) > 1
        ax, *more = new_axes((2.6, 1.0), height=7.0) if with_ratio else new_axes()
        ratio_ax = more[0] if more else None
    looks = method_look([name for name in curves if name not in references])
    looks |= {n: ("black", _DASHES[i % len(_DASHES)]) for i, n in enumerate(references)}
    bands = banded([name for name in curves if name not in references])
    for method, roc in curves.items():
        colour, dashes = looks[method]
        x, y, low, high = _curve(roc, kind)
        label = f"{method_title(method)}: {_auc(roc.auc)}"
        ax.plot(x, y, color=colour, linestyle=dashes, label=label)
        if method in bands:
            ax.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        _mark(ax, (x, y), working_points, kind, colour)
    for curve in curves.values():
        _vary(ax, curve, kind)
    for number, (name, place) in enumerate((points or {}).items()):
        at = (place[0], 1 / place[1]) if kind == "rejection" else place[::-1]
        ax.plot(
            *at, _POINTS[number % len(_POINTS)], color="black", markersize=scaled(9), label=name
        )
    _limits(ax, curves, kind, list((points or {}).values()))
    names = rf"{signal} efficiency $\varepsilon_s$", rf"{background} efficiency $\varepsilon_b$"
    x_label, y_label = names if kind == "rejection" else names[::-1]
    if kind == "rejection":
        y_label = rf"{background} rejection $1/\varepsilon_b$"
    bottom = ax
    if ratio_ax is not None and reference in curves:
        _ratio(ratio_ax, curves, reference, kind, looks)
        bottom = ratio_ax
    bottom.set_xlabel(sentence(x_label))
    ax.set_ylabel(sentence(y_label))
    finish(ax, f"{title}; AUC:" if title else "AUC:")
    return ax
