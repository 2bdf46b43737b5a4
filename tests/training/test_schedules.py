"""Schedules are functions of the explicit step and of what the history holds."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepdann.config.schedules import LambdaSchedule, RateSchedule

NAMES = ["constant", "cosine", "step", "inverse", "plateau"]


def test_inverse_is_ganins_and_minervas():
    ganin = RateSchedule(name="inverse", alpha=10, beta=0.75)
    assert ganin.at(50, 100) == pytest.approx((1 + 10 * 0.5) ** -0.75)
    minerva = RateSchedule(name="inverse", alpha=1e-4 * 20_000, beta=0.75)
    assert minerva.at(5_000, 20_000) == pytest.approx((1 + 1e-4 * 5_000) ** -0.75)


def test_step_drops_by_its_factor_after_each_share():
    step = RateSchedule(name="step", factor=0.5, every=0.25)
    rates = [step.at(s, 100) for s in range(100)]
    assert rates == [0.5 ** (s // 25) for s in range(100)]


@given(st.sampled_from(NAMES), st.floats(0, 0.9), st.integers(1, 300))
def test_a_rate_rises_in_the_warm_up_and_never_after_it(name, warm_up, total):
    schedule = RateSchedule(name=name, warm_up=warm_up)
    rates = [schedule.at(s, total) for s in range(total)]
    turn = math.ceil(warm_up * total)
    assert all(0 < a < b <= 1 for a, b in itertools.pairwise(rates[:turn]))
    assert all(1 >= a >= b >= 0 for a, b in itertools.pairwise(rates[turn:]))
    assert rates[turn:][:1] in ([], [pytest.approx(schedule.at(turn, total))])


def test_warm_up_delays_the_schedule_that_follows():
    late, plain = RateSchedule(name="cosine", warm_up=0.2), RateSchedule(name="cosine")
    assert late.at(20, 100) == plain.at(0, 100) == 1
    assert late.at(60, 100) == pytest.approx(plain.at(50, 100))
    assert late.at(9, 100) == pytest.approx(10 / 21)


def test_plateau_waits_for_its_patience_and_starts_to_wait_anew():
    plateau = RateSchedule(name="plateau", factor=0.1, patience=2)
    losses = [3.0, 2.0, 2.0, 1.0, 1.5, 1.2, 1.1, 1.1, 0.9]
    factors = [plateau.after(losses[:n]) for n in range(len(losses) + 1)]
    assert factors == pytest.approx([1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert plateau.after([1.0, math.nan, math.nan]) == pytest.approx(0.1)
    assert all(RateSchedule(name=n).after(losses) == 1 for n in NAMES if n != "plateau")


def test_linear_lambda_rises_to_one_and_stays():
    linear = LambdaSchedule(name="linear", until=0.5)
    assert [linear.at(s, 100) for s in (0, 25, 50, 100)] == [0, 0.5, 1, 1]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_adaptive_lambda_answers_a_domain_head_that_is_right_too_often(errors):
    adaptive = LambdaSchedule(name="adaptive", error=0.4, largest=50)
    now = adaptive.after(errors)
    assert 1 / 50 <= now <= 50
    assert adaptive.after([*errors, 0.1]) >= now
    assert adaptive.after([*errors, 0.5]) <= now
    assert adaptive.after([*errors, 0.4]) == pytest.approx(now)
    assert LambdaSchedule(name="ganin").after(errors) == 1
