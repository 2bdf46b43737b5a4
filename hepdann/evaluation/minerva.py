"""Events of MINERvA: pictures of their views with vertex and targets, and segments of a vertex."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..samples.minerva import Geometry, geometry, settings
from ..stats.figure import as_weight, weighted_mean
from ..stats.ranking import predicted
from ..tensors import Tensors
from .thresholds import EfficiencyProfile

ENERGY = "Energy [MeV]"
_QUANTITIES = {"energy": ENERGY, "time": "Time [ns]"}

Columns = Mapping[str, NDArray[Any]]

_PLANE = ("planecode", "planecodes")
_DEPTH = ("vtx_z", "zs")
_SEGMENT = ("segment", "segments")
_TRACK = ("track_z", "track_zs")
_NUMBERS = ("number", "run", "subrun", "gate", "slice")
_KINEMATICS = (("W", "W", "GeV"), ("E", r"E_\nu", "GeV"), ("Q2", "Q^2", "GeV$^2$"))


@dataclass(frozen=True, eq=False)
class EventPicture:
    """One event, view by view.

    Attributes:
        images: by view, (strips, planes) energies; 0 where there is no hit.
        title: which event, and what is known of it.
        quantity: what the pixels are, e.g. :data:`ENERGY`.
        vertex: by view, the column in which the neutrino struck; empty where that is not known.
        track: by view, the column of the vertex that tracking found; empty where there is none.
        targets: by view, the columns before which the passive targets stand; empty in images of a
            size that is not MINERvA's.
    """

    images: dict[str, NDArray[np.float32]]
    title: str
    quantity: str
    vertex: dict[str, float] = field(default_factory=dict)
    track: dict[str, float] = field(default_factory=dict)
    targets: dict[str, tuple[float, ...]] = field(default_factory=dict)


def tensor_pictures(tensors: Tensors, domain: str, n: int, start: int = 0) -> list[EventPicture]:
    """Pictures of n events of a tensor file, from ``start`` on; of data no truth is shown.

    Raises:
        SchemaError: no such domain, or no images.
    """
    rows = slice(start, min(start + n, tensors.rows(domain)))
    images = tensors.read_views(domain, rows)
    names = tensors.views[0].channel_names
    channel = names.index("energy") if "energy" in names else 0
    pixels = {view: image[:, channel] for view, image in images.items()}
    columns = {name: tensors.column(domain, name)[rows] for name in tensors.spectators}
    if domain == "mc":
        label = tensors.source().label[rows]
        columns["class"] = np.array(tensors.classes)[label]
    columns["number"] = np.arange(rows.start, rows.stop)
    name = names[channel] if names else "energy"
    quantity = _QUANTITIES.get(name, name)
    made = tensors.provenance.get("settings", {}).get("convert", {}).get("images") or {}
    transform = made.get(name, {})
    if transform.get("log") or transform.get("scale", 1.0) != 1.0:
        quantity = f"{name.capitalize()}, transformed"
    return event_pictures(pixels, columns, quantity=quantity, truth=domain == "mc")


def event_pictures(
    images: Mapping[str, NDArray[np.float32]],
    columns: Columns,
    *,
    quantity: str = ENERGY,
    truth: bool,
) -> list[EventPicture]:
    """Pictures of n events given as arrays.

    ``images`` are (n, strips, planes) pixels by view; ``columns`` what else is known of the events,
    under the names of the collaboration's files or of :func:`hepdann.samples.write_minerva`;
    ``truth`` shows the vertex, the segment and the kinematics.
    """
    detector = _detector(images)
    n = len(next(iter(images.values())))
    vertex = _depths(detector, columns) if truth else np.full(n, np.nan)
    track = _first(columns, _TRACK, n)
    targets = _targets(detector, images)
    return [
        EventPicture(
            images={view: image[row] for view, image in images.items()},
            title=_title(columns, row, truth),
            quantity=_QUANTITIES.get(quantity, quantity),
            vertex=_places(detector, images, vertex[row]),
            track=_places(detector, images, track[row]),
            targets=targets,
        )
        for row in range(n)
    ]


def _with_target(name: str) -> str:
    """Say which target a segment is: every other one, from segment 1, which is target 1."""
    word, _, number = name.partition(" ")
    if word == "segment" and number.isdigit() and int(number) % 2:
        return f"{name} (target {int(number) // 2 + 1})"
    return name


def _detector(images: Mapping[str, NDArray[np.float32]]) -> Geometry | None:
    """The detector whose images have this size."""
    widths = {view: image.shape[-1] for view, image in images.items()}
    for name, size in settings().geometry.images.items():
        known = {"x": size.modules, "u": size.modules // 2, "v": size.modules // 2}
        if widths and all(known.get(view) == width for view, width in widths.items()):
            return geometry(name)
    return None


def _first(columns: Columns, names: tuple[str, ...], n: int) -> NDArray[np.float64]:
    for name in names:
        if name in columns:
            return np.asarray(columns[name], dtype=np.float64).reshape(n)
    return np.full(n, np.nan)


def _depths(detector: Geometry | None, columns: Columns) -> NDArray[np.float64]:
    """True z of the vertices: as given, or the middle of the plane of their code."""
    n = len(next(iter(columns.values()))) if columns else 0
    z = _first(columns, _DEPTH, n)
    codes = _first(columns, _PLANE, n)
    if detector is None or np.isfinite(z).any() or not np.isfinite(codes).any():
        return z
    slabs = detector.slab_of_code()
    known = (codes >= 1) & (codes < len(slabs))
    slab = slabs[np.where(known, codes, 1).astype(np.int64)]
    middle = (detector.edges[slab] + detector.edges[slab + 1]) / 2
    return np.asarray(np.where(known, middle, np.nan))


def _places(
    detector: Geometry | None, images: Mapping[str, NDArray[np.float32]], z: float
) -> dict[str, float]:
    if detector is None or not np.isfinite(z):
        return {}
    return {view: detector.column_at(view, z) for view in images}


def _targets(
    detector: Geometry | None, images: Mapping[str, NDArray[np.float32]]
) -> dict[str, tuple[float, ...]]:
    if detector is None:
        return {}
    depths = [target.z for target in settings().geometry.targets]
    return {view: tuple(detector.column_at(view, z) for z in depths) for view in images}


def _title(columns: Columns, row: int, truth: bool) -> str:
    numbers = [f"{int(columns[name][row])}" for name in _NUMBERS if name in columns]
    parts = ["event " + "|".join(numbers)] if numbers else []
    if not truth:
        return ", ".join(parts)
    segments = [columns[name] for name in _SEGMENT if name in columns]
    if "class" in columns:
        parts.append(_with_target(str(columns["class"][row])))
    elif segments:
        parts.append(_with_target(f"segment {int(segments[0][row])}"))
    for name, symbol, unit in _KINEMATICS:
        if name in columns:
            parts.append(f"${symbol}$ = {float(columns[name][row]):.1f} {unit}")
    return ", ".join(parts)


# first and last plane code of each segment: five passive targets, and the planes between them
SEGMENT_PLANES = (
    (1, 8), (9, 9), (10, 17), (18, 18), (19, 26), (27, 27), (28, 43), (44, 44), (45, 48), (49, 49),
    (50, 173),
)  # fmt: skip
TARGETS = (1, 3, 5, 7, 9)  # segments that are passive targets, the signal of the experiment


def segment_profile(
    score: ArrayLike,
    label: ArrayLike,
    weight: ArrayLike | None,
    *,
    what: Literal["purity", "efficiency"],
) -> EfficiencyProfile:
    """Purity or efficiency of each class, with binomial errors, in bins centred on its index.

    Purity is the share of a class among the events given it that is truly of it; efficiency the
    share of a true class that is given it. The score is (N, C), or (N, C + 1) with "none of them".
    """
    given, label = predicted(score), np.asarray(label)
    w, classes = as_weight(weight, len(label)), int(np.max(label, initial=0)) + 1
    classes = max(classes, np.asarray(score).shape[1] - 1)  # without "none of them"
    figures = []
    for one in range(classes):
        rows = (given if what == "purity" else label) == one
        figures.append(weighted_mean((given == label)[rows].astype(np.float64), w[rows]))
    return EfficiencyProfile.of(np.arange(classes + 1, dtype=np.float64) - 0.5, figures)


def plane_residual(given: ArrayLike, plane: ArrayLike) -> NDArray[np.int64]:
    """(N,) how many planes lie between a segment, one of eleven, and the plane of the vertex.

    0 where the vertex lies in the segment, positive where the segment lies downstream.
    """
    first, last = np.array(SEGMENT_PLANES).T
    given, plane = np.asarray(given), np.asarray(plane, np.int64)
    below, above = first[given] - plane, plane - last[given]
    return np.asarray(np.where(below > 0, below, np.where(above > 0, -above, 0)), np.int64)


def residual_profile(
    residual: ArrayLike, weight: ArrayLike | None, most: int = 12
) -> EfficiencyProfile:
    """Share of the events at each residual from ``-most`` to ``most``; the ends hold all beyond."""
    clipped = np.clip(np.asarray(residual), -most, most)
    w = as_weight(weight, len(clipped))
    places = np.arange(-most, most + 1)
    figures = [weighted_mean((clipped == place).astype(np.float64), w) for place in places]
    return EfficiencyProfile.of(np.arange(-most, most + 2, dtype=np.float64) - 0.5, figures)
