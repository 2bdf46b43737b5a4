"""The refiner: what a critic sees of a shift it takes away; weights, labels and gaps stay."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np

from hepdann.calibration import Calibration, calibrate, refiner, search
from hepdann.stats import separation

SMALL = replace(refiner._OPTIONS, steps=450, batch_size=128, residual=8, learning_rate=4e-3)


def moved(sample):
    x = sample.features.astype(np.float64)
    y = x @ np.array([[1.2, 0.3], [0.0, 0.9]]) + np.array([1.0, -0.5]) * x.std(axis=0)
    return replace(sample, features=y.astype(np.float32))


def test_a_shift_is_mended_and_what_is_no_feature_stays(toys, monkeypatch):
    mc, data = toys(3000)
    rng = np.random.default_rng(2)
    mc = replace(mc, weight=np.where(rng.random(len(mc)) < 0.1, -1.0, 1.0).astype(np.float32))
    data = moved(data)
    monkeypatch.setattr(search, "fit_refiner", partial(refiner.fit_refiner, options=SMALL))
    report = calibrate(mc, data, ["a", "b"], families=["refiner"], seed=1)
    assert [one.name for one in report.candidates] == ["none", "refiner"]
    assert report.calibration.name == "refiner"
    assert report.held
    assert report.after.value - 0.5 < 0.4 * (report.before.value - 0.5)
    mended = report.calibration.calibrated(mc)
    np.testing.assert_array_equal(mended.label, mc.label)
    np.testing.assert_array_equal(mended.weight, mc.weight)
    rows = np.flatnonzero(mc.split != 0)
    assert separation(mended.take(rows), data.take(np.flatnonzero(data.split != 0))).value < 0.65
    stored = json.loads(json.dumps(report.calibration.to_dict()))
    again = Calibration.from_dict(stored)
    np.testing.assert_array_equal(again.apply(mc.features), mended.features)
    gap = mc.features[:5].copy()
    gap[2, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(again.apply(gap)), np.isnan(gap))
