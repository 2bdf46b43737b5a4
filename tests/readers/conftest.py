"""Real ROOT files, small ones, written by uproot."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot


def write_root(path: Path, columns, *, tree="events", kind="TTree", parts=1, compression="zstd"):
    """One tree in one file, in ``parts`` baskets (or clusters) of about equal length."""
    codecs = {"zstd": uproot.ZSTD(1), "zlib": uproot.ZLIB(1), "none": None}
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: np.asarray(values) for name, values in columns.items()}
    rows = len(next(iter(columns.values())))
    edges = np.linspace(0, rows, parts + 1).astype(int)
    chunks = [
        {name: values[low:high] for name, values in columns.items()}
        for low, high in itertools.pairwise(edges)
    ]
    with uproot.recreate(path, compression=codecs[compression]) as file:
        if kind == "RNTuple":
            target = file.mkrntuple(tree, chunks.pop(0))
        else:
            types = {n: (v.dtype, v.shape[1:]) if v.ndim > 1 else v.dtype
                     for n, v in columns.items()}  # fmt: skip
            target = file.mktree(tree, types)
        for chunk in chunks:
            target.extend(chunk)
    return path


@pytest.fixture(name="write")
def write_fixture(tmp_path):
    """``write("mc.root", columns, …)`` writes below the test's own folder."""
    return lambda name, columns, **options: write_root(tmp_path / name, columns, **options)


@pytest.fixture(scope="session", name="write_root")
def write_root_fixture():
    """The function itself, for tests with a folder of their own."""
    return write_root


@pytest.fixture(scope="session")
def everything():
    """``everything(path)``: each dataset and attribute of HDF5 but the provenance, as bytes."""

    def contents(path):
        found = {}

        def visit(name, item):
            found[name] = item[()].tobytes() if isinstance(item, h5py.Dataset) else None
            for key, value in item.attrs.items():
                found[f"{name}@{key}"] = np.asarray(value).tolist()

        with h5py.File(path) as file:
            file.visititems(visit)
        return found

    return contents


@pytest.fixture(name="sample")
def sample_fixture():
    """``sample(n, seed)`` gives the columns of a small MC sample."""

    def make(rows=200, seed=1, **more):
        random = np.random.default_rng(seed)
        columns = {
            "pt": random.exponential(30, rows).astype(np.float32),
            "eta": random.normal(size=rows),
            "njets": random.integers(0, 9, rows, dtype=np.int32),
            "isb": np.arange(rows, dtype=np.int32) % 2,
            "run": np.full(rows, 7, dtype=np.int32),
            "event": np.arange(rows, dtype=np.int64) + 1000 * seed,
            "weight": random.uniform(0.5, 1.5, rows).astype(np.float32),
        }
        columns |= more
        return {name: values for name, values in columns.items() if values is not None}

    return make
