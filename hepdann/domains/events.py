"""Events of a training, scaled as the MC of its training split, and prepared from tensor files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SchemaError
from ..tensors import SPLITS, EventBlocks, EventImages, Objects, Source, Target, Tensors, fold_of

if TYPE_CHECKING:
    from ..shifts import FittedShift
    from .images import Images
    from .nuisances import Mixtures, Nuisances


@dataclass(frozen=True, eq=False)
class Scaling:
    """Impute, subtract the mean, divide by the standard deviation; per feature.

    Attributes:
        impute: (F,) what stands in for a missing value (NaN).
        mean: (F,) weighted mean of the MC training split.
        std: (F,) weighted standard deviation; 1 where the feature is constant.
    """

    impute: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, source: Source, impute: NDArray[np.float64]) -> Self:
        """Fit on the training split of ``source``, events weighted by ``|w|``."""
        train = source.part("train")
        x = np.where(np.isnan(train.features), impute, train.features.astype(np.float64))
        weight = np.abs(train.weight.astype(np.float64))
        if not weight.any():
            weight = np.ones_like(weight)
        mean = np.average(x, axis=0, weights=weight)
        std = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
        return cls(np.asarray(impute, np.float64), mean, np.where(std > 0, std, 1.0))

    def with_objects(self, objects: Objects, weight: NDArray[np.float32]) -> Self:
        """The scaling of the rows of events with objects: of the features, and fitted of objects.

        The events are training events of the source; their objects have their weight (N,).
        """
        flat = objects.features.shape[1]
        pieces = [self.table[:, :flat]]
        for part, one in zip(objects.parts, objects.collections, strict=True):
            weights = np.repeat(np.abs(weight.astype(np.float64)), part.counts)
            values = part.values.astype(np.float64)
            share = weights[:, None] * np.isfinite(values)
            total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
            values = np.nan_to_num(values)
            mean = (share * values).sum(axis=0) / total
            std = np.sqrt((share * np.square(values - mean)).sum(axis=0) / total)
            of_objects = mean, mean, np.where(std > 0, std, 1.0)
            tiled = [np.tile(column, one.most) for column in of_objects]
            count = np.array([[0.0], [0.0], [1.0]])  # is a number, and stays one
            pieces.append(np.concatenate([count, np.stack(tiled)], axis=1))
        return type(self)(*np.concatenate(pieces, axis=1))

    def objects(self, events: Objects) -> Objects:
        """Scale events with objects, of whose rows this is the scaling."""
        flat = events.features.shape[1]
        starts = accumulate((one.width for one in events.collections), initial=flat)
        parts = []
        for (start, _), part in zip(pairwise(starts), events.parts, strict=True):
            one = self.columns(start + 1, start + 1 + part.values.shape[1])
            parts.append(replace(part, values=one.apply(part.values)))
        features = self.columns(0, flat).apply(events.features)
        return Objects(features, tuple(parts), events.collections)

    def columns(self, start: int, stop: int) -> Self:
        """That of some columns."""
        return type(self)(*self.table[:, start:stop])

    def with_parameter(self) -> Scaling:
        """The same with a last column that stays as it is."""
        more = {"impute": 0.0, "mean": 0.0, "std": 1.0}
        return Scaling(**{name: np.append(vars(self)[name], end) for name, end in more.items()})

    def without_parameter(self) -> Scaling:
        """What :meth:`with_parameter` was made of."""
        return Scaling(**{name: column[:-1] for name, column in vars(self).items()})

    def apply(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Scale (N, F) features; the result has no missing values."""
        x = np.array(features, np.float64)
        np.copyto(x, self.impute, where=np.isnan(x))
        x -= self.mean
        x /= self.std
        return x.astype(np.float32)

    @property
    def table(self) -> NDArray[np.float64]:
        """(3, F) what stands in for missing values, mean and standard deviation."""
        return np.stack([self.impute, self.mean, self.std])

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, entry: dict[str, list[float]]) -> Self:
        """From :meth:`to_dict`."""
        return cls(**{name: np.asarray(value, np.float64) for name, value in entry.items()})


@dataclass(frozen=True, eq=False)
class Domains:
    """The events of a run.

    Attributes:
        target: unlabelled: data, or MC events that the source does not hold, shifted.
        rows: of the target's events in their domain of the file, where they are a part of it;
            ``None`` where they are all events, or all that become pseudo-data.
        tensors: description of the file that the source is from; of images with the figures that
            sum them up as features.
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
    kind = "data" if shift is None else "pseudo-data"
    return Domains(source, target, kind, shift, holder, rows, tensors, scaling, process, blocks)


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
