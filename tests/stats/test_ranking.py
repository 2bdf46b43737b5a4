"""The area under the ROC curve and the curve: against sklearn, DeLong, the bootstrap."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hepdann.outputs import jsonable
from hepdann.stats import Roc, auc, roc


def sample(seed, n=2000, negative=0.0, ties=False):
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    score = 1 / (1 + np.exp(-generator.normal(label * 1.2 - 0.6, 1.0)))
    if ties:
        score = np.round(score, 1)
    weight = generator.gamma(2.0, 0.5, n)
    weight[generator.random(n) < negative] *= -1
    return score, label, weight


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_auc_is_sklearns_for_positive_weights(seed, ties):
    score, label, weight = sample(seed, n=200, ties=ties)
    expected = roc_auc_score(label, score, sample_weight=weight)
    assert auc(score, label, weight).value == pytest.approx(expected, abs=1e-12)


def test_auc_of_three_classes_is_sklearns_one_versus_rest_mean():
    generator = np.random.default_rng(1)
    label = generator.integers(0, 3, 900)
    score = generator.dirichlet([1, 1, 1], 900) + 0.4 * np.eye(3)[label]
    score /= score.sum(axis=1, keepdims=True)
    weight = generator.gamma(2.0, 1.0, 900)
    expected = np.mean(
        [roc_auc_score(label == c, score[:, c], sample_weight=weight) for c in range(3)]
    )
    assert auc(score, label, weight).value == pytest.approx(expected, abs=1e-12)


def test_two_columns_mean_column_one():
    score, label, weight = sample(2)
    assert auc(np.stack([1 - score, score], axis=1), label, weight) == auc(score, label, weight)


def test_error_without_weights_is_delongs():
    score, label, _ = sample(3, n=300)
    signal, background = score[label == 1], score[label == 0]
    wins = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
    variance = wins.mean(axis=1).var(ddof=1) / len(signal) + wins.mean(axis=0).var(ddof=1) / len(
        background
    )
    assert auc(score, label).error == pytest.approx(math.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("negative", [0.0, 0.2])
def test_error_agrees_with_the_bootstrap(bootstrap, negative):
    arrays = sample(4, n=1500, negative=negative)
    spread = bootstrap(lambda s, y, w: auc(s, y, w).value, *arrays, n=300)
    assert auc(*arrays).error == pytest.approx(spread, rel=0.15)


def test_negative_weights_leave_the_area_unbiased():
    # signal of weights +1 and -1 where the two carry the same shape: the sum has that shape too
    areas = [auc(*sample(seed, negative=0.2)).value for seed in range(60)]
    plain = [auc(*sample(seed)).value for seed in range(60)]
    assert np.mean(areas) == pytest.approx(np.mean(plain), abs=4 * np.std(areas) / math.sqrt(60))


def test_an_area_that_cannot_exist_is_nan():
    for label, weight in (([1, 1], [1.0, 1.0]), ([0, 1], [1.0, -1.0]), ([], [])):
        figure = auc(np.linspace(0, 1, len(label)), np.array(label, int), weight)
        assert math.isnan(figure.value)
        assert math.isnan(figure.error)


def test_full_separation_still_has_an_error():
    label = np.repeat([0, 1], 50)
    figure = auc(label.astype(float), label)
    assert figure.value == 1.0
    assert 0 < figure.error < 0.01


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), negative=st.sampled_from([0.0, 0.1, 0.3]))
def test_roc_is_monotone_within_the_unit_square(seed, negative):
    curve = roc(*sample(seed, n=400, negative=negative))
    for axis in (curve.signal_efficiency, curve.background_efficiency):
        assert axis[0] == 0.0
        assert axis[-1] == 1.0
        assert (np.diff(axis) >= 0).all()
    assert (np.diff(curve.thresholds) < 0).all()
    assert (curve.error >= 0).all()


def test_roc_points_are_the_efficiencies_at_their_thresholds():
    score, label, weight = sample(5)
    curve = roc(score, label, weight)
    for i in (1, 40, 100, -1):
        passed = score >= curve.thresholds[i]
        for cls, axis in ((1, curve.signal_efficiency), (0, curve.background_efficiency)):
            share = weight[passed & (label == cls)].sum() / weight[label == cls].sum()
            assert axis[i] == pytest.approx(share)


def test_area_below_the_thinned_curve_is_the_auc():
    curve = roc(*sample(6, n=5000))
    area = np.trapezoid(curve.signal_efficiency, curve.background_efficiency)
    assert area == pytest.approx(curve.auc.value, abs=2e-3)


def test_roc_band_agrees_with_repeated_experiments():
    grid = np.array([0.05, 0.2, 0.5])
    drawn, quoted = [], []
    for seed in range(100):
        curve = roc(*sample(seed, n=800), points=60)
        drawn.append(np.interp(grid, curve.background_efficiency, curve.signal_efficiency))
        quoted.append(np.interp(grid, curve.background_efficiency, curve.error))
    assert np.mean(quoted, axis=0) == pytest.approx(np.std(drawn, axis=0), rel=0.3)


def test_roc_of_one_class_against_the_rest():
    generator = np.random.default_rng(7)
    label = generator.integers(0, 3, 600)
    score = generator.dirichlet([2, 2, 2], 600)
    curve = roc(score, label, signal=2)
    assert curve.auc.value == pytest.approx(roc_auc_score(label == 2, score[:, 2]))


def test_roc_survives_json():
    curve = roc(*sample(8))
    again = Roc.from_dict(json.loads(json.dumps(jsonable(curve))))
    assert np.array_equal(again.thresholds, curve.thresholds)
    assert np.array_equal(again.error, curve.error)
    assert again.auc == curve.auc


def test_roc_without_background_is_refused():
    with pytest.raises(ValueError, match="signal and background"):
        roc([0.1, 0.2], [1, 1])
