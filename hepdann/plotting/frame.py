"""The frame of a figure: its axes, when it is laid out, its files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..outputs import write_whole
from .headroom import settle
from .layout import OWN, figure_of, lay_out
from .styles import PAGE

__all__ = [
    "finish",
    "finished_later",
    "new_axes",
    "save",
    "take_out_exponent",
    "waiting",
]

_PANEL_GAP = 0.05  # between panels, in units of their mean height


def new_axes(panels: Sequence[float] = (1.0,), height: float = PAGE[1]) -> list[Axes]:
    """Axes one above the other in a figure of their own, without pyplot's global state.

    Args:
        panels: relative height of each, from the top; they share the x axis.
        height: of the figure, in inches of a page of 6.

    Returns:
        The axes, from the top. Their figure is ``axes[0].figure``.
    """
    width, least = rcParams["figure.figsize"]
    figure = Figure(figsize=(width, least * height / PAGE[1]), label=OWN)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(panels), 1, height_ratios=panels, hspace=_PANEL_GAP)
    axes: list[Axes] = []
    for row in range(len(panels)):
        axes.append(figure.add_subplot(grid[row], sharex=axes[0] if axes else None))
    for ax in axes[:-1]:
        ax.tick_params(axis="x", which="both", labelbottom=False)
    return axes


_later: ContextVar[bool] = ContextVar("_later", default=False)
_waiting: WeakKeyDictionary[Figure, str | None] = WeakKeyDictionary()


@contextmanager
def finished_later() -> Iterator[None]:
    """Within it, :func:`finish` waits for the label, which moves everything once more."""
    token = _later.set(True)
    try:
        yield
    finally:
        _later.reset(token)


def waiting(ax: Axes) -> tuple[bool, str | None]:
    """Whether the figure of an axes still has to be finished, and the title of its legend; once."""
    figure = figure_of(ax)
    return figure in _waiting, _waiting.pop(figure, None)


def finish(ax: Axes, title: str | None = None) -> None:
    """Lay out a figure and put its legend off the data.

    Args:
        ax: its uppermost axes.
        title: heads the legend; by default what heads it already.
    """
    if _later.get():
        _waiting[figure_of(ax)] = title
        return
    lay_out(ax)
    if settle(ax, title):
        lay_out(ax)  # a raised axis may have longer numbers


def take_out_exponent(axis: Axis, label: str, largest: float) -> None:
    """Label an axis whose numbers are long, with their power of ten in the label.

    Matplotlib prints the power at the end of the axis, where the experiment's label stands.

    Args:
        axis: ``ax.xaxis`` or ``ax.yaxis``, linear.
        label: its label.
        largest: the largest absolute value on it.
    """
    if not 0 < largest < np.inf or 1e-2 <= largest < 1e4:
        _label(axis, label)
        return
    power = int(3 * np.floor(np.log10(largest) / 3))
    factor = 10.0**power
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / factor:.10g}"))
    _label(axis, rf"{label}  [$10^{{{power}}}$]")


def _label(axis: Axis, text: str) -> None:
    # The axes' setter, not the axis's own, honours the style's place of labels.
    (axis.axes.set_xlabel if axis is axis.axes.xaxis else axis.axes.set_ylabel)(text)


def save(ax: Axes, stem: str | Path, formats: Sequence[str] = ("pdf", "png")) -> list[Path]:
    """Write a figure, each file whole or not at all, and free it.

    Args:
        ax: one of its axes.
        stem: path without the ending; a folder that is missing is made.
        formats: ``pdf``, ``png``, ``svg``.

    Returns:
        The files, in the order of ``formats``.
    """
    figure, stem = figure_of(ax), Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    made = []
    for kind in formats:
        target = stem.with_name(f"{stem.name}.{kind}")
        # A date would make every redrawing differ.
        dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        image = io.BytesIO()  # matplotlib's own writing may meet a full disk with a zlib.error
        figure.savefig(image, format=kind, metadata=dates)
        write_whole(target, image.getbuffer())
        made.append(target)
    figure.clear()
    return made
