"""The frame of a figure: its axes, their layout on the page, its files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox, ScaledTranslation
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ...errors import ConfigError
from ...outputs import write_whole
from .legend import settle
from .styles import PAGE, readable, scaled

OWN = "hepdann"  # label of the figures made here; only their layout is touched
_LEAST = 0.6  # of its size that a label keeps, however long
_LINE = 1.25  # height of a line of text, in units of its size
_MARGIN = 0.08  # of half a slide, inches


def figure_of(ax: Axes) -> Figure:
    """The whole figure that an axes is part of."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def lay_out(ax: Axes, above: float = 0.0) -> None:
    """Fit the panels of a figure made here to its page, with ``above`` inches free for a label."""
    figure = figure_of(ax)
    if figure.get_label() != OWN:
        return
    needed = _needed(figure)
    _adjust(figure, needed, above)
    again = _needed(figure)  # an axis of another length may have longer numbers
    if any(now > before + 1 for now, before in zip(again, needed, strict=True)):
        _adjust(figure, again, above)


def _needed(figure: Figure) -> list[float]:
    """Pixels that ticks and labels need outside the axes: left, bottom, right, top."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer: RendererBase = canvas.get_renderer()  # type: ignore[no-untyped-call]
    edges = [0.0] * 4
    sides: dict[str, list[Axis]] = {}
    reach: dict[str, float] = {}  # of the numbers, beyond the axes, on each side
    for panel in figure.axes:
        for axis in _axes_of(panel):
            side: str = axis.get_label_position()
            sides.setdefault(side, []).append(axis)
            for box in _numbers(axis, panel.bbox, renderer):
                beyond = _beyond(box, panel.bbox)
                edges = [max(a, b) for a, b in zip(edges, beyond, strict=True)]
                reach[side] = max(reach.get(side, 0.0), beyond[_SIDES.index(side)])
        for inset in panel.child_axes:  # a bar of colours beside the panel
            locate = inset.get_axes_locator()
            inset.apply_aspect(None if locate is None else locate(inset, renderer))
            for box in _numbers(inset.yaxis, inset.bbox, renderer):
                edges = [max(a, b) for a, b in zip(edges, _beyond(box, panel.bbox), strict=True)]
    for side, axes in sides.items():
        for axis in axes:
            if axis.label.get_visible() and axis.label.get_text():
                shorten(axis, renderer)
                _place(axis, side, reach.get(side, 0.0), figure)
                box = axis.label.get_window_extent(renderer)
                beyond = _beyond(box, axis.axes.bbox)
                at = _SIDES.index(side)
                edges[at] = max(edges[at], beyond[at])
    return edges


_SIDES = ("left", "bottom", "right", "top")


def _axes_of(panel: Axes) -> Iterator[Axis]:
    place = panel.get_subplotspec()
    yield panel.yaxis
    if place is not None and place.is_last_row() and panel.xaxis.get_visible():
        yield panel.xaxis


def _beyond(box: Bbox, inner: Bbox) -> Sequence[float]:
    return inner.x0 - box.x0, inner.y0 - box.y0, box.x1 - inner.x1, box.y1 - inner.y1


def _numbers(axis: Axis, panel: Bbox, renderer: RendererBase) -> Iterator[Bbox]:
    """The boxes of the numbers that are drawn."""
    along = 0 if axis is axis.axes.xaxis else 1
    low, high = panel.min[along] - 1, panel.max[along] + 1
    with _no_minor(axis):
        texts = axis.get_majorticklabels()
    for text in texts:
        if text.get_text():
            box = text.get_window_extent(renderer)
            if low <= 0.5 * (box.min[along] + box.max[along]) <= high:
                yield box


@contextmanager
def _no_minor(axis: Axis) -> Iterator[None]:
    """Minor ticks have no numbers, and there are many of them."""
    locator = axis.get_minor_locator()
    axis.minor.locator = NullLocator()
    try:
        yield
    finally:
        axis.minor.locator = locator


def shorten(axis: Axis, renderer: RendererBase | None = None) -> None:
    """Make the letters of a label that is longer than its axis smaller."""
    along = 0 if axis is axis.axes.xaxis else 1
    size, room = axis.label.get_window_extent(renderer).size, axis.axes.bbox.size
    if size[along] > room[along] > 0:
        share = max(room[along] / size[along], _LEAST)
        axis.label.set_fontsize(float(axis.label.get_fontsize()) * share)


def _place(axis: Axis, side: str, reach: float, figure: Figure) -> None:
    """Put the label of an axis beside its numbers, where it stays if the axes are moved."""
    distance = max(reach, 0.0) / figure.dpi + axis.labelpad / 72
    sign = -1 if side in ("left", "bottom") else 1
    x, y = axis.label.get_position()
    if axis is axis.axes.xaxis:
        y, move = (0.0 if sign < 0 else 1.0), (0.0, sign * distance)
    else:
        x, move = (0.0 if sign < 0 else 1.0), (sign * distance, 0.0)
    beside = axis.axes.transAxes + ScaledTranslation(*move, figure.dpi_scale_trans)
    axis.set_label_coords(x, y, transform=beside)


def _adjust(figure: Figure, edges: Sequence[float], above: float) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    margin = scaled(_MARGIN) * figure.dpi
    figure.subplots_adjust(
        left=(edges[0] + margin) / width,
        bottom=(edges[1] + margin) / height,
        right=1 - (edges[2] + margin) / width,
        top=1 - (max(edges[3], above * figure.dpi) + margin) / height,
    )


class Canvas(FigureCanvasAgg):
    """A canvas for figures made here, which share what they learn of the size of texts."""

    def get_renderer(self) -> RendererAgg:
        """Of the size of the figure."""
        width, height = self.get_width_height(physical=True)
        return _renderer(width, height, self.figure.dpi, get_ident())


@lru_cache(4)
def _renderer(width: int, height: int, dpi: float, thread: int) -> RendererAgg:
    del thread  # two must not draw on one
    return RendererAgg(width, height, dpi)  # type: ignore[no-untyped-call]


_PANEL_GAP = 0.05  # between panels, in units of their mean height


_given: ContextVar[Axes | None] = ContextVar("_given", default=None)


@contextmanager
def drawing_on(ax: Axes) -> Iterator[None]:
    """Within it, :func:`new_axes` takes the place of these axes of somebody else's figure."""
    token = _given.set(ax)
    try:
        yield
    finally:
        _given.reset(token)


def new_figure(height: float, label: str = "") -> Figure:
    """A figure without pyplot's global state, so many inches of a page of 6 high.

    Raises:
        ConfigError: it should be drawn on one axes.
    """
    if _given.get() is not None:
        raise ConfigError(
            "is a figure of several axes", where="ax", mend="draw it without: run.plot(name)"
        )
    width, least = rcParams["figure.figsize"]
    figure = Figure(figsize=(width, least * height / PAGE[1]), label=label)
    Canvas(figure)
    return figure


def new_axes(panels: Sequence[float] = (1.0,), height: float = PAGE[1]) -> list[Axes]:
    """Axes one above the other in a figure of their own.

    ``panels`` are their relative heights, from the top; they share the x axis. ``height`` is that
    of the figure, see :func:`new_figure`.
    """
    given = _given.get()
    if given is None:
        figure = new_figure(height, OWN)
        grid = figure.add_gridspec(len(panels), 1, height_ratios=panels, hspace=_PANEL_GAP)
        axes: list[Axes] = []
        for row in range(len(panels)):
            axes.append(figure.add_subplot(grid[row], sharex=axes[0] if axes else None))
    else:  # further panels take their share of its lower end
        from mpl_toolkits.axes_grid1 import make_axes_locatable  # type: ignore[import-untyped]

        divider = make_axes_locatable(given)
        sizes = [f"{100 * share / panels[0]:.0f}%" for share in panels[1:]]
        below = [divider.append_axes("bottom", size, pad="3%", sharex=given) for size in sizes]
        axes = [given, *below]
        for ax in axes:  # now, as legends look for a place before the figure is drawn
            locate = ax.get_axes_locator()
            ax.apply_aspect(None if locate is None else locate(ax, None))  # type: ignore[arg-type]
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
    """Lay out a figure, given its uppermost axes, and put its legend off the data.

    ``title`` heads the legend; by default what heads it already.
    """
    if _later.get():
        _waiting[figure_of(ax)] = title
        return
    lay_out(ax)
    if settle(ax, title):
        lay_out(ax)  # a raised axis may have longer numbers


def few_ticks(axis: Axis, below: float = 100.0) -> None:
    """Numbers at 1, 2 and 5 where a logarithmic axis spans few decades, else at decades."""
    low, high = axis.get_view_interval()
    if high / low < below:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_ticks(axis: Axis) -> None:
    """Ticks at whole numbers, and nowhere else."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axis.set_minor_locator(NullLocator())


def name_ticks(axis: Axis, places: Sequence[float], names: Sequence[str], apart: float) -> None:
    """Name ticks that lie so many points apart.

    Names of several lines become one line where they do not fit, and all names as small as fits.
    """
    along = rcParams["xtick.labelsize" if axis is axis.axes.xaxis else "ytick.labelsize"]
    size = font_manager.FontProperties(size=along).get_size_in_points()
    room = apart / _LINE
    if room < size * (1 + max((name.count("\n") for name in names), default=0)):
        names = [name.replace("\n", " ") for name in names]
    axis.set_ticks(places, [readable(name) for name in names], fontsize=min(size, room))
    axis.set_minor_locator(NullLocator())


def picture(ax: Axes, box: tuple[float, float, float, float], image: object, **look: Any) -> Axes:
    """An image in axes of its own, at a place in fractions of others."""
    panel = ax.inset_axes(box)
    panel.imshow(image, interpolation="nearest", **look)  # type: ignore[arg-type]
    panel.set(xticks=[], yticks=[])
    panel.minorticks_off()
    return panel


def take_out_exponent(axis: Axis, label: str, largest: float) -> None:
    """Label a linear axis; numbers that are long have their power of ten in the label.

    Matplotlib prints the power at the end of the axis, where the experiment's label stands.
    ``largest`` is the largest absolute value on the axis.
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


def _join_minor_ticks(axis: Axis) -> bool:
    """Draw the minor ticks of an axis as one line of markers a side; a tick has five artists.

    Its ticks, which panels may share, are still to be taken away.
    """
    at, (low, high) = axis.get_minorticklocs(), sorted(axis.get_view_interval())
    at = at[(at >= low) & (at <= high)]
    if not len(at) or any(axis.get_minor_formatter().format_ticks(at)):  # type: ignore[arg-type]
        return False
    (tick,) = axis.get_minor_ticks(1)
    across = np.zeros(len(at))
    for line, end in ((tick.tick1line, 0.0), (tick.tick2line, 1.0)):
        if line.get_visible():
            line = copy(line)
            line.set_data(*((at, across + end) if axis is axis.axes.xaxis else (across + end, at)))
            line.set_zorder(axis.get_zorder())
            axis.axes.add_artist(line)
    return True


def _in_few_colours(png: io.BytesIO, texts: Mapping[str, str]) -> io.BytesIO:
    """A PNG of 256 colours: no eye finds the difference, and the file is a third as large."""
    drawn = Image.open(png)
    few = drawn.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = np.array(few.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette[np.asarray(few)[0, 0]] = np.asarray(drawn)[0, 0, :3]  # the page's, not a mean near it
    few.putpalette(palette.tobytes())
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    image = io.BytesIO()
    few.save(image, "png", dpi=drawn.info["dpi"], pnginfo=info)
    return image


def save(
    ax: Axes,
    stem: str | Path,
    formats: Sequence[str] = ("pdf", "png"),
    texts: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write a figure as ``stem.pdf`` and so on, each file whole or not at all.

    ``texts`` go by key into the PNG.
    """
    figure, stem = figure_of(ax), Path(stem)
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    joined = [axis for axis in axes if _join_minor_ticks(axis)]
    for axis in joined:
        axis.set_minor_locator(NullLocator())
    stem.parent.mkdir(parents=True, exist_ok=True)
    made = []
    for kind in formats:
        target = stem.with_name(f"{stem.name}.{kind}")
        # A date would make every redrawing differ.
        dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        image = io.BytesIO()  # matplotlib's own writing may meet a full disk with a zlib.error
        figure.savefig(image, format=kind, metadata=dates)
        if kind == "png":
            image = _in_few_colours(image, texts or {})
        write_whole(target, image.getbuffer(), lasting=False)  # it can be drawn again
        made.append(target)
    return made
