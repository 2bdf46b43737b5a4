"""Pictures of events in a detector of planes: three views side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...config import PlotConfig
from ..axes.frame import save
from ..axes.label import label_as
from ..axes.styles import readable, style

if TYPE_CHECKING:
    from ...evaluation import EventPicture

_SIZE = (14.0, 5.2)  # inches: three views on a slide's width
_COLOURS = "turbo"  # on white, as the experiment's own event display
_LIMITS = (0.2, 50.0)  # MeV: from a photo-electron to the end of a stopping proton
_VERTEX, _TRACK, _TARGET = "#bd1f01", "#717581", "#e4e4e4"


def event(picture: EventPicture, *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw the views of one event side by side, on the same scale along the beam.

    Colours of energies are the same in all figures, on a logarithmic scale. Gives the axes, one a
    view.
    """
    views = list(picture.images)
    axes = list(axes or _new_row(len(views)))
    norm = _scale(picture)
    mesh = None
    for ax, view in zip(axes, views, strict=True):
        image = np.ma.masked_less_equal(np.abs(picture.images[view]), 0)
        strips, planes = image.shape
        for number, place in enumerate(picture.targets.get(view, ()), start=1):
            ax.axvspan(place - planes / 200, place + planes / 200, color=_TARGET, lw=0, zorder=0)
            ax.text(
                place, 0.96 * strips, str(number), ha="center", va="top", fontsize="x-small",
                color=_TRACK,
            )  # fmt: skip
        mesh = ax.pcolormesh(
            np.arange(planes + 1) - 0.5, np.arange(strips + 1) - 0.5, image, norm=norm,
            cmap=_COLOURS, rasterized=True,
        )  # fmt: skip
        _mark(ax, picture.vertex.get(view), _VERTEX, "--")
        _mark(ax, picture.track.get(view), _TRACK, ":")
        ax.set(xlim=(-0.5, planes - 0.5), ylim=(-0.5, strips - 0.5))
        ax.set_xlabel(f"Plane of view {view.upper()}")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if ax is axes[0]:
            ax.set_ylabel("Strip")
        else:
            ax.tick_params(axis="y", which="both", labelleft=False)
    if mesh is not None:
        _legend(axes, picture)
        inset = axes[-1].inset_axes((1.03, 0.0, 0.04, 1.0))
        figure = axes[-1].get_figure(root=True)
        assert figure is not None
        figure.colorbar(mesh, cax=inset, label=picture.quantity)
    return axes


def plot_events(
    pictures: Sequence[EventPicture],
    folder: str | Path,
    *,
    config: PlotConfig | None = None,
    simulation: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Draw one figure an event: ``event_0`` and so on; ``simulation``: none is of data."""
    look, made = config or PlotConfig(), []
    with style(look.style):
        for number, picture in enumerate(pictures):
            axes = event(picture)
            label_as(axes[0], look, simulation=simulation)
            axes[0].set_ylim(axes[-1].get_ylim())  # a label makes room that no strip needs
            made += save(axes[0], Path(folder) / f"event_{number}", look.formats)
            if progress is not None:
                progress(number + 1, len(pictures))
    return made


def _new_row(count: int) -> list[Axes]:
    figure = Figure(figsize=_SIZE)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        1, count, left=0.075, right=0.915, bottom=0.165, top=0.84, wspace=0.06
    )
    return [figure.add_subplot(grid[0, column]) for column in range(count)]


def _scale(picture: EventPicture) -> Any:
    if picture.quantity == "Energy [MeV]":
        return LogNorm(*_LIMITS, clip=True)
    largest = max(float(np.abs(image).max(initial=0)) for image in picture.images.values())
    return mpl.colors.Normalize(0, largest or 1.0)


def _mark(ax: Axes, place: float | None, colour: str, dashes: str) -> None:
    if place is not None:
        ax.axvline(place, color=colour, ls=dashes, lw=1.6, zorder=3)


def _legend(axes: Sequence[Axes], picture: EventPicture) -> None:
    """The title on the left and what the lines are on the right, above the views."""
    marks = [
        Line2D([], [], color=colour, ls=dashes, lw=1.6, label=label)
        for place, colour, dashes, label in (
            (picture.vertex, _VERTEX, "--", "true vertex"),
            (picture.track, _TRACK, ":", "vertex from tracks"),
        )
        if place
    ]
    size = mpl.rcParams["legend.fontsize"]
    if picture.title:
        axes[0].annotate(
            readable(picture.title), (0, 1), (0, 32), "axes fraction",
            textcoords="offset points", fontsize=size, annotation_clip=False,
        )  # fmt: skip
    if marks:
        axes[-1].legend(
            handles=marks, loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=len(marks)
        )
