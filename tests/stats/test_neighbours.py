"""Consistency: the study's formula, with and without the point itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann.stats import consistency, nearest


def by_hand(x, y, k, itself):
    distance = ((x[:, None] - x) ** 2).sum(axis=-1)
    if not itself:
        np.fill_diagonal(distance, np.inf)
    rows = np.argsort(distance, axis=1)[:, :k]
    return 1 - np.mean(np.abs(y - y[rows].mean(axis=1)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 10), st.sampled_from([2, 20]))
def test_both_variants_are_the_formula(seed, k, features):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(80, features))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    p = generator.random(80)
    score = np.stack([1 - p, p], axis=1)
    assert consistency(x, score, k).value == pytest.approx(by_hand(x, p, k, itself=False))
    logit = np.log(p / (1 - p))
    study = consistency(x, score, k, variant="study").value
    assert study == pytest.approx(by_hand(x, logit, k, itself=True))


def test_a_constant_score_is_consistent_and_a_random_one_is_not():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 3))
    assert consistency(x, np.full(500, 0.3)).value == pytest.approx(1.0)
    assert consistency(x, generator.integers(0, 2, 500).astype(float)).value < 0.6


def test_scale_of_a_feature_does_not_matter():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(300, 3))
    p = 1 / (1 + np.exp(-x[:, 0]))
    assert consistency(x * [1, 1000, 1e-3], p).value == pytest.approx(consistency(x, p).value)


def test_missing_values_sit_at_the_mean():
    x = np.array([[0.0], [np.nan], [1.0], [-1.0], [0.01]])
    filled = np.where(np.isnan(x), np.nanmean(x), x)
    p = np.array([0.1, 0.2, 0.9, 0.3, 0.4])
    assert consistency(x, p, 1).value == pytest.approx(consistency(filled, p, 1).value)


def test_equal_points_never_count_as_their_own_neighbours():
    points = np.zeros((30, 2))
    rows = nearest(points, 5)
    assert rows.shape == (30, 5)
    assert not (rows == np.arange(30)[:, None]).any()


def test_two_classes_given_as_columns_or_as_one_number_agree():
    generator = np.random.default_rng(2)
    x, p = generator.normal(size=(100, 2)), generator.random(100)
    assert consistency(x, np.stack([1 - p, p], axis=1)) == consistency(x, p)


def test_too_few_events_are_refused():
    with pytest.raises(ValueError, match="8 neighbours"):
        consistency(np.zeros((8, 1)), np.zeros(8))
