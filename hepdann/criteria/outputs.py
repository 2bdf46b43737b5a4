"""Criteria that look at scores alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..stats.classification import as_scores, losses
from ..stats.figure import Floats, as_weight, mean_of

_TINY = float(np.finfo(np.float32).eps)  # scores are stored as float32


def agreement(
    score: ArrayLike, teacher: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """Share of the target's events that get the class that a teacher gives them; larger is better.

    The teacher is source-only on an aligned target: where the alignment is right, so is the
    teacher, and whoever disagrees with it is not. A teacher that is wrong is followed.

    Args:
        score: (N, C) or (N,) of the candidate.
        teacher: the same of the teacher, on the same events.
        weight: (N,) event weights.

    Returns:
        1 for the teacher itself; ``None`` without events.
    """
    a, b = as_scores(score), as_scores(teacher)
    return mean_of((a.argmax(axis=1) == b.argmax(axis=1)).astype(np.float64), weight)


def source_loss(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """Weighted mean of -ln(probability of the true class) on source events; smaller is better.

    Args:
        score: (N, C) or (N,) of source events that were not trained on.
        label: (N,) their class.
        weight: (N,) event weights.
    """
    return mean_of(losses(score, label), weight)


def entropy(score: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Mean entropy of the target's scores, in nats; smaller is taken to be better.

    Source: Grandvalet and Bengio, NeurIPS 2004; as a criterion Morerio et al., ICLR 2018. It asks
    for a confident network, and a confidently wrong one is as good as any.
    """
    return mean_of(_entropies(as_scores(score)), weight)


def infomax(score: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Entropy of the mean score less the mean entropy; larger is taken to be better.

    Source: Shi and Sha, ICML 2012: the mutual information of event and class. Confident scores
    that use all classes equally have the largest; rare signals do not want that.
    """
    y = as_scores(score)
    w = as_weight(weight, len(y))
    single = entropy(y, w)
    if single is None:
        return None
    mean = np.clip(w @ y / w.sum(), _TINY, 1.0)
    return float(_entropies(mean[None])[0]) - single


def _entropies(y: Floats) -> Floats:
    p = np.clip(y, _TINY, 1.0)
    return np.asarray(-(p * np.log(p)).sum(axis=1))


def soft_neighbourhood(
    score: ArrayLike, *, temperature: float = 0.05, most: int = 1000, seed: int = 0
) -> float | None:
    """Soft neighbourhood density (SND); larger is taken to be better.

    Source: Saito et al., ICCV 2021, eqs. 1-3: the mean entropy of softmax(cosine similarity of
    the class probabilities / 0.05) over all other events. Dense groups of equal scores have a
    large one, right or wrong.

    Args:
        score: (N, C) or (N,) of the target.
        temperature: of the softmax.
        most: as many events are compared with each other, drawn at random.
        seed: of the drawing.

    Returns:
        In nats; ``None`` with fewer than three events.
    """
    y = as_scores(score)
    if len(y) > most:
        y = y[np.random.default_rng(seed).permutation(len(y))[:most]]
    if len(y) < 3:
        return None
    unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    similar = unit @ unit.T / temperature
    np.fill_diagonal(similar, -np.inf)
    p = np.exp(similar - similar.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return float(np.mean(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)))


def signal_share(score: ArrayLike, weight: ArrayLike | None = None) -> Floats | None:
    """(C,) share of the target's events, by weight, that is given each class."""
    y = as_scores(score)
    w = as_weight(weight, len(y))
    total = float(w.sum())
    if not len(y) or not total > 0:
        return None
    given = y.argmax(axis=1)
    return np.asarray(np.bincount(given, weights=w, minlength=y.shape[1]) / total)


def prior_match(
    score: ArrayLike, fractions: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """1 - half the distance between the given shares and the expected fractions; larger is better.

    Scores of one class too many times say that a threshold moved. It is as good as the fractions
    are: those of MC mislead under a label shift, estimated ones do not.

    Args:
        score: (N, C) or (N,) of the target.
        fractions: (C,) expected share of each class, summing to one.
        weight: (N,) event weights.

    Returns:
        1 for a perfect match; ``None`` without events.
    """
    share = signal_share(score, weight)
    if share is None:
        return None
    return 1.0 - 0.5 * float(np.abs(share - np.asarray(fractions, dtype=np.float64)).sum())
