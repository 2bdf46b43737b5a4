"""`hepdann histogram` as it is typed: table, files, refusals."""

from __future__ import annotations

import json

import pytest
import uproot

from hepdann.evaluation import summarise
from hepdann.store.paths import RunPaths

from ..evaluation.conftest import write_run
from ..template_run import write_template_run


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
    return write_template_run(tmp_path_factory.mktemp("histogram") / "run", n=1500)


def test_it_writes_what_it_prints(run, folder, tmp_path):
    code, out, err = run(
        "histogram", folder, "--method", "dann", "--bins", "0,0.5,1", "--variations", "--json",
        "--regions", "SR=njets >= 2", "--regions", "CR=njets<2", "--signal", "top",
        "-o", tmp_path / "t.root", "--pyhf", tmp_path / "w.json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert printed["edges"] == [0, 0.5, 1]
    assert {row["sample"] for row in printed["templates"] if row["signal"]} == {
        "top_background", "top_signal",
    }  # fmt: skip
    with uproot.open(tmp_path / "t.root") as file:
        for row in printed["templates"]:
            assert row["variations"] == 5
            one = file[f"{row['region']}/{row['sample']}/nominal"]
            assert one.values().sum() == pytest.approx(row["yield"])
            assert one.variances().sum() == pytest.approx(row["error"] ** 2)
    workspace = json.loads((tmp_path / "w.json").read_text())
    assert [c["name"] for c in workspace["channels"]] == ["SR", "CR"]


def test_the_table_names_blind_bins_and_says_what_is_written(run, folder, tmp_path):
    arguments = ("histogram", folder, "--method", "dann", "--blind", "0.8,1")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "blind, and not in the workspace: [0.8, 0.9], [0.9, 1]" in " ".join(out.split())
    assert "nothing is written" in out
    assert "W_jets" in out
    code, out, _ = run(*arguments, "-o", tmp_path / "t.root")
    assert f"written: {tmp_path / 't.root'}" in " ".join(out.split())
    assert "data" not in run(*arguments, "--asimov")[1]


def test_by_default_it_is_the_score_of_the_recommended_method(run, tmp_path):
    """Of pseudo-data too: classes are the samples of a single process."""
    folder = write_run(tmp_path / "run", n=800)
    metrics = summarise(folder)
    RunPaths(folder).metrics.write_text(json.dumps(metrics, allow_nan=False), encoding="utf-8")
    code, out, err = run("histogram", folder, "--json")
    assert (code, err) == (0, "")
    default = json.loads(out)
    assert [row["sample"] for row in default["templates"]] == ["c0", "c1"]
    _, out, _ = run("histogram", folder, "--method", metrics["recommended"], "--json")
    assert json.loads(out) == default


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--signal", "tau"), "no class or process 'tau'"),
        (("--regions", "SR=njet>2"), "region SR: no column 'njet'"),
        (("--regions", "SR=njets>9"), "no MC event of those to be filled is in region SR"),
        (("--regions", "SR"), "is not name=cut"),
        (("--regions", "SR=x>0", "--regions", "SR=x>1"), "region SR is given twice"),
        (("--of", "x +"), "'x +'"),
        (("--bins", "a"), "'a' is no list of numbers"),
        (("--bins", "0"), "--bins: must be"),
        (("--bins", "2.5"), "--bins: edges must be two or more"),
        (("--bins", "nan"), "--bins: edges must be two or more"),
        (("-o", "t.root", "--pyhf", "./t.root"), "-o and --pyhf name one file"),
        (("--blind", "1,0.8"), "the smaller one first"),
        (("--blind", "0,1", "--pyhf", "w.json"), "every bin is blind"),
        (("-o", "none/t.root"), "No such file or directory"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_file(run, folder, tmp_path, options, says):
    code, out, err = run("histogram", folder, "--method", "dann", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("hepdann: error: ")
    assert says in err
    assert not list(tmp_path.iterdir())
