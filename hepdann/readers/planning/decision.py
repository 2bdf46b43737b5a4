"""What a conversion does, decided before an event is read: tables or images, label and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...config import ConversionConfig
from ..images import ImagePlan, plan_events, plan_images
from ..pipeline.blocks import BlockReader
from .bad_files import Skips
from .earlier_file import Like
from .input_samples import Input
from .labels import class_names, find_label
from .objects import with_objects
from .plan import Plan, make_plan


@dataclass(frozen=True)
class Decision:
    """A conversion that can begin.

    Attributes:
        plan: columns and samples.
        config: settings, with those that were found.
        label: of MC, which the truth of data has too.
        classes: names by label.
        images: what images are made; ``None`` of tables.
        may_be_empty: whether a class may be without events.
    """

    plan: Plan
    config: ConversionConfig
    label: str | None
    classes: tuple[str, ...]
    images: ImagePlan | None = None
    may_be_empty: bool = False


def decide(
    inputs: Sequence[Input],
    config: ConversionConfig,
    model: Like | None,
    read: BlockReader,
    skips: Skips,
) -> Decision:
    """Decide.

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
        events = plan_events(inputs, config, images, read, skips, model)
        label = events.plan.label if model is None else model.label
        return Decision(
            events.plan, events.config, label, events.classes, images, events.may_be_empty
        )
    if model is not None:
        plan = make_plan(inputs, config, model.label, skips)
        return Decision(plan, config, model.label, model.classes)
    label = find_label(inputs, config.convert, read, skips)
    plan = make_plan(inputs, config, label, skips)
    return Decision(plan, config, label, class_names(plan.samples, config.convert, read, skips))
