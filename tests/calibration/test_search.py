"""Which family is chosen, and what certifies it."""

import json

import numpy as np
import pytest

from hepdann import shifts
from hepdann.calibration import calibrate

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
    assert report.calibration.moved
    assert report.verdict == "not closed"
    assert "a class that MC lack" in report.sentence
    np.testing.assert_array_equal(report.applied.calibrated(mc).weight, mc.weight)
    mc, data = toys(3000, fraction=0.2)
    assert calibrate(mc, data, NAMES, families=["none"]).mixture.explains
