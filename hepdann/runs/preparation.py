"""The events and settings of a run, for features and images, in memory and in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import shifts
from ..config import TrainConfig
from ..errors import ConfigError
from ..tensors import Tensors
from .domains import Domains, prepare
from .image_domains import choose_image_memory, image_settings, prepare_images
from .memory import choose_memory, prepare_blocks
from .stack_plan import resolve

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

__all__ = ["prepare_training", "shift_of"]


def prepare_training(
    asked: TrainConfig,
    tensors: Tensors,
    data: Tensors | None,
    shift: Shift | Composition | None = None,
) -> tuple[Domains, Tensors, TrainConfig]:
    """Take source and target out of the tensor files, and settle what was left to hepdann.

    Args:
        asked: settings as the user gave them, or as they were settled before.
        tensors: holds the MC.
        data: holds the data, if not ``tensors`` itself.
        shift: makes pseudo-data; by default that of the settings, and without one the target is
            the data domain.

    Returns:
        The events; ``tensors``, of images with figures of them as features; and the settings.

    Raises:
        HepdannError: the input does not allow the training.
    """
    shift = shift_of(asked) if shift is None else shift
    where = (asked.memory, tensors, data, asked.members)
    if tensors.views:
        memory = choose_image_memory(*where)
        asked = image_settings(asked, tensors.views)
        domains, tensors = prepare_images(tensors, data, shift, asked.seed, memory)
    elif asked.augment is not None:
        raise ConfigError(
            "moves the hits of images, and these events are features",
            where="train.augment",
            mend="leave it out",
        )
    else:
        memory = choose_memory(*where, asked.workers)
        take = prepare_blocks if memory == "blocks" else prepare
        domains = take(tensors, data, shift, asked.seed)
    train = resolve(asked, domains.n_train)
    return domains, tensors, train.model_copy(update={"memory": memory})


def shift_of(train: TrainConfig) -> Shift | Composition | None:
    """The shift that the settings name, if they name one."""
    named = train.shift
    return None if named is None else shifts.get(named.name, named.t, quantile=named.quantile)
