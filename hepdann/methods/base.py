"""What a method is: how a step uses the target, and what it minimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from ..networks import AdversarialNetwork, Normalisation

if TYPE_CHECKING:
    from ..domains import Domains
    from ..tensors import Source


@dataclass(frozen=True)
class Batch:
    """One step's events for each of K members, B of each of its D domains.

    The domains are, in this order, the source, its labelled copies (the auxiliaries, if the method
    has any), and the target, always the last.

    Attributes:
        x: (K, F, D * B) scaled features, domain after domain.
        label: (K, D - 1, B) class index of the labelled domains' events. The target has none.
        weight: (K, D, B) event weights, each divided by the mean of its domain's training split,
            over which their mean is 1, whatever the signs are.
        nuisance: (K, 1 + M, (D - 1) * B) of the labelled domains, domain after domain: the weight
            that an event has where a score is made independent of the nuisances, and these, as
            :class:`hepdann.domains.Nuisances` gives them; ``None`` unless the run has any.
        weighted: whether sizes of weights in the training are other than 1.
    """

    x: Tensor
    label: Tensor
    weight: Tensor
    nuisance: Tensor | None = None
    weighted: bool = False

    @property
    def weight_sizes(self) -> Tensor | None:
        """(K, D, B) that normalisation statistics weight events by; ``None``: all are 1."""
        return self.weight.abs() if self.weighted else None

    @property
    def size(self) -> int:
        """Events of each domain, B."""
        return self.weight.shape[2]

    @property
    def domains(self) -> int:
        """Number of domains, D."""
        return self.weight.shape[1]

    @property
    def labelled(self) -> int:
        """Events of the labelled domains together, (D - 1) * B: the first ones of ``x``."""
        return (self.domains - 1) * self.size


@dataclass(frozen=True)
class AdversaryWeight:
    """λ·λ_p and w_d of one step.

    Attributes:
        lambda_: (K,) λ·λ_p of each member, the factor on the gradient that enters the features.
        domain_weight: w_d, the weight of the domain loss itself.
        nuisance_weight: factor on λ·λ_p in the term of a nuisance.
    """

    lambda_: Tensor
    domain_weight: float
    nuisance_weight: float = 1.0


@dataclass(frozen=True)
class Objective:
    """What a phase minimises, and what it saw on the way.

    Attributes:
        value: (K,) one value a member; members share no parameters, so their sum is minimised.
        figures: (K,) figures for the history, detached: label_loss, domain_loss, domain_accuracy,
            nuisance_loss.
    """

    value: Tensor
    figures: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """One update within a step: which parts of the network move, and down which slope.

    Attributes:
        parts: of ``AdversarialNetwork.parts``; clipped apart, one optimiser for the phase.
        objective: computes the objective of a batch.
        rare: whether it is left out until the adversary has made its ``adversary_steps``.
    """

    parts: tuple[str, ...]
    objective: Callable[[AdversarialNetwork, Batch, AdversaryWeight], Objective]
    rare: bool = False


@dataclass(frozen=True)
class Method:
    """How training uses the target.

    Members whose methods share ``phases``, and have equally many auxiliaries, train in one stack.

    Attributes:
        name: as the user writes it.
        summary: one line for help and reports.
        phases: the updates of a step, in order.
        adversarial: whether λ acts; without it λ is exactly zero.
        normalisation: of the extractor, unless the user names one.
        target_domain: whose normalisation statistics the target is scored with: 0 where the
            method may not know the target, 1 where it adapts.
        auxiliary: whether it also trains on labelled copies of the source under other shifts.
        taught: whether it also trains on the target with the labels that an aligned teacher gives
            its events, as a further labelled domain.
        conditioned: whether its domain head sees features times class probabilities.
        decorrelates: whether it needs nuisances.
        nuisance_head: whether its networks have an adversary that estimates these.
        mixtures: what it needs to know of samples within the target: the "cut" of each, or also
            its "fraction" of the last class.
        source: makes the labelled events that it trains on, where these are not the MC.
    """

    name: str
    summary: str
    phases: tuple[Phase, ...]
    adversarial: bool
    normalisation: Normalisation = "domain"
    target_domain: int = 1
    auxiliary: bool = False
    taught: bool = False
    conditioned: bool = False
    decorrelates: bool = False
    nuisance_head: bool = False
    mixtures: tuple[Literal["cut", "fraction"], ...] = ()
    source: Callable[[Domains], Source] | None = None
