"""Bumps over smooth spectra, and significances of counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hepdann.errors import HepdannError
from hepdann.stats.histograms import counting_significance, find_bump

REGION, WINDOW = (2.9, 3.1), (2.0, 4.0)


def falling(rng, n):
    return 2 - np.log1p(-rng.random(n) * (1 - np.exp(-3))) / 1.5


def test_significance_is_that_of_the_field_where_it_is_known():
    assert counting_significance(120, 100, 1e-6) == pytest.approx(
        math.sqrt(2 * (120 * math.log(1.2) - 20)), rel=1e-4
    )
    # Li & Ma with tau = 1: 140 on, 100 off
    on, off = 140, 100
    li_ma = math.sqrt(
        2 * (on * math.log(2 * on / (on + off)) + off * math.log(2 * off / (on + off)))
    )
    assert counting_significance(on, off, math.sqrt(off)) == pytest.approx(li_ma, rel=1e-6)
    assert counting_significance(80, 100, 5) < 0
    assert counting_significance(0, 1, 0.1) < 0


def test_a_falling_spectrum_has_no_bump_and_one_with_a_signal_has():
    rng = np.random.default_rng(1)
    pulls = [find_bump(falling(rng, 5_000), REGION, WINDOW).significance for _ in range(200)]
    assert abs(np.mean(pulls)) < 0.3
    assert np.std(pulls) == pytest.approx(1, abs=0.15)
    signal = rng.normal(3, 0.04, 250)
    bump = find_bump(np.concatenate([falling(rng, 5_000), signal]), REGION, WINDOW)
    assert bump.significance > 5
    assert bump.observed - bump.expected == pytest.approx(247, abs=70)


def test_a_region_outside_the_window_or_few_events_are_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(HepdannError, match="is not within"):
        find_bump(falling(rng, 100), (1.0, 3.0), WINDOW)
    with pytest.raises(HepdannError, match="too few to fit a polynomial of order"):
        find_bump(np.array([2.5, 3.0]), REGION, WINDOW)
