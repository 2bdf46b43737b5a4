"""Maps of objects: what they do to objects, and what is measured of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hepdann import samples
from hepdann.calibration import Calibration, ObjectSource, ObjectTarget, calibrate, fit_family
from hepdann.calibration.free import FreeObjects
from hepdann.calibration.free_fit import fit_free_objects
from hepdann.calibration.objects import figures, object_families, object_family
from hepdann.errors import ConfigError
from hepdann.tensors import Collection, Jagged, Objects, Source, Target

NAMES = ("log_pt", "constituent_phi")


def jets(n, domain):
    columns, constituents = samples.constituent_jets(n, domain=domain)
    values = np.stack([np.log(constituents["pt"]), constituents["phi"]], axis=1)
    parts = (Jagged.of(values.astype(np.float32), columns["n_constituent"]),)
    objects = Objects(np.empty((n, 0), np.float32), parts, (Collection("c", NAMES, 64),))
    fields = {
        "features": objects.features, "weight": np.ones(n, np.float32),
        "event_id": np.arange(n, dtype=np.uint64) + (domain == "data") * n,
        "split": (np.arange(n) % 3 == 0).astype(np.uint8),
    }  # fmt: skip
    if domain == "data":
        return ObjectTarget.of(Target(**fields), objects)
    label = columns["is_signal"].astype(np.int32)
    return ObjectSource.of(Source(**fields, label=label, classes=("b", "s")), objects)


@pytest.fixture(scope="module")
def toy():
    return jets(1000, "mc"), jets(1000, "data")


def test_the_response_to_constituents_is_measured_from_unlabelled_data(toy):
    mc, data = toy
    single = ("missing-objects", "pt-scale", "dead-region")
    assert object_families(mc.objects) == (*single, "+".join(single))
    report = calibrate(mc, data, (), families=["none", "+".join(single)], hold_fractions=True)
    figures_of = report.calibration.parameters()
    for name, truth in zip(single, (0.1, -0.5, 0.05), strict=True):
        assert figures_of[name].value == pytest.approx(truth, abs=3 * figures_of[name].error)
        assert figures_of[name].error < 0.03
    assert report.before.value > 0.9
    assert report.verdict == "closed"
    calibrated = report.calibration.calibrated(mc)
    count = [events.objects.parts[0].counts.mean() for events in (mc, calibrated, data)]
    assert count[1] == pytest.approx(count[2], rel=0.02) != pytest.approx(count[0], rel=0.1)
    stored = json.loads(json.dumps(report.calibration.to_dict()))
    again = Calibration.from_dict(stored).apply(mc.objects)
    np.testing.assert_array_equal(again[:], calibrated.objects[:])


def test_a_detector_acts_on_the_features_that_are_named(toy):
    objects = toy[0].objects
    twice = Objects(
        np.ones((len(objects), 1), np.float32), objects.parts * 2,
        (Collection("a", ("pt", "x"), 64), Collection("b", ("pt", "y"), 64)),
    )  # fmt: skip
    family = object_family("scale(met, b.pt)+smear(x, common)", twice, ("met",))
    assert family.parameters == ("scale(met)", "scale(b.pt)", "smear(x)")
    moved = family.apply(twice, np.array([0.5, -0.25, 0.0]), 0)
    np.testing.assert_allclose(moved.features, 1.5)
    before = objects.parts[0].values
    np.testing.assert_array_equal(moved.parts[0].values, before)
    np.testing.assert_allclose(moved.parts[1].values, before * [0.75, 1], rtol=1e-6)
    smeared = family.apply(twice, np.array([0, 0, 1.0]), 0).parts[0].values - before
    assert smeared[:, 1].std() == pytest.approx(before[:, 1].std(), rel=0.05)
    assert not smeared[:, 0].any()
    for text in ("scale(pt)", "energy-scale", "refiner"):
        with pytest.raises(ConfigError, match=r"there is no family|is no feature"):
            object_family(text, twice, ("met",))


def test_an_event_that_lost_all_objects_is_an_event(toy):
    objects = toy[0].objects
    family = object_family("missing-objects", objects, ())
    none = family.apply(objects, np.array([1.0]), 0)
    assert len(none) == len(objects)
    assert not figures(none).any()
    offset = fit_family(object_family("offset(log_pt)", objects, ()), *toy, held=True)
    sigma = objects.parts[0].values[:, 0].std()
    assert offset.theta[0] * sigma == pytest.approx(np.log(0.5), abs=0.05)


def test_a_free_map_moves_objects_one_by_one(toy):
    mc, data = (events.take(np.arange(60)) for events in toy)
    fitted, variation = fit_free_objects(mc, data, seed=0)
    assert len(variation()) == len(fitted.flat())
    moved = fitted.apply(mc.objects, fitted.flat(), 0)
    mean = [one.parts[0].values[:, 0].mean() for one in (mc.objects, moved, data.objects)]
    assert mean[1] == pytest.approx(mean[2], abs=0.1 * float(abs(mean[0] - mean[2])))
    np.testing.assert_array_equal(moved.parts[0].start, mc.objects.parts[0].start)
    stored = FreeObjects.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(stored.apply(mc.objects, stored.flat(), 0)[:], moved[:])
