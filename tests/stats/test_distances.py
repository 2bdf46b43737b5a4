"""Distances of two samples: scipy's without weights, uniform p-values with signed ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, wasserstein_distance

from hepdann.stats import kolmogorov, wasserstein
from hepdann.stats.distances import beyond


def test_kolmogorov_is_scipys_without_weights():
    generator = np.random.default_rng(12)
    x, y = generator.normal(size=900), generator.normal(0.1, 1.0, 1100)
    distance, p_value = kolmogorov(x, y)
    expected = kstest(x, y, method="asymp")
    assert distance == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, rel=0.1)


def test_kolmogorov_p_values_of_signed_weights_are_uniform():
    p = []
    for seed in range(150):
        generator = np.random.default_rng(seed)
        weight = np.where(generator.random(800) < 0.15, -1.0, 1.0)
        p.append(kolmogorov(generator.random(800), generator.random(500), weight)[1])
    assert kstest(p, "uniform").pvalue > 0.01


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_wasserstein_distance_is_scipys(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=40), generator.integers(0, 3, 30).astype(float)
    v, w = generator.exponential(size=40), generator.exponential(size=30)
    expected = wasserstein_distance(x, y, v, w)
    assert wasserstein(x, y, v, w)[0] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["plain", "signed", "spiked"])
def test_p_values_of_the_wasserstein_distance_are_uniform(kind):
    values = []
    for seed in range(150):
        generator = np.random.default_rng([seed, 9])
        x, y = generator.normal(size=600), generator.normal(size=400)
        weight = np.ones(600)
        if kind == "spiked":
            x, y = np.maximum(x, 0), np.maximum(y, 0)
        if kind == "signed":  # too many events at large x, taken off again
            more, less = np.abs(generator.normal(size=(2, 100)))
            x = np.concatenate([x, more, less])
            weight = np.concatenate([weight, np.ones(100), -np.ones(100)])
        values.append(wasserstein(x, y, weight, seed=seed, draws=100)[1])
    assert kstest(values, "uniform").pvalue > 0.01


def test_a_distance_without_weights_does_not_exist():
    assert np.isnan(wasserstein([1.0, 2.0], [1.0], [1.0, -1.0])).all()
    assert wasserstein(np.ones(5), np.ones(4)) == (0.0, 1.0)


def test_cells_of_the_bootstrap_leave_its_mean_and_spread(monkeypatch):
    """Exponential tails, with cells as with a normal number for each value."""
    generator = np.random.default_rng(3)
    x, y = (generator.exponential(size=3000) ** 2 for _ in range(2))
    p_values = []
    for cells in (400, 10_000):
        monkeypatch.setattr("hepdann.stats.distances._CELLS", cells)
        p_values.append([wasserstein(x, y + d, draws=400)[1] for d in (0.05, 0.15)])
    np.testing.assert_allclose(np.log(p_values[0]), np.log(p_values[1]), rtol=0.2, atol=0.1)


@pytest.mark.parametrize("gap", [np.ones(199), np.eye(199)[100]])
def test_small_p_values_of_the_wasserstein_distance_are_not_too_small(gap):
    """As simulated, of uniform values and of two; nor are they much too large."""
    steps = np.random.default_rng(3).standard_normal((40_000, 200)).cumsum(axis=1)
    bridge = (steps - steps[:, -1:] * np.arange(1, 201) / 200)[:, :-1]
    distance = np.abs(bridge) @ gap
    for p_value in (0.05, 0.01, 0.001):
        largest = float(np.quantile(distance, 1 - p_value))
        said = beyond(largest, float(distance.mean()), float(distance.var()))
        assert 0.8 * p_value < said < 3 * p_value
