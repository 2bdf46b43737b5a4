from __future__ import annotations

import pytest

import hepdann
from hepdann import samples
from hepdann.config import Config
from hepdann.readers import convert_files

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two small runs, of a class and in a folder whose names try to be markup."""
    home = tmp_path_factory.mktemp("reporting")
    samples.write_bjets(home, 2500, 1, True)
    inputs = list(samples.INPUTS)[:2]
    features = [{"name": inputs[0], "title": "$P_b$ of the jet"}, inputs[1]]
    settings = {"weight": "weight", "features": features, "classes": ["light", HOSTILE]}
    config = Config.model_validate({"convert": settings})
    tensors = home / "tensors.h5"
    convert_files([str(home / "mc.root")], [str(home / "data.root")], output=tensors, config=config)
    small = {"seeds": 1, "epochs": 1, "oracle": True, "alignments": ["quantile"], "diagnose": False}
    shift = hepdann.shifts.sine(t=3)
    own = {"kind": "data_mc", "variable": f"2 * {inputs[0]}", "bins": 5, "range": [0, 2]}
    listed = Config.model_validate(
        {"plots": {"figures": [own | {"name": "twice", "title": HOSTILE}]}}
    )
    hepdann.train(tensors, shift=shift, output=home / "a <b>&'x", config=listed, **small)
    hepdann.train(tensors, output=home / "data", **small)
    return home


@pytest.fixture(scope="session")
def runs(folder):
    return [folder / "a <b>&'x", folder / "data"]


@pytest.fixture(scope="session")
def page(folder, runs):
    """The report of both."""
    return hepdann.report(runs, folder / "report.html")
