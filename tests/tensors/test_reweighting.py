"""Reweighting in bins: the distribution of the target, the sum that stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann.config.samples import ReweightConfig
from hepdann.errors import ConfigError
from hepdann.tensors import Tensors, open_tensors, reweight


@pytest.fixture(name="file")
def file_fixture(tmp_path):
    random = np.random.default_rng(5)
    mc = {"x": random.normal(size=4000), "y": random.normal(size=4000), "z": random.random(4000)}
    data = {
        "x": random.normal(0.5, 1, 2000),
        "y": random.normal(0, 1.2, 2000),
        "z": random.random(2000),
    }
    mc["x"][:40], data["x"][:60] = np.nan, np.nan
    label = random.integers(0, 2, 4000)
    weight = random.uniform(0.5, 1.5, 4000)
    return Tensors.from_arrays(mc, label, weight, data, output=tmp_path / "a.h5")


def histogram(values, weight, *edges):
    bins = [np.concatenate([[-np.inf], e, [np.inf]]) for e in edges]
    return np.histogramdd(values, bins, weights=weight)[0]


def test_mc_takes_the_distribution_of_data_in_two_variables_with_flows(file, tmp_path):
    edges = {"x": [-1.0, 0.0, 1.0], "y": [-0.5, 0.5]}
    one = ReweightConfig(name="xy", variables=edges, clip=[0.0, 1e9])
    (note,) = reweight(file, tmp_path / "b.h5", [one])
    assert "follow data in x and y" in note
    after = open_tensors(tmp_path / "b.h5")
    weight = after.column("mc", "weight").astype(float)
    before = file.column("mc", "weight").astype(float)
    np.testing.assert_array_equal(after.column("mc", "weights/xy_off"), before.astype("f4"))
    assert weight.sum() == pytest.approx(before.sum(), rel=1e-6)
    tables = [np.stack([after.column(d, n) for n in edges], 1) for d in ("mc", "data")]
    known = [~np.isnan(table[:, 0]) for table in tables]
    made = histogram(tables[0][known[0]], weight[known[0]], *edges.values())
    wanted = histogram(tables[1][known[1]], np.ones(known[1].sum()), *edges.values())
    np.testing.assert_allclose(made / weight.sum(), wanted / 2000, rtol=1e-5)
    assert weight[~known[0]].sum() / weight.sum() == pytest.approx(60 / 2000, rel=1e-5)
    assert after.verify() == []


def test_reweightings_follow_each_other_and_act_on_their_classes(file, tmp_path):
    settings = [
        ReweightConfig(name="x", variables={"x": [0.0, 0.5]}, classes=["background"]),
        ReweightConfig(
            name="z",
            variables={"z": [0.5, 1.0]},
            classes=["signal"],
            to="background",
            clip=[0.9, 1.1],
        ),
    ]
    reweight(file, tmp_path / "b.h5", settings)
    after = open_tensors(tmp_path / "b.h5")
    assert after.weights == ("x_off", "z_off")
    label = after.source().label
    weight, before = after.column("mc", "weight"), file.column("mc", "weight")
    x_off, z_off = (after.column("mc", f"weights/{n}_off") for n in "xz")
    np.testing.assert_array_equal(x_off[label == 0], before[label == 0])
    np.testing.assert_array_equal(z_off[label == 0], weight[label == 0])
    np.testing.assert_array_equal(z_off[label == 1], before[label == 1])
    factor = np.unique(np.round((weight / before)[label == 1].astype(float), 5))
    assert len(factor) == 2
    assert factor.min() > 0.89


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variables": {"q": [0.0, 1.0]}}, "no feature or spectator 'q'; there are x, y, z"),
        ({"to": "higgs"}, "no class 'higgs'"),
        ({"classes": ["signal"], "to": "signal"}, "the weights of no class have no positive sum"),
    ],
)
def test_what_is_not_there_is_refused(file, tmp_path, settings, message):
    one = ReweightConfig(**({"name": "w", "variables": {"x": [0.0, 1.0]}} | settings))
    with pytest.raises(ConfigError, match=message):
        reweight(file, tmp_path / "b.h5", [one])
