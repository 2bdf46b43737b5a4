"""The events and settings of a training, for features and images, in memory and in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import alignment, methods, shifts
from ..config import ShiftConfig, TrainConfig
from ..domains import (
    Augment,
    Domains,
    Jitter,
    Wanted,
    choose_memory,
    in_folds,
    prepare,
    view_shapes,
)
from ..errors import ConfigError, refuse_first
from ..methods import calibration_of, method_of
from ..networks import PICTURES, SMALL
from ..registry import PARAMETRISED
from ..tensors import Tensors, View
from .maps import calibrated_on
from .stacks.plan import resolve_auto

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

_DEFAULT = ("sine-third", "sine-fifth", "sine")  # the first two that are not the target's own


def prepare_training(
    asked: TrainConfig,
    tensors: Tensors,
    data: Tensors | None,
    shift: Shift | Composition | None = None,
) -> tuple[Domains, TrainConfig]:
    """Take source and target out of the tensor files, and settle what was left to hepdann.

    The settings are as the user gave them, or as they were settled before. A shift makes
    pseudo-data, by default that of the settings; without one the target is the data.

    Raises:
        HepdannError: the input does not allow the training.
    """
    named = asked.shift
    if shift is None and named is not None:
        shift = shifts.get(named.name, named.t, quantile=named.quantile)
    memory = choose_memory(asked.memory, tensors, data, asked.members, asked.shares)
    if not tensors.tabular:
        asked = image_settings(asked, tensors)
    refuse_first(
        (memory == "blocks" and tensors.objects and calibrated_on(asked),
         "maps all objects, and they are to be read in blocks", "train.methods",
         "train on a machine with more memory (--memory resident), or take dann"),
        (asked.augment is not None and not tensors.views,
         f"moves the hits of images, and these events are {_kind(tensors)}", "train.augment",
         "leave it out"),
        (asked.folds is not None and memory == "blocks",
         "needs all events in memory, and they are to be read in blocks", "train.folds",
         "train on a machine with more memory (--memory resident), or without folds"),
    )  # fmt: skip
    mixtures = asked.mixtures or ()
    wanted = Wanted(
        tuple(asked.nuisance or ()),
        tuple(asked.nuisance_classes or ()),
        tuple(mixture.cut for mixture in mixtures),
        tuple(mixture.fraction for mixture in mixtures),
        asked.check_mixtures,
    )
    domains = prepare(tensors, data, shift, asked.seed, memory, wanted)
    train = resolve_auto(asked, min(fold.n_train for fold in fold_domains(asked, domains)))
    return domains, train.model_copy(update={"memory": memory})


def _kind(tensors: Tensors) -> str:
    """What networks see of the events of a file."""
    if tensors.tabular:
        return "features"
    return "images" if tensors.views else "objects"


def fold_domains(train: TrainConfig, domains: Domains) -> tuple[Domains, ...]:
    """The events of each fold of a training; without folds those of the run alone."""
    return (domains,) if train.folds is None else in_folds(domains, train.folds)


def augment_of(train: TrainConfig, views: Sequence[View]) -> Augment | Jitter | None:
    """What is done to each image that is trained on, if anything.

    Raises:
        ConfigError: images of such views cannot be moved.
    """
    asked = train.augment
    if asked is None or not (asked.rotate or asked.shift or asked.turn or asked.zoom):
        return None
    pictures = any(view.pictures for view in views)
    refuse_first(
        (pictures and asked.rotate,
         "turns the hits of a detector about its beam, and these events are pictures",
         "train.augment.rotate", "take turn: 180"),
        (not pictures and bool(asked.turn or asked.zoom),
         "turns and scales pictures, and these events are the hits of a detector",
         "train.augment", "take rotate and shift"),
    )  # fmt: skip
    if pictures:
        return Jitter(views[0].shape, asked.shift, asked.turn, asked.zoom)
    return Augment(view_shapes(views), asked.rotate, asked.shift)


def image_settings(train: TrainConfig, tensors: Tensors) -> TrainConfig:
    """Settings of a training on images or objects, where the user left them open.

    Raises:
        ConfigError: a method or an alignment that such events do not allow, or augmentation that
            such views do not allow.
    """
    views, kind = tensors.views, _kind(tensors)
    usual = "deepsets"
    if views:
        augment_of(train, views)
        usual = PICTURES if views[0].pictures else SMALL
    usable = [] if views else [n for n in train.alignments if alignment.get(n).by_feature]
    wanted = [] if train.alignments == TrainConfig().alignments else train.alignments
    before = [(method_of(name)[0], "train.methods") for name in train.methods]
    for name, where in [*before, *((name, "train.alignments") for name in wanted)]:
        if name and (views or not alignment.get(name).by_feature):
            what = f"{name} maps the features of an event together, and these events are {kind}"
            mend = f"leave it out: dann adapts {kind}" if views else "take quantile or moments"
            raise ConfigError(what, where=where, mend=mend)
    for name in train.methods:
        method, calibration = methods.get(method_of(name)[1]), calibration_of(name)
        aware = calibration == PARAMETRISED or (views and calibration)
        if method.auxiliary or method.taught or aware:
            what = f"{name} needs maps or shifts of features, and these events are {kind}"
            raise ConfigError(what, where="train.methods", mend="take dann")
    return train.model_copy(update={"network": train.network or usual, "alignments": usable})


def auxiliary_shifts(train: TrainConfig) -> list[ShiftConfig]:
    """The shifts of the copies that a training needs; none unless it has a hybrid method.

    Returns:
        Those that are named, or ``sine-third`` and ``sine-fifth`` at the target's t, of
        several the smallest.

    Raises:
        ConfigError: none is named and the target is data; or the target's own shift is among them.
    """
    hybrids = [name for name in train.methods if methods.get(method_of(name)[1]).auxiliary]
    if not hybrids:
        return []
    target_shift, named = train.shift, train.auxiliary_shifts
    if named is not None:
        if target_shift is not None and _key(target_shift) in map(_key, named):
            raise ConfigError(
                f"{target_shift.name} is the shift of the target itself; copies of the MC under it "
                "would show the networks its answer",
                where="train.auxiliary_shifts",
                mend="name other shifts",
            )
        return named
    if target_shift is None:
        raise ConfigError(
            f"{hybrids[0]} trains on copies of the MC under other shifts; data do not say which",
            where="train.auxiliary_shifts",
            mend="name some, for example --auxiliary sine-third:3",
        )
    names = [name for name in _DEFAULT if name != target_shift.name][:2]
    t, quantile = target_shift.t, target_shift.quantile
    t = t if isinstance(t, float) else min(t)
    quantile = quantile if isinstance(quantile, float) else max(quantile)
    return [ShiftConfig(name=name, t=t, quantile=quantile) for name in names]


def with_auxiliaries(train: TrainConfig) -> TrainConfig:
    """The settings with the shifts of the copies written out; see :func:`auxiliary_shifts`."""
    wanted = auxiliary_shifts(train)
    return train.model_copy(update={"auxiliary_shifts": wanted}) if wanted else train


def _key(shift: ShiftConfig) -> tuple[str, ...]:
    return tuple(sorted(part.strip() for part in shift.name.split("+")))
