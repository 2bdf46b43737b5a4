"""Hybrid methods in a run: which copies they train on, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import hepdann
from hepdann.config import Config, ShiftConfig, override
from hepdann.domains import auxiliary_sources, resampled
from hepdann.errors import ConfigError
from hepdann.runs.preparation import auxiliary_shifts
from hepdann.tensors import open_tensors

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {"seeds": 2, "epochs": 1, "batch_size": 256, "alignments": ["quantile"], "diagnose": False}


def settings(**train):
    return override(Config(), {f"train.{key}": value for key, value in train.items()}).train


def named(shifts):
    return [(shift.name, shift.t) for shift in shifts]


@pytest.mark.parametrize(
    ("own", "copies"),
    [
        ("sine", ["sine-third", "sine-fifth"]),
        ("sine-cubed", ["sine-third", "sine-fifth"]),
        ("sine-third", ["sine-fifth", "sine"]),
        ("sine-fifth", ["sine-third", "sine"]),
        ("sine+gaussian", ["sine-third", "sine-fifth"]),
    ],
)
def test_copies_are_by_default_under_other_shifts_than_the_target(own, copies):
    train = settings(methods=["hybrid-dann"], shift={"name": own, "t": 5})
    assert named(auxiliary_shifts(train)) == [(name, 5) for name in copies]


def test_no_hybrid_no_copies():
    assert auxiliary_shifts(settings(methods=["dann"])) == []


@pytest.mark.parametrize("t", [3, 8])
def test_the_targets_own_shift_is_refused_at_any_strength(t):
    train = settings(
        methods=["hybrid-dann"],
        shift={"name": "sine", "t": 3},
        auxiliary_shifts=[{"name": "sine-third", "t": 3}, {"name": "sine", "t": t}],
    )
    with pytest.raises(ConfigError, match="sine is the shift of the target itself"):
        auxiliary_shifts(train)


def test_data_do_not_say_which_copies(toy, tmp_path):
    with pytest.raises(ConfigError, match=r"--auxiliary sine-third:3"):
        hepdann.train(toy / "tensors.h5", method="hybrid-alternating", output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_copy_is_the_source_under_another_shift(toy):
    source = open_tensors(toy / "tensors.h5").source(half=True)
    wanted = [ShiftConfig(name="sine-third", t=3), ShiftConfig(name="sine-third", t=3)]
    one, two = auxiliary_sources(source, wanted, seed=1)
    for copy in (one, two):
        for field in ("label", "weight", "event_id", "split"):
            assert np.array_equal(getattr(copy, field), getattr(source, field))
        assert not np.array_equal(copy.features, source.features)
    assert not np.array_equal(one.features, two.features)  # another random stream
    again, _ = auxiliary_sources(source, wanted, seed=1)
    assert np.array_equal(one.features, again.features)


def test_copies_and_the_choice_of_rows_draw_from_different_streams(toy, monkeypatch):
    seeds, philox = [], np.random.Philox
    monkeypatch.setattr(np.random, "Philox", lambda words: seeds.append((*words,)) or philox(words))
    source = open_tensors(toy / "tensors.h5").source(half=True)
    for number in range(3):
        like = resampled(source, [0.1, -0.1], seed=number)
        auxiliary_sources(like, [ShiftConfig(name="gaussian", t=3)] * 2, seed=number)
    assert len(seeds) == len(set(seeds)) == 9


@pytest.mark.parametrize("adversary", ["binary", "per-domain"])
def test_hybrids_train_score_and_open_again(toy, tmp_path, adversary):
    run = hepdann.train(
        toy / "tensors.h5",
        method=["dann", "hybrid-dann", "hybrid-alternating", "cdan"],
        auxiliaries=[hepdann.shifts.sine_third(t=3), hepdann.shifts.gaussian(t=5)],
        adversary=adversary,
        output=tmp_path / "run",
        **FAST,
    )
    parts = hepdann.open_run(run.folder).model.parts
    assert parts["hybrid-dann"].shape.domains == 4
    assert parts["hybrid-dann"].network.extractor.norm[0].mean.shape[0] == 4
    assert parts["hybrid-alternating"].shape.normalisation == "none"
    assert parts["dann"].shape.domains == 2
    assert parts["cdan"].shape.conditioned
    width = 4 if adversary == "per-domain" else 1
    assert parts["hybrid-dann"].network.domain_head[-1].weight.shape[1] == width
    x = open_tensors(toy / "tensors.h5").target().features[:200]
    again = hepdann.open_run(run.folder)
    for method in ("hybrid-dann", "hybrid-alternating", "cdan"):
        assert np.array_equal(again.predict(x, "target", method), run.predict(x, "target", method))
        assert run.metrics["methods"][method]["target"]["accuracy"] > 0.5
    written = hepdann.config.load_config(run.folder / "config.yaml").train
    assert named(written.auxiliary_shifts) == [("sine-third", 3), ("gaussian", 5)]


def test_a_scan_makes_the_copies_of_each_target(toy, tmp_path):
    given = {"seeds": 1, "epochs": 1, "batch_size": 256, "oracle": False}
    scan = hepdann.scan(
        toy / "tensors.h5",
        shift="sine",
        t=[3],
        lambda_=[1.0],
        methods=["hybrid-dann"],
        output=tmp_path / "scan",
        **given,
    )
    run = hepdann.train(
        toy / "tensors.h5",
        shift=hepdann.shifts.sine(t=3),
        method="hybrid-dann",
        output=tmp_path / "run",
        alignments=["quantile"],
        diagnose=False,
        **given,
    )
    hybrid = scan.table["method"] == "hybrid-dann"
    members = run.metrics["methods"]["hybrid-dann"]["members"]["target_accuracy"]
    assert scan.table["target_accuracy"][hybrid] == pytest.approx(members["mean"], abs=2e-3)
    with pytest.raises(ConfigError, match="data do not say which"):
        hepdann.scan(toy / "tensors.h5", methods=["hybrid-dann"], output=tmp_path / "x", **given)
    assert not (tmp_path / "x").exists()
