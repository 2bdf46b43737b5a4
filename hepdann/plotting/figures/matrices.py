"""Matrices with their numbers in the cells: confusion and correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..axes.frame import finish, name_ticks, new_axes
from ..axes.styles import scaled

if TYPE_CHECKING:
    from ...stats import Confusion

Normalise = Literal["efficiency", "purity", "log"]
Floats = NDArray[np.float64]

_NUMBERS = 16  # of larger matrices the numbers could not be read
_SIZE = (15.0, 7.0)  # points of the numbers in small and in large matrices
_ROOM = 270.0  # points of height that the cells have at least, with long names below them
_SAYS = {
    "efficiency": "share of each true {what} [%]",
    "purity": "share of each {given} {what} [%]",
    "log": r"$\log_{{10}}$(share of each true {what} [%])",
}


def confusion(
    numbers: Confusion,
    names: Sequence[str],
    *,
    normalise: Normalise = "efficiency",
    title: str = "",
    what: str = "class",
    given: str = "predicted",
    ax: Axes | None = None,
) -> Axes:
    """Which class is taken for which, [reconstructed, true]; ``title`` stands below.

    ``normalise`` "efficiency" makes columns add up to 100 %, "purity" rows; "log" shows log₁₀ of
    the efficiency in per cent, for what is rare. ``what`` is what a class is, as "segment", and
    ``given`` what one is that a method decided for, as "reconstructed".
    """
    share = 100 * (numbers.purity if normalise == "purity" else numbers.efficiency)
    if normalise == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log10(share)
            share = np.where(np.isfinite(share), share, np.nan)
    limits = (-2.0, 2.0) if normalise == "log" else (0.0, 100.0)
    form = "{:.2f}" if normalise == "log" else "{:.1f}"
    ax = _matrix(share, names, limits, "Blues", form, ax)
    ax.set_ylabel(f"{given.capitalize()} {what}")
    _foot(ax, f"True {what}", title, _SAYS[normalise].format(what=what, given=given))
    return ax


def correlation(
    values: Floats,
    names: Sequence[str],
    *,
    difference: bool = False,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Linear correlation (F, F) of features, or the difference of two; NaN stays empty.

    The colours of a ``difference`` reach from -0.5 to 0.5 instead of from -1 to 1; ``title`` is
    below.
    """
    largest = 0.5 if difference else 1.0
    ax = _matrix(100 * values, names, (-100 * largest, 100 * largest), "RdBu_r", "{:.0f}", ax)
    what = "difference of the correlations [%]" if difference else "linear correlation [%]"
    _foot(ax, "", title, what)
    return ax


def _matrix(
    values: Floats,
    names: Sequence[str],
    limits: tuple[float, float],
    colours: str,
    form: str,
    ax: Axes | None,
) -> Axes:
    ax = ax or new_axes(height=7.0)[0]
    rows, columns = values.shape
    image = ax.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    longest = max(map(len, names))
    upright = longest * columns > 45  # more letters than fit side by side below the page
    apart = scaled(_ROOM / max(rows, columns))
    for axis, room in ((ax.xaxis, apart if upright else math.inf), (ax.yaxis, apart)):
        name_ticks(axis, range(len(names)), names, room)
    ax.tick_params(length=0, which="both")
    if upright:
        ax.tick_params(axis="x", labelrotation=90)
    if max(rows, columns) <= _NUMBERS:
        size = scaled(float(np.interp(max(rows, columns), (4, _NUMBERS), _SIZE)))
        middle, half = sum(limits) / 2, (limits[1] - limits[0]) / 2
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                far = (value - middle) / half if colours == "Blues" else abs(value - middle) / half
                dark = far > (0.1 if colours == "Blues" else 0.6)
                text = form.format(value)
                text = text if float(text) else text.removeprefix("-")
                ax.text(
                    j, i, text, ha="center", va="center", fontsize=size,
                    color="white" if dark else "black",
                )  # fmt: skip
    else:
        figure = ax.get_figure(root=True)
        assert figure is not None
        inset = ax.inset_axes((1.02, 0.0, 0.03, 1.0))
        figure.colorbar(image, cax=inset)
    return ax


def _foot(ax: Axes, label: str, title: str, what: str) -> None:
    """Say below the matrix what it is: above it stands the experiment's label."""
    note = f"{title}: {what}" if title else what
    ax.set_xlabel(f"{label}\n{note}" if label else note, fontsize=scaled(15.0))
    finish(ax)
