"""Events that every route of the training benchmark trains on; numpy alone, so that peers read it.

Two classes in six features; the target is the source after a scale, an offset and a smear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEATURES = 6
EXTRACTOR = (10, 10, 10)
LABEL_HEAD = (10, 5)
DOMAIN_HEAD = (20, 10)
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Sample:
    """Events of both domains, standardised; weights scatter around 1, a few are negative."""

    x_source: np.ndarray
    y_source: np.ndarray
    w_source: np.ndarray
    x_target: np.ndarray
    w_target: np.ndarray


def sample(events: int, seed: int = 1) -> Sample:
    """``events`` of each domain; features (events, 6) float32, labels int64, weights float32."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, 2 * events)
    x = random.normal(size=(2 * events, FEATURES)) + 0.7 * y[:, None] * np.linspace(1, 0, FEATURES)
    x_target = 1.2 * x[events:] + 0.3 + 0.1 * random.normal(size=(events, FEATURES))
    w = random.normal(1.0, 0.3, 2 * events).astype("f4")
    mean, std = x[:events].mean(0), x[:events].std(0)
    return Sample(
        ((x[:events] - mean) / std).astype("f4"),
        y[:events],
        w[:events],
        ((x_target - mean) / std).astype("f4"),
        w[events:],
    )
