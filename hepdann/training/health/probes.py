"""The events that a stack's health is looked at with: the same ones every time, no random state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...methods import Batch
from .discriminant import discriminant_scores, weighted_auc

if TYPE_CHECKING:
    from ...domains.resident import DomainEvents
    from ..batches import Slot

_EVENTS = 1_024  # of each domain, to fit on and to look at
_IMAGES = 256  # where an event is an image
_FEWEST = 16


@dataclass(frozen=True, eq=False)
class Probe:
    """Events to look at the members of a stack with.

    Attributes:
        reach: (K,) AUC of a fresh classifier of the inputs for the label; NaN for a regression and
            for images.
    """

    fit: Batch
    held: Batch
    reach: Tensor


def probe_of(slots: Sequence[Slot], classes: int) -> Probe | None:
    """Take a probe of the events of a stack; the same one every time.

    Returns:
        ``None`` with fewer than 16 events in a split, where figures would say nothing.
    """
    domains = [
        [slot.events[which] for slot, which in zip(slots, own, strict=True)]
        for own in zip(*(slot.chosen for slot in slots), strict=True)
    ]
    images = slots[0].events[0].images
    most = _IMAGES if images else _EVENTS
    fit = _batch(domains, partial(_training_events, most=most))
    held = _batch(domains, partial(_validation_events, most=most))
    if min(fit.size, held.size) < _FEWEST:
        return None
    if images:  # a fresh classifier of pixels tells nothing
        return Probe(fit, held, torch.full((len(domains),), math.nan))
    return Probe(fit, held, _label_reach(fit, held, slots[0].chosen, classes))


_Events = tuple[Tensor, Tensor, Tensor]  # features (F, n), labels (n,), weights (n,)


def _spread(n: int, most: int) -> Tensor:
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def _training_events(domain: DomainEvents, most: int) -> _Events:
    rows = _spread(domain.n_train, most).to(domain.x.device)
    label = torch.zeros_like(rows) if domain.label is None else domain.label[rows]
    return domain.x[rows].T, label, domain.weight[rows]


def _validation_events(domain: DomainEvents, most: int) -> _Events:
    weight = domain.weight_validation
    rows = _spread(len(weight), most).to(weight.device)
    labels = domain.label_validation
    label = torch.zeros_like(rows) if labels is None else labels[rows]
    return domain.x_validation[:, rows], label, weight[rows] / weight.abs().mean().clamp(min=1e-30)


def _batch(
    domains: Sequence[Sequence[DomainEvents]], take: Callable[[DomainEvents], _Events]
) -> Batch:
    taken = {id(d): take(d) for own in domains for d in own}
    size = min(x.shape[1] for x, _, _ in taken.values())
    cut = {
        key: (x[:, rows], label[rows], weight[rows])
        for key, (x, label, weight) in taken.items()
        for rows in [_even(x.shape[1], size, x.device)]
    }
    own = [[cut[id(d)] for d in chosen] for chosen in domains]
    return Batch(
        torch.stack([torch.cat([x for x, _, _ in events], dim=-1) for events in own]),
        torch.stack([torch.stack([label for _, label, _ in events[:-1]]) for events in own]),
        torch.stack([torch.stack([w for _, _, w in events]) for events in own]),
    )


def _even(n: int, size: int, device: torch.device) -> Tensor:
    return torch.linspace(0, n - 1, size, device=device).round().long()


def _label_reach(fit: Batch, held: Batch, source: Sequence[int], classes: int) -> Tensor:
    """AUC of fresh classifiers of the inputs for the label, once for each source of the stack."""
    reach: dict[int, float] = {}
    for k, which in enumerate(source):
        if which not in reach:
            x, inputs = fit.x[k : k + 1, :, : fit.size], held.x[k : k + 1, :, : held.size]
            label, weight = fit.label[k : k + 1, 0], fit.weight[k : k + 1, 0]
            scores = [
                discriminant_scores(x, label == c, weight, inputs)
                for c in (range(classes) if classes > 2 else (1,))
            ]
            class_scores = torch.stack(scores, dim=1) if classes > 1 else None
            reach[which] = float(label_auc(class_scores, held, slice(k, k + 1)))
    return torch.tensor([reach[which] for which in source])


def label_auc(scores: Tensor | None, batch: Batch, members: slice = slice(None)) -> Tensor:
    """AUC of label scores on the source events of a batch, one class against the rest.

    Returns:
        (K,) mean over the classes; NaN for a regression.
    """
    label, weight = batch.label[members, 0], batch.weight[members, 0]
    if scores is None:
        return torch.full((len(label),), math.nan)
    zero = torch.zeros(())
    aucs = []
    for column in range(scores.shape[1]):
        is_signal = label == (column if scores.shape[1] > 1 else 1)
        row = scores[:, column]
        aucs.append(
            weighted_auc(
                row, row, torch.where(is_signal, zero, weight), torch.where(is_signal, weight, zero)
            )
        )
    return torch.stack(aucs).nanmean(0)
