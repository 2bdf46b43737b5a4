"""Finds out what images the input files hold, and whether all of them hold the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from ...config import ConversionConfig, ImagesConfig
from ...errors import ConfigError, ReadError
from ..planning.bad_files import Skips
from ..planning.input_samples import Input
from ..prescan import FileScan
from .hits import read_hits
from .names import CHANNELS, VIEWS
from .plan import SIZES, ImagePlan, find_pixels, has_images, hit_branches

_SNIFFED = 2000  # entries that decide which of the two sizes the hits need


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
    settings = convert.images or ImagesConfig()
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
                check_file(file, plan)
    for entry in inputs:
        skips.require(entry)
    return plan


def check_file(file: FileScan, plan: ImagePlan) -> None:
    """Whether the images of the plan can be made of a file.

    Raises:
        ReadError: something is missing, or of another size.
    """
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
    return ImagePlan.make(settings, channels, sizes)


def _of_hits(file: FileScan, settings: ImagesConfig) -> ImagePlan:
    branches = hit_branches(file, settings) or {}
    channels = _channels(file, settings, [c for c in CHANNELS if c in branches])
    height, wide, narrow = settings.size or _size_of_hits(file, branches)
    sizes = dict(zip(VIEWS, ((height, wide), (height, narrow), (height, narrow)), strict=True))
    return ImagePlan.make(settings, channels, {n: size for n, size in sizes.items() if size[1]})


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
