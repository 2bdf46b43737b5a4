"""Which family is chosen, and what certifies it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hepdann import shifts
from hepdann.alignment import QuantileMap
from hepdann.calibration import calibrate, search
from hepdann.calibration.mixture import mixture_of
from hepdann.stats.figure import Figure
from hepdann.tensors import Source, Target

NAMES = ("pt", "mass")


def test_the_family_that_made_the_data_is_chosen_and_certified(toys):
    mc, _ = toys(3000)
    true = shifts.get("cosine", 3.0).fit(mc.features)
    mc, data = toys(3000, true.apply)
    report = calibrate(mc, data, NAMES, families=["sine", "cosine"])
    assert (report.calibration.name, report.verdict) == ("cosine", "closed")
    t = report.calibration.parameters()["t"]
    assert abs(t.value - 3.0) < 4 * t.error
    assert report.before.value > 0.8
    assert report.after.value < 0.53
    (profile,) = report.profiles
    assert profile.distance.min() == pytest.approx(profile.distance[8], rel=0.1)
    assert json.dumps(report.to_json(), allow_nan=False)


def test_without_a_shift_nothing_is_changed(toys):
    mc, data = toys(1500)
    report = calibrate(mc, data, NAMES, families=["sine", "offset"])
    assert (report.calibration.name, report.verdict) == ("none", "closed")
    assert report.shown.name == report.candidates[1].name  # figures show what was asked for
    assert len(report.profiles) == report.candidates[1].count
    np.testing.assert_array_equal(report.calibration.apply(mc.features), mc.features)
    trained = report.applied.calibrated(mc)
    np.testing.assert_array_equal(trained.weight, mc.weight)


def test_what_no_family_explains_is_not_closed(toys):
    def turned(x, _):
        x[:, 1] = x[::-1, 1]
        return x

    mc, data = toys(1500, lambda x, g: turned(np.tanh(6 * (x - 0.5)), g))
    report = calibrate(mc, data, NAMES, families=["smear(pt)"])
    assert report.verdict == "not closed"


def test_a_calibrated_sample_has_the_fractions_of_the_data(toys):
    mc, data = toys(3000, fraction=0.2)
    report = calibrate(mc, data, NAMES, families=["none"])
    assert report.sentence.startswith("other class fractions, and no map")
    calibrated = report.calibration.calibrated(mc)
    share = calibrated.weight[mc.label == 1].sum() / calibrated.weight.sum()
    assert share == pytest.approx(0.2, abs=0.05)


def test_a_class_that_mc_lack_is_not_taken_for_other_fractions(toys):
    """A fifth of the data lies between both classes: fractions move, and templates do not fit."""

    def foreign(x, generator):
        x[: len(x) // 5] = generator.beta(20.0, 20.0, (len(x) // 5, 2))
        return x

    mc, data = toys(3000, foreign)
    report = calibrate(mc, data, NAMES, families=["none"])
    assert report.calibration.moved()
    assert report.verdict == "not closed"
    assert "a class that MC lack" in report.sentence
    np.testing.assert_array_equal(report.applied.calibrated(mc).weight, mc.weight)
    mc, data = toys(3000, fraction=0.2)
    assert calibrate(mc, data, NAMES, families=["none"]).mixture.explains


@pytest.mark.parametrize(
    ("truth", "p_value", "fits", "chosen"),
    [
        (0.17, 1e-4, (None, 0.1, 0.17), 0.17),
        (0.17, 0.5, (None,), None),
        (0.4, 1e-4, (None, 0.1), None),
        (0.3, 1e-4, (None, 0.1), None),  # nearer to those of MC: one class moves by itself
    ],
)
def test_the_free_map_is_fitted_at_the_fractions_where_features_agree(
    toys, monkeypatch, truth, p_value, fits, chosen
):
    """At a wrong fraction it hides half of the difference; of raw data the estimate is wrong."""
    mc, data = toys(400)  # 40 % of MC
    looked, held = search._Search(mc, data, NAMES, False, None, 0, None), []
    share = looked.whole.mc_fractions[1]

    def fitted(share):
        held.append(share[1])
        return SimpleNamespace(fractions=share)

    def behind(fit):
        signal = (truth + fit.fractions[1]) / 2 if truth < 0.4 else fit.fractions[1]
        return np.array([1 - signal, signal])

    def apart(fit):
        return SimpleNamespace(p_value=p_value, chi2=50 + 4000 * (fit.fractions[1] - truth) ** 2)

    raw = SimpleNamespace(value=np.array([0.9, 0.1]), error=np.full(2, 0.01))
    monkeypatch.setattr(search, "estimate_fractions", lambda *_, **__: raw)
    monkeypatch.setattr(looked, "_free_at", fitted)
    monkeypatch.setattr(looked, "_estimate", behind)
    monkeypatch.setattr(looked, "_mixture", apart)
    fit, _ = looked.first_free(lambda _: Figure(0.51, 0.01, 100.0))
    assert held == pytest.approx([share if value is None else value for value in fits])
    assert fit.fractions[1] == pytest.approx(share if chosen is None else chosen)


def test_of_several_searches_that_map_is_taken_that_leaves_least(toys, monkeypatch):
    """Of the events that all of them were fitted to; where one leaves nothing no other is tried."""
    looked = search._Search(*toys(400), NAMES, False, None, 0, None)
    monkeypatch.setattr(
        looked, "_free_at", lambda share, seed, **_: SimpleNamespace(fractions=share, seed=seed)
    )
    first = SimpleNamespace(fractions=looked.whole.mc_fractions, seed=0)
    cases = ([0.54, 0.55, 0.52, 0.53, 0.51], 4), ([0.54, 0.505, 0.51, 0.5, 0.5], 1), ([0.5] * 5, 0)
    for left, expected in cases:
        monkeypatch.setattr(looked, "_left", lambda fit, left=left: left[fit.seed])
        assert looked.again(first, 4).seed == expected


@pytest.mark.parametrize(("left", "searches"), [(0.529, 2), (0.54, 4), (0.9, 0)])
def test_a_free_map_is_looked_for_again_unless_it_is_not_closed(toys, monkeypatch, left, searches):
    looked, tried = search._Search(*toys(400), NAMES, False, None, 0, None), []
    monkeypatch.setattr(looked, "first_free", lambda judged: ("first", judged("first")))
    monkeypatch.setattr(looked, "again", lambda fit, n: tried.append(n) or "other")
    left_by = {"first": Figure(left, 0.01, 100.0), "other": Figure(0.51, 0.01, 100.0)}
    fit, figure = looked.best_free(left_by.get, Figure(0.95, 0.01, 100.0))
    assert tried == [searches] * (searches > 0)
    assert (fit, figure) == (
        ("other", left_by["other"]) if searches else ("first", left_by["first"])
    )


@pytest.mark.parametrize(("scaled", "explains"), [(None, True), (1, False)])
def test_a_map_of_all_events_does_not_explain_a_shift_of_one_class(toys, scaled, explains):
    """Each feature is mapped so that it has its distribution in the data, whatever the class."""
    mc, _ = toys(6000)
    events, _ = toys(6000, seed=2)  # whose labels only this test knows
    wide = np.ones(len(events)) if scaled is None else np.where(events.label == scaled, 1.15, 1.0)
    moved = events.features * (wide[:, None] if scaled is not None else 1.05)
    data = Target(moved.astype(np.float32), events.weight, events.event_id + 9000, events.split)
    map_ = QuantileMap.fit(mc, data)
    mixture = mixture_of(mc.with_features(map_.apply(mc.features)), mc, data, held=True)
    assert mixture.explains == explains
    assert not mixture_of(mc, mc, data, held=False).explains


def test_a_class_that_the_data_have_none_of_is_no_part_of_the_mixture(toys):
    mc, _ = toys(2000)
    events, _ = toys(4000, seed=2)
    rows = events.label == 0  # of labels that only this test knows
    ids = events.event_id[rows] + np.uint64(9000)
    alone = Target(events.features[rows], events.weight[rows], ids, events.split[rows])
    weighted = replace(mc, weight=np.where(mc.label == 0, mc.weight, 0).astype(np.float32))
    assert mixture_of(weighted, mc, alone, held=True).explains


def test_few_events_with_many_features_are_a_mixture_all_the_same():
    """The covariance of more functions than events can tell makes every difference large."""
    generator = np.random.default_rng(1)
    common = {"weight": np.ones(400, np.float32), "split": np.zeros(400, np.uint8)}
    ids = np.arange(800, dtype=np.uint64)
    label = (np.arange(400) % 3).astype(np.int32)
    x = generator.standard_normal((800, 20)).astype(np.float32) + np.tile(label, 2)[:, None]
    mc = Source(x[:400], event_id=ids[:400], label=label, classes=("a", "b", "c"), **common)
    data = Target(x[400:], event_id=ids[400:], **common)
    assert mixture_of(mc, mc, data, held=True).p_value > 0.01
