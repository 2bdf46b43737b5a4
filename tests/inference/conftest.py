"""Real files, a conversion with everything that it can do, and a run on it."""

from __future__ import annotations

import awkward
import numpy as np
import pytest
import uproot

import hepdann
from hepdann.config import Config

TYPES = {
    "pt": "f4", "eta": "f8", "q": "i4", "vector": ("f4", (3,)), "run": "i4", "event": "i8",
    "weight": "f4", "good": "?", "spread": "f4", "hits": "var * float32",
}  # fmt: skip


def columns(rows, seed, *, shift=0.0):
    random = np.random.default_rng(seed)
    eta = random.normal(size=rows)
    eta[random.random(rows) < 0.1] = -999
    return {
        "pt": (random.exponential(20, rows) + 5 + shift).astype("f4"),
        "eta": eta + 0.3 * (shift != 0) * (eta > -900),
        "q": random.choice([-1, 1], rows).astype("i4"),
        "vector": random.normal(shift, 1, (rows, 3)).astype("f4"),
        "run": np.full(rows, seed, "i4"),
        "event": np.arange(rows, dtype="i8"),
        "weight": random.uniform(0.5, 1.5, rows).astype("f4"),
        "good": random.random(rows) < 0.5,
        "hits": jagged(random.integers(0, 3, rows)),
    }


def jagged(counts):
    """Numbers of a varying count."""
    return awkward.unflatten(np.arange(counts.sum(), dtype="f4"), counts)


def write_tree(path, content, *, tree="events", kind="TTree", parts=7, renamed=()):
    """Write columns in several baskets, or clusters."""
    content = {dict(renamed).get(name, name): values for name, values in content.items()}
    rows = len(next(iter(content.values())))
    edges = np.linspace(0, rows, parts + 1).astype(int)
    chunks = [{n: v[a:b] for n, v in content.items()} for a, b in zip(edges, edges[1:])]  # noqa: B905,RUF007
    path.parent.mkdir(parents=True, exist_ok=True)
    types = {dict(renamed).get(name, name): kind_ for name, kind_ in TYPES.items()}
    with uproot.recreate(path) as file:
        if kind == "RNTuple":
            target = file.mkrntuple(tree, chunks.pop(0))
        else:
            target = file.mktree(tree, {name: types[name] for name in content})
        for chunk in chunks:
            target.extend(chunk)
    return path


@pytest.fixture(scope="session")
def write():
    """``write(path, columns(…), kind="RNTuple")``."""
    return write_tree


@pytest.fixture(scope="session")
def make():
    """``make(rows, seed)`` gives the columns of a file."""
    return columns


CONVERT = {
    "features": [
        "pt",
        {"name": "logpt", "expression": "log(pt)"},
        {"name": "eta", "missing": -999, "indicator": True},
        "vector",
    ],
    "cut": "q > 0 && pt > 8",
    "weight": "weight",
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Signal, background and data, a template made of the same data, their tensors and a run."""
    place = tmp_path_factory.mktemp("predict")
    for name, rows, seed, shift in (("sig", 900, 1, 8), ("bkg", 1100, 2, 0), ("data", 1000, 3, 3)):
        write_tree(place / f"{name}.root", columns(rows, seed, shift=shift))
    config = Config.model_validate({
        "samples": [
            {"name": "sig", "files": str(place / "sig.root"), "class": "signal"},
            {"name": "bkg", "files": str(place / "bkg.root"), "class": "background"},
            {"name": "qcd", "files": str(place / "data.root"), "class": "background",
             "role": "template", "cut": "q < 0", "scale": 0.1},
            {"name": "data", "files": str(place / "data.root"), "role": "data"},
        ],
        "convert": CONVERT,
    })  # fmt: skip
    hepdann.convert(config=config, output=place / "tensors.h5")
    hepdann.train(
        place / "tensors.h5", seeds=2, epochs=2, batch_size=256, alignments=["quantile"],
        oracle=False, diagnose=False, output=place / "run",
    )  # fmt: skip
    return place
