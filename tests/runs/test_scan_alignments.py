"""A scan with chains of alignments, methods on aligned targets, and a student of its teacher."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

import hepdann
from hepdann.alignment import FractionEstimate
from hepdann.config import Config, TrainConfig
from hepdann.errors import ConfigError
from hepdann.runs import resume_scan
from hepdann.runs.maps import wanted_maps
from hepdann.runs.model_selection import soft_labelled
from hepdann.runs.scans.grid import Point, plan_point, settings_at
from hepdann.runs.stacks.plan import SourceIndices, plan_stacks
from hepdann.tensors import Target

pytestmark = pytest.mark.usefixtures("few_trees")

MAPS = ["quantile", "moments+quantile"]
METHODS = ["moments+dann", "self-training"]
FAST = {"seeds": 1, "epochs": 1, "batch_size": 64, "methods": METHODS}


@pytest.fixture(scope="module")
def scan(toy, few_trees, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan") / "maps"
    return hepdann.scan(
        toy / "tensors.h5", shift="sine", t=[3], lambda_=[0.3, 1.0], alignments=MAPS,
        output=folder, **FAST,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(toy, few_trees, tmp_path_factory):
    return hepdann.train(
        toy / "tensors.h5", shift=hepdann.shifts.sine(t=3), alignments=["quantile"], diagnose=False,
        output=tmp_path_factory.mktemp("run") / "run", **FAST,
    )  # fmt: skip


def test_every_map_and_every_method_has_its_rows(scan):
    groups = [(g["method"], g["lambda"]) for g in scan.summary["groups"]]
    assert groups == [
        ("source-only", None), ("quantile", None), ("moments+quantile", None), ("moments", None),
        ("oracle", None), ("moments+dann", 0.3), ("moments+dann", 1.0), ("self-training", None),
    ]  # fmt: skip
    assert scan.summary["teachers"][0] in ("source-only", *MAPS, "moments")
    with (scan.folder / "scan.csv").open(newline="") as file:
        assert {row["method"] for row in csv.DictReader(file)} == {name for name, _ in groups}


def test_figures_are_those_of_a_training(scan, run):
    blocks = run.metrics["methods"]
    for group in scan.summary["groups"]:
        name = group["method"]
        if group["lambda"] not in (None, 1.0) or name in ("self-training", "moments+quantile"):
            continue  # a student's teacher may be another: a scan estimates no class fractions
        own = blocks[name]["target"]
        assert group["ensemble"]["target_auc"] == pytest.approx(own["auc"], abs=2e-3), name
        assert group["ensemble"]["target_accuracy"] == pytest.approx(own["accuracy"], abs=5e-3)


def test_a_resumed_scan_has_the_same_maps(scan, toy, tmp_path):
    left, again = iter(range(20)), tmp_path / "again"
    stopped = hepdann.scan(
        toy / "tensors.h5", shift="sine", t=[3], lambda_=[0.3, 1.0], alignments=MAPS,
        output=again, stop=lambda: next(left, None) is None, **FAST,
    )  # fmt: skip
    assert stopped.summary["interrupted"]
    done = resume_scan(again)
    for name in ("scan.csv", "history.csv", "rocs.json"):
        assert (done.folder / name).read_bytes() == (scan.folder / name).read_bytes(), name


def test_a_student_is_told_apart_from_networks_that_agree_by_themselves(run):
    advice = json.loads((run.folder / "recommendation.json").read_text())
    assert "self-training" not in advice["parts"]
    assert "agreement" not in advice["candidates"].get("self-training", {})
    log = (run.folder / "log.txt").read_text()
    assert "labels the target" in log
    x = np.zeros((3, len(run.model.features)), np.float32)
    assert run.predict(x, method="self-training").shape == (3, 2)


def test_soft_labels_are_events_with_the_probabilities_as_weights():
    target = Target(
        np.arange(6, dtype="f4").reshape(3, 2), np.array([1, -2, 0.5], "f4"),
        np.arange(3, dtype="u8"), np.array([0, 1, 2], "u1"),
    )  # fmt: skip
    score = np.array([[0.9, 0.1], [0.25, 0.75], [0.5, 0.5]])
    taught = soft_labelled(target, score, ("b", "s"))
    np.testing.assert_array_equal(taught.features, np.repeat(target.features, 2, axis=0))
    np.testing.assert_array_equal(taught.label, [0, 1] * 3)
    np.testing.assert_array_equal(taught.split, [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(taught.weight, [0.9, 0.1, -0.5, -1.5, 0.25, 0.25])


def test_a_student_needs_no_map_before_it(toy, tmp_path):
    given = {"output": tmp_path / "x", "method": "quantile+self-training", "seeds": 1}
    with pytest.raises(ConfigError, match="on the target as it is"):
        hepdann.train(toy / "tensors.h5", shift=hepdann.shifts.sine(t=3), **given)


def test_plans_give_every_member_its_target_and_its_labelled_domains():
    config = Config.model_validate(
        {"train": {"methods": ["quantile+dann", "self-training", "hybrid-dann"], "batch_size": 64,
                   "seeds": 1, "shift": {"name": "sine", "t": 3}},
         "scan": {"alignments": ["moments"], "lambda": [1]}}
    )  # fmt: skip
    assert wanted_maps(settings_at(config, Point())) == ("moments", "quantile")
    train: TrainConfig = config.train
    for plans in (
        plan_point(config.scan, train, SourceIndices(oracle=True, copies=2)),
        plan_stacks(train, SourceIndices(oracle=True, copies=2)),
    ):
        members = {m.label: m for plan in plans for m in plan.members}
        assert members["quantile+dann"].target == 1
        assert members["self-training"].auxiliaries == (4,)  # MC, oracle's events, two copies, it
        assert members["hybrid-dann"].auxiliaries == (2, 3)
        assert members["oracle"].source == 1


def test_a_scan_of_data_takes_the_class_fractions_that_a_training_takes(toy, tmp_path, monkeypatch):
    """Whatever the diagnosis finds; pseudo-data are a random half of the MC, and are not asked."""
    found = FractionEstimate(
        np.array([0.85, 0.15]),
        np.array([0.01, 0.01]),
        np.array([0.6, 0.4]),
        (0.6, 0.51),
        shift=True,
    )
    told = SimpleNamespace(fractions=found, sentence="two shifts", shift=True)
    asked = []

    def diagnosed(domains, names, path):
        asked.append(names)
        path.write_text("{}")
        return told if names else None

    for room in ("job", "scans.target"):
        monkeypatch.setattr(f"hepdann.runs.{room}.write_diagnosis", diagnosed)
    given = FAST | {"methods": ["dann"], "alignments": ["quantile"]}
    run = hepdann.train(toy / "tensors.h5", output=tmp_path / "run", **given)
    scan = hepdann.scan(toy / "tensors.h5", lambda_=[1.0], output=tmp_path / "scan", **given)
    assert scan.summary["diagnosis"] == ["two shifts"]
    assert scan.summary["fractions"] == ["signal 0.150 ± 0.010 (0.400 in MC): a label shift"]
    for group in scan.summary["groups"]:
        own = run.metrics["methods"][group["method"]]
        assert group["ensemble"]["target_loss"] == pytest.approx(own["target"]["loss"], rel=1e-3)
        assert group["ensemble"]["mc_auc"] == pytest.approx(own["mc"]["auc"], abs=2e-3)
    blind = hepdann.scan(
        toy / "tensors.h5", shift="sine", t=[3], lambda_=[1.0], oracle=False,
        output=tmp_path / "blind", **given,
    )  # fmt: skip
    assert asked[-1] is None
    assert blind.summary["fractions"] == [None]
