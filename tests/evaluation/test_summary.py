"""metrics.json: every figure of a run, null where there is none, and the label-free guard."""

import json

import h5py
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from hepdann.criteria import CRITERIA
from hepdann.errors import HepdannError, RunError
from hepdann.evaluation import open_scores, summarise


@pytest.fixture(scope="module")
def metrics(pseudo_run):
    return summarise(pseudo_run)


@pytest.fixture(scope="module")
def scored(pseudo_run):
    """Label, score and weight of the target's test split."""
    with h5py.File(pseudo_run / "scores.h5") as file:
        rows = file["target/split"][...] == 2
        label = file["truth/target/label"][...][rows]
        weight = file["target/weight"][...][rows].astype(float)
        methods = json.loads(file.attrs["methods"])
        scores = {name: file[f"target/score/{name}"][...][rows] for name in methods}
        members = {name: file[f"target/members/{name}"][:, rows] for name in methods}
    return label, weight, scores, members


def test_the_scores_of_members_are_read_once(pseudo_run):
    scores = open_scores(pseudo_run)
    assert scores.members("mc", "dann") is scores.members("mc", "dann")


def test_it_is_laid_out_as_documented_and_is_json(metrics):
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert list(metrics) == [
        "format_version", "target", "majority", "methods", "criteria", "recommended",
        "recommendation", "diagnosis", "gap", "throughput", "hepdann",
    ]  # fmt: skip
    assert list(metrics["methods"]) == ["source-only", "quantile", "dann", "oracle"]
    for block in metrics["methods"].values():
        assert {"chosen", "mc", "target", "members", "domain", "criteria", "threshold"} <= set(
            block
        )
        assert block["chosen"] == {
            "member": None, "criterion": "last-epoch", "epoch": 3, "epochs": [3],
        }  # fmt: skip
        for domain in ("mc", "target"):
            assert {"accuracy", "accuracy_error", "auc", "auc_error", "n_eff"} <= set(block[domain])
    assert metrics["target"] == {
        "kind": "pseudo-data",
        "shift": {"name": "sine", "t": 3.0, "quantile": 1.0},
    }


def test_figures_are_those_of_the_test_split(metrics, scored):
    label, weight, scores, _ = scored
    for name, score in scores.items():
        block = metrics["methods"][name]["target"]
        right = (score.argmax(axis=1) == label).astype(float)
        assert block["accuracy"] == pytest.approx(np.sum(weight * right) / weight.sum())
        assert 0 < block["accuracy_error"] < 0.1
        assert 0.9 < block["consistency"] < 1
    positive = np.abs(weight)  # sklearn knows no negative weights: check that ours are not these
    expected = roc_auc_score(label, scores["dann"][:, 1], sample_weight=positive)
    assert metrics["methods"]["dann"]["target"]["auc"] == pytest.approx(expected, abs=0.05)


def test_members_are_the_single_networks(metrics, scored):
    label, weight, _, members = scored
    for name, stack in members.items():
        block = metrics["methods"][name]["members"]
        single = [np.sum(weight * (s.argmax(axis=1) == label)) / weight.sum() for s in stack]
        assert block["n"] == len(stack)
        assert block["target_accuracy"]["mean"] == pytest.approx(np.mean(single))
        assert block["target_accuracy"]["std"] == pytest.approx(np.std(single, ddof=1))


def test_the_peeked_figure_is_the_best_epoch_of_the_history(metrics):
    def peeked(name):
        return metrics["methods"][name]["members"]["target_accuracy"]["peeked_max"]

    assert peeked("dann") == pytest.approx(0.7)
    assert peeked("quantile") is None  # no network of its own was watched


def test_the_prior_matched_threshold_mends_a_moved_score(metrics):
    threshold = metrics["methods"]["source-only"]["threshold"]
    assert threshold["fixed"]["value"] == 0.5
    assert threshold["prior_matched"]["value"] > 0.6
    assert threshold["prior_matched"]["accuracy"] > threshold["fixed"]["accuracy"] + 0.03


def test_domains_are_told_apart_by_the_head_and_in_the_features(metrics):
    blocks = metrics["methods"]
    assert blocks["dann"]["domain"]["auc_score"] == pytest.approx(0.74, abs=0.06)
    assert 0.3 < blocks["dann"]["domain"]["auc_features"] < 0.75
    assert blocks["source-only"]["domain"]["auc_score"] is None
    assert blocks["source-only"]["domain"]["auc_features"] is None


def test_every_criterion_of_every_method_is_there(metrics, data_run):
    for name, block in metrics["methods"].items():
        assert set(CRITERIA) < set(block["criteria"])
        held = [block["criteria"][c] for c in CRITERIA]
        assert all(v is None for v in held) == (name == "oracle")
    criteria = metrics["methods"]["quantile"]["criteria"]
    assert metrics["criteria"]["teacher"] == "quantile"
    assert criteria["agreement"] == pytest.approx(1.0)
    assert criteria["iwv"] > 0
    assert criteria["dev"] is None  # no feature layer was kept for it
    assert metrics["methods"]["dann"]["criteria"]["dev"] > 0
    assert summarise(data_run)["criteria"]["ranking"] is None


def test_criteria_are_ranked_against_the_truth(metrics):
    """Source-only lost its threshold here, and the aligned methods did not."""
    ranking = metrics["criteria"]["ranking"]
    assert set(ranking) == {"accuracy", "auc"}
    assert ranking["accuracy"]["agreement"]["n"] == 12  # three methods and their three networks
    assert ranking["accuracy"]["agreement"]["spearman"] > 0.5
    assert ranking["accuracy"]["agreement"]["regret"] < 0.01
    assert ranking["accuracy"]["dev"]["spearman"] is None  # of a single method


def test_the_guard_takes_the_map_that_closes_the_shift(metrics):
    residual = {name: b["criteria"]["residual_auc"] for name, b in metrics["methods"].items()}
    assert residual["source-only"] > residual["quantile"] + 0.05
    assert residual["dann"] is None
    assert metrics["recommended"] == "quantile"
    assert metrics["diagnosis"]["shift"] is True
    assert metrics["diagnosis"]["features"][0]["name"] == "x"


def test_the_guard_does_not_adapt_without_a_shift(make_run, tmp_path):
    unshifted = summarise(make_run(tmp_path / "run", shift=0.0))
    assert unshifted["recommended"] == "source-only"
    assert unshifted["diagnosis"]["shift"] is False


def test_real_data_has_no_target_figures_but_all_others(data_run):
    metrics = summarise(data_run)
    assert metrics["target"] == {"kind": "data", "shift": None}
    assert metrics["majority"]["target"] is None
    for block in metrics["methods"].values():
        target = block["target"]
        assert target["accuracy"] is target["auc"] is target["auc_error"] is None
        assert block["members"]["target_accuracy"] == {
            "mean": None, "std": None, "peeked_max": None,
        }  # fmt: skip
        assert block["threshold"]["prior_matched"]["accuracy"] is None
        assert block["mc"]["accuracy"] > 0.6
        assert target["consistency"] is not None
        assert 0 < block["threshold"]["prior_matched"]["value"] < 1


def test_three_classes(make_run, tmp_path):
    folder = make_run(tmp_path / "run", classes=3)
    metrics = summarise(folder)
    with h5py.File(folder / "scores.h5") as file:
        rows = (file["mc/split"][...] == 2) & (file["mc/weight"][...] > 0)
        label, score = file["mc/label"][...][rows], file["mc/score/dann"][...][rows]
    block = metrics["methods"]["dann"]
    expected = accuracy_score(label, score.argmax(axis=1))
    assert block["mc"]["accuracy"] == pytest.approx(expected, abs=0.06)
    assert block["threshold"]["fixed"]["value"] is None
    assert block["threshold"]["fixed"]["accuracy"] == block["target"]["accuracy"]
    assert block["threshold"]["prior_matched"]["accuracy"] is None


def test_a_run_with_few_events_and_nothing_but_scores_is_summarised(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=30, k=1)
    for name in ("history.csv", "config.yaml"):
        (folder / name).unlink()
    metrics = summarise(folder)
    assert metrics["recommended"] == "source-only"
    assert metrics["diagnosis"]["shift"] is None
    assert metrics["target"]["shift"] is None
    block = metrics["methods"]["dann"]
    assert block["chosen"]["epoch"] is None
    assert block["members"]["target_accuracy"]["std"] is None


def test_the_throughput_survives_a_new_evaluation(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=40)
    (folder / "metrics.json").write_text('{"throughput": {"events_per_s": 5.0}}')
    assert summarise(folder)["throughput"] == {"events_per_s": 5.0}


def test_figures_are_the_same_when_computed_again(pseudo_run, metrics):
    assert summarise(pseudo_run) == metrics


@pytest.mark.parametrize(
    ("name", "text"),
    [("history.csv", "epoch,loss\n1,2\n"), ("config.yaml", "train: [\n"), ("config.yaml", "- 1\n")],
)
def test_a_file_that_is_not_of_a_run_is_named(make_run, tmp_path, name, text):
    folder = make_run(tmp_path / "run", n=40)
    (folder / name).write_text(text)
    with pytest.raises(HepdannError, match=name):
        summarise(folder)


def test_scores_that_are_not_whole_are_refused(make_run, tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        summarise(tmp_path / "nothing")
    folder = make_run(tmp_path / "cut", n=40, complete=False)
    with pytest.raises(RunError, match="not complete"):
        summarise(folder)
    with h5py.File(folder / "scores.h5", "r+") as file:
        file.attrs["format_version"] = 9
    with pytest.raises(RunError, match="version 9"):
        open_scores(folder)
    with h5py.File(folder / "scores.h5", "r+") as file:
        file.attrs["format"] = "hepdann-tensors"
    with pytest.raises(RunError, match="not the scores of a run"):
        open_scores(folder)
    (folder / "scores.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(RunError, match="not an HDF5 file"):
        open_scores(folder)
