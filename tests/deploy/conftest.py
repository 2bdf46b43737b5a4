from __future__ import annotations

import numpy as np
import pytest
import uproot

import hepdann
from hepdann.config import Config

EXPRESSIONS = {
    "mix": "sqrt(b) + 0.5*a",
    "step": "where(a > 90.1 && c > 0, c, -a/3)",
    "rough": "log(b) + a",
}
MAPS = ["quantile", "gaussian-ot+quantile"]


def branches(n, seed, shift):
    g = np.random.default_rng(seed)
    label = (g.random(n) < 0.4).astype(np.int32)
    a = np.round(90 + shift + 3 * g.normal(size=n) + 2 * label, 1)
    c = np.where(g.random(n) < 0.2, -999, g.normal(size=n) - label)
    columns = {"a": a, "b": g.exponential(1 + label + shift), "c": c, "label": label}
    return {name: v.astype("i4" if name == "label" else "f4") for name, v in columns.items()}


@pytest.fixture(scope="session")
def ntuples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ntuples")
    for name, seed, shift in (("mc", 1, 0.0), ("data", 2, 0.3)):
        with uproot.recreate(folder / f"{name}.root") as file:
            columns = branches(900, seed, shift)
            if name == "data":
                columns.pop("label")
            file.mktree("Events", {k: v.dtype for k, v in columns.items()}).extend(columns)
    return folder


@pytest.fixture(scope="session")
def run(ntuples):
    features = [
        {"name": "a", "unit": "GeV"},
        {"name": "c", "missing": -999, "indicator": True},
        *({"name": n, "expression": e, "missing": -999} for n, e in EXPRESSIONS.items()),
    ]
    hepdann.readers.convert_files(
        [str(ntuples / "mc.root")],
        [str(ntuples / "data.root")],
        output=ntuples / "tensors.h5",
        config=Config.model_validate({"convert": {"label": "label", "features": features}}),
    )
    return hepdann.train(
        ntuples / "tensors.h5",
        method=["dann", "moments+dann"],
        alignments=MAPS,
        seeds=2,
        epochs=2,
        batch_size=64,
        diagnose=False,
        output=ntuples / "run",
    )
