"""`hepdann calibrate` as it is typed: the table, JSON, what it writes, refusals."""

import json

import numpy as np
import pytest

from hepdann.tensors import Tensors


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    """An energy scale of 1.2 in data."""
    path = tmp_path_factory.mktemp("calibrate") / "tensors.h5"
    generator = np.random.default_rng(5)
    label = np.arange(3000) % 2
    mc, data = (generator.normal(5.0 + label[:, None], 1.0, (3000, 2)) for _ in range(2))
    Tensors.from_arrays(
        mc, label, data=data * [1.2, 1.0], names=["pt", "mass"], classes=["qcd", "w"], output=path
    )
    return path


def test_a_scale_is_shown_and_written_with_its_error(typed, tensors, tmp_path):
    folder = tmp_path / "calibration"
    done = typed("calibrate", tensors, "--family", "scale(pt),none", "-o", folder)
    assert (done.code, done.stderr) == (0, "")
    assert "scale(pt) = " in done.stdout
    assert "closed (AUC" in done.stdout
    content = json.loads((folder / "calibration.json").read_text())
    assert content["parameters"]["scale(pt)"]["value"] == pytest.approx(0.2, abs=0.02)
    chi2 = content["features"]["pt"]
    assert chi2["before"]["chi2"] > 2 * chi2["after"]["chi2"]
    names = {file.name for file in folder.glob("*.png")}
    assert {"data_mc_pt_before.png", "data_mc_pt_after.png"} < names
    assert len([name for name in names if name.startswith("profile")]) == 1


def test_json_says_that_fractions_were_held(typed, tensors):
    done = typed("calibrate", tensors, "--family", "none", "--hold-fractions", "--json")
    assert (done.code, done.stderr) == (0, "")
    content = json.loads(done.stdout)
    assert content["fractions_held"] is True
    assert content["verdict"] in {"closed", "partly closed", "not closed"}


@pytest.mark.parametrize("name", ["sinus", "scale(eta)", "sine+"])
def test_an_unknown_family_is_the_users_error(typed, tensors, name):
    done = typed("calibrate", tensors, "--family", name)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("hepdann: error: ")
    assert done.stderr.count("\n") == 1
    assert "--family" in done.stderr
