"""A run with a network of the user's own, trained and opened again."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import hepdann
from hepdann.errors import RunError
from hepdann.registry import NETWORKS

pytestmark = pytest.mark.usefixtures("few_trees")


def gated(shape):
    return nn.Sequential(nn.Linear(shape.inputs, 12), nn.GLU(), nn.BatchNorm1d(6))


def test_a_function_that_makes_a_network_is_enough(toy, tmp_path):
    run = hepdann.train(
        toy / "tensors.h5",
        network=gated,
        output=tmp_path / "run",
        seeds=1,
        alignments=["quantile"],
        diagnose=False,
        epochs=4,
        batch_size=64,
        learning_rate=0.02,
        oracle=False,
    )
    assert run.config.train.network == "gated"
    x = np.random.default_rng(0).normal(size=(50, len(run.model.features)))
    again = hepdann.open_run(run.folder)
    assert np.array_equal(again.predict(x, method="dann"), run.predict(x, method="dann"))
    assert again.metrics["methods"]["dann"]["mc"]["auc"] > 0.6
    NETWORKS._registered.pop("gated")
    with pytest.raises(RunError, match=r"model\.safetensors: unknown network 'gated'"):
        hepdann.open_run(run.folder).predict(x, method="dann")
