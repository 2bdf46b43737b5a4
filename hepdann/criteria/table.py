"""All criteria of all candidates at once, so that what they share is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..registry import CRITERIA
from ..stats.distances import Variant, disagreement, neighbours_of
from ..stats.figure import Floats, as_weight, mean_of
from ..stats.ranking import losses
from ..stats.reweighting import density_ratio
from ..stats.threads import side_by_side
from . import outputs
from .outputs import dev, importance_weighted, reverse_validation, soft_neighbourhood

__all__ = [
    "CRITERIA", "Candidate", "Comparison", "Criterion", "Evidence", "as_criterion", "register",
    "tabulate",
]  # fmt: skip

Floating = NDArray[np.floating]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_NEIGHBOURS = 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A method's prediction, or that of one of its networks.

    Attributes:
        name: ``dann``, or ``dann/3`` for its network 3.
        source: (N, C) scores of the source events of :class:`Evidence`.
        target: (M, C) scores of the target events.
        mapped: (M, F) the target's features after the candidate's own map; ``None`` without one.
        latent: feature layer of some labelled source and some target events, with the loss and the
            weights of these: (source, target, loss, source weight, target weight).
    """

    name: str
    source: Floating
    target: Floating
    mapped: Floating | None = None
    latent: tuple[Floating, Floating, Floats, Floating, Floating] | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """The events that the criteria look at; no target label is among them.

    Attributes:
        source: (N, F) features of source events that were not trained on.
        label: (N,) their class.
        source_weight: (N,) their weights.
        target: (M, F) features of target events.
        target_weight: (M,) their weights.
        aligned: (M, F) the same after the teacher's map.
        fractions: (C,) class fractions expected in the target.
    """

    source: Floating
    label: NDArray[np.integer]
    source_weight: Floating
    target: Floating
    target_weight: Floating
    aligned: Floating
    fractions: Floats


@dataclass(frozen=True, eq=False)
class Comparison:
    """All candidates, methods and single networks: what they share is computed once.

    The teacher, (M, C) scores of the target events, is what the others are compared with.
    """

    candidates: Sequence[Candidate]
    events: Evidence
    teacher: Floating


Values = Sequence[float | None]


@dataclass(frozen=True)
class Criterion:
    """What a criterion claims.

    Attributes:
        larger_is_better: its direction.
        title: in a few words.
        values: of the candidates; ``None`` of those that have none.
    """

    larger_is_better: bool
    title: str
    values: Callable[[Comparison], Values]


Table = dict[str, dict[str, float | None]]


def tabulate(candidates: Sequence[Candidate], events: Evidence, teacher: str) -> Table:
    """Every criterion of every candidate, those that a user registered included.

    Args:
        candidates: methods and single networks, the teacher among them.
        events: what they are judged on.
        teacher: name of the candidate whose classes the others are compared with.

    Returns:
        Candidate to criterion to value; ``None`` for one that cannot be computed, and for the AUCs
        between the domains, which a two-sample test gives.
    """
    taught = next(c for c in candidates if c.name == teacher).target
    comparison = Comparison(candidates, events, taught)
    own = side_by_side(partial(CRITERIA[name].values, comparison) for name in CRITERIA.own)
    columns = dict(zip(CRITERIA.own, own, strict=True))
    columns |= {n: one.values(comparison) for n, one in CRITERIA.items() if n not in columns}
    return {
        candidate.name: {name: values[row] for name, values in columns.items()}
        for row, candidate in enumerate(candidates)
    }


def _each(value: Callable[[Candidate, Comparison], float | None]) -> Callable[[Comparison], Values]:
    """The values of candidates that share nothing."""
    return lambda comparison: [value(one, comparison) for one in comparison.candidates]


def _reverse(comparison: Comparison, features: Floating) -> Values:
    events = comparison.events
    return reverse_validation(
        [c.target for c in comparison.candidates],
        features,
        events.source,
        events.label,
        target_weight=events.target_weight,
        source_weight=events.source_weight,
    )


def _consistency(comparison: Comparison, variant: Variant) -> Values:
    events = comparison.events
    if len(events.target) <= _NEIGHBOURS:
        return [None] * len(comparison.candidates)
    rows = neighbours_of(events.target, _NEIGHBOURS, variant)
    terms = (disagreement(c.target, rows, variant) for c in comparison.candidates)
    means = [mean_of(one, events.target_weight) for one in terms]
    return [None if mean is None else 1.0 - mean for mean in means]


def _importance_weighted(comparison: Comparison) -> Values:
    events = comparison.events
    weight = as_weight(events.source_weight, len(events.source))
    ratios: dict[int, Floats] = {}  # one a map of the inputs
    values = []
    for candidate in comparison.candidates:
        features = events.target if candidate.mapped is None else candidate.mapped
        if id(features) not in ratios:
            ratios[id(features)] = density_ratio(
                events.source, features, events.source_weight, events.target_weight
            )
        values.append(
            importance_weighted(
                losses(candidate.source, events.label), ratios[id(features)], weight
            )
        )
    return values


def _dev(candidate: Candidate, comparison: Comparison) -> float | None:
    del comparison
    if candidate.latent is None:
        return None
    source, target, loss, source_weight, target_weight = candidate.latent
    ratio = density_ratio(source, target, source_weight, target_weight)
    return dev(loss, ratio, source_weight)


# c is a candidate, and g what is given of all.
AGREEMENT = Criterion(
    True,
    "agreement with the aligned teacher",
    _each(lambda c, g: outputs.agreement(c.target, g.teacher, g.events.target_weight)),
)
REVERSE_VALIDATION = Criterion(
    True, "reverse validation, raw target", lambda g: _reverse(g, g.events.target)
)
REVERSE_VALIDATION_ALIGNED = Criterion(
    True, "reverse validation, aligned target", lambda g: _reverse(g, g.events.aligned)
)
SOURCE_LOSS = Criterion(
    False,
    "validation loss on the source",
    _each(lambda c, g: outputs.source_loss(c.source, g.events.label, g.events.source_weight)),
)
CONSISTENCY = Criterion(True, "consistency of neighbours", partial(_consistency, variant="default"))
CONSISTENCY_STUDY = Criterion(
    True, "consistency, as the study has it", partial(_consistency, variant="study")
)
SOFT_NEIGHBOURHOOD = Criterion(
    True, "soft neighbourhood density (SND)", _each(lambda c, _: soft_neighbourhood(c.target))
)
ENTROPY = Criterion(
    False, "entropy", _each(lambda c, g: outputs.entropy(c.target, g.events.target_weight))
)
INFOMAX = Criterion(
    True, "InfoMax", _each(lambda c, g: outputs.infomax(c.target, g.events.target_weight))
)
IWV = Criterion(False, "importance-weighted validation (IWV)", _importance_weighted)
DEV = Criterion(False, "deep embedded validation (DEV)", _each(_dev))
PRIOR_MATCH = Criterion(
    True,
    "match of the expected class fractions",
    _each(lambda c, g: outputs.prior_match(c.target, g.events.fractions, g.events.target_weight)),
)
_elsewhere = _each(lambda _, __: None)  # a two-sample test gives them
DOMAIN_AUC = Criterion(False, "AUC between the domains in the feature layer", _elsewhere)
RESIDUAL_AUC = Criterion(False, "AUC between the domains in the mapped inputs", _elsewhere)


def as_criterion(
    name: str, thing: object, *, larger_is_better: bool = True, title: str | None = None
) -> Criterion:
    """The criterion that a function of a candidate and the events computes.

    Raises:
        ConfigError: it is no function.
    """
    if isinstance(thing, Criterion):
        return thing
    if not callable(thing):
        raise ConfigError(f"the criterion {name!r} is no function: {thing!r}")

    def value(candidate: Candidate, comparison: Comparison) -> float | None:
        figure = thing(candidate, comparison.events)
        return float(figure) if figure is not None and np.isfinite(figure) else None

    return Criterion(larger_is_better, title or name, _each(value))


def register(
    name: str, *, larger_is_better: bool = True, title: str | None = None
) -> Callable[[_Function], _Function]:
    """Register a criterion of your own: ``@hepdann.register.criterion("margin")``.

    The function is called as ``f(candidate, events)`` with a :class:`Candidate` and the
    :class:`Evidence`, in which no label of the target is, and returns a number, or ``None`` where
    there is none::

        @hepdann.register.criterion("margin")
        def margin(candidate, events):
            return abs(candidate.target[:, 1] - 0.5).mean()

    Every run is evaluated with it, by itself and as a ranking. Nothing is chosen by it.

    Args:
        name: in ``metrics.json``, plain and not one of hepdann's own.
        larger_is_better: its direction.
        title: in a few words; default the name.

    Returns:
        A decorator that gives the function back.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    return CRITERIA.decorator(name, larger_is_better=larger_is_better, title=title)
