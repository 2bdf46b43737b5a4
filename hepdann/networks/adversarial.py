"""The network with a label and a domain head, and the feature extractor of K perceptrons."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .layers import (
    Head,
    StackedBatchNorm,
    StackedDropout,
    StackedLayerNorm,
    StackedLinear,
    activation,
    hidden,
    in_cache,
    member_generators,
    reverse_gradient,
)
from .objects import object_logits
from .perceptron import Perceptrons, compilable
from .registry import CopiedExtractor, Copies, custom_head, custom_members, width_of
from .shape import NetworkShape
from .statistics import compiled_statistics

GAUSSIANS = 5  # of the density of a continuous nuisance


class Extractor(nn.Module):
    """Linear, normalisation (if any) and activation, layer by layer.

    Each member has a generator for its initial weights; ``act`` makes the activation of the next
    layer.
    """

    def __init__(
        self,
        shape: NetworkShape,
        generators: Sequence[torch.Generator],
        act: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        widths = (shape.inputs, *shape.extractor)
        centred = shape.normalisation in ("domain", "shared")  # takes a bias away again
        self.residual, self.widest = shape.residual, max(widths)
        self.linear = nn.ModuleList(
            StackedLinear(a, b, generators, bias=not centred) for a, b in itertools.pairwise(widths)
        )
        self.norm = nn.ModuleList(
            _normalisation(shape, len(generators), width)
            for width in (widths[1:] if shape.normalisation != "none" else ())
        )
        self.activation = nn.ModuleList(act() for _ in shape.extractor)

    def _run(
        self,
        x: Tensor,
        normalise: Callable[[StackedBatchNorm, Tensor], Tensor],
        members: slice | None = None,
    ) -> Tensor:
        for index, (layer, act) in enumerate(zip(self.linear, self.activation, strict=True)):
            linear = partial(layer, members=members)
            norm: Callable[[Tensor], Tensor] | None = self.norm[index] if self.norm else None
            if isinstance(norm, StackedBatchNorm):
                norm = partial(normalise, norm)
            x = hidden(x, linear, act, residual=self.residual, normalise=norm)
        return x

    def forward(
        self, x: Tensor, domains: int | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Feature layer (K, H, D · B) of a training batch (K, F, D · B), by default of all domains.

        Batch normalisation weights its events by (K, D, B); by default all are alike.
        """
        return self._run(x, lambda norm, y: norm(y, domains, weight))

    def collect(self, domains: Sequence[Tensor], weight: Tensor | None = None) -> None:
        """Fix the statistics of prediction from events (K, F, n) of each domain.

        The weights are (K, n of all domains); by default all are alike.
        """
        if not any(isinstance(norm, StackedBatchNorm) for norm in self.norm):
            return
        plain = all(isinstance(act, nn.ReLU) for act in self.activation) and not self.residual
        if plain and self._collect_compiled(domains, weight):
            return
        sizes = [x.shape[-1] for x in domains]
        some = in_cache(domains[0], self.widest * sum(sizes))
        for first in range(0, len(domains[0]), some):
            members = slice(first, first + some)
            x = torch.cat([events[members] for events in domains], dim=-1)
            of_these = None if weight is None else weight[members]
            collect = partial(
                StackedBatchNorm.collect, sizes=sizes, members=members, weight=of_these
            )
            self._run(x, collect, members)

    def _collect_compiled(self, domains: Sequence[Tensor], weight: Tensor | None) -> bool:
        """Do so by compiled code, where there is such code."""
        norms = [norm for norm in self.norm if isinstance(norm, StackedBatchNorm)]
        sizes, apart = [x.shape[-1] for x in domains], norms[0].per_domain
        weights = [None] * len(sizes) if weight is None else torch.split(weight, sizes, dim=-1)
        groups = (
            zip(domains, weights, strict=True) if apart else [(torch.cat([*domains], -1), weight)]
        )
        for domain, (x, of_these) in enumerate(groups):
            moments = compiled_statistics([*self.linear], norms, x, of_these)
            if moments is None:
                return False
            rows = domain if apart else slice(None)
            for norm, (mean, variance) in zip(norms, moments, strict=True):
                norm.mean[rows], norm.variance[rows] = mean, variance
        return True

    def prediction(self, domain: int | Tensor) -> Callable[[Tensor], Tensor]:
        """What maps events to the feature layer by statistics: 0 source, 1 target, or (K,)."""
        layers: list[Callable[[Tensor], Tensor]] = []
        for index, (layer, act) in enumerate(zip(self.linear, self.activation, strict=True)):
            assert isinstance(layer, StackedLinear)
            norm = self.norm[index] if self.norm else None
            linear: Callable[[Tensor], Tensor] = layer
            if isinstance(norm, StackedBatchNorm):  # fixed, it is a part of the linear map
                linear, norm = layer.scaled(*norm.factors(domain)), None
            layers.append(
                partial(hidden, linear=linear, act=act, residual=self.residual, normalise=norm)
            )
        return lambda x: functools.reduce(lambda y, layer: layer(y), layers, x)


def _normalisation(shape: NetworkShape, members: int, width: int) -> nn.Module:
    if shape.normalisation == "layer":
        return StackedLayerNorm(members, width)
    per_domain = shape.normalisation == "domain"
    return StackedBatchNorm(members, width, per_domain=per_domain, domains=shape.domains)


class AdversarialNetwork(nn.Module):
    """The stack of K networks that every method trains (Ganin et al., JMLR 17 (2016) 59).

    Its parts are ``extractor``, ``label_head``, ``domain_head``, and ``nuisance_head`` where it has
    nuisances.

    Args:
        shape: widths, the same for all members.
        seeds: one a member; a member's initial weights depend on its own seed alone.
    """

    def __init__(self, shape: NetworkShape, seeds: Sequence[int]) -> None:
        super().__init__()
        self.shape = shape
        self.members = len(seeds)
        generators, layers = member_generators(seeds), itertools.count()
        act = partial(activation, shape.activation, shape.dropout, seeds, layers)
        head = partial(Head, generators=generators, act=act, residual=shape.residual)
        made = custom_members(shape, seeds)
        self.extractor: Extractor | CopiedExtractor
        if made:
            self.extractor = CopiedExtractor(
                [m.extractor for m in made],
                seeds,
                shape.domains,
                per_domain=shape.normalisation != "shared",
            )
            latent = width_of(made[0].extractor, shape.inputs, "feature extractor")
            rooms = zip(shape.objects, shape.object_classes, strict=False)
            latent -= sum(most * classes for (_, most, _), classes in rooms)
        else:
            self.extractor = Extractor(shape, generators, act)
            latent = shape.extractor[-1]
        self._latent = latent
        custom = custom_head([m.label_head for m in made], seeds, 1, latent, shape.outputs)
        self.label_head = custom or head((latent, *shape.label_head, shape.outputs))
        inputs, outputs = shape.domain_inputs(latent), shape.domain_outputs
        custom = custom_head([m.domain_head for m in made], seeds, 2, inputs, outputs)
        self.domain_head = custom or head((inputs, *shape.domain_head, outputs))
        self.parts: tuple[str, ...] = ("extractor", "label_head", "domain_head")
        if shape.nuisances:
            estimated = sum(values or 3 * GAUSSIANS for values in shape.nuisances)
            self.nuisance_head = head((shape.outputs, *shape.nuisance_head, estimated))
            self.parts += ("nuisance_head",)
        stepping = (StackedDropout, Copies)
        self._stepping = [m for m in self.modules() if isinstance(m, stepping)]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights and statistics by name; on a processor they are the network's own memory."""
        return {name: value.cpu().numpy() for name, value in self.state_dict().items()}

    def set_step(self, step: int) -> None:
        """Say which step of the training the next passes belong to; dropout depends on it."""
        for module in self._stepping:
            module.set_step(step)

    def part(self, name: str) -> list[nn.Parameter]:
        """Parameters of one of :attr:`parts`."""
        return list(self.get_submodule(name).parameters())

    def features(
        self, x: Tensor, domains: int | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Feature layer (K, H, D * B) of a training batch (K, F, D * B), domain after domain.

        The batch holds the first of the D domains, by default all. Batch normalisation of the
        perceptron weights events by (K, D, B); by default all are alike.
        """
        y: Tensor = self.extractor(self._inputs(x), domains, weight)
        return y

    def _inputs(self, x: Tensor) -> Tensor:
        """What the extractor sees of a batch, behind which the classes of objects may stand."""
        return x[..., : self.shape.inputs, :] if self.shape.objects else x

    def of_events(self, features: Tensor) -> Tensor:
        """The feature layer alone (K, H, n), without the logits of objects behind it."""
        return features[:, : self._latent] if self.shape.object_classes else features

    def domain_logits(self, features: Tensor, lambda_: Tensor) -> Tensor:
        """Domain logits (K, batch), or (K, D, batch) where each domain is a class of its own.

        Minus λ (K, 1, 1) multiplies the gradient that reaches the features (K, H, batch).
        """
        y: Tensor = self.domain_head(self._seen_by_domain_head(reverse_gradient(features, lambda_)))
        return y.squeeze(1) if y.shape[1] == 1 else y

    def _seen_by_domain_head(self, features: Tensor) -> Tensor:
        """The features; if conditioned their products with the class probabilities (K, H C, n).

        The probabilities are a condition and pass no gradient on: Long et al., "Conditional
        Adversarial Domain Adaptation" (2018), eq. (5), as in the authors' code.
        """
        features = self.of_events(features)
        if not self.shape.conditioned:
            return features
        condition = self.scores(features.detach()).transpose(1, 2)
        return (features.unsqueeze(2) * condition.unsqueeze(1)).flatten(1, 2)

    def nuisance_outputs(self, logits: Tensor, lambda_: Tensor) -> tuple[Tensor, ...]:
        """What the adversary says of each nuisance of a batch, given logits (K, outputs, batch).

        Minus λ (K, 1, 1) multiplies the gradient that reaches these, which are of the label head.

        Returns:
            (K, V, batch) logits of the V values of each that is categorical; of a continuous one
            (K, 15, batch): logits of five Gaussians, means and logarithms of widths.
        """
        y: Tensor = self.nuisance_head(reverse_gradient(logits, lambda_))
        widths = [values or 3 * GAUSSIANS for values in self.shape.nuisances]
        return tuple(torch.split(y, widths, dim=1))

    def label_logits(self, features: Tensor) -> Tensor:
        """Label logits (K, outputs, batch); of a regression the values themselves."""
        y: Tensor = self.label_head(self.of_events(features))
        return y

    @torch.no_grad()
    def collect_statistics(self, *domains: Sequence[Tensor], weight: Tensor | None = None) -> None:
        """Fix the statistics of prediction from unlabelled events.

        They are K times (F, n) of each of the D domains, source first and target last; batch
        normalisation of the perceptron weights them by (K, n of all domains), by default alike.
        """
        seen = [[self._inputs(x) for x in domain] for domain in domains]
        if isinstance(self.extractor, CopiedExtractor):
            self.extractor.collect(seen)  # one by one: images of all members are many
        else:
            self.extractor.collect([torch.stack(domain) for domain in seen], weight)

    def _predicted(self, x: Tensor, domain: int | Tensor) -> Tensor:
        return self.extractor.prediction(domain)(self._inputs(x).expand(self.members, -1, -1))

    @torch.no_grad()
    def latent(self, x: Tensor, domain: int | Tensor) -> Tensor:
        """Feature layer (K, H, n) of events (K or 1, F, n), by the statistics of ``domain``."""
        return self.of_events(self._predicted(x, domain))

    @torch.no_grad()
    def object_scores(self, x: Tensor, domain: int | Tensor) -> tuple[Tensor, ...]:
        """Class probabilities (K, most, C, n) of the objects of each collection with classes."""
        features = self._predicted(x, domain)
        return tuple(logits.softmax(dim=2) for logits in object_logits(features, self.shape))

    @torch.no_grad()
    def predict(self, x: Tensor, domain: int | Tensor) -> tuple[Tensor, Tensor]:
        """Class probabilities (K, n, C) and domain scores (K, n), of scaled events (K or 1, F, n).

        The domain score is the probability of target against source; near 1 is target. The domain
        is whose normalisation statistics apply, 0 source or 1 target; or (K,) of these.
        """
        compiled = _compiled_scores(self, x, domain, domain_scores=True)
        if compiled is not None:
            return compiled
        scores, targets = [], []
        for features in self._latent_parts(x, domain):
            logits = self.domain_head(self._seen_by_domain_head(features))
            target = logits[:, -1] if logits.shape[1] == 1 else logits[:, -1] - logits[:, 0]
            scores.append(self.scores(features))
            targets.append(torch.sigmoid(target))
        return torch.cat(scores, dim=1), torch.cat(targets, dim=1)

    @torch.no_grad()
    def classify(self, x: Tensor, domain: int | Tensor) -> Tensor:
        """Class probabilities (K, n, C) of events, as :meth:`predict` gives them."""
        compiled = _compiled_scores(self, x, domain, domain_scores=False)
        if compiled is not None:
            return compiled[0]
        return torch.cat([self.scores(part) for part in self._latent_parts(x, domain)], dim=1)

    def _latent_parts(self, x: Tensor, domain: int | Tensor) -> Iterator[Tensor]:
        """The feature layer, of parts of the events that are passed one after the other."""
        widths = (*self.shape.extractor, *self.shape.label_head, *self.shape.domain_head)
        size = x.shape[-1] if self.shape.network else in_cache(x, self.members * max(widths))
        latent = self.extractor.prediction(domain)
        for part in torch.split(self._inputs(x), max(size, 1), dim=-1):
            yield latent(part.expand(self.members, -1, -1))

    @torch.no_grad()
    def scores(self, features: Tensor) -> Tensor:
        """Class probabilities (K, n, C) of the feature layer (K, H, n); of a regression values."""
        logits = self.label_logits(features)
        if self.shape.classes == 1:
            return logits.transpose(1, 2)
        if self.shape.classes == 2:
            # not 1 - signal, which keeps nothing of the small scores that a mixture takes logs of
            return torch.sigmoid(torch.stack([-logits[:, 0], logits[:, 0]], dim=-1))
        return torch.softmax(logits, dim=1).transpose(1, 2)


def _compiled_scores(
    network: AdversarialNetwork, x: Tensor, domain: int | Tensor, *, domain_scores: bool
) -> tuple[Tensor, Tensor] | None:
    """Scores by compiled code, where this has the network and all members see the same."""
    if len(x) > 1 or x.device.type != "cpu" or not compilable(network.shape, network.arrays()):
        return None
    compute = Perceptrons(network.shape, network.arrays(), domain, domain=domain_scores)
    scaled = np.zeros((2, x.shape[1])), np.ones((1, x.shape[1]))
    scores, targets = compute(x[0].T.numpy(), np.concatenate(scaled))
    return torch.from_numpy(scores), torch.from_numpy(targets)
