"""Permutation importance of features, for a score and for the mismodelling."""

from __future__ import annotations

import numpy as np

from hepdann.stats.importance import domain_importance, permutation_importance
from hepdann.tensors import Target


def test_shuffling_an_unused_feature_costs_nothing():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(3000, 3)).astype(np.float32)
    label = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)
    found = permutation_importance(
        lambda rows: rows[:, 0] + 0.5 * rows[:, 1], x, label, ["strong", "weak", "none"]
    )
    assert [one.name for one in found] == ["strong", "weak", "none"]
    assert found[0].loss > 2 * found[1].loss > 0
    assert found[2].loss == 0


def test_the_shifted_input_carries_the_mismodelling():
    rng = np.random.default_rng(7)

    def events(n, by):
        x = rng.normal(size=(n, 3)) + np.array([0, by, 0])
        ids = rng.integers(2**63, size=n).astype(np.uint64)
        return Target(x.astype(np.float32), np.ones(n, np.float32), ids, np.zeros(n, np.uint8))

    found = domain_importance(events(1500, 0.0), events(1500, 0.8), list("abc"))
    assert found[0].name == "b"
    assert found[0].loss > 0.1
    assert max(abs(one.loss) for one in found[1:]) < 0.02
