"""What the studies on ALEPH share: the jets, what is done to them, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import uproot

FEATURES = ("prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel")
PAIRS = (("prob_b", "spheri"), ("bqvjet", "multip"), ("pt2rel", "ptlrel"))
Table = np.ndarray[Any, np.dtype[np.float64]]


def read(data: str | Path) -> tuple[Table, Any]:
    """(N, 6) features of all jets in ``aleph/aleph_mc.root`` below ``data``, and their labels."""
    with uproot.open(Path(data) / "aleph" / "aleph_mc.root") as file:
        arrays = file["jets"].arrays([*FEATURES, "isb"], library="np")
    x = np.stack([arrays[name] for name in FEATURES], axis=1).astype(np.float64)
    return x, arrays["isb"]


def rotated(x: Table, like: Table, sign: int = 1) -> Table:
    """Pairs of features turned by ± 45 degrees in units of their widths in ``like``."""
    mean, width = like.mean(axis=0), like.std(axis=0)
    z = (x - mean) / width
    for a, b in ((FEATURES.index(a), FEATURES.index(b)) for a, b in PAIRS):
        one, other = z[:, a].copy(), sign * z[:, b]
        z[:, a], z[:, b] = (one + other) / 2**0.5, sign * (other - one) / 2**0.5
    return np.asarray(z * width + mean)


def thinned(rows: Any, label: Any, share: float, generator: np.random.Generator) -> Any:
    """The rows, less random ones of the class that is too many, with a share of signal."""
    signal, rest = rows[label[rows] == 1], rows[label[rows] == 0]
    wanted = round(len(rest) * share / (1 - share))
    if wanted <= len(signal):
        signal = generator.permutation(signal)[:wanted]
    else:
        rest = generator.permutation(rest)[: round(len(signal) * (1 - share) / share)]
    return np.sort(np.concatenate([signal, rest]))


def write_tensors(
    path: Path, mc: tuple[Table, Any, Any], data: tuple[Table, Any, Any], seed: int
) -> None:
    """A tensor file of features, event ids and labels of MC and data; the data's are the truth."""
    from hepdann.config.samples import SplitConfig
    from hepdann.tensors import Block, Layout, TensorWriter

    layout = Layout(
        features=tuple(FEATURES),
        classes=("udsc", "b"),
        samples={"mc": ("mc",), "data": ("data",)},
        has_truth=True,
    )
    capacity, split = {"mc": len(mc[0]), "data": len(data[0])}, SplitConfig(seed=seed)
    with TensorWriter(path, layout, capacity=capacity, split=split) as writer:
        for domain, (x, ids, label) in (("mc", mc), ("data", data)):
            block = Block(
                features=x.astype(np.float32),
                spectators=np.empty((len(x), 0), np.float32),
                weight=np.ones(len(x), np.float32),
                sample=np.zeros(len(x), np.uint16),
                event_id=ids.astype(np.uint64),
                label=label.astype(np.int32) if domain == "mc" else None,
                truth=label.astype(np.int32) if domain == "data" else None,
            )
            writer.append(domain, block)
        writer.finish({})


def hepdann(*args: str, env: Mapping[str, str] | None = None) -> None:
    """Run one command, as on a terminal."""
    command = [str(Path(sys.executable).with_name("hepdann")), *args]
    given = {**(env or os.environ), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}\n{result.stderr}")
