"""The fraction of a class in a target, with and without a shift of the features beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepdann.alignment import at_fractions, estimate_fractions, source_fractions
from hepdann.errors import SchemaError
from hepdann.tensors.source_and_target import Source, Target

CENTRES = np.array([[0, 0, 0, 0], [2.2, 1.8, -1.6, 1.2], [-1.8, 2.4, 1.6, -2]])


def draw(n, fractions, seed, bend=lambda x: x):
    """Classes that differ in every feature, in a source; bent in its features if asked for."""
    g = np.random.default_rng(seed)
    label = g.choice(len(fractions), n, p=fractions).astype(np.int32)
    x = g.normal(0, 1, (n, 4)) + CENTRES[label]
    return Source(
        bend(x).astype(np.float32), np.ones(n, np.float32), np.arange(n, dtype=np.uint64),
        np.zeros(n, np.uint8), label, ("a", "b", "c")[: len(fractions)],
    )  # fmt: skip


def unlabelled(source):
    return Target(source.features, source.weight, source.event_id, source.split)


def bent(x):
    return np.sinh(0.5 * x) * [1, 2, 3, 4] + 1


@pytest.mark.parametrize("bend", [lambda x: x, bent], ids=["pure", "with a feature shift"])
@pytest.mark.parametrize(("mc", "data"), [(0.33, 0.17)])
def test_a_label_shift_is_measured(bend, mc, data):
    source = draw(2500, [1 - mc, mc], 1)
    target = unlabelled(draw(2500, [1 - data, data], 2, bend))
    found = estimate_fractions(source, target)
    assert found.shift
    assert found.value.sum() == pytest.approx(1)
    assert found.value[1] == pytest.approx(data, abs=0.04)
    assert abs(found.value[1] - data) < 4 * np.hypot(found.error[1], 0.006)
    assert found.residual[1] < found.residual[0]
    np.testing.assert_array_equal(found.fractions, found.value)


@pytest.mark.parametrize("seed", range(2))
def test_equal_fractions_are_kept_whatever_the_features_do(seed):
    source = draw(2500, [0.7, 0.3], 10 + seed)
    found = estimate_fractions(source, unlabelled(draw(2500, [0.7, 0.3], 20 + seed, bent)))
    assert not found.shift
    np.testing.assert_array_equal(found.fractions, source_fractions(source))
    assert abs(found.value[1] - 0.3) < 4 * found.error[1]


def test_a_shift_that_the_map_cannot_undo_is_not_taken_for_a_label_shift():
    turn = np.eye(4)
    turn[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    source = draw(2500, [0.7, 0.3], 1)
    found = estimate_fractions(source, unlabelled(draw(2500, [0.7, 0.3], 2, lambda x: x @ turn)))
    assert not found.shift
    assert found.residual[0] > 0.6


def test_smearing_is_not_taken_for_less_signal():
    """It loosens how features depend on each other, as a smaller fraction of signal would."""
    source = draw(4000, [0.77, 0.23], 1)
    noise = np.random.default_rng(3).normal(0, 1, (4000, 4)) * [1.5, 0, 1.5, 0]
    target = unlabelled(draw(4000, [0.77, 0.23], 2, lambda x: x + noise))
    assert not estimate_fractions(source, target).shift


def test_three_classes():
    source = draw(1000, [0.4, 0.3, 0.3], 1)
    found = estimate_fractions(source, unlabelled(draw(1000, [0.5, 0.35, 0.15], 2, bent)))
    assert found.shift
    np.testing.assert_allclose(found.value, [0.5, 0.35, 0.15], atol=0.05)


def test_weights_make_the_fractions():
    """A source of 30 % weighted to 60 % is one of 60 %, and a target weighted to 20 % likewise."""
    source = at_fractions(draw(2500, [0.7, 0.3], 1), np.array([0.4, 0.6]))
    target = draw(2500, [0.6, 0.4], 2)
    lighter = replace(target, weight=np.where(target.label == 1, 0.375, 1).astype(np.float32))
    found = estimate_fractions(source, unlabelled(lighter))
    assert found.source[1] == pytest.approx(0.6)
    assert found.value[1] == pytest.approx(0.2, abs=0.04)


def test_reweighting_changes_fractions_and_nothing_else():
    source = draw(500, [0.5, 0.3, 0.2], 1)
    again = at_fractions(source, np.array([0.2, 0.2, 0.6]))
    np.testing.assert_allclose(source_fractions(again), [0.2, 0.2, 0.6], atol=1e-6)
    assert again.weight.sum() == pytest.approx(source.weight.sum(), rel=1e-5)
    same = at_fractions(source, source_fractions(source))
    np.testing.assert_allclose(same.weight, source.weight, rtol=1e-6)


def test_what_has_no_fractions_is_refused():
    source = draw(200, [0.5, 0.5], 1)
    one = replace(source, classes=("a",), label=np.zeros(200, np.int32))
    with pytest.raises(SchemaError, match="one class"):
        estimate_fractions(one, unlabelled(source))
    none = replace(source, label=np.zeros(200, np.int32))
    with pytest.raises(SchemaError, match="weights of class b have no positive sum"):
        estimate_fractions(none, unlabelled(source))


def test_the_error_is_the_spread_of_estimates():
    even = [0.7, 0.3]
    found = [
        estimate_fractions(draw(500, even, 2 * k), unlabelled(draw(500, even, 2 * k + 1)))
        for k in range(8)
    ]
    spread = np.std([one.value[1] for one in found], ddof=1)
    assert np.median([one.error[1] for one in found]) == pytest.approx(spread, rel=0.6)
