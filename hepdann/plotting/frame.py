"""The frame of a figure: its axes, its layout, the experiment's label, its files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..outputs import write_whole
from .headroom import settle
from .styles import PAGE, readable

__all__ = ["experiment_label", "figure_of", "finish", "new_axes", "save", "take_out_exponent"]

_OWN = "hepdann"  # label of the figures made here; only their layout is touched
_LABEL_SIZES = (1.3, 1.0, 0.95, 0.8)  # experiment, text, luminosity, supplement
_MARGIN = 0.08  # of the page, inches
_PANEL_GAP = 0.05  # between panels, in units of their mean height

# Where mplhep puts the experiment's name: 0 above the axes, 1 and 4 inside, at the top left.
_PLACES = {"ATLAS": 4, "LHCb2": 1, "ALICE": 1}
_FONT_STYLES = {
    "ATLAS": ("italic", "normal", "normal", "normal"),
    "LHCb2": ("normal",) * 4,
    "ALICE": ("normal",) * 4,
    "DUNE": ("normal",) * 4,
}


def new_axes(panels: Sequence[float] = (1.0,), height: float = PAGE[1]) -> list[Axes]:
    """Axes one above the other in a figure of their own, without pyplot's global state.

    Args:
        panels: relative height of each, from the top; they share the x axis.
        height: of the figure, in inches.

    Returns:
        The axes, from the top. Their figure is ``axes[0].figure``.
    """
    figure = Figure(figsize=(PAGE[0], height), label=_OWN)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(panels), 1, height_ratios=panels, hspace=_PANEL_GAP)
    axes: list[Axes] = []
    for row in range(len(panels)):
        axes.append(figure.add_subplot(grid[row], sharex=axes[0] if axes else None))
    for ax in axes[:-1]:
        ax.tick_params(axis="x", which="both", labelbottom=False)
    return axes


def figure_of(ax: Axes) -> Figure:
    """The whole figure that an axes is part of."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def lay_out(ax: Axes, above: float = 0.0) -> None:
    """Fit the panels of a figure made by :func:`new_axes` to its page; leave any other alone.

    Args:
        ax: one of its axes.
        above: inches to keep free above the panels, for a label.
    """
    figure = figure_of(ax)
    if figure.get_label() != _OWN:
        return
    figure.align_ylabels()  # before it is measured: aligned labels stand further out
    needed = _needed(figure)
    _adjust(figure, needed, above)
    again = _needed(figure)  # an axis of another length may have longer numbers
    if any(now > before + 1 for now, before in zip(again, needed, strict=True)):
        _adjust(figure, again, above)


def _needed(figure: Figure) -> list[float]:
    """Pixels that ticks and labels need outside the axes: left, bottom, right, top."""
    edges = [0.0] * 4
    # Asked of the axes one by one, for their whole boxes take three times as long.
    for panel in figure.axes:
        place = panel.get_subplotspec()
        lowest = place is not None and place.is_last_row() and panel.xaxis.get_visible()
        for axis in (panel.yaxis, panel.xaxis) if lowest else (panel.yaxis,):
            outer, inner = axis.get_tightbbox(), panel.bbox
            if outer is None:
                continue
            sides = (
                inner.x0 - outer.x0,
                inner.y0 - outer.y0,
                outer.x1 - inner.x1,
                outer.y1 - inner.y1,
            )
            edges = [max(edge, side) for edge, side in zip(edges, sides, strict=True)]
    return edges


def _adjust(figure: Figure, edges: Sequence[float], above: float) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    margin = _MARGIN * figure.dpi
    figure.subplots_adjust(
        left=(edges[0] + margin) / width,
        bottom=(edges[1] + margin) / height,
        right=1 - (edges[2] + margin) / width,
        top=1 - (max(edges[3], above * figure.dpi) + margin) / height,
    )


def finish(ax: Axes, title: str | None = None, above: float = 0.0) -> None:
    """Lay out a figure and put its legend off the data, in this order and once more.

    Args:
        ax: its uppermost axes.
        title: heads the legend; by default what heads it already.
        above: inches to keep free above the panels.
    """
    lay_out(ax, above)
    if settle(ax, title):
        lay_out(ax, above)  # a raised axis may have longer numbers


def experiment_label(
    ax: Axes,
    experiment: str | None = None,
    *,
    text: str | None = None,
    lumi: float | None = None,
    com: float | None = None,
    simulation: bool = False,
    style: str = "ROOT",
) -> None:
    """Print the experiment's label where its style wants it, and only what was given.

    Args:
        ax: the uppermost axes of the figure; its legend moves out of the way.
        experiment: name, e.g. ``"CMS"``; without it no ``Simulation`` is printed either.
        text: e.g. ``"Preliminary"``.
        lumi: integrated luminosity in 1/fb.
        com: centre-of-mass energy in TeV.
        simulation: print ``Simulation`` after the name: no detector data in the figure.
        style: the style in force.
    """
    if experiment is None and text is None and lumi is None and com is None:
        return
    import mplhep

    place = _PLACES.get(style, 0) if experiment or text else 0
    base = min(rcParams["font.size"], 18.0)
    sizes = tuple(base * factor for factor in _LABEL_SIZES)
    outside = place == 0 or (place == 1 and (lumi is not None or com is not None))
    above = 1.35 * sizes[0] / 72 if outside else 0.0
    lay_out(ax, above)
    words = (["Simulation"] if simulation and experiment else []) + ([text] if text else [])
    artists = mplhep.label.exp_label(
        exp=readable(experiment or ""),
        text=readable(" ".join(words)),
        data=True,  # mplhep's own "Simulation" would appear without an experiment
        lumi=None if lumi is None else f"{lumi:g}",
        com=None if com is None else f"{com:g}",  # mplhep's default would print 13 TeV
        loc=place,
        fontsize=sizes,
        fontstyle=_FONT_STYLES.get(style, ("normal", "italic", "normal", "normal")),
        scilocator_adjust=False,  # it asks pyplot for the current axes
        ax=ax,
    )
    for artist in artists:
        if artist is not None:
            artist.set_in_layout(False)
    finish(ax, above=above)


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
