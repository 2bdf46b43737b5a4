"""What a score tells of a nuisance, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann.stats import (
    cut_at,
    jensen_shannon,
    nuisance_bins,
    quantile_in_bins,
    rank_in_bins,
    slice_distance,
)

RNG = np.random.default_rng(5)
N = 40_000


def test_divergence_is_zero_for_equal_and_one_bit_for_disjoint_shapes():
    shape = np.array([1.0, 2.0, 3.0])
    assert jensen_shannon(shape, 5 * shape) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 2.0])) == pytest.approx(1)
    assert jensen_shannon(shape, shape[::-1]) == jensen_shannon(shape[::-1], shape)
    assert np.isnan(jensen_shannon(shape, -shape))


def test_a_score_that_tells_nothing_reaches_the_statistical_floor():
    values = []
    for _ in range(20):
        z, score = RNG.normal(size=N), RNG.random(N)
        signal = RNG.random(1000), np.ones(1000)
        cut = cut_at(0.5, signal, (score, np.ones(N)), nuisance_bins(z))
        values.append(cut.jsd / cut.floor)
        assert cut.background_efficiency == pytest.approx(0.5, abs=0.06)
    assert np.mean(values) == pytest.approx(1, abs=0.2)


def test_slices_lie_a_standard_deviation_off_and_see_a_moving_score():
    z = RNG.normal(size=N)
    distance, (low, high) = slice_distance(z + RNG.normal(size=N), z, np.ones(N))
    assert (low, high) == pytest.approx((-1, 1), abs=0.05)
    assert distance == pytest.approx(
        0.683, abs=0.03
    )  # of two Gaussians two widths apart: 2 Φ(1) - 1
    still, _ = slice_distance(RNG.normal(size=N), z, np.ones(N))
    assert still < 0.04


def test_a_rank_within_bins_is_flat_in_every_bin():
    z = RNG.normal(size=N)
    score, where = z + RNG.normal(size=N), nuisance_bins(z)
    half = np.arange(N) < N // 2
    rank = rank_in_bins((score[half], np.ones(half.sum())), where[half], score, where)
    for index in (0, 7, 19):
        rows = ~half & (where == index)
        assert np.mean(rank[rows] > 0.7) == pytest.approx(0.3, abs=0.05)


def test_whole_numbers_are_bins_of_their_own():
    assert nuisance_bins(np.array([3.0, 1.0, 3.0, 7.0])).tolist() == [1, 0, 1, 2]


def test_the_quantile_in_bins_follows_a_score_that_moves():
    z = RNG.normal(size=N)
    score, weight = 2 * z + RNG.normal(size=N), np.where(RNG.random(N) < 0.1, -1.0, 1.0)
    places, scores = quantile_in_bins(z, nuisance_bins(z), score, weight, 0.8413)
    inner = np.abs(places) < 1
    assert np.all(np.diff(places) > 0)
    np.testing.assert_allclose(scores[inner], 2 * places[inner] + 1, atol=0.15)
