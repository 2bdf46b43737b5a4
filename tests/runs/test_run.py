"""A run, from a tensor file to a folder that holds everything."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest

import hepdann
from hepdann.errors import ConfigError, RunError, SchemaError
from hepdann.evaluation import open_scores
from hepdann.runs import Run
from hepdann.tensors import open_tensors, seal

pytestmark = pytest.mark.usefixtures("few_trees")

ASKED = {"seeds": 2, "epochs": 2, "batch_size": 128, "alignments": ["quantile"]}
FAST = ASKED | {"diagnose": False}
SAME = ("model.safetensors", "history.csv", "scores.h5")


@pytest.fixture(scope="module")
def run(toy, few_trees, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "sine"
    return hepdann.train(toy / "tensors.h5", shift=hepdann.shifts.sine(t=3), output=folder, **ASKED)


def stop_after(steps):
    left = iter(range(steps))
    return lambda: next(left, None) is None


def test_the_folder_holds_everything(run):
    names = {path.name for path in run.folder.iterdir()}
    assert names >= {
        "config.yaml",
        "model.safetensors",
        "checkpoint",
        "history.csv",
        "metrics.json",
        "scores.h5",
        "log.txt",
    }
    assert not [name for name in names if name.endswith(".part")]
    assert hepdann.open_run(run.folder).metrics == run.metrics


def test_metrics_have_the_fixed_layout(run):
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["format_version"] == 1
    assert metrics["target"]["kind"] == "pseudo-data"
    assert metrics["target"]["shift"]["name"] == "sine"
    assert metrics["target"]["shift"]["t"] == 3
    always = [name for name in metrics["methods"] if name != "guard"]
    assert always == ["source-only", "quantile", "dann", "oracle"]
    for block in metrics["methods"].values():
        assert set(block["chosen"]) == {"member", "criterion", "epoch", "epochs"}
        assert block["chosen"]["epoch"] == 2
        for domain in ("mc", "target"):
            for figure in ("accuracy", "auc"):
                assert 0 <= block[domain][figure] <= 1
                assert block[domain][f"{figure}_error"] > 0
            assert block[domain]["n_eff"] > 0
        assert {"mean", "std", "peeked_max"} <= set(block["members"]["target_accuracy"])
        assert {"fixed", "prior_matched"} <= set(block["threshold"])
        assert {"auc_features", "auc_score"} <= set(block["domain"])
        assert "criteria" in block
    assert metrics["recommended"] in metrics["methods"]
    assert metrics["recommended"] != "oracle"
    assert {"auc_inputs", "p_value", "shift"} <= set(metrics["diagnosis"])
    assert metrics["throughput"]["events_per_s"] > 0
    assert metrics["throughput"]["members"] == 6


def test_a_run_can_be_evaluated_anew(run):
    assert run.evaluate()["methods"].keys() == run.metrics["methods"].keys()


def test_a_run_shows_itself(run):
    assert repr(run).startswith(f"<Run {run.folder}: target pseudo-data sine t = 3, methods source")
    html = run._repr_html_()
    target = run.metrics["methods"]["dann"]["target"]
    assert f"<td>{target['auc']:.4f} ± {target['auc_error']:.4f}</td>" in html
    assert f"<td>{run.metrics['recommended']} (recommended)</td>" in html
    assert "&lt;b&gt;" in Run(run.folder / "<b>", run.metrics)._repr_html_()


def test_numbers_of_a_run_are_attributes_too(run):
    auc = run.metrics.methods["source-only"].mc.auc
    assert auc == run.metrics["methods"]["source-only"]["mc"]["auc"]
    assert run.evaluate().methods["source-only"].mc.auc == pytest.approx(auc)
    with pytest.raises(AttributeError, match=r"no 'method'; there are .*methods"):
        _ = run.metrics.method


def test_history_has_a_row_a_member_and_epoch(run):
    history = run.history
    assert len(history["epoch"]) == 6 * 2
    assert set(history["method"]) == {"source-only", "dann", "oracle"}
    assert set(history["member"]) == set(range(6))
    assert (history["lambda"][history["method"] != "dann"] == 0).all()
    assert np.isfinite(history["target_accuracy"]).all()


def test_peeked_is_the_best_epoch_of_the_target_test_split(run):
    history = run.history
    peeked = run.metrics["methods"]["dann"]["members"]["target_accuracy"]["peeked_max"]
    assert peeked == pytest.approx(history["target_accuracy"][history["method"] == "dann"].max())
    last = history["target_accuracy"][(history["method"] == "dann") & (history["epoch"] == 2)]
    figure = run.metrics["methods"]["dann"]["members"]["target_accuracy"]["mean"]
    assert figure == pytest.approx(last.mean())


def test_pseudo_data_and_source_share_no_event(run, toy):
    with h5py.File(run.folder / "scores.h5") as file:
        source, target = file["mc/event_id"][...], file["target/event_id"][...]
    assert not set(source) & set(target)
    assert len(source) + len(target) == open_tensors(toy / "tensors.h5").rows("mc")


def test_predict_gives_the_scores_of_the_run(run):
    again, scores = hepdann.open_run(run.folder), open_scores(run.folder)
    for method in run.methods:
        for group, domain in (("mc", "source"), ("target", "target")):
            predicted = again.predict(scores.events(group).features[:500], domain, method)
            assert np.allclose(predicted, scores.score(group, method)[:500], atol=1e-6)


def test_the_same_seed_gives_the_same_bits(run, toy, tmp_path):
    again = hepdann.train(
        toy / "tensors.h5", shift=hepdann.shifts.sine(t=3), output=tmp_path / "again", **ASKED
    )
    for name in SAME:
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes(), name
    assert again.metrics["methods"] == run.metrics["methods"]


def test_data_as_target_has_figures_only_where_truth_is_known(toy, tmp_path):
    run = hepdann.train(toy / "tensors.h5", output=tmp_path / "data", **FAST)
    assert run.metrics["target"]["kind"] == "data"
    assert run.metrics["methods"]["dann"]["target"]["accuracy"] is not None
    blind = tmp_path / "blind.h5"
    shutil.copy(toy / "tensors.h5", blind)
    with h5py.File(blind, "r+") as file:
        del file["truth"]
    seal(blind)
    run = hepdann.train(blind, output=tmp_path / "blind", **FAST)
    assert list(run.metrics["methods"]) == ["source-only", "quantile", "dann"]
    target = run.metrics["methods"]["dann"]["target"]
    assert target["accuracy"] is None
    assert target["auc"] is None
    assert run.metrics["methods"]["dann"]["mc"]["accuracy"] > 0.5
    assert np.isnan(run.history["target_accuracy"]).all()


def test_alternating_trains_beside_the_others(toy, tmp_path):
    run = hepdann.train(
        toy / "tensors.h5",
        method=["dann", "dann-alternating"],
        shift=hepdann.shifts.gaussian(t=8),
        output=tmp_path / "both",
        **FAST,
    )
    methods = tuple(name for name in run.methods if name != "guard")  # made where it is recommended
    assert methods == ("source-only", "quantile", "dann", "dann-alternating", "oracle")
    shapes = {name: part.shape.normalisation for name, part in run.model.parts.items()}
    assert shapes["dann"] == "domain"
    assert shapes["dann-alternating"] == "none"


def test_shared_normalisation_never_shows_the_target_to_source_only(toy, tmp_path):
    run = hepdann.train(
        toy / "tensors.h5", normalisation="shared", output=tmp_path / "shared", **FAST
    )
    shapes = {name: part.shape.normalisation for name, part in run.model.parts.items()}
    assert shapes["dann"] == "shared"
    assert shapes["source-only"] == shapes["oracle"] == "domain"


def test_runs_are_numbered_and_never_overwritten(run, toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        hepdann.train(toy / "tensors.h5", shift=shift, **FAST | {"seeds": 1}).folder.name
        for shift in (hepdann.shifts.sine(t=3), hepdann.shifts.sine(t=3), None)
    ]
    assert names == ["sine-t3-1", "sine-t3-2", "data-1"]
    with pytest.raises(RunError, match="never overwritten"):
        hepdann.train(toy / "tensors.h5", output=run.folder, **FAST)


def test_a_run_that_cannot_be_read_says_why(run, tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        hepdann.open_run(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"not a run folder: no metrics\.json"):
        hepdann.open_run(tmp_path)
    folder = tmp_path / "other"
    shutil.copytree(run.folder, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "format_version": 99}))
    with pytest.raises(RunError, match="format version 99"):
        hepdann.open_run(folder)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        hepdann.open_run(folder)
    (folder / "metrics.json").unlink()
    with pytest.raises(RunError, match="--resume"):
        hepdann.open_run(folder)
    model = folder / "model.safetensors"
    model.write_bytes(model.read_bytes()[:200])
    with pytest.raises(RunError, match="is damaged"):
        hepdann.Run(folder, metrics).predict(np.zeros((1, 6)))


def test_input_that_cannot_be_trained_on(toy, tmp_path):
    other = tmp_path / "mc.h5"
    shutil.copy(toy / "tensors.h5", other)
    with h5py.File(other, "r+") as file:
        del file["data"], file["truth"]
    seal(other)
    with pytest.raises(SchemaError, match="no data domain; name a shift"):
        hepdann.train(other, output=tmp_path / "x", **FAST)
    with pytest.raises(ConfigError, match="batch"):
        hepdann.train(toy / "tensors.h5", output=tmp_path / "x", batch_size=10**6)
    with pytest.raises(ConfigError, match="hits of images"):
        hepdann.train(toy / "tensors.h5", output=tmp_path / "x", augment={"shift": 2})
    with pytest.raises(ConfigError, match="did you mean 'dann'"):
        hepdann.train(toy / "tensors.h5", method="dan", output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_new_data_come_in_a_second_file(toy, tmp_path):
    both = open_tensors(toy / "tensors.h5")
    second = tmp_path / "new.h5"
    shutil.copy(toy / "tensors.h5", second)
    run = hepdann.train(both, data=second, output=tmp_path / "new", **FAST)
    with h5py.File(run.folder / "scores.h5") as file:
        assert np.array_equal(file["target/event_id"][...], both.target().event_id)
