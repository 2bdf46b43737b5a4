"""Systematic variations of the features: of other branches, and of another tree by event id."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files
from hepdann.tensors import open_tensors


@pytest.fixture(name="file")
def file_fixture(write, sample):
    """MC with branches of one variation, and a tree of another in another order."""
    columns = sample(pt_up=sample()["pt"] * 1.1)
    path = write("mc.root", columns, parts=3)
    order = np.random.default_rng(3).permutation(200)[:150]
    shifted = {name: values[order] for name, values in columns.items()} | {
        "pt": columns["pt"][order] * 0.5
    }
    with uproot.update(path) as file:
        file.mktree("down", {n: v.dtype for n, v in shifted.items()}).extend(shifted)
    return path, columns, np.sort(order)


@pytest.fixture(name="run")
def run_fixture(file, tmp_path):
    def run(variations, **settings):
        features = [{"name": "lpt", "expression": "log(pt)"}, "eta"]
        given = {"tree": "events", "label": "isb", "features": features, "variations": variations}
        config = Config(convert=given | settings)
        convert_files([str(file[0])], output=tmp_path / "t.h5", config=config)
        return open_tensors(tmp_path / "t.h5")

    return run


def rows(tensors, name):
    return np.concatenate(list(tensors.tiles("mc", f"variations/{name}")))


@pytest.mark.parametrize("block_size", [1000, 37])
def test_variations_stand_beside_the_nominal_events(file, run, block_size):
    _, columns, kept = file
    tensors = run({"jes_up": {"features": {"lpt": "log(pt_up)"}}, "jes_down": {"tree": "down"}},
                  cut="pt > 10", block_size=block_size)  # fmt: skip
    passed = columns["pt"] > 10
    up, down = rows(tensors, "jes_up"), rows(tensors, "jes_down")
    lpt = np.log(columns["pt_up"].astype(float)).astype("f4")
    np.testing.assert_array_equal(up[:, 0], lpt[passed])
    np.testing.assert_array_equal(up[:, 1], columns["eta"].astype("f4")[passed])
    there = np.isin(np.arange(200), kept) & (columns["pt"] * 0.5 > 10)
    shifted = np.log((columns["pt"] * np.float32(0.5)).astype(float)).astype("f4")
    np.testing.assert_array_equal(down[:, 0], np.where(there, shifted, np.nan)[passed].astype("f4"))
    assert np.isnan(down[~there[passed]]).all()
    assert tensors.variations == ("jes_down", "jes_up")
    assert tensors.verify() == []


@pytest.mark.parametrize(
    ("variation", "settings", "error", "message"),
    [
        ({"features": {"pt": "pt_up"}}, {}, ConfigError, "no feature 'pt'; did you mean 'lpt'"),
        (
            {"features": {"lpt": "q"}},
            {},
            ConfigError,
            "no branch 'q', of feature lpt of convert.var",
        ),
        ({"tree": "up"}, {}, ReadError, "no tree 'up'"),
        ({"tree": "down"}, {"event_id": ["njets"]}, ReadError, "two events have one id"),
    ],
)
def test_what_does_not_fit_is_refused(run, variation, settings, error, message):
    with pytest.raises(error, match=message):
        run({"x": variation}, **settings)
    with pytest.raises(ValueError, match="changes nothing"):
        run({"x": {}})
