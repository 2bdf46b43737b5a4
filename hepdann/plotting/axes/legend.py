"""Puts a legend where no data are, and raises the axis where there is no such place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.container import Container
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

# Artists with this group id (reference lines, zero lines) may pass behind a legend.
GUIDE = "guide"

# Texts with this one are names of lines; they make way for the experiment's label.
UPRIGHT = "upright"

_GAP = 0.025  # axes fraction kept free around a legend
_GRID = 400  # samples that are distinguished along each axis
_STEPS = 24  # samples a segment of a path
_LARGEST = 4.0  # an axis is not raised beyond this; two more columns are the better way
_SMALLER = (1.0, 0.85, 0.72)  # letters of a legend, as far as the axis may not rise

_ceilings: WeakKeyDictionary[Axes, float] = WeakKeyDictionary()


def ceiling(ax: Axes, top: float | None = None) -> None:
    """Set how far a legend may raise the y axis (by default not at all); else it shrinks."""
    _ceilings[ax] = ax.get_ylim()[1] if top is None else top


def _allowed(ax: Axes) -> float:
    """By how much the y axis may grow in length."""
    if ax not in _ceilings:
        return _LARGEST
    bottom, top = ax.get_ylim()
    low, high, end = ax.yaxis.get_transform().transform(np.array([bottom, top, _ceilings[ax]]))
    return max(float((end - low) / (high - low)), 1.0) + 1e-9


def _paths(artist: Artist) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """The outlines of an artist in pixels, and whether what is below them is covered too."""
    if isinstance(artist, Line2D):
        yield artist.get_transform().transform(artist.get_xydata()), False
    elif isinstance(artist, Patch):
        yield _vertices(artist, artist.get_path()), bool(artist.get_fill())
    elif isinstance(artist, Collection):
        offsets = artist.get_offset_transform().transform(artist.get_offsets())
        if len(artist.get_paths()) and np.any(offsets):
            yield offsets, False
            return
        for path in artist.get_paths():
            yield _vertices(artist, path), False


def _vertices(artist: Artist, path: Path) -> NDArray[np.float64]:
    points = np.asarray(path.vertices, dtype=float)
    if path.codes is not None:  # the point of a closing stroke means nothing
        points = points[path.codes != Path.CLOSEPOLY]
    return np.asarray(artist.get_transform().transform(points))


def _densify(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(vertices) < 2:
        return vertices
    share = np.linspace(0.0, 1.0, _STEPS, endpoint=False)[None, :, None]
    start, end = vertices[:-1, None, :], vertices[1:, None, :]
    return np.concatenate([(start + share * (end - start)).reshape(-1, 2), vertices[-1:]])


def _distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points on a grid of 1/400 of the axes, each once."""
    x = np.round(points[:, 0] * _GRID).astype(np.int64)
    y = np.round(np.clip(points[:, 1], -1.0, 20.0) * _GRID).astype(np.int64)
    x, y = np.divmod(np.unique(x * 100_000 + y + 50_000), 100_000)
    return np.column_stack([x, y - 50_000]) / _GRID


def _below(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples of the area under the uppermost points."""
    x, column = np.unique(points[:, 0], return_inverse=True)
    top = np.full(len(x), -np.inf)
    np.maximum.at(top, column, points[:, 1])
    depth = np.linspace(0.0, 1.0, 12)
    return np.column_stack([np.repeat(x, len(depth)), np.outer(top, depth).ravel()])


def data_points(ax: Axes) -> NDArray[np.float64]:
    """(n, 2) samples of every visible artist that is not a guide, in fractions of the axes.

    A filled patch also covers what is below its outline.
    """
    samples: list[NDArray[np.float64]] = []
    for artist in (*ax.lines, *ax.patches, *ax.collections):
        if not artist.get_visible() or artist.get_gid() == GUIDE:
            continue
        for vertices, covers in _paths(artist):
            pixels = np.asarray(vertices, dtype=float)
            pixels = pixels[np.isfinite(pixels).all(axis=1)]
            if not len(pixels):
                continue
            points = ax.transAxes.inverted().transform(_densify(pixels))
            points = _distinct(points[(points[:, 0] > -0.01) & (points[:, 0] < 1.01)])
            samples += [points, _below(points)] if covers else [points]
    return _distinct(np.concatenate(samples)) if samples else np.empty((0, 2))


def _box(ax: Axes, artist: Artist) -> Bbox:
    extent: Bbox = artist.get_window_extent()
    return extent.transformed(ax.transAxes.inverted())


def _texts(ax: Axes) -> list[Bbox]:
    """The boxes of the texts inside the axes, which a legend must spare."""
    boxes = [_box(ax, text) for text in ax.texts if text.get_visible() and text.get_text()]
    return [box for box in boxes if box.y0 < 1.0 and box.y1 > 0.0 and box.x0 < 1.0]


def _overlaps(box: Bbox, others: list[Bbox]) -> bool:
    return any(
        box.x0 < other.x1 + _GAP
        and box.x1 > other.x0 - _GAP
        and box.y0 < other.y1 + _GAP
        and box.y1 > other.y0 - _GAP
        for other in others
    )


def _growth(points: NDArray[np.float64], boxes: list[Bbox]) -> float:
    """How much longer the y axis must be for the data to end below every box."""
    factor = 1.0
    for box in boxes:
        inside = (points[:, 0] > box.x0 - _GAP) & (points[:, 0] < box.x1 + _GAP)
        if inside.any():
            factor = max(factor, float(points[inside, 1].max()) / max(box.y0 - _GAP, 0.05))
    return factor


def _is_free(points: NDArray[np.float64], box: Bbox) -> bool:
    low, high = np.array(box.min) - _GAP, np.array(box.max) + _GAP
    return not ((points > low) & (points < high)).all(axis=1).any()


def _raise(ax: Axes, factor: float) -> bool:
    """Multiply the length of the y axis, in the scale's own coordinate, keeping its bottom."""
    if factor < 1.0 + 4 / _GRID:  # within the grid's rounding, and far less than the gap
        return False
    transform = ax.yaxis.get_transform()
    bottom, top = ax.get_ylim()
    low, high = transform.transform(np.array([bottom, top]))
    new = transform.inverted().transform(np.array([low + factor * (high - low)]))[0]
    ax.set_ylim(bottom, float(new))
    return True


def _font_points(key: Any) -> float:
    value = rcParams[key]
    return float(FontProperties(size=rcParams["font.size"] if value is None else value).get_size())


def _legend(ax: Axes, columns: int, title: str | None, size: float = 1.0) -> Legend:
    handles, names = ax.get_legend_handles_labels()
    # Points with error bars are containers and come first: data head a legend.
    order = sorted(range(len(handles)), key=lambda i: not isinstance(handles[i], Container))
    legend = ax.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.0,
        ncols=columns,
        title=title or None,
        alignment="left",
        fontsize=size * _font_points("legend.fontsize"),
        title_fontsize=size * _font_points("legend.title_fontsize"),
    )
    legend.set_in_layout(False)
    return legend


@dataclass(frozen=True)
class _Place:
    """Where a legend may stand, how it is set, and by how much the axis must grow for it."""

    cost: float
    growth: float
    left: float
    top: float
    columns: int
    size: float


def _places(
    ax: Axes, points: NDArray[np.float64], texts: list[Bbox], title: str | None, size: float
) -> Iterator[_Place]:
    """Places of a legend in one to three columns, at the top and where there is a gap."""
    fixed = _growth(points, texts)
    lowered = points / [1.0, fixed]
    for columns in (1, 2, 3):
        given = _box(ax, _legend(ax, columns, title, size))
        width, height = given.width, given.height
        if width > 1.0 - 2 * _GAP or height > 0.8:
            continue
        for place, left in enumerate((1.0 - _GAP - width, _GAP, 0.5 - width / 2)):
            extra = 0.04 * (columns - 1) + 0.03 * place
            for top in [1.0 - _GAP, *(text.y0 - _GAP for text in texts)]:
                box = Bbox.from_bounds(left, top - height, width, height)
                clear = Bbox.from_bounds(left, top - height, width, height - 1e-3)
                if top - height > 0.1 and not _overlaps(clear, texts):
                    growth = _growth(points, [box, *texts])
                    cost = growth + extra + 0.3 * (1 - top)
                    yield _Place(cost, growth, left, top, columns, size)
                    break
            for top in np.arange(height + _GAP, 0.9, 0.05):
                box = Bbox.from_bounds(left, top - height, width, height)
                if not _overlaps(box, texts) and _is_free(lowered, box):
                    yield _Place(fixed + extra + 0.1, fixed, left, float(top), columns, size)
                    break


def settle(ax: Axes, title: str | None = None) -> bool:
    """Draw the legend of an axes off its data, raising the y axis as far as that needs.

    Call it last: limits, scales and texts must stand. It may be called again after more texts were
    added; what was raised before stays. Without labelled artists only the texts are kept free.

    Returns:
        Whether the y axis was raised.
    """
    old = ax.get_legend()
    if title is None and old is not None:
        title = old.get_title().get_text()
    points, texts = data_points(ax), _texts(ax)
    if not ax.get_legend_handles_labels()[0]:
        return _raise(ax, _growth(points, texts))
    allowed = max(_allowed(ax), _growth(points, texts))
    least: tuple[float, _Place] | None = None  # of all sizes, where nothing is within the bounds
    for size in _SMALLER:
        places = list(_places(ax, points, texts, title, size))
        fitting = [place for place in places if place.growth <= allowed]
        if fitting:
            return _put(ax, title, min(fitting, key=lambda place: place.cost))
        for place in places:
            if least is None or place.growth < least[0]:
                least = place.growth, place
    if least is None:  # nothing fits inside: beside the axes, where it hides nothing
        _legend(ax, 1, title).set_bbox_to_anchor((1.02, 1.0), transform=ax.transAxes)
        return False
    return _put(ax, title, least[1])


def _put(ax: Axes, title: str | None, place: _Place) -> bool:
    legend = _legend(ax, place.columns, title, place.size)
    legend.set_bbox_to_anchor((place.left, place.top), transform=ax.transAxes)
    return _raise(ax, min(place.growth, _LARGEST))
