"""A classifier in closed form (an extreme learning machine) on frozen features, and its AUC."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
    """Standard error of an AUC of one half, from effective numbers of events (Mann & Whitney 1947).

    Returns:
        (K,) one error a member.
    """
    n, m = _effective(w_first), _effective(w_second)
    return torch.sqrt((n + m + 1) / (12 * n * m))


def _effective(weight: Tensor) -> Tensor:
    w = weight.cpu().double()
    return w.sum(-1).square() / w.square().sum(-1)
