"""Weights that make one sample look like another."""

import numpy as np
import pytest

from hepdann.stats import density_ratio, reweighted
from hepdann.stats.reweighting import class_sums


def test_reweighted_classes_have_the_wanted_fractions_and_an_absent_one_stays_absent():
    generator = np.random.default_rng(0)
    label, weight = generator.integers(0, 2, 500), generator.normal(1.0, 0.5, 500)
    present = class_sums(label, weight, 3) / weight.sum()
    changed = reweighted(weight, label, present, np.array([0.2, 0.8, 0.0]))
    assert class_sums(label, changed, 3) / weight.sum() == pytest.approx([0.2, 0.8, 0.0])
    assert np.isfinite(reweighted(weight, label, present, np.array([0.2, 0.5, 0.3]))).all()


def test_the_density_ratio_of_equal_samples_is_one_and_of_moved_ones_is_known():
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(8000, 1)), generator.normal(size=(8000, 1))
    assert np.std(density_ratio(x, y)) < 0.1
    ratio = density_ratio(x, y + 0.5)
    true = np.exp(0.5 * x[:, 0] - 0.125)
    assert np.corrcoef(ratio, true)[0, 1] > 0.99
    assert np.mean(ratio) == pytest.approx(1.0)
