"""Events of a training, scaled as the MC of its training split, and prepared from tensor files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..alignment import QuantileMap
from ..errors import ConfigError, SchemaError
from ..tensors import (
    SPLITS,
    EventBlocks,
    EventImages,
    Objects,
    Source,
    Target,
    Tensors,
    fold_of,
)
from .scaling import Scaling

if TYPE_CHECKING:
    from ..shifts import FittedShift
    from .images import Images
    from .nuisances import Mixtures, Nuisances


@dataclass(frozen=True, eq=False)
class Domains:
    """The events of a run.

    Attributes:
        target: unlabelled: data, or MC events that the source does not hold, shifted.
        rows: of the target's events in their domain of the file, where they are a part of it;
            ``None`` where they are all events, or all that become pseudo-data.
        tensors: description of the file that the source is from; of images with the figures that
            sum them up as features.
        quantile: target to source, fitted on the training splits.
        process: (N,) index of the process that each source event came from.
        images: of these events, or their objects, which networks see in place of the features;
            ``None`` without any.
    """

    source: Source
    target: Target
    kind: str
    shift: FittedShift | None
    holder: Tensors
    rows: NDArray[np.int64] | None
    tensors: Tensors
    scaling: Scaling
    quantile: QuantileMap
    process: NDArray[np.uint16]
    blocks: tuple[EventBlocks, EventBlocks] | None = None
    images: Images | None = None
    nuisances: Nuisances | None = None
    mixtures: Mixtures | None = None

    @property
    def n_train(self) -> int:
        """Training events of the source."""
        if self.blocks is not None:
            return self.blocks[0].n_train
        return len(self.source.part("train"))

    @property
    def objects(self) -> tuple[Objects, Objects] | None:
        """Those of source and target; ``None`` where events have none."""
        images = self.images
        if images is None or not isinstance(images.source, Objects):
            return None
        assert isinstance(images.target, Objects)
        return images.source, images.target

    def inputs(self, domain: str) -> NDArray[np.float32] | EventImages:
        """What networks see of the events of "source" or "target", row by row."""
        if self.images is not None:
            return self.images.source if domain == "source" else self.images.target
        return self.source.features if domain == "source" else self.target.features


def fit_domains(
    tensors: Tensors,
    source: Source,
    target: Target,
    shift: FittedShift | None,
    holder: Tensors,
    rows: NDArray[np.int64] | None,
    process: NDArray[np.uint16],
    blocks: tuple[EventBlocks, EventBlocks] | None = None,
) -> Domains:
    """Fit what is fitted before a training; the arguments are the attributes of the result.

    Raises:
        SchemaError: a split of source or target is empty.
        ConfigError: a class has no training event.
    """
    _refuse_empty(source, target, tensors)
    scaling = Scaling.fit(source, tensors.impute)
    quantile = QuantileMap.fit(target.part("train"), source.part("train"))
    kind = "data" if shift is None else "pseudo-data"
    return Domains(
        source, target, kind, shift, holder, rows, tensors, scaling, quantile, process, blocks
    )


def data_holder(tensors: Tensors, data: Tensors | None) -> Tensors:
    """The file that holds the data.

    Raises:
        SchemaError: it holds none, or has other features.
    """
    holder = tensors if data is None else data
    if not holder.has_data:
        raise SchemaError(
            "holds no data domain",
            where=holder.path,
            mend="name a shift to train on pseudo-data (--shift sine --t 3), or convert with data",
        )
    tensors.check_features(holder)
    return holder


def _refuse_empty(source: Source, target: Target, tensors: Tensors) -> None:
    for name, events in (("MC", source), ("target", target)):
        for split in ("train", "validation", "test"):
            if not len(events.part(split)):
                raise SchemaError(
                    f"the {split} split of the {name} is empty",
                    where=tensors.path,
                    mend="convert more events",
                )
    if len(source.classes) < 2:
        raise SchemaError(
            "holds one class of MC, and there is nothing to distinguish",
            where=tensors.path,
            mend="convert signal and background into one file",
        )
    train = source.part("train")
    present = np.bincount(train.label, minlength=len(source.classes))
    absent = [name for name, n in zip(source.classes, present, strict=False) if not n]
    if absent:
        raise ConfigError(
            f"no training event of class {', '.join(absent)}",
            where=tensors.path,
            mend="convert more events, or leave the class out",
        )


def in_folds(domains: Domains, folds: int) -> tuple[Domains, ...]:
    """The events of each fold, the same ones in the same order.

    The part that a fold does not see is its test split. The events of the validation split that
    are left are validated on, and all others trained on.

    Raises:
        SchemaError: a split of a fold is empty.
        ConfigError: a class has no training event in a fold.
    """
    return tuple(_fold(domains, number, folds) for number in range(folds))


def _fold(domains: Domains, number: int, folds: int) -> Domains:
    salt = domains.tensors.split_config.seed
    sides = domains.source, domains.target
    train, validation, test = range(len(SPLITS))
    splits = [np.where(events.split == validation, validation, train) for events in sides]
    held_out = [fold_of(events.event_id, folds, salt) == number for events in sides]
    source, target = (
        replace(events, split=np.where(out, test, split).astype(np.uint8))
        for events, out, split in zip(sides, held_out, splits, strict=True)
    )
    assert isinstance(source, Source)
    tensors = replace(domains.tensors, impute=_impute(domains.tensors, source.part("train")))
    fold = fit_domains(
        tensors, source, target, domains.shift, domains.holder, domains.rows, domains.process
    )
    nuisances = None if domains.nuisances is None else domains.nuisances.refitted(source)
    images = domains.images
    if images is not None and isinstance(images.source, Objects):
        chosen = source.split == train
        events = images.source.take(chosen)
        images = replace(images, scaling=fold.scaling.with_objects(events, source.weight[chosen]))
    return replace(fold, nuisances=nuisances, mixtures=domains.mixtures, images=images)


def _impute(tensors: Tensors, train: Source) -> NDArray[np.float64]:
    """(F,) stand-ins for missing values; those that are means over these training events alone."""
    values = tensors.impute.copy()
    for column, entry in enumerate(tensors.feature_info):
        x = train.features[:, column].astype(np.float64)
        known = np.isfinite(x)
        if entry.get("impute", "mean") == "mean" and known.any():
            values[column] = x[known].mean()
    return values
