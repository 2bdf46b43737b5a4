"""Columns that methods need besides the features: nuisances of the MC, mixtures of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..expressions import parse
from ..tensors import Source, Tensors, is_pseudo

if TYPE_CHECKING:
    from .events import Domains

_CATEGORIES = 20  # whole numbers of at most so many values are categories


@dataclass(frozen=True)
class Wanted:
    """Columns that the methods of a run need besides the features.

    Attributes:
        fractions: of the last class in each of these, where they are known.
    """

    nuisances: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    mixtures: tuple[str, ...] = ()
    fractions: tuple[float | None, ...] = ()
    check: bool = True


NOTHING = Wanted()


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Samples within the target.

    Attributes:
        number: (N,) of the first one whose condition an event passes, -1 of none.
    """

    number: NDArray[np.intp]
    fractions: tuple[float | None, ...]
    check: bool = True


@dataclass(frozen=True, eq=False)
class Nuisances:
    """The nuisances as networks see them, fitted on the MC training split.

    Attributes:
        counted: (C,) whether the events of a class count.
        categories: the values of each that is categorical; ``None`` of one that is continuous.
        weight: mean over the training split of the event weights, those that do not count as 0.
    """

    names: tuple[str, ...]
    counted: NDArray[np.bool_]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    categories: tuple[NDArray[np.float32] | None, ...]
    weight: float

    @classmethod
    def fit(cls, source: Source, names: Sequence[str], classes: Sequence[str] = ()) -> Self:
        """Fit scales and categories on the training split.

        Raises:
            ConfigError: no such class; a value that is missing; a column that is constant.
        """
        assert source.nuisances is not None
        unknown = [name for name in classes if name not in source.classes]
        if unknown:
            raise ConfigError(
                f"no class {unknown[0]!r}",
                where="train.nuisance_classes",
                mend=f"classes are {', '.join(source.classes)}",
            )
        counted = np.array([not classes or name in classes for name in source.classes])
        known = counted[source.label]
        for name, column in zip(names, source.nuisances[known].T, strict=True):
            missing = int((~np.isfinite(column)).sum())
            if missing:
                raise ConfigError(
                    f"{name} is missing in {missing:,} of {len(column):,} MC events",
                    where="train.nuisance",
                    mend="cut these events away in the conversion, or name another column",
                )
        train = source.part("train")
        counts = counted[train.label]
        assert train.nuisances is not None
        values = train.nuisances[counts].astype(np.float64)
        constant = [n for n, v in zip(names, values.T, strict=True) if not len(v) or np.ptp(v) == 0]
        if constant:
            raise ConfigError(
                f"{constant[0]} has one value in all events that count: there is nothing to "
                "make the score independent of",
                where="train.nuisance",
                mend="leave it out",
            )
        return cls(
            tuple(names),
            counted,
            values.mean(axis=0),
            values.std(axis=0),
            tuple(_categories(column) for column in source.nuisances[known].T),
            float(np.where(counts, train.weight, 0).mean(dtype=np.float64)),
        )

    def refitted(self, source: Source) -> Nuisances:
        """The same columns, fitted on the training split of other events."""
        classes = [
            name for name, counts in zip(source.classes, self.counted, strict=True) if counts
        ]
        return replace(Nuisances.fit(source, self.names, classes), categories=self.categories)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of values of each that is categorical; 0 of one that is continuous."""
        return tuple(0 if values is None else len(values) for values in self.categories)

    def apply(self, source: Source) -> NDArray[np.float32]:
        """(N, 1 + M): the weight of each event over its mean, 0 where it does not count; columns.

        A continuous column is standardised, a categorical one the number of its value.
        """
        assert source.nuisances is not None
        counts = self.counted[source.label]
        out = np.empty((len(source), 1 + len(self.names)), np.float32)
        out[:, 0] = np.where(counts, source.weight / self.weight, 0)
        for index, values in enumerate(self.categories):
            column = source.nuisances[:, index]
            if values is None:
                scaled = (column - self.mean[index]) / self.scale[index]
            else:
                scaled = np.searchsorted(values, column).clip(max=len(values) - 1)
            out[:, 1 + index] = np.where(counts, scaled, 0)
        return out


def _categories(column: NDArray[np.float32]) -> NDArray[np.float32] | None:
    values = np.unique(column)
    whole = len(values) <= _CATEGORIES and bool((values == np.round(values)).all())
    return values if whole else None


def with_columns(domains: Domains, tensors: Tensors, wanted: Wanted) -> Domains:
    """The events of a run with the columns that its methods need.

    Raises:
        SchemaError: no such column; it names those that there are.
        ConfigError: an expression that does not parse; events that are read in blocks.
    """
    if not wanted.nuisances and not wanted.mixtures:
        return domains
    what = "train.nuisance" if wanted.nuisances else "train.mixtures"
    if domains.blocks is not None or domains.images is not None:
        kind = "images or objects" if domains.images is not None else "read in blocks"
        raise ConfigError(
            f"needs features in memory, and these events are {kind}",
            where=what,
            mend="train on a machine with more memory (--memory resident), or without it",
        )
    pseudo = domains.shift is not None
    source, mixtures = domains.source, None
    if wanted.nuisances:
        columns = [
            _values(tensors, "mc", text, False if pseudo else None) for text in wanted.nuisances
        ]
        source = replace(source, nuisances=np.stack(columns, axis=1).astype(np.float32))
    nuisances = (
        Nuisances.fit(source, wanted.nuisances, wanted.classes) if wanted.nuisances else None
    )
    if wanted.mixtures:
        holder, domain = (tensors, "mc") if pseudo else (domains.holder, "data")
        passed = [
            _values(holder, domain, text, True if pseudo else None, condition=True) > 0
            for text in wanted.mixtures
        ]
        number = np.where(np.any(passed, axis=0), np.argmax(passed, axis=0), -1)
        mixtures = Mixtures(number, wanted.fractions, wanted.check)
    return replace(domains, source=source, nuisances=nuisances, mixtures=mixtures)


def _values(
    tensors: Tensors, domain: str, text: str, pseudo: bool | None, *, condition: bool = False
) -> NDArray[Any]:
    """(N,) an expression of the columns of a domain; of the MC, that of one half where asked."""
    expression = parse(text, what="cut" if condition else "nuisance")
    keep = slice(None) if pseudo is None else (
        is_pseudo(tensors.column(domain, "event_id"), tensors.split_config.seed) == pseudo
    )  # fmt: skip

    def lookup(name: str) -> NDArray[Any]:
        return np.asarray(tensors.column(domain, name)[keep])

    size = len(tensors.column(domain, "weight")[keep])
    if condition:
        return np.asarray(expression.condition(lookup, size))
    return np.asarray(expression.evaluate(lookup, size))
