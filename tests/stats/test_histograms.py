"""Histograms and their binning: sums are conserved, errors are the textbook's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hepdann.stats import binning, garwood, histogram, without_sentinels
from hepdann.stats.granularity import steps

values = hnp.arrays(float, st.integers(0, 60), elements=st.floats(-5, 5))


@settings(max_examples=40, deadline=None)
@given(values, st.integers(0, 1000))
def test_bins_and_flow_hold_every_event(x, seed):
    w = np.random.default_rng(seed).normal(1, 1, len(x))
    h = histogram(x, w, np.linspace(-2, 2, 9))
    assert h.total.value == pytest.approx(w.sum())
    assert h.total.error == pytest.approx(math.sqrt((w**2).sum()))
    assert h.sumw == pytest.approx(np.histogram(x, h.edges, weights=w)[0])
    assert h.sumw2 == pytest.approx(np.histogram(x, h.edges, weights=w**2)[0])


def test_the_last_edge_belongs_to_the_last_bin():
    h = histogram([0.0, 1.0, 1.0001, -0.1], None, [0.0, 0.5, 1.0])
    assert h.sumw.tolist() == [1.0, 1.0]
    assert h.overflow == (1.0, 1.0)
    assert h.underflow == (1.0, 1.0)


def test_missing_and_infinite_values_are_counted_apart():
    h = histogram([np.nan, np.inf, -np.inf, 0.5], [2.0, 3.0, 5.0, 7.0], [0.0, 1.0])
    assert h.missing == (2.0, 4.0)
    assert h.overflow == (3.0, 9.0)
    assert h.underflow == (5.0, 25.0)
    assert h.sumw.tolist() == [7.0]


def test_integers_get_a_bin_each():
    assert binning(np.array([0, 1, 2, 2, 1]), [4.0]).tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]


@pytest.mark.parametrize("blur", [0.0, 0.15])
def test_a_scaled_multiplicity_is_no_comb(blur):
    """Every bin holds as many steps; in even bins their number alternates."""
    generator = np.random.default_rng(1)
    count = generator.poisson(9, 20_000)
    x = (count + blur * generator.normal(size=len(count))) / 23.0
    assert steps(x)[0] == pytest.approx(1 / 23, rel=0.01)
    edges = binning(x)
    assert np.diff(edges) == pytest.approx(1 / 23, rel=0.01)
    assert np.abs((23 * edges[:8] % 1) - 0.5).max() < 0.12
    many = binning(generator.poisson(100, 20_000) / 23.0)
    assert len(many) - 1 <= 40
    assert np.diff(many) * 23 == pytest.approx(np.round(np.diff(many) * 23)[0])


@pytest.mark.parametrize("name", ["normal", "exponential", "random", "standard_cauchy"])
def test_a_continuous_quantity_takes_no_steps(name):
    x = getattr(np.random.default_rng(2), name)(size=20_000)
    assert steps(x) is None
    assert steps(np.where(x > np.median(x), x, -0.0003)) is None, "a spike is no comb"


def test_a_value_far_from_all_others_stands_for_none():
    generator = np.random.default_rng(3)
    x = generator.beta(2, 3, 5000)
    x[:7], x[7:12] = -1.0, 99.0
    (clean, other), found = without_sentinels(x, np.array([0.5, -1.0]))
    assert found == (-1.0, 99.0)
    assert np.isnan(clean[:12]).all()
    assert np.isfinite(clean[12:]).all()
    assert np.isnan(other).tolist() == [False, True]
    assert binning(clean)[0] >= 0
    for usual in (generator.normal(size=5000), generator.integers(-1, 2, 5000), x[12:]):
        assert without_sentinels(usual)[1] == ()
        assert without_sentinels(usual, x)[1] == (), "MC has none"


def test_bounds_are_kept_and_tails_are_cut():
    generator = np.random.default_rng(0)
    edges = binning(generator.random(10_000))
    assert 0 <= edges[0] < 1e-3
    assert 1 - 1e-3 < edges[-1] <= 1
    tail = generator.standard_cauchy(10_000)
    assert binning(tail)[-1] < np.abs(tail).max() / 2


@pytest.mark.parametrize("x", [[], [np.nan], [3.0, 3.0], [0.25] * 4])
def test_binning_of_degenerate_values_rises(x):
    edges = binning(np.array(x, dtype=float))
    assert (np.diff(edges) > 0).all()


def test_garwood_is_the_textbook_interval():
    down, up = garwood([0, 1, 10])
    assert down == pytest.approx([0.0, 0.827, 3.109], abs=1e-3)  # PDG review, statistics
    assert up == pytest.approx([1.841, 2.300, 4.267], abs=1e-3)
