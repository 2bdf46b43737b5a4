"""`hepdann evaluate` as it is typed: tables, JSON, refusals."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import hepdann_cli.tables
from hepdann.evaluation import summarise
from hepdann_cli.evaluate import show
from hepdann_cli.main import hepdann

from ..evaluation.conftest import judge


def invoke(*arguments):
    """What the command prints, in this process."""
    done = CliRunner().invoke(hepdann, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0
    assert not done.stderr
    return done.stdout


def refuse(typed, *arguments):
    """The one line with which a command refuses its input."""
    done = typed(*arguments)
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("hepdann: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def write_run(folder, complete=True, classes=("background", "signal"), features=("x", "y")):
    """A small run on pseudo-data, scored by hand."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    with h5py.File(folder / "scores.h5", "w") as file:
        file.attrs.update(
            format="hepdann-scores",
            format_version=1,
            classes=json.dumps(list(classes)),
            methods=json.dumps(["source-only", "quantile", "dann", "oracle"]),
            features=json.dumps(list(features)),
            target_kind="pseudo-data",
        )
        for domain, moved in (("mc", 0.0), ("target", 1.0)):
            label = generator.integers(0, 2, 1200).astype("i4")
            x = generator.normal(size=(1200, 2)) + 1.5 * label[:, None] + [moved, 0]
            group = file.create_group(domain)
            group["features"], group["weight"] = x.astype("f4"), np.ones(1200, "f4")
            group["event_id"] = generator.integers(0, 2**63, 1200).astype("u8")
            group["split"] = generator.integers(0, 3, 1200).astype("u1")
            if domain == "mc":
                group["label"] = label
            else:
                file["truth/target/label"] = label
                group["aligned/quantile"] = (x - [moved, 0]).astype("f4")
            for method in json.loads(file.attrs["methods"]):
                p = 1 / (1 + np.exp(-(x.sum(axis=1) - 1.5 - moved * (method == "quantile"))))
                group[f"score/{method}"] = np.stack([1 - p, p], axis=1).astype("f4")
                group[f"members/{method}"] = group[f"score/{method}"][...][None]
        if complete:
            file.attrs["complete"] = True
    (folder / "history.csv").write_text("method,member,epoch,target_accuracy\ndann,0,7,0.81\n")
    if complete:
        judge(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("cli") / "sine-t3-1")
    (folder / "metrics.json").write_text(json.dumps(summarise(folder)))
    return folder


@pytest.fixture(scope="module")
def printed(run):
    return invoke("evaluate", run)


def test_the_table_holds_every_method_with_errors(run, printed):
    methods = summarise(run)["methods"]
    for name, block in methods.items():
        for domain in ("mc", "target"):
            for figure in ("accuracy", "auc"):
                value, error = block[domain][figure], block[domain][f"{figure}_error"]
                assert f"{value:.4f} ± {error:.4f}" in printed, (name, domain, figure)
    assert "majority class" in printed


def test_it_says_which_epoch_and_what_peeked(printed):
    assert "that of the last epoch (7); none was chosen by a target label" in printed
    assert "0.8100" in printed
    assert "peeked: the best epoch picked by the target's own" in printed
    assert "oracle: trained on the target's labels" in printed
    assert "recommended without labels: quantile" in printed


def test_json_is_that_of_the_run_and_is_computed_anew_if_asked(run, tmp_path):
    figures = json.loads((run / "metrics.json").read_text())
    assert json.loads(invoke("evaluate", run, "--json", "--recompute")) == figures
    changed = shutil.copytree(run, tmp_path / "changed")
    figures["methods"]["dann"]["mc"]["auc"] = 0.125
    (changed / "metrics.json").write_text(json.dumps(figures))
    assert json.loads(invoke("evaluate", changed, "--json")) == figures


def test_nothing_in_the_run_is_changed(run):
    before = {p.name: p.stat().st_mtime_ns for p in run.iterdir()}
    invoke("evaluate", run)
    assert {p.name: p.stat().st_mtime_ns for p in run.iterdir()} == before


def test_a_run_that_is_not_there_or_not_whole_is_refused(typed, tmp_path):
    cut = write_run(tmp_path / "cut", complete=False)
    assert "no such run folder" in refuse(typed, "evaluate", tmp_path / "none")
    assert "not complete" in refuse(typed, "evaluate", cut, "--recompute")


def test_working_points_as_a_table_and_as_json(run):
    table = invoke("evaluate", run, "--working-points", "0.6,0.8")
    assert "Working points" in table
    assert "SF: efficiency in the target" in table
    rows = json.loads(invoke("evaluate", run, "--working-points", "0.6,0.8", "--json"))[
        "working_points"
    ]
    assert {row["efficiency"] for row in rows} == {0.6, 0.8}
    assert "oracle" not in {row["method"] for row in rows}
    assert all(0 <= row["mc"]["signal"]["value"] <= 1 for row in rows)


def test_a_working_point_is_a_share(typed, run):
    done = typed("evaluate", run, "--working-points", "60")
    assert done.code == 2
    assert "between 0 and 1" in done.stderr


def test_names_of_the_user_are_text_and_no_markup(tmp_path):
    name = "W[/lv]"
    run = write_run(tmp_path / "[bold]run", classes=("QCD", name), features=("x", name))
    printed = invoke("evaluate", run, "--recompute", "--health", "--working-points", "0.6")
    assert "[bold]run: target is" in printed.replace("\n", "")
    metrics = summarise(run)
    metrics["diagnosis"]["sentence"] = f"MC and data differ, most in {name} [link=x] :dog:"
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        show(run, metrics, brief=True)
    assert f"most in {name} [link=x] :dog:" in " ".join(shown.getvalue().split())


def test_no_command_prints_with_a_console_that_reads_markup():
    folder = Path(hepdann_cli.tables.__file__).parent
    makers = {
        path.name
        for path in folder.glob("*.py")
        if re.search(r"\b(Console|Table)\(", path.read_text(encoding="utf-8"))
    }
    assert not makers, "hepdann.display makes them all"
