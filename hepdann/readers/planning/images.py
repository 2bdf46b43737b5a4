"""Images of a conversion: which datasets or branches hold them, their size and channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from ...config import ConversionConfig, ImagesConfig
from ...errors import ConfigError, ReadError
from ...tensors import Transform, View
from ..hdf5 import CHANNELS, image_name
from ..pipeline.hits import ChannelPlace, read_hits
from ..prescan import FileScan
from .input_samples import Input, Skips
from .plan import ImagePlan

VIEWS = ("x", "u", "v")
_IDENTITY = frozenset({"eventids", "eventid", "run", "subrun", "gate", "slice"})
_SEGMENT = frozenset({"segment", "segments"})
_PLANE = frozenset({"planecode", "planecodes"})
_VERTEX = frozenset({"z", "zs", "vtxz", "vertexz", "mcvtxz", "truthvtxz", "targetcode", "plane"})
SIZES = ((127, 50, 25), (127, 94, 47))
_SNIFFED = 2000  # entries that decide which of the two sizes the hits need


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1].replace("_", "").replace("-", "").lower()


def is_identity(name: str) -> bool:
    """Whether a dataset or branch is a part of the event id."""
    return _plain(name) in _IDENTITY


def is_segment(name: str) -> bool:
    """Whether it is the segment of the vertex."""
    return _plain(name) in _SEGMENT


def is_plane(name: str) -> bool:
    """Whether it is the plane code of the vertex."""
    return _plain(name) in _PLANE


def detector_truth(names: Sequence[str]) -> tuple[str, ...]:
    """Those that tell the true vertex, of which a detector knows nothing."""
    return tuple(n for n in names if _plain(n) in _SEGMENT | _PLANE | _VERTEX)


def has_images(file: FileScan, settings: ImagesConfig) -> bool:
    """Whether a file holds images, or hits to make them of."""
    if file.kind == "HDF5":
        return any(image_name(name) for name in file.branches) or bool(settings.datasets)
    return hit_branches(file, settings) is not None


def hit_branches(file: FileScan, settings: ImagesConfig) -> dict[str, str] | None:
    """The jagged branches of hits, by what they say; ``None`` if there is no full set.

    Those of ``energy`` and ``time`` may be absent; in place of ``plane`` there may be ``module``.
    """
    named = dict(settings.hits)
    found = {
        part: name
        for part, name in named.items()
        if name in file.branches and file.branches[name].element is not None
    }
    complete = {"view", "strip"} <= set(found) and ("plane" in found or "module" in found)
    return found if complete and set(found) & set(CHANNELS) else None


def find_pixels(file: FileScan, settings: ImagesConfig) -> dict[str, dict[str, ChannelPlace]]:
    """View to channel to its place in an HDF5 file, for every channel that is there.

    Raises:
        ReadError: a dataset is not of the shape of images.
        ConfigError: ``convert.images.datasets`` names one that does not exist.
    """
    candidates: list[tuple[str, str, tuple[str, ...], bool]] = []
    if settings.datasets:
        for key, name in settings.datasets.items():
            if name not in file.branches:
                raise ConfigError(
                    f"{file.path} has no dataset '{name}'",
                    where=f"convert.images.datasets.{key}",
                    mend="hepdann inspect lists them",
                )
            candidates.append((key, name, CHANNELS, True))
    else:
        candidates = [
            (known[0], name, known[1], known[2])
            for name in file.branches
            if (known := image_name(name)) is not None
        ]
    pixels: dict[str, dict[str, ChannelPlace]] = {}
    for view, name, channels, both in sorted(candidates, key=lambda entry: entry[3]):
        depth, height, width = _shape(file, name)
        if depth > len(channels):
            raise ReadError(
                f"has {depth} channels, expected {' and '.join(channels)} at most",
                where=f"{file.path}:{name}",
            )
        for index, channel in enumerate(channels[:depth]):
            # a dataset of both channels comes last, and goes before those of one
            if both or channel not in pixels.get(view, {}):
                pixels.setdefault(view, {})[channel] = ChannelPlace(name, index, height, width)
    return pixels


def _shape(file: FileScan, name: str) -> tuple[int, int, int]:
    shape = file.branches[name].shape
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or min(shape) < 1 or file.branches[name].reason != "is an image":
        raise ReadError(
            f"is of shape (N{''.join(f', {n}' for n in shape)}), no images: expected "
            "(N, channels, strips, planes)",
            where=f"{file.path}:{name}",
        )
    return shape[0], shape[1], shape[2]


def plan_images(
    inputs: Sequence[Input], config: ConversionConfig, skips: Skips
) -> ImagePlan | None:
    """Whether the files hold images, and which of them are taken.

    Files of HDF5 are taken for images, and so are trees with branches of hits, unless features are
    named and ``convert.images`` is not.

    Args:
        inputs: the samples.
        config: the configuration.
        skips: what to do with a file that does not fit the first one.

    Returns:
        The plan, or ``None`` where tables are converted.

    Raises:
        ConfigError: settings that do not fit the files.
        ReadError: a file without images, or with images of another size.
    """
    convert = config.convert
    first = inputs[0].files[0]
    settings = convert.images or ImagesConfig.model_construct()
    if not has_images(first, settings):
        if convert.images is None and first.kind != "HDF5":
            return None
        raise ReadError(
            "holds no images that are known: " + (", ".join(list(first.branches)[:8]) or "nothing"),
            where=f"{first.path}:{first.tree}",
            mend="name them in convert.images (datasets, or hits)",
        )
    if convert.images is None and convert.features is not None and first.kind != "HDF5":
        return None
    plan = _of_hits(first, settings) if first.kind != "HDF5" else _of_pixels(first, settings)
    for entry in inputs:
        for file in entry.files:
            with skips.using(entry, file):
                _check_file(file, plan)
    for entry in inputs:
        skips.require(entry)
    return plan


def _check_file(file: FileScan, plan: ImagePlan) -> None:
    """Whether the images of the plan can be made of a file."""
    where = f"{file.path}:{file.tree}"
    channels = plan.views[0].channel_names
    if not has_images(file, plan.settings):
        raise ReadError("holds no images", where=where, mend="remove the file")
    if file.kind != "HDF5":
        branches = hit_branches(file, plan.settings) or {}
        lacks = [c for c in channels if c not in branches]
        if lacks:
            name = plan.settings.hits.model_dump()[lacks[0]]
            raise ReadError(f"branch '{name}' is missing here", where=where)
        return
    pixels = find_pixels(file, plan.settings)
    for view in plan.views:
        for channel in channels:
            place = pixels.get(view.name, {}).get(channel)
            if place is None:
                raise ReadError(
                    f"has no {channel} of view {view.name}",
                    where=where,
                    mend="choose what every file has (convert.images.channels)",
                )
            if place.height < view.height or place.width < view.width:
                raise ReadError(
                    f"images are {place.height}×{place.width}, expected {view.height}×{view.width}",
                    where=f"{file.path}:{place.dataset}",
                    mend="remove the file, or set convert.images.size to what fits into all",
                )


def _of_pixels(file: FileScan, settings: ImagesConfig) -> ImagePlan:
    pixels = find_pixels(file, settings)
    available = [c for c in CHANNELS if all(c in channels for channels in pixels.values())]
    channels = _channels(file, settings, available)
    sizes = {}
    for view in VIEWS:
        if view not in pixels:
            continue
        shapes = {(p.height, p.width) for name, p in pixels[view].items() if name in channels}
        if len(shapes) > 1:
            raise ReadError(
                f"channels of view {view} are of the sizes {sorted(shapes)}", where=file.path
            )
        height, width = shapes.pop()
        if settings.size is not None:
            height, width = settings.size[0], settings.size[1 if view == "x" else 2]
        sizes[view] = (height, width)
    return _composed(settings, channels, sizes)


def _of_hits(file: FileScan, settings: ImagesConfig) -> ImagePlan:
    branches = hit_branches(file, settings) or {}
    channels = _channels(file, settings, [c for c in CHANNELS if c in branches])
    height, wide, narrow = settings.size or _size_of_hits(file, branches)
    sizes = dict(zip(VIEWS, ((height, wide), (height, narrow), (height, narrow)), strict=True))
    return _composed(settings, channels, {n: size for n, size in sizes.items() if size[1]})


def _channels(file: FileScan, settings: ImagesConfig, available: Sequence[str]) -> list[str]:
    wanted = list(settings.channels or available)
    absent = [channel for channel in wanted if channel not in available]
    if absent or not wanted:
        raise ConfigError(
            f"{file.path} has no {absent[0] if absent else 'channel'} in every view",
            where="convert.images.channels",
            mend=f"it has {' and '.join(available) or 'none'}",
        )
    return wanted


def _size_of_hits(file: FileScan, branches: dict[str, str]) -> tuple[int, int, int]:
    """The smaller of the two known sizes that takes the first hits of a file, or the larger."""
    small, large = SIZES
    largest = np.zeros(len(VIEWS), np.int64)
    for _, hits in islice(read_hits(file, (), _SNIFFED, branches, ()), 1):
        inside = (hits.view >= 0) & (hits.view < len(VIEWS))
        np.maximum.at(largest, hits.view[inside], hits.column[inside])
    fits = largest[0] < small[1] and largest[1:].max() < small[2]
    return small if fits else large


def _composed(
    settings: ImagesConfig, channels: Sequence[str], sizes: Mapping[str, tuple[int, int]]
) -> ImagePlan:
    """Compose it of names of channels and (height, width) of the views."""
    known = {"energy": settings.energy, "time": settings.time}
    asked = [known[name] for name in channels]
    transforms = tuple(Transform(one.clip, one.log, one.scale) for one in asked)
    views = tuple(
        View(name, len(channels), *sizes[name], tuple(channels), transforms)
        for name in VIEWS
        if name in sizes
    )
    height = max(size[0] for size in sizes.values())
    widths = [sizes[name][1] if name in sizes else 0 for name in VIEWS]
    size = (height, widths[0], max(widths[1:]))
    filled = settings.model_copy(update={"channels": list(channels), "size": size})
    return ImagePlan(views, filled)
