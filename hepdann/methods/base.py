"""What a method is: how a step uses the target, what it minimises, and its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ConfigError
from ..networks import AdversarialNetwork, Normalisation
from ..networks.objects import object_logits
from ..registry import METHODS

if TYPE_CHECKING:
    from ..domains import Domains
    from ..tensors import Source

_PARTS = ("extractor", "label_head", "domain_head")


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
class Losses:
    """The sum of L_y and w_d L_d that an objective is, where it is one: for compiled engines.

    Attributes:
        lambda_on_loss: λ multiplies L_d, whose gradient at the features is reversed in full; else
            it multiplies the reversed gradient.
        target_detached: no gradient passes through the features of the target.
        target_seen: the target's events pass the extractor.
    """

    label: bool = True
    domain: bool = True
    lambda_on_loss: bool = False
    target_detached: bool = False
    target_seen: bool = True


@dataclass(frozen=True)
class Phase:
    """One update within a step: which parts of the network move, and down which slope.

    Attributes:
        parts: of ``AdversarialNetwork.parts``; clipped apart, one optimiser for the phase.
        objective: computes the objective of a batch.
        rare: whether it is left out until the adversary has made its ``adversary_steps``.
        losses: what the objective sums up; ``None`` leaves it to autograd.
    """

    parts: tuple[str, ...]
    objective: Callable[[AdversarialNetwork, Batch, AdversaryWeight], Objective]
    rare: bool = False
    losses: Losses | None = None


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


def label_loss(network: AdversarialNetwork, features: Tensor, batch: Batch) -> Tensor:
    """Cross entropy (K,) of the labelled events, ``Σ w ℓ / (B · mean w)``, mean over their domains.

    With one class it is a regression, and ℓ the squared error. The features (K, H, (D - 1) * B) are
    those of the labelled domains.
    """
    logits = network.label_logits(features)
    label, weight = batch.label.flatten(1), batch.weight[:, :-1].flatten(1)
    if network.shape.classes == 1:
        loss = (logits[:, 0] - label).square()
    elif network.shape.classes == 2:
        loss = functional.binary_cross_entropy_with_logits(
            logits[:, 0], label.to(logits.dtype), reduction="none"
        )
    else:
        loss = functional.cross_entropy(logits, label, reduction="none")
    value: Tensor = (loss * weight).sum(-1) / batch.labelled
    if network.shape.object_classes and batch.x.shape[1] > network.shape.inputs:
        value = value + network.shape.object_weight * _object_loss(network, features, batch, weight)
    return value


def _object_loss(
    network: AdversarialNetwork, features: Tensor, batch: Batch, weight: Tensor
) -> Tensor:
    """(K,) cross entropy of the objects that have a class, by the weights of their events."""
    start, value = network.shape.inputs, weight.new_zeros(len(weight))
    for logits in object_logits(features, network.shape):
        stop = start + logits.shape[1]
        label = batch.x[:, start:stop, : batch.labelled].round().long()
        loss = functional.cross_entropy(
            logits.transpose(1, 2), label, ignore_index=-1, reduction="none"
        )
        count = (label >= 0).sum((1, 2)).clamp(min=1)
        value = value + (loss * weight.unsqueeze(1)).sum((1, 2)) / count
        start = stop
    return value


def domain_loss(
    network: AdversarialNetwork, features: Tensor, batch: Batch, lambda_: Tensor
) -> tuple[Tensor, Tensor]:
    """``½ (L_d^source + L_d^target)``, source 0 and target 1, behind the reversal layer.

    Labelled copies of the source are source here: all labelled domains together weigh ½. Where the
    domain head has a class for each of the D domains it is their mean cross entropy. The features
    are (K, H, D * B), domain after domain; λ (K,) is the factor on the gradient that enters them.

    Returns:
        (K,) one loss a member, and (K,) the share of events whose domain is recognised.
    """
    weight = batch.weight
    logits = network.domain_logits(features, lambda_.view(-1, 1, 1))
    if logits.dim() == 3:
        return _one_class_a_domain(logits, weight)
    copies, size = batch.domains - 1, batch.size
    logits = logits.view(-1, copies + 1, size)
    is_target, share = _roles(copies, logits.dtype, logits.device)
    loss = functional.binary_cross_entropy_with_logits(
        logits, is_target.expand_as(logits), weight * share, reduction="none"
    )
    hit = ((logits.detach() > 0) == (is_target > 0.5)).to(logits.dtype) * share
    return loss.sum((-2, -1)) / size, hit.sum((-2, -1)) / size


@cache
def _roles(copies: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """(D, 1) which domain is the target, and each domain's share of the loss.

    Kept: a step that took them from the host anew would wait for the device.
    """
    is_target = torch.tensor([[0.0]] * copies + [[1.0]], dtype=dtype, device=device)
    share = torch.tensor([[0.5 / copies]] * copies + [[0.5]], dtype=dtype, device=device)
    return is_target, share


def _one_class_a_domain(logits: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of (K, D, D * B) logits, and the share of domains that are recognised."""
    _, domains, size = weight.shape
    domain = torch.arange(domains, device=logits.device).repeat_interleave(size)
    domain = domain.expand(len(logits), -1)
    loss = functional.cross_entropy(logits, domain, reduction="none") * weight.flatten(1)
    hit = (logits.detach().argmax(1) == domain).to(logits.dtype)
    return loss.mean(-1), hit.mean(-1)


_Objective = TypeVar("_Objective", bound=Callable[..., Objective])


def names() -> tuple[str, ...]:
    """Names of the methods that can be trained."""
    return tuple(METHODS)


def get(name: str) -> Method:
    """Find a method.

    Raises:
        ConfigError: no method of that name; the nearest one is proposed.
    """
    method: Method = METHODS[name]
    return method


def as_method(name: str, thing: object, **options: Any) -> Method:
    """A method of that name: one as it is, or the one that minimises an objective.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(thing, Method):
        return thing if thing.name == name else replace(thing, name=name)
    if not callable(thing):
        raise ConfigError(f"the method {name!r} is neither an objective nor a Method: {thing!r}")
    parts = tuple(options.pop("parts", _PARTS))
    settings: dict[str, Any] = {"summary": "", "adversarial": True} | options
    return Method(name=name, phases=(Phase(parts, thing),), **settings)


@overload
def register(method: Method) -> Method: ...


@overload
def register(method: str, **options: Any) -> Callable[[_Objective], _Objective]: ...


def register(method: str | Method, **options: Any) -> Any:
    """Register a method of your own: ``@hepdann.register.method("mine")`` above its objective.

    The objective is computed at each step, for all members, and minimised by one optimiser::

        @hepdann.register.method("mine", adversarial=False)
        def objective(network, batch, adversary):
            features = network.features(batch.x, weight=batch.weight_sizes)
            ...
            return hepdann.methods.Objective(loss)

    Args:
        method: the name, plain and not one of hepdann's own; or a whole :class:`Method` of
            several phases, to be registered by its own name.
        **options: attributes of :class:`Method`, ``adversarial`` being true unless given; and
            ``parts`` of the network that are trained, all unless given.

    Returns:
        A decorator that gives the function back; of a whole method, that method.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    if isinstance(method, Method):
        METHODS.add(method.name, method)
        return method
    return METHODS.decorator(method, **options)
