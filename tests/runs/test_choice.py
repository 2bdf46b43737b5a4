"""Early stopping and the choice of an epoch, told truly from history to metrics."""

from __future__ import annotations

import numpy as np
import pytest

import hepdann
from hepdann.config import load_config
from hepdann.errors import ConfigError
from hepdann.runs.stacks.plan import resolve_auto

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    return hepdann.train(
        toy / "tensors.h5",
        shift=hepdann.shifts.sine(t=3),
        output=tmp_path_factory.mktemp("choice") / "run",
        seeds=2,
        alignments=["quantile"],
        diagnose=False,
        epochs=6,
        batch_size=128,
        learning_rate=[0.02, 0.019],
        patience=2,
        choose="best",
        schedule={"name": "plateau", "patience": 1, "factor": 0.5},
        optimiser="adamw",
        weight_decay=0.01,
    )


def of_member(history, member):
    rows = history["member"] == member
    return {name: column[rows] for name, column in history.items()}


def test_each_member_is_used_with_its_best_epoch_by_source_validation_loss(run):
    for member in range(6):
        own = of_member(run.history, member)
        best = int(np.argmin(own["validation_loss"]))
        assert list(own["chosen"]) == [
            "validation-loss" if n == best else "" for n in range(len(own["epoch"]))
        ]
        assert len(own["epoch"]) in (6, best + 3)  # it stopped two epochs later, or never


def test_metrics_tell_which_epochs_these_are(run):
    for name in ("source-only", "dann", "oracle"):
        rows = run.history["method"] == name
        used = rows & (run.history["chosen"] != "")
        chosen = run.metrics["methods"][name]["chosen"]
        assert chosen["criterion"] == "validation-loss"
        by_member = np.argsort(run.history["member"][used].astype(int))
        assert chosen["epochs"] == run.history["epoch"][used][by_member].astype(int).tolist()
        assert chosen["epoch"] == (chosen["epochs"][0] if len(set(chosen["epochs"])) == 1 else None)
        # the networks that were scored are those that the history saw at these epochs
        seen = run.history["target_accuracy"][used].mean()
        figure = run.metrics["methods"][name]["members"]["target_accuracy"]["mean"]
        assert figure == pytest.approx(seen)


def test_the_schedule_stands_in_the_runs_own_configuration(run):
    train = load_config(run.folder / "config.yaml").train
    assert train.schedule.model_dump() == {
        "name": "plateau",
        "warm_up": 0.0,
        "factor": 0.5,
        "patience": 1,
    }
    rates = of_member(run.history, 0)["learning_rate"]
    assert set(np.round(np.log2(rates / 0.02), 9)) <= {0, -1, -2, -3, -4, -5}


def test_learning_rates_are_the_seeds_in_turn(run):
    first = run.history["epoch"] == 1
    rates = run.history["learning_rate"][first]
    assert list(rates) == [0.02, 0.019] * 3  # source-only, dann, oracle
    assert run.config.train.learning_rate == [0.02, 0.019]
    train = run.config.train.model_copy(update={"seeds": 1})
    with pytest.raises(ConfigError, match="2 learning rates for 1 seeds of each method"):
        resolve_auto(train, 1000)
