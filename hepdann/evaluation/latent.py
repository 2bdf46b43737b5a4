"""The feature layer of a network in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..store.scores_reader import Domain, RunScores

Kind = Literal["tsne", "pca"]
EMBEDDINGS: tuple[Kind, Kind] = ("tsne", "pca")
_PERPLEXITY = 30.0
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Embedding:
    """Events in the plane: (n, 2) points, (n,) domain (1: target) and true class (-1: unknown).

    ``explained`` is the share of the variance along each axis, for "pca".
    """

    kind: Kind
    points: NDArray[np.float32]
    domain: NDArray[np.intp]
    label: NDArray[np.intp]
    explained: tuple[float, float] | None


def embed(scores: RunScores, method: str, kind: Kind, *, events: int = 2000) -> Embedding | None:
    """Project the feature layer of a method's first network onto a plane, half of the events MC.

    The layer's features are standardised. PCA keeps distances and shows little; t-SNE (van der
    Maaten and Hinton, JMLR 9 (2008) 2579; perplexity 30, started from PCA) keeps neighbours, and
    neither distances between groups nor their sizes mean anything in it.

    ``None`` where no features were kept, or too few events.
    """
    generator = np.random.default_rng(0)
    parts: list[tuple[NDArray[np.float32], NDArray[np.intp]]] = []
    domains: tuple[Domain, Domain] = ("mc", "target")
    for domain in domains:
        x = scores.latent(domain, method)
        if x is None:
            return None
        label = _labels(scores, domain, len(x))
        rows = np.sort(generator.permutation(len(x))[: events // 2])
        parts.append((x[rows], label[rows]))
    layer = np.concatenate([x for x, _ in parts]).astype(np.float64)
    if len(layer) <= 3 * _PERPLEXITY:
        return None
    spread = layer.std(axis=0)
    layer = (layer - layer.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    points, explained = _plane(layer, kind)
    return Embedding(
        kind,
        points.astype(np.float32),
        np.repeat([0, 1], [len(x) for x, _ in parts]),
        np.concatenate([label for _, label in parts]),
        explained,
    )


def _labels(scores: RunScores, domain: Domain, n: int) -> NDArray[np.intp]:
    """Of the first ``n`` test events, which are those whose features are kept."""
    label = scores.label(domain)
    if label is None:
        return np.full(n, UNKNOWN, dtype=np.intp)
    return np.asarray(label)[scores.latent_rows(domain, n)].astype(np.intp)


def _plane(
    layer: NDArray[np.float64], kind: Kind
) -> tuple[NDArray[np.float64], tuple[float, float] | None]:
    from sklearn.decomposition import PCA

    if kind == "pca":
        pca = PCA(2, svd_solver="full")
        points = pca.fit_transform(layer)
        first, second = pca.explained_variance_ratio_
        return points, (float(first), float(second))
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = PCA(2, svd_solver="full").fit_transform(layer)
    start = 1e-4 * start / start[:, 0].std()
    tsne = TSNE(2, perplexity=_PERPLEXITY, init=start, random_state=0, n_jobs=1)
    with threadpool_limits(1):  # on a busy machine, more threads wait for each other
        return np.asarray(tsne.fit_transform(layer)), None
