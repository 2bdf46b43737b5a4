"""Subspace alignment."""

from __future__ import annotations

import numpy as np

from hepdann.alignment.subspace import aligned_subspaces, subspace_scores


def classes(n, seed, turn):
    """Two classes along one axis of eight, turned by a rotation of all axes."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    x = generator.normal(size=(n, 8)) * [0.5, 2.5, 1.0, 0.3, 0.2, 0.1, 0.1, 0.1]
    x[:, 0] += 8 * label
    return x @ turn, label


def test_a_turned_target_is_classified_without_a_label():
    generator = np.random.default_rng(3)
    turn, _ = np.linalg.qr(np.eye(8) + 0.3 * generator.normal(size=(8, 8)))
    turn *= np.sign(np.diag(turn))
    source, label = classes(600, 0, np.eye(8))
    target, _ = classes(600, 1, turn)
    test, truth = classes(400, 2, turn)
    scores, dimension = subspace_scores(source, label, target, test)
    assert dimension == 8  # there are no more
    assert scores.shape == (400, 2)
    np.testing.assert_allclose(scores.sum(1), 1)
    assert (scores.argmax(1) == truth).mean() > 0.97


def test_equal_domains_stay_as_they_are():
    x, _ = classes(500, 0, np.eye(8))
    np.testing.assert_allclose(*aligned_subspaces(x, x, x, 3), atol=1e-9)
