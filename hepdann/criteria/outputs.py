"""The criteria: of scores, of density ratios, of neighbours, and of training back again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..stats import distances
from ..stats.figure import Floats, as_weight, mean_of
from ..stats.ranking import as_scores, losses
from ..stats.reweighting import standardiser

_TINY = float(np.finfo(np.float32).eps)  # scores are stored as float32
_HIDDEN = 256
_RIDGE = 1e-3
_MOST = 20_000


def agreement(
    score: ArrayLike, teacher: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """Share of the target's events that get the class that a teacher gives them; larger is better.

    The teacher is source-only on an aligned target: where the alignment is right, so is the
    teacher, and whoever disagrees with it is not. A teacher that is wrong is followed. Scores are
    (N, C) or (N,) on the same events, weights (N,).

    Returns:
        1 for the teacher itself; ``None`` without events.
    """
    a, b = as_scores(score), as_scores(teacher)
    return mean_of((a.argmax(axis=1) == b.argmax(axis=1)).astype(np.float64), weight)


def source_loss(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """Weighted mean of -ln(probability of the true class) on source events; smaller is better.

    Scores are (N, C) or (N,) of events that were not trained on, their classes and weights (N,).
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


_TEMPERATURE, _COMPARED = 0.05, 1000  # of soft neighbourhoods, and events that have one


def soft_neighbourhood(score: ArrayLike) -> float | None:
    """Soft neighbourhood density (SND) in nats; larger is taken to be better.

    Source: Saito et al., ICCV 2021, eqs. 1-3: the mean entropy of softmax(cosine similarity of the
    class probabilities / temperature) over all other events. Dense groups of equal scores have a
    large one, right or wrong. Of scores (N, C) or (N,) of the target at most a thousand, drawn at
    random, are compared with each other; of fewer than three events it is ``None``.
    """
    y = as_scores(score)
    if len(y) > _COMPARED:
        y = y[np.random.default_rng(0).permutation(len(y))[:_COMPARED]]
    if len(y) < 3:
        return None
    unit = (y / np.linalg.norm(y, axis=1, keepdims=True)).astype(np.float32)  # twice as fast
    similar = unit @ (unit / _TEMPERATURE).T
    np.fill_diagonal(similar, -1e9)
    similar -= similar.max(axis=1, keepdims=True)
    grown = np.exp(similar)
    norm = grown.sum(axis=1)
    return float(np.mean(np.log(norm) - np.einsum("ij,ij->i", grown, similar) / norm))


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
    are: those of MC mislead under a label shift, estimated ones do not. Scores are (N, C) or (N,)
    of the target, fractions (C,), summing to one, weights (N,).

    Returns:
        1 for a perfect match; ``None`` without events.
    """
    share = signal_share(score, weight)
    if share is None:
        return None
    return 1.0 - 0.5 * float(np.abs(share - np.asarray(fractions, dtype=np.float64)).sum())


def importance_weighted(
    loss: ArrayLike, ratio: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """Importance-weighted validation (IWV), the mean of ratio times loss; smaller is better.

    Source: Sugiyama, Krauledat and Müller, JMLR 8 (2007) 985: the source's validation loss with
    each event times p_target/p_source. It is the target's loss where only p(x) changed and the
    source covers the target; the shifts of a detector change p(y|x) too. Losses, density ratios and
    weights are (N,) of source events that were not trained on.
    """
    return mean_of(np.asarray(ratio, dtype=np.float64) * np.asarray(loss), weight)


def dev(loss: ArrayLike, ratio: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Deep embedded validation (DEV); smaller is better.

    Source: You et al., ICML 2019, Algorithm 1: the importance-weighted loss with the ratio itself
    as control variate, mean(L) + η·mean(W) - η with η = -Cov(L, W)/Var(W), the ratio that of latent
    features. A ratio that does not vary controls nothing, and the plain mean remains. Losses,
    ratios and weights are (N,) of source events that were not trained on.
    """
    ratio = np.asarray(ratio, dtype=np.float64)
    weighted = ratio * np.asarray(loss, dtype=np.float64)
    w = as_weight(weight, len(ratio))
    mean, centre = mean_of(weighted, w), mean_of(ratio, w)
    if mean is None or centre is None:
        return None
    variance = mean_of((ratio - centre) ** 2, w) or 0.0
    covariance = mean_of((weighted - mean) * (ratio - centre), w) or 0.0
    eta = -covariance / variance if variance > 1e-12 else 0.0
    return mean + eta * (centre - 1.0)


def consistency(
    features: ArrayLike,
    score: ArrayLike,
    k: int = 8,
    variant: distances.Variant = "default",
    weight: ArrayLike | None = None,
) -> float | None:
    """Value of :func:`hepdann.stats.consistency`; larger is taken to be better.

    Returns:
        ``None`` with no more than k events, or without a positive sum of weights.
    """
    if len(np.asarray(features)) <= k:
        return None
    value = distances.consistency(features, score, k, variant, weight).value
    return value if np.isfinite(value) else None


def reverse_validation(
    scores: Sequence[ArrayLike],
    target: ArrayLike,
    source: ArrayLike,
    label: ArrayLike,
    *,
    target_weight: ArrayLike | None = None,
    source_weight: ArrayLike | None = None,
    seed: int = 0,
) -> list[float | None]:
    """Train on the target with each candidate's classes, test on the source; larger is better.

    Source: Zhong et al., ECML 2010; used for a DANN's settings by Ganin et al., JMLR 17 (2016) 59,
    section 5.1.2. On a raw target the reverse classifier suffers the shift itself; on an aligned
    one it does not, and what is left is how good the pseudo-labels are.

    The reverse classifier is a ridge regression on the classes over ReLU features with random
    weights, so that all candidates are one solution of one set of equations. Each has scores (N, C)
    or (N,) on the target, of features (N, F), raw or aligned, where NaN marks a missing value; the
    source has features (M, F) and classes (M,). A target's event of negative weight counts against
    its class.

    Returns:
        Accuracy on the source of each candidate; ``None`` where there are no events.
    """
    x, y = np.asarray(target), np.asarray(source)
    if not len(x) or not len(y):
        return [None] * len(scores)
    rows = slice(None, None, max(1, -(-len(x) // _MOST)))
    w = as_weight(target_weight, len(x))[rows]
    scale = standardiser(y, source_weight)
    generator = np.random.default_rng(seed)
    direction = generator.standard_normal((y.shape[1], _HIDDEN)) / np.sqrt(y.shape[1])
    offset = generator.uniform(-2.0, 2.0, _HIDDEN)

    def hidden(features: ArrayLike) -> Floats:
        z = scale(features)
        grown = np.maximum(z @ direction + offset, 0.0)
        return np.hstack([np.ones((len(z), 1)), z, grown])

    given = [as_scores(score)[rows].argmax(axis=1) for score in scores]
    classes = max(as_scores(scores[0]).shape[1], int(np.max(label)) + 1) if scores else 0
    wanted = np.concatenate([np.eye(classes)[classes_of] for classes_of in given], axis=1)
    h = hidden(x[rows])
    gram = h.T @ (h * np.abs(w)[:, None])
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    solved = np.linalg.solve(gram, h.T @ ((wanted - 1.0 / classes) * w[:, None]))
    predicted = (hidden(y) @ solved).reshape(len(y), len(scores), classes).argmax(axis=2)
    right = (predicted == np.asarray(label)[:, None]).astype(np.float64)
    return [mean_of(right[:, k], source_weight) for k in range(len(scores))]
