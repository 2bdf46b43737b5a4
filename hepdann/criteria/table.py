"""All criteria of all candidates at once, so that what they share is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..stats.arrays import Floats
from ..stats.classification import losses
from ..stats.figure import as_weight, mean_of
from ..stats.neighbours import Variant, disagreement, neighbours_of
from ..stats.reweighting import density_ratio
from . import density, outputs
from .reverse import reverse_validation

__all__ = ["CRITERIA", "Candidate", "Criterion", "Evidence", "tabulate"]

Floating = NDArray[np.floating]
_NEIGHBOURS = 8


@dataclass(frozen=True)
class Criterion:
    """What a criterion claims.

    Attributes:
        larger_is_better: its direction.
        title: in a few words.
    """

    larger_is_better: bool
    title: str


CRITERIA: Mapping[str, Criterion] = {
    "agreement": Criterion(True, "agreement with the aligned teacher"),
    "reverse_validation": Criterion(True, "reverse validation, raw target"),
    "reverse_validation_aligned": Criterion(True, "reverse validation, aligned target"),
    "source_loss": Criterion(False, "validation loss on the source"),
    "consistency": Criterion(True, "consistency of neighbours"),
    "consistency_study": Criterion(True, "consistency, as the study has it"),
    "soft_neighbourhood": Criterion(True, "soft neighbourhood density (SND)"),
    "entropy": Criterion(False, "entropy"),
    "infomax": Criterion(True, "InfoMax"),
    "iwv": Criterion(False, "importance-weighted validation (IWV)"),
    "dev": Criterion(False, "deep embedded validation (DEV)"),
    "prior_match": Criterion(True, "match of the expected class fractions"),
    "domain_auc": Criterion(False, "AUC between the domains in the feature layer"),
    "residual_auc": Criterion(False, "AUC between the domains in the mapped inputs"),
}


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


Table = dict[str, dict[str, float | None]]


def tabulate(
    candidates: Sequence[Candidate], events: Evidence, teacher: str, *, seed: int = 0
) -> Table:
    """Every criterion of every candidate.

    Args:
        candidates: methods and single networks, the teacher among them.
        events: what they are judged on.
        teacher: name of the candidate whose classes the others are compared with.
        seed: of the random parts.

    Returns:
        Candidate to criterion to value; ``None`` for one that cannot be computed, and for the AUCs
        between the domains, which a two-sample test gives.
    """
    table: Table = {c.name: dict.fromkeys(CRITERIA) for c in candidates}
    taught = next(c for c in candidates if c.name == teacher).target
    for candidate in candidates:
        table[candidate.name] |= _outputs(candidate, events, taught)
    _reverse(table, candidates, events, seed)
    _consistency(table, candidates, events)
    _importance(table, candidates, events)
    return table


def _outputs(candidate: Candidate, events: Evidence, taught: Floating) -> dict[str, float | None]:
    score, weight = candidate.target, events.target_weight
    return {
        "agreement": outputs.agreement(score, taught, weight),
        "source_loss": outputs.source_loss(candidate.source, events.label, events.source_weight),
        "entropy": outputs.entropy(score, weight),
        "infomax": outputs.infomax(score, weight),
        "soft_neighbourhood": outputs.soft_neighbourhood(score),
        "prior_match": outputs.prior_match(score, events.fractions, weight),
    }


def _reverse(table: Table, candidates: Sequence[Candidate], events: Evidence, seed: int) -> None:
    sides = {"reverse_validation": events.target, "reverse_validation_aligned": events.aligned}
    for name, features in sides.items():
        found = reverse_validation(
            [c.target for c in candidates],
            features,
            events.source,
            events.label,
            target_weight=events.target_weight,
            source_weight=events.source_weight,
            seed=seed,
        )
        for candidate, value in zip(candidates, found, strict=True):
            table[candidate.name][name] = value


def _consistency(table: Table, candidates: Sequence[Candidate], events: Evidence) -> None:
    if len(events.target) <= _NEIGHBOURS:
        return
    variants: dict[str, Variant] = {"consistency": "default", "consistency_study": "study"}
    for name, variant in variants.items():
        rows = neighbours_of(events.target, _NEIGHBOURS, variant)
        for candidate in candidates:
            terms = disagreement(candidate.target, rows, variant)
            found = mean_of(terms, events.target_weight)
            table[candidate.name][name] = None if found is None else 1.0 - found


def _importance(table: Table, candidates: Sequence[Candidate], events: Evidence) -> None:
    ratios: dict[int, Floats] = {}  # one a map of the inputs
    for candidate in candidates:
        features = events.target if candidate.mapped is None else candidate.mapped
        if id(features) not in ratios:
            ratios[id(features)] = density_ratio(
                events.source, features, events.source_weight, events.target_weight
            )
        table[candidate.name]["iwv"] = density.importance_weighted(
            losses(candidate.source, events.label),
            ratios[id(features)],
            as_weight(events.source_weight, len(events.source)),
        )
        if candidate.latent is not None:
            source, target, loss, source_weight, target_weight = candidate.latent
            ratio = density_ratio(source, target, source_weight, target_weight)
            table[candidate.name]["dev"] = density.dev(loss, ratio, source_weight)
