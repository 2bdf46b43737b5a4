"""Alignments in a run: methods of their own, targets to train on, and the class fractions."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import hepdann
from hepdann import alignment, evaluation
from hepdann.config import Config, TrainConfig, override
from hepdann.domains import Scaling
from hepdann.domains.reading import resampled
from hepdann.errors import ConfigError, RunError
from hepdann.evaluation import open_scores
from hepdann.inference import corrected, load_model
from hepdann.methods import method_of
from hepdann.records import Stored
from hepdann.runs.maps import fit_alignments, reweighted_source, wanted_maps
from hepdann.runs.stacks.shards import Stacks
from hepdann.store.working_points import STORED
from hepdann.tensors import Source, Target


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    return hepdann.train(
        toy / "tensors.h5",
        method=["dann", "moments+dann"],
        alignments=["quantile", "gaussian-ot+quantile"],
        seeds=2,
        epochs=1,
        batch_size=64,
        output=tmp_path_factory.mktemp("runs") / "run",
    )


def test_every_alignment_is_a_method_and_keeps_what_it_made_of_the_target(run):
    maps = ("quantile", "gaussian-ot+quantile", "moments")
    assert tuple(run.model.alignments) == maps
    scores = open_scores(run.folder)
    assert scores.aligned == maps
    features = scores.column("target", "features")
    for name in maps:
        assert {"mc", "target", "criteria"} <= set(run.metrics["methods"][name])
        mapped = run.model.alignments[name].apply(features)
        np.testing.assert_array_equal(scores.column("target", f"aligned/{name}"), mapped)
        if run.model.correction is None:
            np.testing.assert_array_equal(
                run.predict(features[:50], method=name),
                run.predict(mapped[:50], method="source-only"),
            )


def test_a_method_on_an_aligned_target_scores_the_aligned_target(run):
    part = run.model.parts["moments+dann"]
    assert len(part.seeds) == 2
    x = open_scores(run.folder).column("target", "features")[:50]
    mapped = run.model.alignments["moments"].apply(x)
    plain = replace(run.model, parts={"dann": part})
    np.testing.assert_array_equal(
        run.predict(x, method="moments+dann"), plain.score(mapped, "dann").mean
    )
    assert not np.array_equal(run.predict(x, method="moments+dann"), run.predict(x, method="dann"))
    np.testing.assert_array_equal(  # MC is never mapped
        run.predict(x, "source", "moments+dann"), plain.score(x, "dann", "source").mean
    )


def test_a_stored_model_scores_the_same_bits_and_one_of_an_earlier_day_opens(run, tmp_path):
    x = open_scores(run.folder).column("target", "features")[:50]
    again = load_model(run.folder / "model.safetensors")
    for method in again.methods:
        np.testing.assert_array_equal(again.score(x, method).mean, run.predict(x, method=method))
    with safe_open(run.folder / "model.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["hepdann"])
        tensors: dict[str, torch.Tensor] = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    header["quantile"] = header.pop("alignments")["quantile"]
    del header["correction"], header["mixtures"], header["methods"]["moments+dann"]
    for entry in header["methods"].values():
        entry["strength"] = entry.pop("lambda")
    save_file(tensors, tmp_path / "old.safetensors", metadata={"hepdann": json.dumps(header)})
    old = load_model(tmp_path / "old.safetensors")
    assert tuple(old.alignments) == ("quantile",)
    assert old.parts["dann"].lambda_ == again.parts["dann"].lambda_
    np.testing.assert_array_equal(
        old.score(x, "quantile").mean, replace(again, correction=None).score(x, "quantile").mean
    )


def test_names_of_combined_methods():
    assert method_of("dann") == ("", "dann")
    assert method_of("affine+quantile+dann") == ("affine+quantile", "dann")
    train = TrainConfig(methods=["dann", "affine+quantile+dann"], alignments=["moments"])
    assert wanted_maps(train) == ("moments", "affine+quantile")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.alignments", ["quantil"], "did you mean 'quantile'"),
        ("train.alignments", ["affine+moment"], "did you mean 'moments'"),
        ("train.methods", ["quantil+dann"], "unknown alignment 'quantil'"),
        ("train.methods", ["quantile+dan"], "unknown method 'dan'"),
    ],
)
def test_unknown_names_are_refused(key, value, said):
    with pytest.raises(ConfigError, match=said):
        override(Config(), {key: value})


def jets(n, signal, seed, bend=1.0):
    g = np.random.default_rng(seed)
    label = (g.random(n) < signal).astype(np.int32)
    x = g.normal(0, 1, (n, 3)) + label[:, None] * [2.2, -1.8, 1.5]
    x = np.sinh(bend * x)
    split = np.arange(n) % 3
    return Source(
        x.astype("f4"), np.ones(n, "f4"), np.arange(n, dtype="u8"), split.astype("u1"),
        label, ("b", "s"),
    )  # fmt: skip


def test_alignments_are_fitted_at_the_fractions_of_the_target():
    """Signal 35 % in MC and 15 % in data: mapped data are like MC of 15 %, class by class."""
    source, data = jets(9000, 0.35, 1), jets(9000, 0.15, 2, bend=0.6)
    target = Target(data.features, data.weight, data.event_id, data.split)
    domains = SimpleNamespace(source=source, target=target, objects=None)
    estimate = alignment.estimate_fractions(source, target)
    maps = ["quantile", "moments+quantile"]
    found = fit_alignments(domains, maps, estimate=estimate, seed=0)
    assert estimate.value[1] == pytest.approx(0.15, abs=0.04)
    np.testing.assert_allclose(
        found.correction, np.log(estimate.value / estimate.source), rtol=1e-6
    )
    like = reweighted_source(source, found.correction)
    fractions = alignment.source_fractions(like)
    np.testing.assert_allclose(fractions, estimate.value, atol=0.01)
    mapped = found.maps["quantile"].apply(data.features)
    signal = data.label == 1
    wanted = source.features[source.label == 1].mean(0)
    kept = alignment.get("quantile").fit(target, source).apply(data.features)
    assert np.all(
        np.abs(mapped[signal].mean(0) - wanted) < 0.6 * np.abs(kept[signal].mean(0) - wanted)
    )
    blind = fit_alignments(domains, ["quantile"], estimate=None, seed=0)
    assert blind.correction is None


def test_a_label_shift_beside_a_shift_of_features_is_told():
    source, data = jets(6000, 0.35, 1), jets(6000, 0.15, 2, bend=0.6)
    target = Target(data.features, data.weight, data.event_id, data.split)
    found = evaluation.diagnose(source, target, ["a", "b", "c"], permutations=100)
    assert found.fractions is not None
    assert found.fractions.shift
    assert "Beside it a label shift: s 1" in found.sentence
    assert "against 35 % in MC" in found.sentence
    assert found.to_json()["fractions"]["shift"] is True
    same = jets(6000, 0.35, 3, bend=0.6)
    target = Target(same.features, same.weight, same.event_id, same.split)
    told = evaluation.diagnose(source, target, ["a", "b", "c"], permutations=100)
    assert told.fractions is not None
    assert "label shift" not in told.sentence


def test_what_adapts_trains_on_mc_with_the_fractions_of_the_target():
    source, data = jets(9000, 0.35, 1), jets(900, 0.15, 2)
    target = Target(data.features, data.weight, data.event_id, data.split)
    correction = np.log([0.85 / 0.65, 0.15 / 0.35])
    like = resampled(source, correction, seed=0)
    assert like.label.mean() == pytest.approx(0.15, abs=0.01)
    times = np.bincount(like.event_id.astype(int), minlength=len(source))
    assert times[source.label == 1].min() >= 1  # nothing is lost
    assert set(times[source.label == 0]) == {5, 6}
    again = resampled(source, correction, seed=0)
    np.testing.assert_array_equal(like.event_id, again.event_id)
    domains = SimpleNamespace(
        source=source, target=target, shift=None, rows=None,
        holder=SimpleNamespace(has_truth=False), blocks=None, images=None, n_train=3000,
        nuisances=None,
        scaling=Scaling.fit(source, np.zeros(3)),
    )  # fmt: skip
    train = TrainConfig(methods=["dann", "hybrid-dann", "mmd"], seeds=1, batch_size=64,
                        device="cpu", auxiliary_shifts=[{"name": "sine", "t": 3}])  # fmt: skip
    stacks = Stacks(train, domains, {}, correction=correction)
    for shard in stacks.shards:
        for member in shard.plan.members:
            kept = member.label == "source-only"
            for number in (member.source, *member.auxiliaries):
                fraction = float(stacks.sources[number].label.double().mean())
                assert fraction == pytest.approx(0.35 if kept else 0.15, abs=0.02)
    plain = Stacks(train, domains, {})
    assert {m.source for shard in plain.shards for m in shard.plan.members} == {0}


def test_scores_are_corrected_by_bayes():
    p = np.array([[0.5, 0.5], [0.2, 0.8]])
    moved = corrected(p, np.log([0.9 / 0.5, 0.1 / 0.5]))
    np.testing.assert_allclose(moved[:, 1], [0.1, 0.08 / (0.08 + 0.18)], rtol=1e-6)
    np.testing.assert_array_equal(corrected(p, None), p.astype(np.float32))


def test_scores_hold_no_feature_and_no_number_twice(run, toy):
    tensors, scores = hepdann.open_tensors(toy / "tensors.h5"), open_scores(run.folder)
    with h5py.File(run.folder / "scores.h5") as file:
        assert not {"features", "aligned", "score"} & {*file["mc"], *file["target"]}
        assert file["mc/members/quantile"] == file["mc/members/source-only"]
        assert file["mc/members/dann"].shape == (2, 2000, 1)
        assert file["mc/members/dann"].dtype == np.float32
    np.testing.assert_array_equal(scores.column("mc", "features"), tensors.source().features)
    np.testing.assert_array_equal(scores.column("target", "features"), tensors.target().features)
    members = run.model.score(tensors.source().features, "dann", "source").members
    np.testing.assert_allclose(scores.members("mc", "dann"), members, atol=1.2e-7)
    np.testing.assert_array_equal(scores.members("mc", "dann")[..., 1], members[..., 1])
    np.testing.assert_allclose(scores.score("mc", "dann"), members.mean(axis=0), atol=1.2e-7)


def test_rows_lead_back_to_the_tensor_file(run, toy):
    rows, tensors = open_scores(run.folder).tensor_rows("target"), toy / "tensors.h5"
    assert rows.tensors.path == tensors
    assert rows.domain == "data"
    np.testing.assert_array_equal(rows.rows, np.arange(2000))
    assert rows.entries() is None  # this tensor file names no rows of the input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tensors": "/gone/t.h5"}, "/gone/t.h5: the features of the run's events stand in it: "),
        ({"content": ["0" * 16]}, "tensors.h5: does not hold the events of this run any more"),
    ],
)
def test_without_its_tensor_file_a_run_has_scores_and_says_where_features_are(
    run, tmp_path, changes, message
):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    start = json.loads((folder / "origin.json").read_text())
    (folder / "origin.json").write_text(json.dumps(start | changes))
    scores = open_scores(folder)
    assert scores.score("target", "quantile").shape == (2000, 2)
    for name in ("features", "aligned/quantile"):
        with pytest.raises(RunError, match="put that file back; what needs scores") as caught:
            scores.column("target", name)
        assert message in str(caught.value)
    assert hepdann.open_run(folder).predict(np.zeros((3, 6))).shape == (3, 2)


def test_every_key_of_the_json_files_has_a_type(run):
    def untyped(stored):
        if isinstance(stored, Stored):
            yield from stored.model_extra or ()
            yield from (
                k for name in type(stored).model_fields for k in untyped(getattr(stored, name))
            )
        elif isinstance(stored, dict | list):
            values = stored.values() if isinstance(stored, dict) else stored
            yield from (key for value in values for key in untyped(value))

    for name in ("metrics", "diagnosis", "recommendation", "origin"):
        content = json.loads((run.folder / f"{name}.json").read_text())
        typed = STORED[name].model_validate(content)
        assert not set(untyped(typed)), name
        assert typed.to_json() == content
