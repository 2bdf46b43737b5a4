"""The plan of a conversion: of tables or of images, with label and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...config import ConversionConfig, ConvertConfig
from ..hdf5 import IDENTITY
from ..pipeline.blocks import BlockReader
from .columns import looks_like
from .features import with_objects
from .images import (
    detector_truth,
    is_identity,
    is_plane,
    is_segment,
    plan_images,
)
from .input_samples import Input, Skips, common
from .labels import class_names, distinct_labels, find_label
from .plan import ImagePlan, Plan, make_plan

if TYPE_CHECKING:
    from ..conversion_record import EarlierConversion

SEGMENTS = tuple(f"segment {number}" for number in range(11))
_PLANES = (67, 68, 173, 174)  # plane codes of the two sizes, without and with "no plane"


def plan_conversion(
    inputs: Sequence[Input],
    config: ConversionConfig,
    earlier: EarlierConversion | None,
    read: BlockReader,
    skips: Skips,
) -> Plan:
    """Choose columns, images, label and classes.

    Args:
        inputs: the samples.
        config: the configuration.
        earlier: the tensor file that new data are to fit, if any.
        read: reads what has to be looked at.
        skips: what to do with a file that does not fit the others.

    Raises:
        ConfigError: settings that do not fit the files.
        ReadError: a file that does not fit the others.
    """
    config = with_objects(inputs, config)
    images = None if config.convert.objects else plan_images(inputs, config, skips)
    if images is not None:
        return _of_images(inputs, config, images, read, skips, earlier)
    if earlier is not None:
        return replace(make_plan(inputs, config, earlier.label, skips), classes=earlier.classes)
    label = find_label(inputs, config.convert, read, skips)
    plan = make_plan(inputs, config, label, skips)
    return replace(plan, classes=class_names(plan.samples, config.convert, read, skips))


def _of_images(
    inputs: Sequence[Input],
    config: ConversionConfig,
    images: ImagePlan,
    read: BlockReader,
    skips: Skips,
    earlier: EarlierConversion | None,
) -> Plan:
    """Choose label, event id and spectators of events with images, where the user does not."""
    # the label is the segment of the vertex, as it is stored or as the plane code gives it;
    # spectators are all other scalars of MC, of which data keep those that tell no vertex
    label = _label(inputs, config.convert, read, skips)
    event_id, scalars = config.convert.event_id, common(inputs).values()
    if not event_id and set(IDENTITY) <= {branch.name for branch in scalars if branch.scalar}:
        event_id = list(IDENTITY)
    convert = config.convert.model_copy(update={"event_id": event_id, "images": images.settings})
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

    if earlier is not None:
        return replace(planned(earlier.label), classes=earlier.classes)
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


def _spectators(inputs: Sequence[Input], convert: ConvertConfig, label: str | None) -> list[str]:
    taken = {convert.weight, convert.data_weight, label, *(convert.event_id or ())}
    taken |= {*convert.weights.values(), *(f.name for f in convert.feature_configs() or ())}
    mc = [entry for entry in inputs if entry.domain == "mc"] or list(inputs)
    branches = common(mc).values()
    counters = {b.counter for b in branches if b.counter == f"n{b.name}"}  # uproot writes these
    return [
        branch.name
        for branch in branches
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
