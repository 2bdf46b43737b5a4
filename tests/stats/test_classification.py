"""Accuracy, loss, confusion, thresholds: the textbook where weights are 1, the bootstrap else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.metrics import log_loss as sklearn_log_loss

from hepdann.stats import (
    accuracy,
    auc,
    confusion,
    effective_events,
    expected_accuracy,
    log_loss,
    majority,
    predicted,
    prior_matched_threshold,
    signal_fraction,
)


def sample(seed, n=1500, classes=2, negative=0.0):
    generator = np.random.default_rng(seed)
    label = generator.integers(0, classes, n)
    score = generator.dirichlet(np.ones(classes), n) + 0.5 * np.eye(classes)[label]
    score = score / score.sum(axis=1, keepdims=True)
    weight = generator.gamma(2.0, 0.5, n)
    weight[generator.random(n) < negative] *= -1
    return score, label, weight


@pytest.mark.parametrize("classes", [2, 4])
def test_figures_are_sklearns_for_positive_weights(classes):
    score, label, weight = sample(0, classes=classes)
    given_class = score.argmax(axis=1)
    expected = accuracy_score(label, given_class, sample_weight=weight)
    assert accuracy(score, label, weight).value == pytest.approx(expected)
    expected = sklearn_log_loss(label, score, sample_weight=weight)
    assert log_loss(score, label, weight).value == pytest.approx(expected)
    expected = confusion_matrix(label, given_class, sample_weight=weight).T
    assert confusion(score, label, weight).sumw == pytest.approx(expected)


def test_error_without_weights_is_the_binomial():
    score, label, _ = sample(1)
    figure = accuracy(score, label)
    p, n = figure.value, len(label)
    assert figure.error == pytest.approx(math.sqrt(p * (1 - p) / n))
    assert figure.n_eff == n


def test_error_with_weights_of_their_own_is_the_binomial_of_effective_events():
    score, label, weight = sample(2, n=20_000)
    figure = accuracy(score, label, weight)
    p = figure.value
    assert figure.error == pytest.approx(math.sqrt(p * (1 - p) / figure.n_eff), rel=0.03)


@pytest.mark.parametrize("measure", [accuracy, log_loss])
@pytest.mark.parametrize("negative", [0.0, 0.2])
def test_error_agrees_with_the_bootstrap(bootstrap, measure, negative):
    score, label, weight = sample(3, negative=negative)
    weight = weight * (1 + label)  # weights that know of the class
    spread = bootstrap(lambda *a: measure(*a).value, score, label, weight, n=400)
    assert measure(score, label, weight).error == pytest.approx(spread, rel=0.15)


def test_negative_weights_cost_effective_events():
    weight = np.repeat([1.0, -1.0], [900, 100])
    assert effective_events(weight) == pytest.approx((1 - 2 * 0.1) ** 2 * 1000)


def test_all_right_is_not_certainty():
    figure = accuracy(np.eye(2), [0, 1])
    assert figure.value == 1.0
    assert figure.error == pytest.approx(1 / 3)


@pytest.mark.parametrize("right", [0, 1, 199, 200])
def test_the_error_near_an_edge_is_at_least_the_reach_of_wilsons_interval(right):
    score = np.repeat([0.9, 0.1], [right, 200 - right])
    assert accuracy(score, np.ones(200, int)).error >= 1 / 201 - 1e-12


@pytest.mark.parametrize("measure", [accuracy, auc])
def test_error_with_heavy_tailed_weights_is_the_spread_of_repeated_experiments(measure):
    """Also where a few of 200 events have most of the weight; the bootstrap is 15 % below it."""
    generator = np.random.default_rng(5)
    values, variances = [], []
    for _ in range(800):
        label = generator.integers(0, 2, 200)
        score = 0.5 + 0.2 * (generator.normal(size=200) + label - 0.5)
        figure = measure(score, label, generator.lognormal(0, 1.5, 200))
        values.append(figure.value)
        variances.append(figure.error**2)
    assert math.sqrt(np.mean(variances)) == pytest.approx(np.std(values), rel=0.06)


def test_no_events_have_no_accuracy():
    for label, weight in (([], []), ([0, 1], [1.0, -1.0])):
        figure = accuracy(np.full((len(label), 2), 0.5), np.array(label, int), weight)
        assert math.isnan(figure.value)
        assert math.isnan(figure.error)


def test_loss_of_a_stored_zero_is_finite():
    assert math.isfinite(log_loss(np.array([[1.0, 0.0]], np.float32), [1]).value)


def test_the_threshold_moves_the_decision_of_two_classes_only():
    two, three = np.array([[0.4, 0.6]]), np.array([[0.3, 0.4, 0.3]])
    assert predicted(two, 0.5) == 1
    assert predicted(two, 0.7) == 0
    assert predicted(three, 0.9) == 1


def test_efficiency_and_purity_are_normalised_along_their_class():
    matrix = confusion(*sample(4, classes=3))
    assert matrix.efficiency.sum(axis=0) == pytest.approx(1)
    assert matrix.purity.sum(axis=1) == pytest.approx(1)
    score, label, weight = sample(4, classes=3)
    taken = score.argmax(axis=1) == 2
    share = weight[taken & (label == 1)].sum() / weight[label == 1].sum()
    assert matrix.efficiency[2, 1] == pytest.approx(share)  # [reconstructed, true]
    assert matrix.sumw2.sum() == pytest.approx((weight**2).sum())


def test_majority_and_fraction_go_by_weight():
    label, weight = [0, 0, 0, 1], [1.0, 1.0, 1.0, 7.0]
    assert majority(label, weight).value == pytest.approx(0.7)
    assert signal_fraction(label, weight).value == pytest.approx(0.7)
    assert majority(label).value == pytest.approx(0.75)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.02, 0.98), st.sampled_from([0.0, 0.15]))
def test_as_much_passes_the_prior_matched_threshold_as_asked(seed, fraction, negative):
    score, _, weight = sample(seed, negative=negative)
    threshold = prior_matched_threshold(score, weight, fraction)
    passed = weight[score[:, 1] > threshold].sum() / weight.sum()
    largest = np.abs(weight).max() / weight.sum()
    slack = largest if negative == 0 else 12 * largest  # the running maximum may hold it up
    assert passed == pytest.approx(fraction, abs=slack)


def test_prior_matching_can_pass_nothing_and_everything():
    score = np.array([0.2, 0.6, 0.6])
    assert not (score > prior_matched_threshold(score, None, 0.0)).any()
    assert (score > prior_matched_threshold(score, None, 1.0)).all()
    assert math.isnan(prior_matched_threshold(score, [0, 0, 0], 0.5))


def test_a_classifier_that_knows_where_it_is_wrong_says_how_often_it_is():
    generator = np.random.default_rng(0)

    def events(hard):
        """Scores that are certain, or in a share of the events no more than a guess; classes."""
        label = generator.integers(0, 3, 20_000)
        score = np.full((len(label), 3), 0.02)
        score[np.arange(len(label)), label] = 0.96
        vague = generator.random(len(label)) < hard
        score[vague] = (0.4, 0.3, 0.3)
        return score + generator.uniform(0, 1e-3, score.shape), label

    (source, label), (target, truth) = events(0.15), events(0.6)
    expected = expected_accuracy(target, source, label)
    # of vague events a third are right: the limit lies within them
    assert expected.value == pytest.approx(accuracy(target, truth).value, abs=0.02)
    assert expected_accuracy(source, source, label).value == pytest.approx(
        accuracy(source, label).value, abs=0.001
    )
    assert math.isnan(expected_accuracy(target, source[:0], label[:0]).value)
