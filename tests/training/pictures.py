"""Toy events in three views: a straight track from its vertex to the end of the detector."""

from __future__ import annotations

import numpy as np

from hepdann.networks import Modules, ViewsNetwork, register
from hepdann.networks.minerva import TowerPlan
from hepdann.networks.pictures import perceptron
from hepdann.tensors import Hits, Source, Target

VIEWS = (("x", 1, 21, 12), ("u", 1, 21, 6), ("v", 1, 21, 6))


def pictures(n, seed=0, views=VIEWS, classes=3):
    """(N, F) pixels, and the third of the planes that the vertex is in."""
    generator = np.random.default_rng(seed)
    z, start, slope = generator.random(n), generator.random(n), generator.normal(size=(3, n)) / 4
    rows = []
    for (_, channels, height, width), own in zip(views, slope, strict=True):
        image = np.zeros((n, channels, height, width), np.float32)
        plane = np.arange(width)
        strip = (start[:, None] * 0.6 + 0.2 + own[:, None] * (plane / width - z[:, None])) * height
        hit = (plane / width >= z[:, None]) & (strip >= 0) & (strip < height)
        event, column = np.nonzero(hit)
        image[event, 0, strip[hit].astype(int), column] = generator.gamma(4, 0.25, hit.sum())
        rows.append(image)
    return Hits.of(rows), (z * classes).astype(np.int32)


def domain(n, seed=0, labelled=True, views=VIEWS):
    """Events with one summary feature, their images, and splits of 70, 15 and 15 %."""
    hits, label = pictures(n, seed, views)
    split = np.searchsorted([0.7, 0.85], np.arange(n) / n, side="right").astype(np.uint8)
    energy = np.array([hits[i : i + 1].sum() for i in range(n)], np.float32)[:, None]
    fields = (energy, np.ones(n, np.float32), np.arange(n, dtype=np.uint64) + 7919 * seed, split)
    return (Source(*fields, label, ("a", "b", "c")) if labelled else Target(*fields)), hits


def tiny(shape):
    """A network for these images."""
    plan = TowerPlan((3, 4), ((4, 3), (3, 3)), 8, dropout=0.0)
    width = 8 * len(shape.views)
    extractor = ViewsNetwork(shape.views, [plan] * len(shape.views), perceptron((width, 10)))
    return Modules(extractor)


register("tiny-views", tiny)
