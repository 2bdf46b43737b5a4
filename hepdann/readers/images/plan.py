"""Which images a conversion makes, and out of what: decided once, checked against every file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...config import ImagesConfig
from ...errors import ConfigError, ReadError
from ...tensors import Transform, View
from ..prescan import FileScan
from .names import CHANNELS, VIEWS, image_name

SIZES = ((127, 50, 25), (127, 94, 47))


@dataclass(frozen=True)
class Pixels:
    """Where one channel of one view lies in an HDF5 file: in channel ``index`` of ``dataset``."""

    dataset: str
    index: int
    height: int
    width: int


@dataclass(frozen=True)
class ImagePlan:
    """The images of a conversion.

    Attributes:
        views: what the tensor file gets; all have the same channels.
        settings: with everything filled in, so that new data can be converted alike.
    """

    views: tuple[View, ...]
    settings: ImagesConfig

    @classmethod
    def make(
        cls, settings: ImagesConfig, channels: Sequence[str], sizes: Mapping[str, tuple[int, int]]
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
        return cls(views, filled)


def has_images(file: FileScan, settings: ImagesConfig) -> bool:
    """Whether a file holds images, or hits to make them of."""
    if file.kind == "HDF5":
        return any(image_name(name) for name in file.branches) or bool(settings.datasets)
    return hit_branches(file, settings) is not None


def hit_branches(file: FileScan, settings: ImagesConfig) -> dict[str, str] | None:
    """The jagged branches of hits, by what they say; ``None`` if there is no full set.

    Those of ``energy`` and ``time`` may be absent; in place of ``plane`` there may be ``module``.
    """
    named = settings.hits.model_dump()
    found = {
        part: name
        for part, name in named.items()
        if name in file.branches and "varies" in file.branches[name].reason
    }
    complete = {"view", "strip"} <= set(found) and ("plane" in found or "module" in found)
    return found if complete and set(found) & set(CHANNELS) else None


def find_pixels(file: FileScan, settings: ImagesConfig) -> dict[str, dict[str, Pixels]]:
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
    pixels: dict[str, dict[str, Pixels]] = {}
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
                pixels.setdefault(view, {})[channel] = Pixels(name, index, height, width)
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
