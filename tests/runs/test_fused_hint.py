"""Who could have the same training in less time is told so, once and in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hepdann import methods
from hepdann.networks import NetworkShape
from hepdann.runs.stacks import fused_hint
from hepdann.runs.stacks.plan import StackPlan
from hepdann.runs.stacks.shards import cut
from hepdann.training import Member, Settings

SHAPE = NetworkShape(6, 2)
LONG = Settings(epochs=100, batch_size=1024, steps=100)


def said(members, settings=LONG, shape=SHAPE, *, other=0):
    plans = [
        StackPlan(tuple(Member(methods.get(name), 1.0, k) for k in range(n)), "domain")
        for name, n in (("dann", members), ("dann-alternating", other))
        if n
    ]
    return fused_hint.suggest_fused(cut(plans, 1), lambda _: shape, settings)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    monkeypatch.setattr(fused_hint, "fused_installed", lambda: True)


def test_the_gain_is_that_of_stacks_of_their_size():
    assert said(5) == (
        "--engine fused trains such networks 1.3 to 3.5 times as fast, the same within rounding "
        "(docs/train.md)"
    )
    assert "about 1.4 times as fast" in said(15)


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (replace(LONG, epochs=2), SHAPE),
        (replace(LONG, engine="fused"), SHAPE),
        (replace(LONG, device="cuda"), SHAPE),
        (replace(LONG, optimiser="sgd"), SHAPE),
        (LONG, replace(SHAPE, activation="gelu")),
        (LONG, replace(SHAPE, network="minerva-small")),
    ],
)
def test_nothing_is_said_where_it_would_not_serve_or_hardly_pay(settings, shape):
    assert said(5, settings, shape) is None


def test_nothing_is_said_where_most_networks_are_others_or_it_is_not_there(monkeypatch):
    assert said(5, other=4)
    assert said(5, other=6) is None
    monkeypatch.setattr(fused_hint, "fused_installed", lambda: False)
    assert said(5) is None
