"""What is wrong with a training stands in its log, its health.json and its metrics.json."""

from __future__ import annotations

import json

import pytest

import hepdann
from hepdann.errors import RunError
from hepdann.evaluation import summarise

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {"seeds": 2, "epochs": 2, "batch_size": 128, "oracle": False, "alignments": ["quantile"],
        "diagnose": False}  # fmt: skip


def train(toy, folder, told=None, **settings):
    report = None if told is None else (lambda stage, _: told.append(stage))
    return hepdann.train(
        toy / "tensors.h5",
        shift=hepdann.shifts.sine(t=3),
        output=folder,
        **({} if report is None else {"report": report}),
        **{**FAST, **settings},
    )


@pytest.fixture(scope="module")
def exploded(toy, tmp_path_factory):
    told = []
    return train(toy, tmp_path_factory.mktemp("exploded") / "run", told, lambda_=1e5), told


def test_a_disease_is_named_in_log_files_and_report(exploded):
    run, told = exploded
    log = (run.folder / "log.txt").read_text()
    line = next(line for line in told if "exploded-adversary" in line)
    assert line in log
    assert "dann, λ = 100000, seed 0, 1" in line
    assert "lower --lambda" in line
    health = run.metrics["methods"]["dann"]["health"]
    assert health["epoch"] == 2
    assert {v["seed"] for v in health["verdicts"] if v["name"] == "exploded-adversary"} == {0, 1}
    assert {v["member"] for v in health["verdicts"]} == {2, 3}
    assert health["figures"]["domain_gradient"]["mean"] > health["figures"]["label_gradient"]["max"]
    assert run.metrics["methods"]["source-only"]["health"]["verdicts"] == []
    assert run.metrics["methods"]["source-only"]["health"]["reading"] is None
    trained = set(run.history["method"])
    untrained = {name: m for name, m in run.metrics["methods"].items() if name not in trained}
    assert untrained  # an aligned method has no networks of its own
    assert all(method["health"] is None for method in untrained.values())
    assert summarise(run.folder)["methods"]["dann"]["health"] == health


def test_evaluate_shows_it(exploded, typed):
    run, _ = exploded
    done = typed("evaluate", run.folder, "--health", env={"COLUMNS": "300"})
    assert "adversary of dann: the own domain head is fooled" in done.stdout.replace("\n", " ")
    assert "no disease" not in done.stdout
    assert done.code == 0
    assert "health: error: exploded-adversary" in done.stdout.replace("\n", " ")
    assert "fresh AUC" in done.stdout
    assert "fresh AUC" not in typed("evaluate", run.folder).stdout


def test_a_training_that_is_not_finite_leaves_its_diagnosis(toy, tmp_path):
    with pytest.raises(RunError, match="not finite in epoch 1"):
        train(toy, tmp_path / "run", learning_rate=1e30, clip=1e30)
    assert "health: error: not-finite" in (tmp_path / "run" / "log.txt").read_text()
    looks = json.loads((tmp_path / "run" / "health.json").read_text())["looks"]
    assert {v["name"] for look in looks for v in look["verdicts"]} == {"not-finite"}


def test_a_run_without_notes_of_its_health_can_be_read(exploded):
    run, _ = exploded
    path = run.folder / "health.json"
    kept = path.read_bytes()
    try:
        path.unlink()
        assert summarise(run.folder)["methods"]["dann"]["health"] is None
        path.write_text('{"looks": [{}]}')
        with pytest.raises(RunError, match=r"health\.json: is damaged"):
            summarise(run.folder)
    finally:
        path.write_bytes(kept)
