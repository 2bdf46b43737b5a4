"""The same network and training in plain torch, one member at a time, written independently."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None


ACTIVATIONS = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class _Plus(nn.Module):
    """A hidden layer that adds its input."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


class PlainDANN(nn.Module):
    """Batch-major (B, F), `nn.Linear` and `nn.BatchNorm1d`, two separate forwards."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        widths = (shape.inputs, *shape.extractor)
        batch_norm = shape.normalisation in ("domain", "shared")
        self.linear = nn.ModuleList(
            nn.Linear(a, b, bias=not batch_norm) for a, b in itertools.pairwise(widths)
        )
        self.norm = nn.ModuleList(
            nn.BatchNorm1d(b) if batch_norm else nn.LayerNorm(b)
            for b in (widths[1:] if shape.normalisation != "none" else ())
        )
        self.label_head = self._head((widths[-1], *shape.label_head, shape.outputs))
        self.domain_head = self._head((widths[-1], *shape.domain_head, 1))

    def _head(self, widths):
        blocks = []
        for a, b in itertools.pairwise(widths[:-1]):
            layers = nn.Linear(a, b), ACTIVATIONS[self.shape.activation]()
            blocks += [_Plus(*layers)] if self.shape.residual and a == b else layers
        return nn.Sequential(*blocks, nn.Linear(*widths[-2:]))

    def features(self, x):
        for i, linear in enumerate(self.linear):
            y = linear(x)
            if len(self.norm):
                y = self.norm[i](y)
            y = ACTIVATIONS[self.shape.activation]()(y)
            x = x + y if self.shape.residual and x.shape == y.shape else y
        return x

    def take_weights(self, network, k):
        """Copy the weights of member ``k`` of a stack."""

        def copy(to, stacked):
            to.weight.data.copy_(stacked.weight[k].reshape(to.weight.shape))
            if to.bias is not None:
                to.bias.data.copy_(stacked.bias[k].reshape(to.bias.shape))

        for mine, theirs in zip(self.linear, network.extractor.linear, strict=True):
            copy(mine, theirs)
        for mine, theirs in zip(self.norm, network.extractor.norm, strict=True):
            copy(mine, theirs)
        for head in network.parts[1:]:
            mine, theirs = (
                [m for m in getattr(owner, head).modules() if hasattr(m, "weight")]
                for owner in (self, network)
            )
            for pair in zip(mine, theirs, strict=True):
                copy(*pair)

    def parts(self):
        return [
            [*self.linear.parameters(), *self.norm.parameters()],
            list(self.label_head.parameters()),
            list(self.domain_head.parameters()),
        ]


def train_plain(model, trainer, member_index, steps):
    """Train as the user would by hand; returns nothing, ``model`` holds the result."""
    member, settings = trainer.members[member_index], trainer.settings
    source, target = trainer.sources[member.source], trainer.targets[member.target]
    lambda_ = member.lambda_ if member.method.adversarial else 0.0
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    from hepdann.domains import epoch_order

    size = settings.batch_size
    done = 0
    for epoch in range(settings.epochs):
        rows = [
            epoch_order(d.n_train, size * settings.steps, seed=member.seed, epoch=epoch, stream=s)
            for s, d in ((0, source), (1, target))
        ]
        for step in range(settings.steps):
            p = done / (settings.epochs * settings.steps)
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * 0.5 * (1 + np.cos(np.pi * p))
            ramp = 2 / (1 + np.exp(-10 * p)) - 1
            i, j = (torch.from_numpy(r[step * size : (step + 1) * size]) for r in rows)
            fs, ft = model.features(source.x[i]), model.features(target.x[j])
            logits = model.label_head(fs)
            if logits.shape[1] == 1:
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits[:, 0], source.label[i].to(logits.dtype), reduction="none"
                )
            else:
                loss = nn.functional.cross_entropy(logits, source.label[i], reduction="none")
            total = (loss * source.weight[i]).sum() / size
            for f, w, domain in ((fs, source.weight[i], 0.0), (ft, target.weight[j], 1.0)):
                d = model.domain_head(_Reverse.apply(f, lambda_ * ramp))[:, 0]
                loss = nn.functional.binary_cross_entropy_with_logits(
                    d, torch.full_like(d, domain), reduction="none"
                )
                total = total + settings.domain_weight * 0.5 * (loss * w).sum() / size
            optimiser.zero_grad()
            total.backward()
            for part in model.parts():
                nn.utils.clip_grad_norm_(part, settings.clip)
            optimiser.step()
            done += 1
            if done == steps:
                return
