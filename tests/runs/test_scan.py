"""A scan: a grid in one process, whose figures are those of single trainings."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest

import hepdann
from hepdann.config import Config
from hepdann.errors import ConfigError, RunError
from hepdann.runs import resume_scan
from hepdann.runs.health_report import scan_lines
from hepdann.runs.scans.grid import plan_point, points_of, seed_groups
from hepdann.runs.stacks.plan import SourceIndices

pytestmark = pytest.mark.usefixtures("few_trees")

GRID = {"shift": "sine", "t": [3, 8], "lambda_": [0.3, 1.0], "methods": ["dann"]}
FAST = {"seeds": 2, "epochs": 2, "batch_size": 64}
SAME = ("scan.csv", "history.csv", "rocs.json")


@pytest.fixture(scope="module")
def scan(toy, few_trees, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan") / "sine"
    return hepdann.scan(toy / "tensors.h5", output=folder, **GRID, **FAST)


def rows(scan, method, t=None):
    with (scan.folder / "scan.csv").open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row["method"] == method]
    return [row for row in found if t is None or float(row["t"]) == t]


def plain(scan):
    summary = json.loads((scan.folder / "scan.json").read_text())
    summary["throughput"].pop("seconds")
    return summary


def test_a_scan_shows_itself(scan):
    assert repr(scan).startswith(f"<Scan {scan.folder}: methods source-only, ")
    assert "targets sine t = 3, sine t = 8" in repr(scan)
    html = scan._repr_html_()
    (group,) = [g for g in scan.summary["groups"] if (g["method"], g["t"]) == ("quantile", 3)]
    assert f"<td>{group['last_epoch']['target_auc']['mean']:.4f} ± " in html
    assert html.count("<td>dann</td>") == 2  # with the chosen λ, at each t


def test_a_row_a_member(scan):
    assert len(scan.table["method"]) == 2 * (2 + 2 + 2 + 2 * 2)
    for t in (3, 8):
        for method, strengths in (
            ("source-only", [""] * 2), ("quantile", [""] * 2), ("oracle", [""] * 2),
            ("dann", ["0.3", "0.3", "1.0", "1.0"]),
        ):  # fmt: skip
            found = rows(scan, method, t)
            assert [row["lambda"] for row in found] == strengths
            assert [row["seed"] for row in found] == ["0", "1"] * (len(found) // 2)
            assert {row["shift"] for row in found} == {"sine"}
            assert {row["epoch"] for row in found} == {"2"}
            assert all(0 < float(row["target_accuracy"]) < 1 for row in found)


def test_the_summary_is_that_of_the_rows(scan):
    groups = scan.summary["groups"]
    assert len(groups) == 2 * (3 + 2)
    for group in groups:
        found = [
            row
            for row in rows(scan, group["method"], group["t"])
            if row["lambda"] == ("" if group["lambda"] is None else str(group["lambda"]))
        ]
        values = np.array([float(row["target_accuracy"]) for row in found])
        block = group["last_epoch"]["target_accuracy"]
        assert block["mean"] == pytest.approx(values.mean())
        assert block["std"] == pytest.approx(values.std(ddof=1))
        assert group["peeked"]["target_accuracy"]["mean"] >= block["mean"] - 1e-12
        assert group["members"] == 2
    assert {c["lambda"] for c in scan.summary["choices"] if c["method"] == "dann"} <= {0.3, 1.0}
    assert hepdann.open_scan(scan.folder).summary == scan.summary


def test_source_only_trained_once_and_is_the_same_at_every_t(scan):
    same = ("seed", "mc_accuracy", "mc_auc", "mc_loss", "loss_label", "validation_loss")
    at = [[[row[name] for name in same] for row in rows(scan, "source-only", t)] for t in (3, 8)]
    assert at[0] == at[1]
    with (scan.folder / "history.csv").open(newline="") as file:
        history = [row for row in csv.DictReader(file) if row["method"] == "source-only"]
    assert len(history) == 2 * 2  # seeds x epochs, once for all targets
    assert {row["t"] for row in history} == {""}


def test_a_member_equals_that_of_a_training_within_1e_5(scan, toy, tmp_path):
    """Not to the bit: among other neighbours, sums are taken in another order."""
    run = hepdann.train(
        toy / "tensors.h5", shift=hepdann.shifts.sine(t=3), output=tmp_path / "run",
        lambda_=0.3, alignments=["quantile"], diagnose=False, **FAST,
    )  # fmt: skip
    history = run.history
    for method, strength in (("source-only", ""), ("dann", "0.3"), ("oracle", "")):
        chosen = (history["method"] == method) & (history["epoch"] == 2)
        found = [row for row in rows(scan, method, 3) if row["lambda"] == strength]
        for name in ("loss_label", "validation_loss"):
            wanted = [float(row[name]) for row in found]
            assert wanted == pytest.approx(list(history[name][chosen]), rel=1e-5)
        block = run.metrics["methods"][method]
        place = method, 3, float(strength) if strength else None
        groups = scan.summary["groups"]
        (group,) = [g for g in groups if (g["method"], g["t"], g["lambda"]) == place]
        for domain in ("mc", "target"):
            for figure in ("accuracy", "auc", "loss"):
                value = group["ensemble"][f"{domain}_{figure}"]
                assert value == pytest.approx(block[domain][figure], abs=2e-3)
    aligned = [g for g in scan.summary["groups"] if (g["method"], g["t"]) == ("quantile", 3)]
    wanted = run.metrics["methods"]["quantile"]["target"]
    assert aligned[0]["ensemble"]["target_auc"] == pytest.approx(wanted["auc"], abs=1e-4)


def test_a_stopped_scan_says_what_is_whole_and_resumes_to_the_same_bits(scan, toy, tmp_path):
    left = iter(range(25))
    again = tmp_path / "again"
    with pytest.raises(RunError, match="before anything was whole"):
        hepdann.scan(toy / "tensors.h5", output=again, stop=lambda: True, **GRID, **FAST)
    stopped = resume_scan(again, stop=lambda: next(left, None) is None)
    assert stopped.summary["interrupted"]
    assert {group["method"] for group in stopped.summary["groups"]} == {"source-only", "quantile"}
    done = resume_scan(again)
    assert not done.summary["interrupted"]
    for name in SAME:
        assert (again / name).read_bytes() == (scan.folder / name).read_bytes(), name
    assert plain(done) == plain(scan)


def test_a_killed_scan_resumes_to_the_same_bits(scan, toy, tmp_path, killed):
    folder = tmp_path / "killed"
    killed(
        lambda stop: hepdann.scan(toy / "tensors.h5", output=folder, stop=stop, **GRID, **FAST), 40
    )
    assert list((folder / "checkpoint" / "scan").iterdir())
    assert not (folder / "scan.json").exists()
    done = resume_scan(folder)
    for name in SAME:
        assert (done.folder / name).read_bytes() == (scan.folder / name).read_bytes(), name
    assert plain(done) == plain(scan)


def test_data_without_truth_have_no_target_figures(toy, tmp_path):
    from hepdann.tensors import open_tensors

    assert open_tensors(toy / "tensors.h5").has_truth  # so the data's figures are known here
    found = hepdann.scan(
        toy / "tensors.h5", output=tmp_path / "data", lambda_=[1.0], methods=["dann"],
        oracle=False, **{**FAST, "epochs": 1},
    )  # fmt: skip
    assert {g["method"] for g in found.summary["groups"]} == {"source-only", "quantile", "dann"}
    assert {g["shift"] for g in found.summary["groups"]} == {None}


def test_stacks_hold_whole_groups_and_every_member_once():
    config = Config.model_validate(
        {
            "train": {"methods": ["dann", "dann-alternating"], "seeds": 3, "batch_size": 512},
            "scan": {"shifts": ["sine", "gaussian"], "t": [1, 3], "lambda": [0.1, 0.3, 1]},
        }
    )
    assert [str(p) for p in points_of(config.scan)][:3] == ["sine t=1", "sine t=3", "gaussian t=1"]
    plans = plan_point(config.scan, config.train, SourceIndices(oracle=True))
    members = [(m.label, m.lambda_, m.seed) for plan in plans for m in plan.members]
    assert len(set(members)) == len(members) == 3 * (1 + 3 + 3)
    for plan in plans:
        assert len({(id(m.method.phases)) for m in plan.members}) == 1
        assert all(len(seeds.members) == 3 for seeds in seed_groups(plan.members))
        assert len(plan.members) <= 8


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"t": [3]}, "none is named"),
        ({"shift": "sine", "t": [0]}, "t"),
        ({"shift": "sin", "t": [3]}, "sine"),
        ({"shift": ["sine", "sine"]}, "more than once"),
        ({"shift": "sine", "methods": ["dan"]}, "dann"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_anything_is_made(given, what, toy, tmp_path):
    with pytest.raises(ConfigError, match=what):
        hepdann.scan(toy / "tensors.h5", output=tmp_path / "x", **given)
    assert not (tmp_path / "x").exists()


def test_a_scan_is_not_overwritten_nor_resumed_with_other_tensors(scan, toy, tmp_path):
    with pytest.raises(RunError, match="never overwritten"):
        hepdann.scan(toy / "tensors.h5", output=scan.folder, **GRID, **FAST)
    with pytest.raises(RunError, match="no scan to resume"):
        resume_scan(tmp_path)
    with pytest.raises(RunError, match=r"no scan\.json"):
        hepdann.open_scan(tmp_path)


def test_the_figures_of_a_scan_lie_beside_their_numbers(scan, tmp_path):
    from hepdann.config import PlotConfig

    opened = hepdann.open_scan(scan.folder)
    assert type(opened) is type(scan) is hepdann.Scan
    made = opened.plot(config=PlotConfig(formats=["png"]), output=tmp_path)
    (accuracy,) = scan.plot("accuracy", config=PlotConfig(formats=["svg"]), output=tmp_path)
    assert accuracy == tmp_path / "accuracy_sine.svg"
    names = {path.stem for path in made}
    assert names >= {
        "accuracy_sine", "auc_sine", "consistency_sine", "gap_accuracy_sine",
        "lambda_accuracy_sine-t3", "lambda_auc_sine-t8", "loss_sine-t3",
        "roc_sine-t3", "roc_sine-t8",
    }  # fmt: skip
    numbers = json.loads((tmp_path / "accuracy_sine.json").read_text())
    assert list(numbers) == ["source-only", "quantile", "dann", "oracle"]
    chosen = {(c["method"], c["t"]): c["lambda"] for c in scan.summary["choices"]}
    wanted = [
        g["last_epoch"]["target_accuracy"]["mean"]
        for g in scan.summary["groups"]
        if g["method"] == "dann" and g["lambda"] == chosen["dann", g["t"]]
    ]
    assert numbers["dann"]["x"] == [3, 8]
    assert numbers["dann"]["mean"] == pytest.approx(wanted)
    curves = json.loads((tmp_path / "roc_sine-t3.json").read_text())
    assert set(curves) == set(numbers)
    with pytest.raises(ConfigError, match="accuracy_sine"):
        scan.plot(["accuracy_sin"], output=tmp_path)


def test_workers_make_the_same_bits_whatever_becomes_of_them(scan, toy, tmp_path):
    """One is killed, the other writes what it has, and one process goes on."""
    folder, killed = tmp_path / "spread", []
    work = folder / "checkpoint" / "scan"

    def report(stage, progress):
        if not killed and list(work.glob("target-*-stack-*.safetensors")):
            assert stage == "14 networks"
            assert 0 < progress.step < progress.total
            killed.extend(multiprocessing.active_children())
            os.kill(killed[-1].pid, signal.SIGKILL)

    with pytest.raises(RunError, match=r"worker \d of 2 was killed by SIGKILL.*scan --resume -o"):
        hepdann.scan(
            toy / "tensors.h5", output=folder, workers=2, report=report, **GRID, **FAST
        )  # fmt: skip
    assert not multiprocessing.active_children()
    done = resume_scan(folder, workers=1)
    for name in SAME:
        assert (folder / name).read_bytes() == (scan.folder / name).read_bytes(), name
    assert plain(done) == plain(scan)

    (work / "target-0-stack-0.json").unlink()  # what was whole behind it is shown
    stopped = resume_scan(folder, stop=lambda: True)
    assert stopped.summary["interrupted"]
    methods = {(group["t"], group["method"]) for group in stopped.summary["groups"]}
    assert {(t, name) for t in (3, 8) for name in ("source-only", "quantile")} < methods
    assert (8, "oracle") in methods
    assert (3, "oracle") not in methods


def test_a_disease_is_named_in_the_summary_and_in_a_line(scan, toy, tmp_path):
    assert scan.summary["health"] == []
    ill = hepdann.scan(
        toy / "tensors.h5", output=tmp_path / "ill", shift="sine", t=[3], lambda_=[1.0, 1e4],
        methods=["dann"], oracle=False, **FAST,
    )  # fmt: skip
    (found,) = ill.summary["health"]
    assert (found["name"], found["lambda"], found["seeds"]) == ("exploded-adversary", 1e4, [0, 1])
    (line,) = scan_lines([found])
    assert line.startswith("health: error: exploded-adversary (dann, λ = 10000, sine t=3, seed 0, ")


def test_a_scan_reads_blocks_and_trains_hybrids_as_a_training_does(toy, tmp_path):
    given = FAST | {"epochs": 1, "memory": "blocks", "methods": ["hybrid-dann"]}
    found = hepdann.scan(
        toy / "tensors.h5", output=tmp_path / "scan", shift="sine", t=[3], lambda_=[1.0],
        oracle=False, **given,
    )  # fmt: skip
    run = hepdann.train(
        toy / "tensors.h5", output=tmp_path / "run", shift=hepdann.shifts.sine(t=3), oracle=False,
        diagnose=False, alignments=["quantile"], **given,
    )  # fmt: skip
    assert found.config.train.memory == "blocks"
    for method in ("source-only", "hybrid-dann"):
        wanted = run.history["loss_label"][run.history["method"] == method]
        losses = [float(row["loss_label"]) for row in rows(found, method)]
        assert losses == pytest.approx(list(wanted), rel=1e-5)


def test_a_scan_of_an_earlier_day_is_refused_in_one_line(scan, tmp_path):
    folder = shutil.copytree(scan.folder, tmp_path / "old")
    origin = json.loads((folder / "origin.json").read_text())
    old = {key: origin[key] for key in ("format_version", "tensors", "data")}
    (folder / "origin.json").write_text(json.dumps(old))
    assert hepdann.open_scan(folder).summary == scan.summary
    with pytest.raises(RunError, match=r"begun by an earlier hepdann.*scan anew"):
        resume_scan(folder)


def test_what_may_be_resumed_is_decided_by_content_and_settings(scan, toy, tmp_path):
    folder = shutil.copytree(scan.folder, tmp_path / "changed")
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("stack: auto", "stack: 3"))
    with pytest.raises(RunError, match=r'scan\.stack is 3, the run began with "auto"'):
        resume_scan(folder)
