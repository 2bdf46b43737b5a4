from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hepdann.config.samples import SplitConfig
from hepdann.tensors import Block, Layout, TensorWriter


def _make_block(n: int, *, domain: str = "mc", seed: int = 0, truth: bool = False) -> Block:
    """Events of two samples, three features with some missing values, one spectator."""
    rng = np.random.default_rng([seed, len(domain)])
    features = rng.normal(size=(n, 3)).astype(np.float32)
    features[rng.random((n, 3)) < 0.1] = np.nan
    mc = domain == "mc"
    return Block(
        features=features,
        spectators=rng.exponential(size=(n, 1)).astype(np.float32),
        weight=rng.normal(1, 0.5, n).astype(np.float32),
        sample=rng.integers(0, 2 if mc else 1, n).astype(np.uint16),
        event_id=rng.integers(0, 2**64, n, dtype=np.uint64),
        label=rng.integers(0, 2, n).astype(np.int32) if mc else None,
        weights={"up": rng.normal(1.1, 0.5, n).astype(np.float32)} if mc else {},
        truth=rng.integers(0, 2, n).astype(np.int32) if truth else None,
    )


def _cut(block: Block, start: int, stop: int) -> Block:
    """Rows of a block."""

    def rows(values):
        return None if values is None else values[start:stop]

    return Block(
        features=rows(block.features),
        spectators=rows(block.spectators),
        weight=rows(block.weight),
        sample=rows(block.sample),
        event_id=rows(block.event_id),
        label=rows(block.label),
        weights={name: rows(values) for name, values in block.weights.items()},
        truth=rows(block.truth),
    )


def _make_writer(path: Path, *, mc: int = 0, data: int = 0, **changes) -> TensorWriter:
    """A writer for blocks of ``_make_block``, with room for ``mc`` and ``data`` rows."""
    layout = {
        "features": ("pt", "eta", "mass"),
        "units": ("GeV", "", "GeV"),
        "spectators": ("nbjet",),
        "classes": ("background", "signal"),
        "samples": {"mc": ("ttbar", "wjets"), "data": ("2012B",)},
        "weights": ("up",),
        "feature_info": ({"title": r"$p_T$"}, {}, {"missing": -999.0}),
        "has_truth": changes.pop("truth", False),
    }
    settings = {"capacity": {"mc": mc, "data": data}, "split": SplitConfig(seed=3)}
    for key, value in changes.items():
        (layout if key in Layout.__dataclass_fields__ else settings)[key] = value
    return TensorWriter(path, Layout(**layout), **settings)


@pytest.fixture(scope="session")
def make_block() -> Callable[..., Block]:
    return _make_block


@pytest.fixture(scope="session")
def cut() -> Callable[[Block, int, int], Block]:
    return _cut


@pytest.fixture(scope="session")
def make_writer() -> Callable[..., TensorWriter]:
    return _make_writer


@pytest.fixture
def tensor_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a whole file in one go: ``tensor_file(mc=1000, data=500, truth=True)``."""

    def write(name: str = "tensors.h5", mc: int = 1000, data: int = 500, **changes) -> Path:
        path = tmp_path / name
        truth = changes.get("truth", False)
        with _make_writer(path, mc=mc, data=data, **changes) as writer:
            writer.append("mc", _make_block(mc))
            writer.append("data", _make_block(data, domain="data", truth=truth))
            writer.finish({"hepdann": "test", "inputs": []}, impute=[1.0, 2.0, 3.0])
        return path

    return write
