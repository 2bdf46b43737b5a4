"""Working points, calibration and importance: what they say of samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepdann import evaluation, stats
from hepdann.evaluation.thresholds import flat_thresholds


def sample(rng, n=4000):
    label = (rng.random(n) < 0.4).astype(int)
    return rng.normal(label * 1.5), label, rng.normal(1.0, 0.3, n)


@pytest.mark.parametrize("efficiency", [0.1, 0.5, 0.77, 0.95])
def test_a_threshold_lets_its_share_of_the_signal_pass(efficiency):
    rng = np.random.default_rng(1)
    score, label, weight = sample(rng)
    cut = evaluation.threshold_at(score, label, weight, efficiency)
    signal = label == 1
    passed = weight[signal & (score > cut)].sum() / weight[signal].sum()
    assert passed == pytest.approx(efficiency, abs=2e-3)


def test_scale_factors_of_equal_samples_are_one_within_their_errors():
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(100):
        points = evaluation.working_points(sample(rng), sample(rng, 1500), sample(rng, 1500), [0.6])
        signal, background = points[0].scale_factors
        pulls += [(signal.value - 1) / signal.error, (background.value - 1) / background.error]
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.3)


def test_without_truth_there_is_no_scale_factor_and_the_passing_share_is_known():
    rng = np.random.default_rng(3)
    score, label, weight = sample(rng)
    (point,) = evaluation.working_points(
        (score, label, weight), (score, label, weight), (score, None, weight), [0.6]
    )
    assert point.target is None
    assert point.scale_factors is None
    passing = weight[score > point.threshold].sum() / weight.sum()
    assert point.passing.value == pytest.approx(passing)


def test_the_error_of_a_threshold_is_that_of_the_bootstrap(bootstrap):
    score, label, weight = sample(np.random.default_rng(12), 1500)
    (point,) = evaluation.working_points(
        (score, label, weight), (score, label, weight), (score, None, weight), [0.7]
    )

    def estimate(*columns):
        return evaluation.threshold_at(*columns, 0.7)

    resampled = bootstrap(estimate, score, label, weight, n=300)
    assert point.threshold_error == pytest.approx(resampled, rel=0.2)


def test_the_target_threshold_has_the_named_efficiency_where_all_scores_moved_alike():
    """Moved scores and another class fraction; its own labels are looked at by this test alone."""
    rng = np.random.default_rng(13)
    label, moved = rng.integers(2, size=40_000), rng.random(40_000) < 0.3
    score, other = (rng.normal(size=40_000) + 1.5 * y for y in (label, moved))
    other -= 0.8
    fractions = np.where(label == 1, 0.3, 0.7)
    (point,) = evaluation.working_points(
        (score, label, None), (score, label, None), (other, None, None), [0.7],
        matching=(fractions, other, None),
    )  # fmt: skip
    corrected = point.corrected
    assert corrected.value == pytest.approx(point.threshold - 0.8, abs=4 * corrected.error)
    assert (other > corrected.value)[moved].mean() == pytest.approx(0.7, abs=0.02)
    assert (other > point.threshold)[moved].mean() < 0.5
    assert (other > corrected.value).mean() == pytest.approx(corrected.expected.value, abs=1e-4)


def test_without_events_that_set_it_a_threshold_does_not_exist():
    score, label, weight = sample(np.random.default_rng(14), 200)
    none, some = (score[:0], label[:0], weight[:0]), (score, label, weight)
    for setting, other in ((none, score), (some, score[:0])):
        (point,) = evaluation.working_points(
            setting, some, (score, None, weight), [0.7], matching=(setting[2], other, None)
        )
        assert np.isnan(point.corrected.value)
        assert np.isnan(point.corrected.error)
        assert np.isnan(point.threshold) == (setting is none)


def test_a_profile_counts_its_bins_alone():
    variable = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 9.0, np.nan])
    score = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    everything = np.ones(7, bool)
    found = evaluation.efficiency_profile(variable, score, everything, None, [0, 1, 2], 0.5)
    np.testing.assert_allclose(found.value, [0.5, 1.0])
    empty = evaluation.efficiency_profile(variable, score, ~everything, None, [0, 1, 2], 0.5)
    assert np.isnan(empty.value).all()


def test_flat_thresholds_make_the_efficiency_flat():
    rng = np.random.default_rng(4)
    score, label, weight = sample(rng, 20_000)
    variable = rng.random(20_000)
    score = score + 3 * variable  # so that one threshold would not do
    edges = np.linspace(0, 1, 6)
    cuts = flat_thresholds(variable, score, label, weight, edges, 0.7)
    flat = evaluation.efficiency_profile(variable, score, label == 1, weight, edges, cuts)
    np.testing.assert_allclose(flat.value, 0.7, atol=2e-3)
    one = evaluation.threshold_at(score, label, weight, 0.7)
    sloping = evaluation.efficiency_profile(variable, score, label == 1, weight, edges, one)
    assert np.ptp(sloping.value) > 0.3


def test_a_true_probability_is_calibrated():
    rng = np.random.default_rng(5)
    probability = rng.random(100_000)
    label = (rng.random(100_000) < probability).astype(int)
    found = stats.calibration_curve(probability, label)
    pulls = (found.signal - found.score) / found.error
    assert np.abs(pulls).max() < 4
    assert found.expected.value < 3 * found.expected.error + 0.002
    wrong = stats.calibration_curve(probability**2, label)
    assert wrong.expected.value == pytest.approx(1 / 6, abs=0.01)  # the mean of p - p²


@given(st.integers(1, 30), st.integers(0, 10_000))
def test_bins_of_a_calibration_hold_every_event(bins, seed):
    rng = np.random.default_rng(seed)
    score = np.concatenate([[0.0, 1.0], rng.random(50)])
    label = rng.integers(2, size=52)
    found = stats.calibration_curve(score, label, bins=bins)
    known = np.isfinite(found.score)
    content = np.histogram(score, np.linspace(0, 1, bins + 1))[0]
    assert known.sum() <= bins
    assert np.all((found.score[known] >= 0) & (found.score[known] <= 1))
    assert (content > 0).sum() == pytest.approx(known.sum(), abs=2)  # floats at edges
