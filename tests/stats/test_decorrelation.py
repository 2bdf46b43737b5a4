"""What a score tells of a nuisance, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann.stats import (
    best_thresholds,
    cut_at,
    jensen_shannon,
    nuisance_bins,
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


def test_best_thresholds_pay_less_rejection_for_a_divergence_than_one_in_each_bin():
    n = 20_000
    label, z = np.repeat([0, 1], n), np.concatenate([RNG.normal(0, 1, n), RNG.normal(1, 0.7, n)])
    x = RNG.normal(1.5 * label)
    gaussian = -((z - 1) ** 2) / 2 / 0.49 - np.log(0.7) + z**2 / 2
    logit, where = 1.5 * x - 1.125 + gaussian, nuisance_bins(z)  # the ratio of the densities
    sides = [(logit[label == k], np.ones(n), where[label == k]) for k in (1, 0)]

    def cut(strength):
        offsets, common = best_thresholds(*sides, strength)
        new = logit - common - offsets[where]
        assert (new[label == 1] > 0).mean() == pytest.approx(0.5, abs=0.02)
        kept = ((new[label == k], np.ones(n)) for k in (1, 0))
        return cut_at(0.5, *kept, nuisance_bins(z[label == 0]))

    plain, some, much = (cut(strength) for strength in (0.0, 4.0, 12.0))
    assert plain.jsd > 2 * some.jsd > 3 * much.jsd
    assert plain.background_efficiency < some.background_efficiency < much.background_efficiency
    rank = rank_in_bins(sides[1][:2], sides[1][2], logit, where)
    flat = cut_at(0.5, *((rank[label == k], np.ones(n)) for k in (1, 0)),
                  nuisance_bins(z[label == 0]))  # fmt: skip
    assert some.background_efficiency < 0.8 * flat.background_efficiency
