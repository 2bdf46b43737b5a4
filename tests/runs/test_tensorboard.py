"""TensorBoard event files hold the curves of every network, also of a resumed run."""

from __future__ import annotations

import csv
import importlib.util

import pytest

import hepdann
from hepdann.errors import ConfigError

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {
    "seeds": 1,
    "epochs": 3,
    "batch_size": 128,
    "oracle": False,
    "alignments": ["quantile"],
    "diagnose": False,
}
INSTALLED = importlib.util.find_spec("tensorboard") is not None


def curves(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


@pytest.mark.skipif(not INSTALLED, reason="tensorboard is not installed: pip install -e .[test]")
def test_event_files_hold_the_history_and_the_health(toy, tmp_path):
    left = iter(range(18))
    stopped = hepdann.train(
        toy / "tensors.h5",
        shift=hepdann.shifts.sine(t=3),
        output=tmp_path / "run",
        tensorboard=True,
        stop=lambda: next(left, None) is None,
        **FAST,
    )
    run = hepdann.runs.resume(stopped.folder)
    names = {path.name for path in (run.folder / "tensorboard").iterdir()}
    assert names == {"source-only-lambda0-seed0", "dann-lambda1-seed0"}
    seen = curves(run.folder / "tensorboard" / "dann-lambda1-seed0")
    with (run.folder / "history.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "dann"]
    for column, tag in (("loss_label", "loss/label"), ("grl", "schedule/lambda")):
        assert seen[tag] == pytest.approx(
            {int(r["step"]): float(r[column]) for r in rows}, rel=1e-6
        )
    assert max(seen["health/fresh_auc"]) == int(rows[-1]["step"])
    assert not [tag for tag in seen if "target_accuracy" in tag]


@pytest.mark.skipif(INSTALLED, reason="tensorboard is installed")
def test_without_the_package_the_training_does_not_begin(toy, tmp_path, hepdann):
    done = hepdann("train", toy / "tensors.h5", "--tensorboard", "-o", tmp_path / "run")
    assert done.code == 2
    assert 'pip install "hepdann[tensorboard]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_package_is_asked_for_before_anything_is_made(toy, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else found(name)
    )
    with pytest.raises(ConfigError, match="leave --tensorboard out"):
        hepdann.train(toy / "tensors.h5", output=tmp_path / "run", tensorboard=True, **FAST)
    assert not (tmp_path / "run").exists()
