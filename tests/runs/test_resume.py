"""A run that was cut off ends as one that was not, to the bit; one that is another is refused."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
import yaml

import hepdann
from hepdann.errors import Interrupted, RunError
from hepdann.evaluation import open_scores
from hepdann.runs import resume
from hepdann.tensors import seal

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {"seeds": 1, "epochs": 2, "batch_size": 64, "alignments": ["quantile"], "diagnose": False}
SAME = ("model.safetensors", "history.csv", "scores.h5")


def stop_after(steps):
    left = iter(range(steps))
    return lambda: next(left, None) is None


def never():
    return False


def train(path, output, **options):
    return hepdann.train(path, shift=hepdann.shifts.sine(t=3), output=output, **FAST, **options)


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    return train(toy / "tensors.h5", tmp_path_factory.mktemp("whole") / "run")


def same(one, two):
    for name in SAME:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name
    volatile = {"throughput"}
    assert {k: v for k, v in one.metrics.items() if k not in volatile} == {
        k: v for k, v in two.metrics.items() if k not in volatile
    }


@pytest.mark.parametrize("steps", [0, 10])
def test_a_run_that_is_stopped_anywhere_ends_in_the_same_bits(run, toy, tmp_path, steps):
    """Also where it is stopped again, and where nobody wants a run of what was trained so far."""
    with pytest.raises(Interrupted, match="go on with: hepdann train --resume -o"):
        train(toy / "tensors.h5", tmp_path / "run", stop=stop_after(steps), partial=never)
    assert not (tmp_path / "run" / "metrics.json").exists()
    with pytest.raises(Interrupted):
        resume(tmp_path / "run", stop=stop_after(4), partial=never)
    same(resume(tmp_path / "run"), run)


def test_a_stopped_run_is_whole_and_resumes_to_the_same_bits(run, toy, tmp_path):
    stopped = train(toy / "tensors.h5", tmp_path / "stopped", stop=stop_after(5))
    assert stopped.metrics["interrupted"]
    assert stopped.predict(np.zeros((3, 6), np.float32)).shape == (3, 2)
    assert {"source-only", "quantile", "dann", "oracle"} <= set(stopped.methods)
    same(resume(stopped.folder), run)


def test_a_stack_that_never_began_is_no_reason_to_call_the_run_whole(toy, tmp_path):
    methods = {"method": ["dann", "dann-alternating"]}
    stopped = train(toy / "tensors.h5", tmp_path / "run", stop=stop_after(20), **methods)
    assert "dann-alternating" not in stopped.methods
    assert stopped.metrics["interrupted"]
    assert "dann-alternating" in resume(stopped.folder).methods


def test_a_resume_that_fails_leaves_no_older_figures_beside_newer_networks(
    toy, tmp_path, monkeypatch
):
    stopped = train(toy / "tensors.h5", tmp_path / "run", stop=stop_after(5))
    (stopped.folder / "scores.h5").unlink()
    (stopped.folder / "scores.h5").mkdir()  # cannot be replaced by a file
    with pytest.raises(RunError, match=r"scores\.h5: cannot be written"):
        resume(stopped.folder)
    with pytest.raises(RunError, match="the training has not finished"):
        hepdann.open_run(stopped.folder)
    (stopped.folder / "scores.h5").rmdir()
    assert not resume(stopped.folder).metrics["interrupted"]


def test_a_finished_run_is_left_as_it_is(run):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    again = resume(run.folder)
    assert again.metrics == run.metrics
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


@pytest.fixture(scope="module")
def began(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("began")
    shutil.copy(toy / "tensors.h5", folder / "tensors.h5")
    with pytest.raises(Interrupted):
        train(folder / "tensors.h5", folder / "run", stop=stop_after(5), partial=never)
    return folder


@pytest.fixture
def stopped(began, tmp_path):
    """An unfinished run, whose tensors lie where the run expects them."""
    shutil.copytree(began, tmp_path, dirs_exist_ok=True)
    origin = tmp_path / "run" / "origin.json"
    origin.write_text(origin.read_text().replace(str(began), str(tmp_path)))
    return tmp_path / "run"


def test_other_tensors_are_refused_by_name(stopped):
    tensors = stopped.parent / "tensors.h5"
    with h5py.File(tensors, "r+") as file:
        file["mc"].attrs["classes"] = file["mc"].attrs["classes"][::-1]
    seal(tensors)
    with pytest.raises(RunError, match=r"tensors\.h5: is not the file that the run began with"):
        resume(stopped)


def test_the_same_tensors_may_lie_elsewhere(run, stopped):
    tensors = stopped.parent / "tensors.h5"
    tensors.rename(stopped.parent / "moved.h5")
    again = resume(stopped, tensors=stopped.parent / "moved.h5")
    for name in SAME:
        if name != "scores.h5":  # which says where the tensors lie now
            assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes(), name
    one, two = (open_scores(of.folder) for of in (again, run))
    assert np.array_equal(one.events("target").features, two.events("target").features)
    assert np.array_equal(one.score("target", "dann"), two.score("target", "dann"))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"train.epochs": 3}, "train.epochs is 3, the run began with 2"),
        ({"train.shift": {"name": "sine", "t": 8}}, "train.shift.t is 8.0, the run began with 3.0"),
        ({"train.batch_size": 32, "train.clip": 1}, "train.batch_size is 32, .*train.clip is 1"),
    ],
)
def test_other_settings_are_refused_by_name(stopped, given, named):
    with pytest.raises(RunError, match=named):
        resume(stopped, given=given)


def test_the_same_settings_may_be_said_again(run, stopped):
    given = {"train.epochs": 2, "train.shift": {"name": "sine", "t": 3}, "train.device": "auto"}
    same(resume(stopped, given=given), run)


def test_a_configuration_that_was_edited_is_refused_by_name(stopped):
    path = stopped / "config.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["train"]["extractor"] = [64]
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(
        RunError, match=r"config\.yaml: .* train\.extractor is \[64\], .*\[32, 32\]"
    ):
        resume(stopped)


def test_a_checkpoint_of_another_run_is_refused(stopped, toy, tmp_path):
    with pytest.raises(Interrupted):
        train(toy / "tensors.h5", tmp_path / "other", stop=stop_after(5), partial=never, clip=2.0)
    name = "checkpoint/stack-0.safetensors"
    shutil.copy(tmp_path / "other" / name, stopped / name)
    with pytest.raises(RunError, match="other tensors or settings"):
        resume(stopped)
