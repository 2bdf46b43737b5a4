"""The feature layer in the plane, before and after adaptation, by domain and by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...evaluation.latent import Embedding
from ..axes.styles import PAGE, class_colours, method_title, scaled

_HEIGHT = 8.4
_SIZE = 9.0  # of a marker, points squared
_HEADROOM = 0.16  # of the height of a panel, for its title
_UNKNOWN = "#c8c8c8"
_IN_A_ROW = 9  # entries of a legend
_DOMAINS = ("#94a4a2", "#000000")  # data are black in every figure
_NAMES = {"tsne": "t-SNE", "pca": "PCA"}


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
    width, height = rcParams["figure.figsize"]
    figure = Figure(figsize=(width, height * _HEIGHT / PAGE[1]))
    FigureCanvasAgg(figure)
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
    ax.set_ylim(low[1] - room[1], high[1] + room[1] + _HEADROOM * (high[1] - low[1]))
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
        figure.legend(
            handles=handles,
            loc="lower center",
            bbox_to_anchor=(0.53, place),
            ncols=len(handles) if len(handles) <= _IN_A_ROW else -(-len(handles) // 2),
            handletextpad=0.1,
            columnspacing=1.0,
        )


def _dot(colour: str, marker: str, name: str) -> Line2D:
    return Line2D(
        [], [], color=colour, marker=marker, linestyle="", markersize=scaled(7), label=name
    )
