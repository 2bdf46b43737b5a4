"""The events that a stack's health is looked at with, and a classifier in closed form on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..methods import Batch
from ..networks.layers import in_cache

if TYPE_CHECKING:
    from ..domains.event_stream import DomainEvents
    from .batches import Slot


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
        [slot.events[which] for slot, which in zip(slots, member_domains, strict=True)]
        for member_domains in zip(*(slot.chosen for slot in slots), strict=True)
    ]
    images = slots[0].events[0].images
    most = _IMAGES if images else _EVENTS
    weighted = any(slot.weighted for slot in slots)
    fit = _batch(domains, partial(_training_events, most=most), weighted=weighted)
    held = _batch(domains, partial(_validation_events, most=most), weighted=weighted)
    if min(fit.size, held.size) < _FEWEST:
        return None
    if images:  # a fresh classifier of pixels tells nothing
        return Probe(fit, held, torch.full((len(domains),), math.nan))
    return Probe(fit, held, _label_reach(fit, held, slots[0].chosen, classes))


_Events = tuple[Tensor, Tensor, Tensor]  # features (F, n), labels (n,), weights (n,)


def _spread(n: int, most: int) -> Tensor:
    """At most so many of n rows, evenly spread."""
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
    domains: Sequence[Sequence[DomainEvents]],
    take: Callable[[DomainEvents], _Events],
    *,
    weighted: bool,
) -> Batch:
    taken = {id(d): take(d) for member_domains in domains for d in member_domains}
    size = min(x.shape[1] for x, _, _ in taken.values())
    cut = {
        key: (x[:, rows], label[rows], weight[rows])
        for key, (x, label, weight) in taken.items()
        for rows in [_spread(x.shape[1], size).to(x.device)]
    }
    member_events = [[cut[id(d)] for d in chosen] for chosen in domains]
    return Batch(
        torch.stack([torch.cat([x for x, _, _ in events], dim=-1) for events in member_events]),
        torch.stack(
            [torch.stack([label for _, label, _ in events[:-1]]) for events in member_events]
        ),
        torch.stack([torch.stack([w for _, _, w in events]) for events in member_events]),
        weighted=weighted,
    )


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


_UNITS = 256  # enough to match boosted trees on the same events
_WIDE = 4_096  # columns; beyond them equations between events are fewer than between columns
_RIDGE = 1e-4
_SEED = 0x4EA1
_FAR = 10.0  # standard deviations; what lies further out tells no more


@torch.no_grad()
def discriminant_scores(x: Tensor, is_second: Tensor, weight: Tensor, x_held: Tensor) -> Tensor:
    """Fit a two-class discriminant on some events and score others, for each of K members.

    Ridge regression on the standardised features and on random ReLU units of them (an extreme
    learning machine: Huang et al., Neurocomputing 70 (2006) 489). It has one solution, nothing to
    tune, and a random state of its own.

    Args:
        x: (K, H, n) features to fit on.
        is_second: (K, n) whether an event is of the second class.
        weight: (K, n) event weights; they enter by |w|, both classes with the same sum.
        x_held: (K, H, m) features to score.

    Returns:
        (K, m) scores, higher for the second class; all alike where the features are.
    """
    columns = (x.shape[1] + _UNITS) * max(x.shape[2], x_held.shape[2])
    some = in_cache(x, columns)
    parts = (torch.split(tensor, some) for tensor in (x, is_second, weight, x_held))
    return torch.cat([_discriminant(*part) for part in zip(*parts, strict=True)])


def _discriminant(x: Tensor, is_second: Tensor, weight: Tensor, x_held: Tensor) -> Tensor:
    """The scores of some members, whose units stay in the cache."""
    second = is_second.to(x.dtype)
    shares = [part * weight.abs() for part in (second, 1 - second)]
    size = torch.stack([s / s.sum(-1, keepdim=True).clamp(min=1e-30) for s in shares]).sum(0)
    units, held = _units(x, (size / size.sum(-1, keepdim=True)).unsqueeze(1), x_held)
    ridge = _dual if units.shape[1] > _WIDE else _primal
    weights = ridge(units, size.unsqueeze(1), (2 * second - 1).unsqueeze(2))
    scores = (weights.transpose(1, 2) @ held).squeeze(1)
    alike = x.eq(x[..., :1]).all(-1).all(-1, keepdim=True)  # but for rounding in the last columns
    return scores.masked_fill(alike, 0.0)


def _primal(units: Tensor, size: Tensor, aim: Tensor) -> Tensor:
    """Weights (K, columns, 1) of the ridge regression of ``aim`` (K, n, 1) on (K, columns, n)."""
    weighted = units * size
    gram = (weighted @ units.transpose(1, 2)).cpu().double()
    diagonal = gram.diagonal(dim1=1, dim2=2)
    diagonal += (_RIDGE * diagonal.mean(-1, keepdim=True) + 1e-12).clone()
    return _solved(gram, (weighted @ aim).cpu().double()).to(units)


def _dual(units: Tensor, size: Tensor, aim: Tensor) -> Tensor:
    """The same by a matrix of events by events, where there are more columns, as of pixels."""
    root = size.sqrt()
    weighted = units * root
    kernel = (weighted.transpose(1, 2) @ weighted).cpu().double()
    diagonal = kernel.diagonal(dim1=1, dim2=2)
    mean = diagonal.sum(-1, keepdim=True) / units.shape[1]  # as many as the columns have
    diagonal += _RIDGE * mean + 1e-12
    known = (root.transpose(1, 2) * aim).cpu().double()
    return weighted @ _solved(kernel, known).to(units)


def _solved(matrix: Tensor, known: Tensor) -> Tensor:
    """By Cholesky: with several threads the LU decomposition of torch 2.13's MKL may never end."""
    return torch.cholesky_solve(known, torch.linalg.cholesky_ex(matrix)[0])


def _units(x: Tensor, share: Tensor, x_held: Tensor) -> tuple[Tensor, Tensor]:
    """A constant, the standardised features and random units of them: (K, 1 + H + units, n)."""
    mean = (x * share).sum(-1, keepdim=True)
    std = ((x - mean).square() * share).sum(-1, keepdim=True).sqrt()
    std = torch.where(std <= 1e-5 * mean.abs() + 1e-30, torch.inf, std)
    generator = torch.Generator().manual_seed(_SEED)
    width = x.shape[1]
    weight = torch.randn(_UNITS, width, generator=generator) / math.sqrt(width)
    bias = torch.randn(_UNITS, 1, generator=generator)
    weight, bias = weight.to(x), bias.to(x)

    def run(part: Tensor) -> Tensor:
        z = ((part - mean) / std).clamp_(-_FAR, _FAR)
        return torch.cat([torch.ones_like(z[:, :1]), z, torch.relu(weight @ z + bias)], dim=1)

    return run(x), run(x_held)


@torch.no_grad()
def weighted_auc(first: Tensor, second: Tensor, w_first: Tensor, w_second: Tensor) -> Tensor:
    """Probability that an event of the second class scores higher than one of the first.

    Scores and weights are (K, n) and (K, m). Ties count one half; weights may be negative.

    Returns:
        (K,) one AUC a member; NaN where a sum of weights is zero.
    """
    ordered, index = first.cpu().double().contiguous().sort(dim=-1)
    below = torch.nn.functional.pad(w_first.cpu().double().gather(-1, index).cumsum(-1), (1, 0))
    values = second.cpu().double().contiguous()
    under = below.gather(-1, torch.searchsorted(ordered, values))
    up_to = below.gather(-1, torch.searchsorted(ordered, values, right=True))
    wins = (w_second.cpu().double() * 0.5 * (under + up_to)).sum(-1)
    return wins / (below[:, -1] * w_second.cpu().double().sum(-1))


def auc_error(w_first: Tensor, w_second: Tensor) -> Tensor:
    """Standard error of an AUC of one half, from effective numbers of events."""
    n, m = _effective(w_first), _effective(w_second)  # Mann & Whitney 1947
    return torch.sqrt((n + m + 1) / (12 * n * m))


def _effective(weight: Tensor) -> Tensor:
    w = weight.cpu().double()
    return w.sum(-1).square() / w.square().sum(-1)
