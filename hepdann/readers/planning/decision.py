"""What a conversion does, decided before an event is read: tables or images, label and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ...config import ConversionConfig, ConvertConfig, ImagesConfig
from ...errors import ConfigError, ReadError
from ...tensors import Transform, View
from ..datasets import CHANNELS, IDENTITY, image_name
from ..pipeline.blocks import BlockReader
from ..pipeline.hits import ChannelPlace, read_hits
from ..prescan import FileScan
from .columns import looks_like
from .features import with_objects
from .input_samples import Input, Skips, common
from .labels import class_names, distinct_labels, find_label
from .plan import ImagePlan, Plan, make_plan

if TYPE_CHECKING:
    from ..conversion_record import Like

SEGMENTS = tuple(f"segment {number}" for number in range(11))
_PLANES = (67, 68, 173, 174)  # plane codes of the two sizes, without and with "no plane"


def decide(
    inputs: Sequence[Input],
    config: ConversionConfig,
    model: Like | None,
    read: BlockReader,
    skips: Skips,
) -> Plan:
    """Choose columns, images, label and classes.

    Args:
        inputs: the samples.
        config: the configuration.
        model: the tensor file that new data are to fit, if any.
        read: reads what has to be looked at.
        skips: what to do with a file that does not fit the others.

    Raises:
        ConfigError: settings that do not fit the files.
        ReadError: a file that does not fit the others.
    """
    config = with_objects(inputs, config)
    images = None if config.convert.objects else plan_images(inputs, config, skips)
    if images is not None:
        return _of_images(inputs, config, images, read, skips, model)
    if model is not None:
        return replace(make_plan(inputs, config, model.label, skips), classes=model.classes)
    label = find_label(inputs, config.convert, read, skips)
    plan = make_plan(inputs, config, label, skips)
    return replace(plan, classes=class_names(plan.samples, config.convert, read, skips))


def _of_images(
    inputs: Sequence[Input],
    config: ConversionConfig,
    images: ImagePlan,
    read: BlockReader,
    skips: Skips,
    model: Like | None,
) -> Plan:
    """Choose label, event id and spectators of events with images, where the user does not."""
    # the label is the segment of the vertex, as it is stored or as the plane code gives it;
    # spectators are all other scalars of MC, of which data keep those that tell no vertex
    label = _label(inputs, config.convert, read, skips)
    convert = config.convert.model_copy(
        update={
            "event_id": config.convert.event_id or _identity(inputs),
            "images": images.settings,
        }
    )
    if not convert.spectators:
        convert = convert.model_copy(update={"spectators": _spectators(inputs, convert, label)})
    config = config.model_copy(update={"convert": convert})
    hidden = detector_truth(convert.spectators)

    # none is named, and that is meant: not the default, which is every scalar branch
    bare = convert.model_copy(update={"features": convert.features or []})
    without = config.model_copy(update={"convert": bare})

    def planned(label: str | None) -> Plan:
        plan = make_plan(inputs, without, label, skips, hidden=hidden)
        notes = (*plan.notes, *_notes(images, convert, hidden))
        return replace(plan, config=config, notes=notes, images=images, may_be_empty=True)

    if model is not None:
        return replace(planned(model.label), classes=model.classes)
    plan, classes = planned(label), convert.class_names
    fixed = label is not None and (is_segment(label) or label.startswith("segment("))
    if fixed and classes is None:
        classes = list(SEGMENTS)
    elif label is not None and is_plane(label) and classes is None:
        codes = distinct_labels(plan.samples, convert, read, skips)
        fixed, first = True, int(min(codes, default=1) > 0)
        if first:
            label = f"`{label}` - 1"
            plan = planned(label)
        high = max(codes, default=0) - first
        count = next((n for n in _PLANES if n > high), high + 1)
        classes = [f"plane {number}" for number in range(first, count + first)]
    if classes is not None:
        convert = convert.model_copy(update={"classes": list(classes)})
    names = class_names(plan.samples, convert, read, skips)
    return replace(plan, classes=names, may_be_empty=fixed)


def _label(
    inputs: Sequence[Input], convert: ConvertConfig, read: BlockReader, skips: Skips
) -> str | None:
    mc = [e for e in inputs if e.domain == "mc" and e.config.class_ is None]
    if not mc or convert.label is not None:
        return convert.label if mc else None
    scalars = [branch.name for branch in common(mc).values() if branch.scalar]
    for name in scalars:
        if is_segment(name):
            return name
    for name in scalars:
        if is_plane(name):
            return f"segment({name})" if name.isidentifier() else f"segment(`{name}`)"
    return find_label(inputs, convert, read, skips)


def _identity(inputs: Sequence[Input]) -> list[str] | None:
    scalars = {branch.name for branch in common(inputs).values() if branch.scalar}
    return list(IDENTITY) if set(IDENTITY) <= scalars else None


def _spectators(inputs: Sequence[Input], convert: ConvertConfig, label: str | None) -> list[str]:
    taken = {convert.weight, convert.data_weight, label, *(convert.event_id or ())}
    taken |= {*convert.weights.values(), *(f.name for f in convert.feature_configs() or ())}
    mc = [entry for entry in inputs if entry.domain == "mc"] or list(inputs)
    hits = hit_branches(inputs[0].files[0], convert.images) if convert.images else None
    counters = {f"n{name}" for name in (hits or {}).values()}  # uproot writes one for each
    return [
        branch.name
        for branch in common(mc).values()
        if branch.scalar
        and branch.name not in taken | counters
        and not is_identity(branch.name)
        and looks_like(branch.name) not in ("a weight", "an event id")
    ]


def _notes(images: ImagePlan, convert: ConvertConfig, hidden: Sequence[str]) -> list[str]:
    shapes = ", ".join(f"{v.name} {v.channels}×{v.height}×{v.width}" for v in images.views)
    channels = " and ".join(images.views[0].channel_names)
    notes = [f"images of {channels}: {shapes}"]
    if convert.event_id == list(IDENTITY):
        notes.append("events are identified by run, subrun, gate and slice")
    if hidden:
        notes.append(
            f"{', '.join(hidden)}: of MC alone; of a simulated target they are named with --truth"
        )
    return notes


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
