"""``hepdann plot`` from the shell."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

write_run = runpy.run_path(str(Path(__file__).parents[1] / "plotting" / "conftest.py"))["write_run"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "sine-t3-1", n=1500)


def test_plot_writes_into_the_run(typed, run):
    done = typed("plot", run, "--only", "loss,roc", "--style", "ATLAS", "--experiment", "ALEPH")
    assert done.code == 0, done.stderr
    assert "3 figures" in done.stdout
    made = {file.name for file in (run / "plots").iterdir()}
    names = ("loss", "roc_mc", "roc_target")
    assert made == {f"{name}.{kind}" for name in names for kind in ("pdf", "png", "json")}


def test_plot_elsewhere_in_another_format(typed, run, tmp_path):
    done = typed("plot", run, "--only", "loss", "--formats", "svg", "-o", tmp_path / "talk")
    assert done.code == 0, done.stderr
    made = sorted(file.name for file in (tmp_path / "talk").iterdir())
    assert made == ["loss.json", "loss.svg"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--only", "rok"], ["rok", "roc"]),
        (["--style", "cms"], ["cms", "CMS"]),
        (["--formats", "gif"], ["gif", "png"]),
        (["--lumi", "-1"], ["lumi"]),
        (["--com", "many"], ["--com", "many"]),
        (["--only", "segments"], ["no figure of segments"]),
        (["-n", "3"], ["-n is for --events FILE"]),
        (["--domain", "data"], ["--domain is for --events FILE"]),
    ],
)
def test_wrong_flags_are_the_users_error(typed, run, flags, words):
    done = typed("plot", run, *flags)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("hepdann: error: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


def test_no_such_run(typed):
    done = typed("plot", "nowhere")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("hepdann: error: ")
    assert "nowhere" in done.stderr


@pytest.mark.parametrize(
    "flag", [["--only", "roc"], ["--scale-mc"], ["--size", "slide"], ["--workers", "2"]]
)
def test_what_changes_no_picture_of_an_event_is_refused(typed, flag):
    done = typed("plot", "--events", "mc.root", *flag)
    assert (done.code, done.stdout) == (2, "")
    assert f"{flag[0]} is for the figures of a run" in done.stderr
