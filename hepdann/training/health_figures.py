"""The figures of a stack in training by which its faults are found.

They change no weight, no optimiser and no random state: a training with these checks and one
without them end in the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..methods import AdversaryWeight, Batch, Phase
from ..networks import AdversarialNetwork, StackedDropout
from .probes import Probe, auc_error, discriminant_scores, label_auc, weighted_auc

_GRADIENT_EVENTS = 256

FIGURES = {
    "own_auc": "AUC of the member's own domain head on held-out events; empty if it trains none",
    "own_accuracy": "share of held-out events whose domain the own head recognises, mean of both",
    "own_loss": "loss of the own domain head over ln 2, which is that of knowing nothing",
    "fresh_auc": "AUC that a fresh classifier reaches on the frozen features",
    "auc_error": "statistical error of an AUC of one half on these events",
    "label_gradient": "norm of the gradient of the label loss at the features",
    "domain_gradient": "norm of what the adversary adds to it there, times λ·λ_p",
    "angle": "between the two, on the source's events, in degrees",
    "push": "rise of the own head's loss when the features follow that gradient by 1 %; empty "
    "where no gradient comes back from the head",
    "effect": "norm of what λ adds to the gradient of the extractor's weights, over that without",
    "dead_units": "share of hidden units that no event moves, in the worst layer",
    "feature_spread": "largest standard deviation of a feature-layer unit, over the layer's size",
    "feature_rank": "effective number of directions in the feature layer",
    "label_auc": "AUC of the label head on held-out source events",
    "label_reach": "AUC that a fresh classifier of the inputs reaches there",
    "domain_moved": "how far the domain head's weights are from where they started, relative",
    "not_finite": "share of weights and figures that are not finite",
}


def examine(
    network: AdversarialNetwork,
    phases: Sequence[Phase],
    probe: Probe,
    adversary: AdversaryWeight,
    start: Tensor | None = None,
) -> list[dict[str, Any]]:
    """The figures of each member as it is now, by its weights in training.

    ``adversary`` holds λ·λ_p and w_d of this moment, ``start`` (K, P) the weights of the domain
    heads before the first step, of :func:`head_weights`.

    Returns:
        One dictionary a member: the keys of :data:`FIGURES`, NaN where there is no such figure,
        and ``dead_layers``, the share of dead units of each layer.
    """
    with preserved_state(network):
        activations = _seen(network, phases, probe.held, adversary)
        figures = _domain_figures(network, phases, probe, activations)
        figures |= gradients(network, phases, _first(probe.held, _GRADIENT_EVENTS), adversary)
        figures |= _feature_figures(network.of_events(activations.features))
        with torch.no_grad():
            logits = network.label_logits(activations.features[..., : probe.held.size])
        known = torch.isfinite(probe.reach).any()
        figures["label_auc"] = label_auc(logits if known else None, probe.held)
        figures["label_reach"] = probe.reach
        figures["domain_moved"] = _moved(network, start)
        dead = activations.dead()
        figures["dead_units"] = torch.stack([*dead.values(), torch.zeros(network.members)]).amax(0)
        figures["not_finite"] = _not_finite(network, activations.features)
    members = range(network.members)
    columns = {name: figures[name].cpu().double().tolist() for name in FIGURES}
    layers = {name: share.tolist() for name, share in dead.items()}
    return [
        {name: column[k] for name, column in columns.items()}
        | {"dead_layers": {name: share[k] for name, share in layers.items()}}
        for k in members
    ]


def head_weights(network: AdversarialNetwork) -> Tensor:
    """(K, P) a copy of the weights of the domain heads."""
    parts = [p.detach().reshape(network.members, -1) for p in network.part("domain_head")]
    return torch.cat(parts, dim=1)


@torch.no_grad()
def _seen(
    network: AdversarialNetwork, phases: Sequence[Phase], batch: Batch, adversary: AdversaryWeight
) -> Activations:
    activations = Activations()
    with record_activations(network, activations, units=True):
        for phase in phases:
            phase.objective(network, batch, adversary)
    return activations


@torch.no_grad()
def _domain_figures(
    network: AdversarialNetwork, phases: Sequence[Phase], probe: Probe, activations: Activations
) -> dict[str, Tensor]:
    """How well the own domain head and a fresh classifier tell source from target."""
    held, n, m = probe.held, probe.fit.size, probe.held.size
    w_source, w_target = held.weight[:, 0], held.weight[:, -1]

    def ends(x: Tensor, size: int) -> Tensor:
        return torch.cat([x[..., :size], x[..., -size:]], dim=-1)

    fit = network.of_events(network.features(probe.fit.x, weight=probe.fit.weight_sizes))
    is_target = torch.cat([torch.zeros(n), torch.ones(n)]).to(fit).expand(len(fit), -1)
    weight = torch.cat([probe.fit.weight[:, 0], probe.fit.weight[:, -1]], dim=-1)
    features = network.of_events(activations.features)
    scores = discriminant_scores(ends(fit, n), is_target, weight, ends(features, m))
    figures = {
        "fresh_auc": weighted_auc(scores[:, :m], scores[:, m:], w_source, w_target),
        "auc_error": auc_error(w_source, w_target),
    }
    names = ("own_auc", "own_accuracy", "own_loss")
    if not trains_head(phases) or not activations.domain:
        return figures | dict.fromkeys(names, torch.full_like(figures["fresh_auc"], math.nan))
    return figures | own_figures(activations.domain[-1], held)


def _first(batch: Batch, most: int) -> Batch:
    """The first events of each domain."""
    size = min(most, batch.size)
    x = batch.x.view(*batch.x.shape[:2], -1, batch.size)[..., :size].flatten(-2)
    return Batch(x, batch.label[..., :size], batch.weight[..., :size])


@torch.no_grad()
def _feature_figures(features: Tensor) -> dict[str, Tensor]:
    x = features.cpu().double()
    centred = x - x.mean(-1, keepdim=True)
    covariance = centred @ centred.transpose(1, 2) / x.shape[-1]
    variance = covariance.diagonal(dim1=1, dim2=2)
    size = x.square().mean((1, 2)).sqrt()
    spread = variance.amax(-1).sqrt()
    total, squares = variance.sum(-1), covariance.square().sum((1, 2))
    return {
        "feature_spread": torch.where(size > 0, spread / size, 0.0),
        "feature_rank": torch.where(squares > 0, total.square() / squares, 0.0),
    }


def _moved(network: AdversarialNetwork, start: Tensor | None) -> Tensor:
    if start is None:
        return torch.full((network.members,), math.nan)
    change: Tensor = torch.linalg.vector_norm(head_weights(network) - start, dim=1)
    size: Tensor = torch.linalg.vector_norm(start, dim=1)
    return change / size


@torch.no_grad()
def _not_finite(network: AdversarialNetwork, features: Tensor) -> Tensor:
    values = [p.reshape(network.members, -1) for p in network.parameters()]
    values.append(features.reshape(network.members, -1))
    return 1 - torch.isfinite(torch.cat(values, dim=1)).cpu().double().mean(1)


_STEP = 0.01  # of the features' size


def trains_head(phases: Sequence[Phase]) -> bool:
    """Whether a method trains the domain head."""
    return any("domain_head" in phase.parts for phase in phases)


def own_figures(logits: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Figures of the domain logits (K, 1 or D, events) of a batch; of D, the last is the target's.

    Returns:
        (K,) own_auc, own_accuracy and own_loss; see
        :data:`FIGURES`.
    """
    size, w_source, w_target = batch.size, batch.weight[:, 0], batch.weight[:, -1]
    z = logits[:, -1]
    if logits.shape[1] > 1:  # the last domain against all others
        z = z - torch.logsumexp(logits[:, :-1], dim=1)
    z_source, z_target = z[:, :size], z[:, -size:]
    parts = ((-z_source, w_source), (z_target, w_target))
    loss = [(nn.functional.softplus(-right) * w).sum(-1) / w.sum(-1) for right, w in parts]
    hit = [((right > 0) * w).sum(-1) / w.sum(-1) for right, w in parts]
    return {
        "own_auc": weighted_auc(z_source, z_target, w_source, w_target),
        "own_accuracy": 0.5 * (hit[0] + hit[1]),
        "own_loss": 0.5 * (loss[0] + loss[1]) / math.log(2),
    }


def gradients(
    network: AdversarialNetwork, phases: Sequence[Phase], batch: Batch, adversary: AdversaryWeight
) -> dict[str, Tensor]:
    """Gradients at the features, and of the extractor's weights, with λ and without it.

    What λ adds is the gradient with it less that without: so every method is looked at by what
    it really sends, whatever it is made of.

    Returns:
        (K,) label_gradient, domain_gradient, angle, push and effect, as
        :data:`FIGURES` says.
    """
    off = AdversaryWeight(torch.zeros_like(adversary.lambda_), adversary.domain_weight)
    with_features, with_weights = _slopes(network, phases, batch, adversary)
    features, weights = _slopes(network, phases, batch, off)
    added = [a - b for a, b in zip(with_features, features, strict=True)]
    added_weights = _norm([a - b for a, b in zip(with_weights, weights, strict=True)])
    size = batch.size
    push = _push(network, phases, batch, adversary, added)
    on_source = [(a[..., :size], b[..., :size]) for a, b in zip(added, features, strict=True)]
    dot = sum((a * b).cpu().double().sum((1, 2)) for a, b in on_source)
    size_of = _norm([a for a, _ in on_source]) * _norm([b for _, b in on_source])
    cosine = torch.where(size_of > 0, dot / size_of, math.nan).clamp(-1, 1)
    return {
        "label_gradient": _norm(features),
        "domain_gradient": _norm(added),
        "angle": torch.rad2deg(torch.acos(cosine)),
        "push": push,
        "effect": added_weights / _norm(weights),
    }


@torch.no_grad()
def _push(
    network: AdversarialNetwork,
    phases: Sequence[Phase],
    batch: Batch,
    adversary: AdversaryWeight,
    added: Sequence[Tensor],
) -> Tensor:
    """Own head's loss after the features took a step of 1 % down the added gradient, less before.

    A reversed gradient raises it; one that is not reversed helps the head, and lowers it.
    """
    unknown = torch.full((network.members,), math.nan)
    if not _head_acts(network, phases, batch, adversary) or len(added) != 1:
        return unknown
    losses = []
    for step in (0.0, _STEP):
        activations = Activations()

        def move(
            _module: nn.Module, _inputs: object, features: Tensor, step: float = step
        ) -> Tensor:
            scale = features.flatten(1).norm(dim=1) / added[0].flatten(1).norm(dim=1)
            scale = torch.where(torch.isfinite(scale), scale, 0.0)
            return features - step * scale.view(-1, 1, 1) * added[0]

        handle = network.get_submodule("extractor").register_forward_hook(move)
        try:
            with record_activations(network, activations):
                for phase in phases:
                    phase.objective(network, batch, adversary)
        finally:
            handle.remove()
        losses.append(own_figures(activations.domain[-1], batch)["own_loss"])
    return losses[1] - losses[0]


def _head_acts(
    network: AdversarialNetwork, phases: Sequence[Phase], batch: Batch, adversary: AdversaryWeight
) -> bool:
    """Whether the domain head is trained and sees features that a gradient comes back to."""
    if not trains_head(phases):
        return False
    for phase in phases:
        activations = Activations()
        with torch.enable_grad(), record_activations(network, activations):
            phase.objective(network, batch, adversary)
            values = [logits.sum() for logits in activations.domain]
        if any(s is not None for value in values for s in _back(value, activations.extractor)):
            return True
    return False


def _slopes(
    network: AdversarialNetwork, phases: Sequence[Phase], batch: Batch, adversary: AdversaryWeight
) -> tuple[list[Tensor], list[Tensor]]:
    """Gradient of what the phases minimise: at the features, and of the extractor's weights."""
    weights = network.part("extractor")
    at_features: list[Tensor] = []
    at_weights = [torch.zeros_like(p) for p in weights]
    for phase in phases:
        activations = Activations()
        with torch.enable_grad(), record_activations(network, activations):
            value = phase.objective(network, batch, adversary).value.sum()
        places = [*activations.extractor, *weights]
        slopes = [
            torch.zeros_like(p) if g is None else g
            for p, g in zip(places, _back(value, places), strict=True)
        ]
        feature_slopes = slopes[: len(activations.extractor)]
        if [g.shape for g in feature_slopes] == [g.shape for g in at_features]:
            at_features = [a + b for a, b in zip(at_features, feature_slopes, strict=True)]
        else:
            at_features += feature_slopes
        at_weights = [a + b for a, b in zip(at_weights, slopes[len(feature_slopes) :], strict=True)]
    return at_features, at_weights


def _back(value: Tensor, places: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradient of a value at some places; ``None`` where none comes to."""
    live = [place for place in places if place.requires_grad]
    if not value.requires_grad or not live:
        return [None] * len(places)
    slopes = iter(torch.autograd.grad(value, live, allow_unused=True))
    return [next(slopes) if place.requires_grad else None for place in places]


def _norm(parts: Sequence[Tensor]) -> Tensor:
    """(K,) norm over all parts."""
    squares = [part.cpu().double().flatten(1).square().sum(1) for part in parts]
    return torch.stack(squares).sum(0).sqrt()


_ACTIVATIONS = (nn.ReLU, nn.ELU, nn.GELU, nn.Tanh)
_DROPOUTS = (StackedDropout, nn.Dropout)


class Activations:
    """Feature layer, domain logits and range of the hidden units in passes over events."""

    def __init__(self) -> None:
        self.extractor: list[Tensor] = []
        self.domain: list[Tensor] = []
        self.layers: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def features(self) -> Tensor:
        """(K, H, events) the feature layer."""
        return self.extractor[0]

    def dead(self) -> dict[str, Tensor]:
        """Share of each layer's units that are the same for all events, (K,) each."""
        return {
            name: ((most - least) <= 1e-6 * most.abs()).cpu().double().mean(-1)
            for name, (least, most) in self.layers.items()
        }

    def note_layer(self, name: str, output: Tensor) -> None:
        """Keep the smallest and the largest output of each unit."""
        least, most = output.detach().aminmax(dim=-1)
        if name in self.layers:
            before = self.layers[name]
            least, most = torch.minimum(least, before[0]), torch.maximum(most, before[1])
        self.layers[name] = (least, most)


@contextmanager
def record_activations(
    network: nn.Module, activations: Activations, *, units: bool = False
) -> Iterator[None]:
    """Record feature layer, domain logits and, if asked, units of the passes within the block."""

    def layer(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: activations.note_layer(name, output)

    handles = [
        network.get_submodule("extractor").register_forward_hook(
            lambda _module, _inputs, output: activations.extractor.append(output)
        ),
        network.get_submodule("domain_head").register_forward_hook(
            lambda _module, _inputs, output: activations.domain.append(output)
        ),
    ]
    handles += [
        module.register_forward_hook(layer(name))
        for name, module in network.named_modules()
        if units and isinstance(module, _ACTIVATIONS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def preserved_state(network: nn.Module) -> Iterator[None]:
    """Training mode without dropout; buffers and random states are put back at the end."""
    was = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        network.train()
        for module in network.modules():
            if isinstance(module, _DROPOUTS):
                module.eval()
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        network.train(was)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
