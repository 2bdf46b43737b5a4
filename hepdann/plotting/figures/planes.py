"""Events in a plane: the feature layer of networks, and their decisions on two features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...evaluation.latent import Embedding
from ..axes.frame import new_figure, shorten
from ..axes.label import Album
from ..axes.styles import COLOURS, class_colours, method_title, scaled

if TYPE_CHECKING:
    from ...experiments import Plane

_HEIGHT, _PLANES = 8.4, 3.3  # inches of a page
_SIZE = 9.0  # of a marker, points squared
_TITLE_ROOM = 0.16  # of the height of a panel, for its title
_UNKNOWN = "#c8c8c8"
_DOMAINS = ("#94a4a2", "#000000")  # data are black in every figure
_NAMES = {"tsne": "t-SNE", "pca": "PCA"}
_PALE = LinearSegmentedColormap.from_list("scores", [COLOURS[1], "white", COLOURS[0]])


def latent(
    embeddings: Mapping[str, Embedding],
    *,
    classes: Mapping[str, str] | Sequence[str],
    data_name: str = "target",
) -> Axes:
    """One column a method; coloured by domain above and by true class below.

    ``embeddings`` are of :func:`hepdann.evaluation.latent.embed`; ``classes`` are names by class
    index, or these with their colours. The figure is always a new one.
    """
    figure = new_figure(_HEIGHT)
    grid = figure.subplots(2, len(embeddings), squeeze=False)
    if not isinstance(classes, Mapping):
        classes = class_colours(classes)
    groups = {"domain": dict(zip(("MC", data_name), _DOMAINS, strict=True)), "class": classes}
    for column, (method, embedding) in enumerate(embeddings.items()):
        for row, (kind, names) in enumerate(groups.items()):
            ax: Axes = grid[row][column]
            members = embedding.domain if kind == "domain" else embedding.label
            marks = None if kind == "domain" else embedding.domain
            _scatter(ax, embedding, members, list(names.values()), marks)
            ax.text(0.03, 0.97, method_title(method), transform=ax.transAxes, va="top", ha="left")
            if column == 0:
                ax.set_ylabel(f"by {kind}", loc="center")
            if row == 1:
                ax.set_xlabel(_axis(embedding), loc="center")
    known = any((embedding.label >= 0).all() for embedding in embeddings.values())
    _legends(figure, groups, data_name, known=known)
    figure.subplots_adjust(left=0.08, right=0.985, top=0.95, bottom=0.15, wspace=0.06, hspace=0.24)
    for ax in grid[1]:
        shorten(ax.xaxis)
    first: Axes = grid[0][0]
    return first


def _axis(embedding: Embedding) -> str:
    name = _NAMES[embedding.kind]
    if embedding.explained is None:
        return name
    return f"{name}: {100 * sum(embedding.explained):.0f} % of the variance"


def _scatter(
    ax: Axes,
    embedding: Embedding,
    members: NDArray[np.intp],
    colours: Sequence[str],
    marks: NDArray[np.intp] | None,
) -> None:
    """Events in a random order, so that no group hides another."""
    order = np.random.default_rng(0).permutation(len(members))
    palette = np.array([*colours, _UNKNOWN])
    for mark, shape in ((0, "o"), (1, "^")):
        rows = order if marks is None else order[marks[order] == mark]
        if marks is None and mark:
            break
        ax.scatter(
            embedding.points[rows, 0],
            embedding.points[rows, 1],
            s=scaled(scaled(_SIZE)),
            marker=shape,
            c=palette[members[rows]],
            linewidths=0,
            alpha=0.7,
        )
    low, high = embedding.points.min(axis=0), embedding.points.max(axis=0)
    room = 0.04 * (high - low)
    ax.set_xlim(low[0] - room[0], high[0] + room[0])
    ax.set_ylim(low[1] - room[1], high[1] + room[1] + _TITLE_ROOM * (high[1] - low[1]))
    ax.tick_params(which="both", length=0, labelleft=False, labelbottom=False)


def _legends(
    figure: Figure, groups: Mapping[str, Mapping[str, str]], data_name: str, *, known: bool
) -> None:
    for place, (kind, names) in zip((0.525, 0.005), groups.items(), strict=True):
        handles = [_dot(colour, "o", name) for name, colour in names.items()]
        if kind == "class":
            handles.append(_dot("black", "o", "MC"))
            if known:
                handles.append(_dot("black", "^", data_name))
            else:
                handles.append(_dot(_UNKNOWN, "^", f"{data_name} (class not known)"))
        for rows in (1, 2):
            legend = figure.legend(
                handles=handles,
                loc="lower center",
                bbox_to_anchor=(0.53, place),
                ncols=-(-len(handles) // rows),
                handletextpad=0.1,
                columnspacing=1.0,
            )
            if rows == 2 or legend.get_window_extent().width < 0.92 * figure.bbox.width:
                break
            legend.remove()


def _dot(colour: str, marker: str, name: str, size: float = 7) -> Line2D:
    return Line2D(
        [], [], color=colour, marker=marker, linestyle="", markersize=scaled(size), label=name
    )


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
    figure = new_figure(_PLANES)
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
    handles = [_dot(colour, "o", name, 6) for colour, name in [*dots, ("black", data_name)]]
    for colour, line, name in (("0.45", 0.8, "a network"), ("black", 2.2, "mean score")):
        handles.append(Line2D([], [], color=colour, linewidth=scaled(line), label=name))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), columnspacing=1.0)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.86, bottom=0.16, wspace=0.04)
    return panels[0]
