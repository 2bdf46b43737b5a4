"""What networks say of events of two features: the line at which each changes its mind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...experiments import Plane
from ..axes.label import Album
from ..axes.styles import COLOURS, PAGE, method_title, scaled

_HEIGHT = 3.3  # inches of a page
_PALE = LinearSegmentedColormap.from_list("scores", [COLOURS[1], "white", COLOURS[0]])


def plot_planes(of: Mapping[str, Plane], folder: str | Path) -> list[Path]:
    """Draw :func:`planes` into a folder, as ``boundaries.pdf`` and ``.png``."""
    with Album.open(folder, None) as album:
        album.keep(planes(of), "boundaries", simulation=True)
    return album.made


def planes(of: Mapping[str, Plane], data_name: str = "target") -> Axes:
    """One panel a method: its mean score in colour, and the boundary of each of its networks.

    Events of the source are coloured by class, those of the target black, as in figure 2 of Ganin
    et al., JMLR 17 (2016) 59. The figure is always a new one.
    """
    width, height = rcParams["figure.figsize"]
    figure = Figure(figsize=(width, height * _HEIGHT / PAGE[1]))
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(figure.subplots(1, len(of), squeeze=False)[0])
    colours = COLOURS[1], COLOURS[0]
    for ax, (method, plane) in zip(panels, of.items(), strict=True):
        mean = plane.scores.mean(axis=0)
        ax.pcolormesh(plane.x, plane.y, mean, cmap=_PALE, vmin=0, vmax=1, alpha=0.35,
                      rasterized=True)  # fmt: skip
        for scores in plane.scores:
            ax.contour(plane.x, plane.y, scores, [0.5], colors="0.45", linewidths=scaled(0.8))
        ax.contour(plane.x, plane.y, mean, [0.5], colors="black", linewidths=scaled(2.2))
        for label, colour in enumerate(colours):
            ax.plot(*plane.source[plane.label == label].T, ".", color=colour, markersize=scaled(5))
        ax.plot(*plane.target.T, ".", color="black", markersize=scaled(3))
        name, *more = method.split(",")
        ax.set_title(",".join([method_title(name), *more]), fontsize=scaled(13.0), loc="left")
        ax.tick_params(which="both", length=0, labelleft=False, labelbottom=False)
    dots = [(colour, f"MC, {name}") for colour, name in zip(colours, plane.classes, strict=True)]
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", markersize=scaled(6), label=name)
        for colour, name in [*dots, ("black", data_name)]
    ]
    for colour, line, name in (("0.45", 0.8, "a network"), ("black", 2.2, "mean score")):
        handles.append(Line2D([], [], color=colour, linewidth=scaled(line), label=name))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), columnspacing=1.0)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.86, bottom=0.16, wspace=0.04)
    return panels[0]
