"""Bands and working points of weighted events, against the bootstrap; and what a table says."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann import evaluation, stats


def weighted(rng, n=1500):
    """Scores, labels and weights, some negative, that grow with the score."""
    label = rng.integers(2, size=n)
    score = rng.normal(size=n) + 1.2 * label
    weight = rng.gamma(2.0, 0.5, n) * (1 + 0.3 * (score > 1)) * rng.choice([-1, 1], n, p=[0.1, 0.9])
    return score, label, weight


def rejected(score, label, weight, efficiency):
    """Background efficiency where the signal efficiency is as given: no shared code."""
    order = np.argsort(-score)
    signal = np.maximum.accumulate(np.cumsum((weight * (label == 1))[order]))
    background = np.cumsum((weight * (label == 0))[order])
    return float(np.interp(efficiency, signal / signal[-1], background / background[-1]))


@pytest.mark.parametrize("efficiency", [0.4, 0.6, 0.8])
def test_the_band_of_a_roc_curve_is_that_of_the_bootstrap(bootstrap, efficiency):
    """Weights of both signs: events are drawn anew, not bins."""
    sample = weighted(np.random.default_rng(5))
    curve = stats.roc(*sample)
    band = np.interp(efficiency, curve.signal_efficiency, curve.background_error)

    def estimate(*columns):
        return rejected(*columns, efficiency)

    resampled = bootstrap(estimate, *sample, n=300)
    assert band == pytest.approx(resampled, rel=0.2)


def test_the_error_of_an_efficiency_profile_is_that_of_the_bootstrap(bootstrap):
    score, label, weight = weighted(np.random.default_rng(6))
    variable = np.random.default_rng(7).random(len(score))
    edges = np.array([0.0, 0.3, 1.0])

    def estimate(*columns):
        x, s, y, w = columns
        return float(evaluation.efficiency_profile(x, s, y == 1, w, edges, 0.5).value[0])

    profile = evaluation.efficiency_profile(variable, score, label == 1, weight, edges, 0.5)
    resampled = bootstrap(estimate, variable, score, label, weight, n=300)
    assert profile.error[0] == pytest.approx(resampled, rel=0.15)


def test_the_band_of_mc_and_the_pulls_are_those_of_many_samples():
    """Toys of the same truth: pulls of weighted MC against counted data have width one."""
    rng = np.random.default_rng(8)
    edges = np.linspace(0, 1, 6)
    pulls = []
    for _ in range(60):
        weight = rng.gamma(2.0, 0.25, 3000)
        mc, data = rng.random(3000), rng.random(rng.poisson(1500))
        none = np.zeros(3000, int)
        pulls.append(evaluation.data_mc(mc, weight, none, ["one"], data, None, edges).pull)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.2)


def test_groups_share_one_pass():
    """A group's histogram is that of its events alone, flow and missing values too."""
    rng = np.random.default_rng(9)
    values = np.where(rng.random(400) < 0.1, np.nan, rng.normal(size=400))
    group, weight = rng.integers(3, size=400), rng.normal(size=400)
    edges = [-1.0, 0.0, 1.0]
    for index, found in enumerate(stats.fill(values, weight, edges, group, 3)):
        alone = stats.histogram(values[group == index], weight[group == index], edges)
        np.testing.assert_allclose(found.sumw, alone.sumw)
        np.testing.assert_allclose(found.sumw2, alone.sumw2)
        for name in ("underflow", "overflow", "missing"):
            assert getattr(found, name) == pytest.approx(getattr(alone, name))


def test_what_lies_outside_gets_bins_of_its_own():
    x, edges = evaluation.outside_bins([-9.0, 0.5, 9.0, np.nan], [0.0, 1.0, 3.0])
    np.testing.assert_array_equal(edges, [-1, 0, 1, 3, 5])
    np.testing.assert_array_equal(x[:3], [-0.5, 0.5, 4.0])
    assert np.isnan(x[3])
