"""Every method's objective for one member, written with loops over events in plain torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch.nn import functional

_spec = importlib.util.spec_from_file_location(
    "reference", Path(__file__).parents[1] / "training" / "reference.py"
)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def plain_network(shape):
    """With the domain head that the shape asks for."""
    model = reference.PlainDANN(shape)
    inputs = shape.extractor[-1] * (shape.classes if shape.conditioned else 1)
    outputs = 1 if shape.domain_classes == 2 else shape.domain_classes
    model.domain_head = model._head((inputs, *shape.domain_head, outputs))
    if shape.nuisances:
        estimated = sum(values or 15 for values in shape.nuisances)
        model.nuisance_head = model._head((shape.outputs, *shape.nuisance_head, estimated))
    return model.double()


class Member:
    """One member's part of a batch, as lists of events of each domain."""

    def __init__(self, model, batch, k):
        self.model, self.n = model, batch.size
        self.x = [x.T for x in batch.x[k].chunk(batch.domains, dim=-1)]
        self.label = batch.label[k]
        self.weight = batch.weight[k]
        self.nuisance = batch.nuisance[k]

    def features(self):
        return [self.model.features(x) for x in self.x]

    def probabilities(self, features):
        logits = self.model.label_head(features)
        if logits.shape[1] == 1:
            p = torch.sigmoid(logits[:, 0])
            return torch.stack([1 - p, p], 1)
        return logits.softmax(1)

    def label_loss(self, features):
        total = 0.0
        for f, labels, weights in zip(features, self.label, self.weight, strict=False):
            for event, label, weight in zip(self.probabilities(f), labels, weights, strict=True):
                total = total - weight * torch.log(event[label])
        return total / (self.n * len(self.label))

    def nuisance_loss(self, features, factor):
        total = 0.0
        outputs = self.model.nuisance_head(
            reference._Reverse.apply(self.model.label_head(features[0]), factor)
        )
        for event, weight, values in zip(
            outputs, self.nuisance[0], self.nuisance[1:].T, strict=True
        ):
            for width, z in zip(self.model.shape.nuisances, values, strict=True):
                if width:
                    said, event = event[:width], event[width:]
                    total = total - weight * said.log_softmax(0)[int(z)]
                    continue
                said, event = event[:15].view(3, 5), event[15:]
                widths = torch.exp(5 * torch.tanh(said[2] / 5))
                density = torch.distributions.Normal(said[1], widths).log_prob(z).exp()
                total = total - weight * torch.log((said[0].softmax(0) * density).sum())
        return total / self.n

    def distance_correlation(self, features):
        p = self.probabilities(features[0])
        outputs = p[:, 1:].T if p.shape[1] == 2 else p.T
        share = self.nuisance[0] / self.nuisance[0].sum().clamp(
            min=0.05 * self.nuisance[0].abs().sum()
        )

        def centred(x):
            apart = torch.stack([(x - one).abs() for one in x])
            mean = torch.stack(
                [sum(w * d for w, d in zip(share, row, strict=True)) for row in apart]
            )
            whole = (share * mean).sum()
            return apart - mean[:, None] - mean[None, :] + whole

        def covariance(a, b):
            pairs = [(i, j) for i in range(self.n) for j in range(self.n)]
            return sum(share[i] * share[j] * a[i, j] * b[i, j] for i, j in pairs)

        total = 0.0
        for x in outputs:
            for z in self.nuisance[1:]:
                a, b = centred(x), centred(z)
                sizes = covariance(a, a).clamp(min=0) * covariance(b, b).clamp(min=0)
                total = total + covariance(a, b) / sizes.clamp(min=1e-12).sqrt()
        return total

    def bag_loss(self, features):
        score = torch.sigmoid(self.model.label_head(features[0])[:, 0])
        total = 0.0
        for inside in self.nuisance[1:-1]:
            size = inside.sum().clamp(min=0.05 * inside.abs().sum())
            mean = sum(w * s for w, s in zip(inside, score, strict=True)) / size
            known = sum(w * f for w, f in zip(inside, self.nuisance[-1], strict=True)) / size
            total = total + (known - mean) ** 2
        return total

    def domain_loss(self, features, factor):
        domains = len(features)
        total = 0.0
        for d, f in enumerate(features):
            seen = reference._Reverse.apply(f, factor)
            if self.model.shape.conditioned:
                p = self.probabilities(f).detach()
                seen = torch.stack(
                    [torch.outer(a, b).reshape(-1) for a, b in zip(seen, p, strict=True)]
                )
            logits = self.model.domain_head(seen)
            for event, weight in zip(logits, self.weight[d], strict=True):
                if logits.shape[1] > 1:
                    loss = functional.cross_entropy(event[None], torch.tensor([d]))
                    total = total + weight * loss / domains
                elif d == domains - 1:
                    total = total - weight * functional.logsigmoid(event[0]) / 2
                else:
                    total = total - weight * functional.logsigmoid(-event[0]) / 2 / (domains - 1)
        return total / self.n

    def mmd(self, features):
        x, y = features
        w, v = self.weight[0], self.weight[1]
        events, sizes = torch.cat([x, y]).detach(), torch.cat([w, v]).abs()
        pairs = torch.cdist(events, events) ** 2 * torch.outer(sizes, sizes)
        b = pairs.sum() / sizes.sum() ** 2

        def kernel(a, c):
            return sum(torch.exp(-((a - c) ** 2).sum() / (2.0**u * b)) for u in range(-2, 3)) / 5

        total = 0.0
        for i in range(self.n):
            for j in range(self.n):
                if i != j:
                    total = total + w[i] * w[j] * kernel(x[i], x[j])
                    total = total + v[i] * v[j] * kernel(y[i], y[j])
                    total = total - w[i] * v[j] * kernel(x[i], y[j])
                    total = total - w[j] * v[i] * kernel(x[j], y[i])
        return total / (self.n * (self.n - 1))

    def coral(self, features):
        centre = sum(f.detach().mean(0) for f in features) / 2
        matrices = []
        for d, f in enumerate(features):
            w = self.weight[d]
            mean = sum(w[i] * (f[i] - centre) for i in range(self.n)) / self.n
            square = sum(w[i] * torch.outer(f[i] - centre, f[i] - centre) for i in range(self.n))
            matrices.append(square / self.n - torch.outer(mean, mean))
        size = features[0].shape[1]
        return ((matrices[0] - matrices[1]) ** 2).sum() / (4 * size**2)


# methods that differ from one another in what they train on
PLAIN = {
    "source-only", "calibrated", "calibrated-known", "parametrised", "self-training", "planing",
    "cwola", "llp-unbiased",
}  # fmt: skip


def objectives(name, member, lambda_, domain_weight, nuisance_weight):
    """The value of each phase."""
    f = member.features()
    factor = lambda_ * nuisance_weight
    if name == "pivot":
        return [member.label_loss(f[:1]) + member.nuisance_loss(f, factor)]
    if name == "dann-pivot":
        domains = domain_weight * member.domain_loss(f, lambda_)
        return [member.label_loss(f) + domains + member.nuisance_loss(f, factor)]
    if name == "pivot-alternating":
        still = [a.detach() for a in f]
        return [
            member.nuisance_loss(still, 0.0),
            member.label_loss(f[:1]) - factor * member.nuisance_loss(f, -1.0),
        ]
    if name == "llp":
        return [member.bag_loss(f)]
    if name == "disco":
        return [member.label_loss(f[:1]) + factor * member.distance_correlation(f)]
    if name in ("dann", "hybrid-dann", "cdan"):
        return [member.label_loss(f) + domain_weight * member.domain_loss(f, lambda_)]
    if name in PLAIN:
        return [member.label_loss(f) + domain_weight * member.domain_loss(f, 0.0)]
    if name == "dann-joint":
        domain = member.domain_loss([*f[:-1], f[-1].detach()], 1.0)
        return [member.label_loss(f) + lambda_ * domain_weight * domain]
    if name in ("dann-alternating", "hybrid-alternating"):
        domain = member.domain_loss(member.features(), 1.0)
        return [member.label_loss(f), lambda_ * domain_weight * domain]
    distance = {"mmd": member.mmd, "coral": member.coral}[name](f)
    watched = member.domain_loss([a.detach() for a in f], 0.0)
    return [member.label_loss(f) + domain_weight * (lambda_ * distance + watched)]
