"""The alignments of a run: which are wanted, and their fit with the target's class fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import alignment
from ..alignment import Alignment, Chain, FractionEstimate, ObjectMap
from ..calibration import ObjectTarget
from ..config import TrainConfig
from ..criteria import Residual
from ..domains import Domains
from ..errors import HepdannError
from ..evaluation import diagnose
from ..methods import method_of
from ..stats.reweighting import one_thread
from ..tensors import SPLITS, Source, Target
from ..tensors.source_and_target import Events


@dataclass(frozen=True, eq=False)
class Aligned:
    """Fitted maps.

    Attributes:
        estimate: of the target's class fractions; ``None`` if there is none.
        correction: (C,) logarithm of the target's over the source's fraction of each class, to be
            added to the log probabilities of aligned events; ``None`` where the source's hold.
        residuals: what each map leaves, where that was measured already.
    """

    maps: dict[str, Alignment]
    estimate: FractionEstimate | None
    correction: tuple[float, ...] | None
    residuals: Mapping[str, Residual] = field(default_factory=dict)


def outside_test(events: Events, most: int | None = None) -> Events:
    """Events of the training and validation splits, at most so many."""
    return events.take(np.flatnonzero(events.split != SPLITS.index("test"))[:most])


def wanted_maps(train: TrainConfig) -> tuple[str, ...]:
    """Names of the alignments of a run: those listed, and those that a method trains on."""
    needed = [method_of(name)[0] for name in train.methods]
    return tuple(dict.fromkeys([*train.alignments, *filter(None, needed)]))


def fold_estimate(domains: Domains, estimate: FractionEstimate | None) -> FractionEstimate | None:
    """The target's class fractions, estimated anew without the part that a fold does not see.

    Returns:
        The fold's estimate, where those of the run differ; ``None`` where they do not.
    """
    if estimate is None or not estimate.shift:
        return None
    source, target = outside_test(domains.source), outside_test(domains.target)
    again = None
    with suppress(HepdannError):  # too few events
        again = diagnose(source, target, domains.tensors.features).fractions
    if again is None:
        fractions = alignment.source_fractions(source)
        return replace(estimate, value=fractions, source=fractions)
    return replace(again, shift=True)


def fit_alignments(
    domains: Domains, names: Sequence[str], *, estimate: FractionEstimate | None, seed: int
) -> Aligned:
    """Fit maps on the training splits, to a source with the target's class fractions.

    Those of objects are fitted table by table.

    Args:
        domains: source and target.
        names: of the alignments.
        estimate: of the target's class fractions; ``None`` keeps the source's.
        seed: of what is random.
    """
    source, target = domains.source.part("train"), domains.target.part("train")
    correction = None
    if estimate is not None and estimate.shift:
        source = alignment.reweighted(source, estimate.value)
        correction = tuple(float(v) for v in np.log(estimate.value / estimate.source))
    pairs = [(target, source)]
    if (objects := domains.objects) is not None:
        train = SPLITS.index("train")
        sides = zip(reversed(objects), (domains.target, domains.source), strict=True)
        of_target, of_source = (one.take(events.split == train) for one, events in sides)
        tables = of_target.as_events(target), of_source.as_events(source)
        pairs = list(zip(*tables, strict=True))
    done: list[dict[str, Alignment]] = [{} for _ in pairs]
    with one_thread():  # more would give other bits, as many as the process happens to have
        for name in names:
            for pair, fitted in zip(pairs, done, strict=True):
                _fit(name, *pair, seed, fitted)
    maps = {n: done[0][n] if objects is None else ObjectMap(tuple(d[n] for d in done))
            for n in names}  # fmt: skip
    return Aligned(maps, estimate, correction)


def aligned_target(
    domains: Domains, one: Alignment | None, rows: NDArray[Any] | slice = slice(None)
) -> Target:
    """Target events at some rows as a map leaves them; with their objects, if they have any."""
    events = domains.target.take(rows)
    if domains.objects is None:
        return events if one is None else events.with_features(one.apply(events.features))
    objects = domains.objects[1].take(rows)
    if one is not None:
        objects = one.apply(objects)
        events = events.with_features(objects.summed)
    return ObjectTarget(**vars(events), objects=objects)


def _fit(
    name: str, target: Target, source: Source, seed: int, done: dict[str, Alignment]
) -> Alignment:
    """Fit a map, or a chain to the end of one that is there already."""
    if name not in done:
        before, last = method_of(name)
        if not before:
            done[name] = alignment.get(last).fit(target, source, seed=seed)
        else:
            first = _fit(before, target, source, seed, done)
            left = target.with_features(first.apply(target.features))
            second = alignment.get(last).fit(left, source, seed=seed)
            head = first.maps if isinstance(first, Chain) else (first,)
            done[name] = Chain((*head, second))
    return done[name]


def reference(source: Source, correction: Sequence[float] | None) -> Source:
    """The source with the class fractions that aligned events are compared at."""
    if correction is None:
        return source
    weight = source.weight * np.exp(correction)[source.label]
    return replace(source, weight=weight.astype(np.float32))
