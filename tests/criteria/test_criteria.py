"""Label-free criteria: the laws that each of them obeys."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann import criteria

SEEDS = st.integers(0, 10_000)


def probabilities(generator, n=60, classes=2):
    return generator.dirichlet(np.ones(classes), n)


def two_domains(seed=0, n=3000, move=0.0):
    """Two Gaussian classes in three features; the target moved in the first one."""
    generator = np.random.default_rng(seed)
    sides = []
    for moved in (0.0, move):
        label = generator.integers(0, 2, n)
        x = generator.normal(size=(n, 3)) + 1.5 * label[:, None]
        x[:, 0] += moved
        sides.append((x, label))
    return sides


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(2, 4))
def test_whoever_gives_the_same_classes_agrees_perfectly(seed, classes):
    generator = np.random.default_rng(seed)
    p = probabilities(generator, classes=classes)
    weight = generator.normal(1.0, 0.5, len(p))
    assert criteria.agreement(p, p, weight) == pytest.approx(1.0)
    assert criteria.agreement(p, p[:, ::-1], np.abs(weight)) < 1.0


def test_agreement_counts_weights():
    a, b = np.array([0.9, 0.9, 0.1]), np.array([0.9, 0.1, 0.1])
    assert criteria.agreement(a, b) == pytest.approx(2 / 3)
    assert criteria.agreement(a, b, [1, 2, 1]) == pytest.approx(0.5)
    assert criteria.agreement(a, b, [1, -0.5, 1]) == pytest.approx(2 / 1.5)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0, 1), st.sampled_from(["default", "study"]))
def test_a_constant_score_has_consistency_one(seed, constant, variant):
    x = np.random.default_rng(seed).normal(size=(50, 2))
    found = criteria.consistency(x, np.full(50, constant), 5, variant)
    assert found == pytest.approx(1.0)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_importance_weighted_loss_without_weights_is_the_plain_loss(seed):
    generator = np.random.default_rng(seed)
    loss, weight = generator.exponential(size=80), generator.normal(1, 0.3, 80)
    plain = float(weight @ loss / weight.sum())
    assert criteria.importance_weighted(loss, np.ones(80), weight) == pytest.approx(plain)
    assert criteria.dev(loss, np.ones(80), weight) == pytest.approx(plain)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.1, 10))
def test_dev_with_a_constant_loss_is_that_constant_whatever_the_ratio(seed, constant):
    """The control variate takes out all the noise that the ratio brings."""
    ratio = np.random.default_rng(seed).exponential(size=80)
    loss = np.full(80, constant)
    assert criteria.dev(loss, ratio) == pytest.approx(constant)


def test_importance_weights_estimate_the_loss_where_only_the_inputs_moved():
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(2, 20_000, 2)) + np.array([[[0.0, 0.0]], [[0.6, 0.0]]])
    loss, true = 1 / (1 + np.exp(-2 * x[:, 0])), np.mean(1 / (1 + np.exp(-2 * y[:, 0])))
    found = criteria.importance_weighted(loss, criteria.density_ratio(x, y))
    assert abs(found - true) < 0.01 < abs(loss.mean() - true)


def test_entropy_and_mutual_information_of_certain_and_of_empty_scores():
    certain, undecided = np.array([0.0, 1.0] * 10), np.full(20, 0.5)
    assert criteria.entropy(certain) == pytest.approx(0.0, abs=1e-5)
    assert criteria.entropy(undecided) == pytest.approx(np.log(2))
    assert criteria.infomax(certain) == pytest.approx(np.log(2), abs=1e-5)
    assert criteria.infomax(undecided) == pytest.approx(0.0)


def test_the_soft_neighbourhood_is_densest_for_a_constant():
    generator = np.random.default_rng(0)
    constant = criteria.soft_neighbourhood(np.full(100, 0.2))
    assert constant == pytest.approx(np.log(99))
    assert criteria.soft_neighbourhood(generator.random(100)) < constant


def test_the_soft_neighbourhood_is_the_formula():
    p = probabilities(np.random.default_rng(3), n=12, classes=3)
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    entropies = []
    for i in range(len(p)):
        e = np.exp([unit[i] @ unit[j] / 0.05 for j in range(len(p)) if j != i])
        e /= e.sum()
        entropies.append(-(e * np.log(e)).sum())
    assert criteria.soft_neighbourhood(p) == pytest.approx(np.mean(entropies))


def test_a_moved_threshold_does_not_match_the_prior():
    score = np.linspace(0, 1, 1001)
    assert criteria.prior_match(score, [0.5, 0.5]) == pytest.approx(1.0, abs=2e-3)
    assert criteria.prior_match(score**0.5, [0.5, 0.5]) == pytest.approx(0.75, abs=2e-3)
    assert criteria.prior_match(score, [0.3, 0.7]) == pytest.approx(0.8, abs=2e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_reverse_validation_prefers_right_classes_to_wrong_ones(weighted):
    (x, label), (y, target_label) = two_domains(4)
    generator = np.random.default_rng(5)
    noisy = np.where(generator.random(len(y)) < 0.4, 1 - target_label, target_label)
    scores = [np.eye(2)[t] for t in (target_label, noisy, 1 - target_label)]
    weights = {}
    if weighted:  # a tenth of the events is subtracted again
        weights = {
            "target_weight": np.where(generator.random(len(y)) < 0.1, -1.0, 1.0),
            "source_weight": np.where(generator.random(len(x)) < 0.1, -1.0, 1.0),
        }
    right, partly, wrong = criteria.reverse_validation(scores, y, x, label, **weights)
    assert right > 0.88
    assert wrong < 0.15
    assert wrong < partly < right + 0.01


def test_reverse_validation_suffers_the_shift_of_a_raw_target():
    (x, label), (y, target_label) = two_domains(6, move=4.0)
    score = [np.eye(2)[target_label]]
    raw = criteria.reverse_validation(score, y, x, label)[0]
    aligned = criteria.reverse_validation(score, y - [4.0, 0, 0], x, label)[0]
    assert aligned > raw + 0.05


def test_missing_values_and_several_classes_pass():
    generator = np.random.default_rng(7)
    x = generator.normal(size=(400, 3)).astype(np.float32)
    x[::5, 1] = np.nan
    label = generator.integers(0, 3, 400)
    x[:, 0] += 3 * label
    found = criteria.reverse_validation([np.eye(3)[label]], x, x, label)[0]
    assert found > 0.8
    assert np.isfinite(criteria.density_ratio(x, x)).all()


def test_what_cannot_be_computed_is_none():
    nothing = np.empty((0, 2))
    assert criteria.agreement(nothing, nothing) is None
    assert criteria.entropy(nothing) is None
    assert criteria.infomax(nothing) is None
    assert criteria.prior_match(nothing, [0.5, 0.5]) is None
    assert criteria.soft_neighbourhood(nothing) is None
    assert criteria.source_loss(nothing, np.empty(0, int)) is None
    assert criteria.dev(np.empty(0), np.empty(0)) is None
    assert criteria.consistency(np.zeros((8, 1)), np.zeros(8)) is None
    assert criteria.reverse_validation([nothing], np.empty((0, 1)), nothing, []) == [None]
    assert criteria.agreement(np.ones(2), np.ones(2), [1.0, -1.0]) is None
