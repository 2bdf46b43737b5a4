"""Decorrelated classifiers: what they forget of a nuisance, and what it costs.

    python benchmarks/decorrelation_study.py                      # the toy of arXiv:1611.01046
    python benchmarks/decorrelation_study.py --data DIR           # and m_vis of CMS MC

The toy: 150,000 events, five networks of each method; KS distance of the score between events drawn
at z = -1 and at z = +1, accuracy at 0.5, and the adversary's loss L_r at the end of the training,
which is H(Z) = 1.419 where the score tells nothing of z. CMS: background of the test split, before
and after a cut that keeps half of the signal.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

RECIPES: dict[str, dict[str, Any]] = {
    "pivot": {"nuisance_weight": 15},
    "pivot-alternating": {"nuisance_weight": 50, "adversary_steps": 5},
    "disco": {"nuisance_weight": 15},
    "dann-pivot": {"nuisance_weight": 15},
    "planing": {},
}  # of the toy


def toy_tensors(folder: Path, events: int) -> Path:
    """The tensor file of the toy."""
    import hepdann
    from hepdann import samples

    mc, _ = samples.write("pivot", folder, events)
    _, data = samples.write("pivot", folder / "few", 5_000)  # no target has a part in this
    hepdann.convert(mc, data, output=folder / "pivot.h5", spectators=["z"])
    return folder / "pivot.h5"


def at(z: float | None, n: int, seed: int) -> tuple[Any, Any]:
    """Features and labels of events at a nuisance, or of any."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    x = generator.standard_normal((n, 2))
    nuisance = generator.standard_normal(n) if z is None else z
    background = np.stack([x[:, 0], -0.5 * x[:, 0] + np.sqrt(0.75) * x[:, 1]], axis=1)
    signal = np.stack([1 + x[:, 0], 1 + nuisance + x[:, 1]], axis=1)
    return np.where(label[:, None] == 1, signal, background).astype(np.float32), label


def toy(method: str, tensors: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Train a method and source-only on the toy, and judge each network by itself."""
    import hepdann
    from hepdann.evaluation.curves import history_rows
    from hepdann.inference import load_model
    from hepdann.stats import kolmogorov
    from hepdann.store.paths import RunPaths

    with TemporaryDirectory() as temporary:
        run = hepdann.train(
            tensors, method=method, nuisance=["z"], alignments=[], diagnose=False,
            output=Path(temporary) / "run", **settings,
        )  # fmt: skip
        model = load_model(RunPaths(run.folder).model)
        history = history_rows(RunPaths(run.folder).history)
    samples = {z: at(z, 50_000, seed) for seed, z in enumerate((None, -1.0, 1.0))}
    rows = []
    for name in ("source-only", method):
        scores = {z: model.score(x, name).members[..., 1] for z, (x, _) in samples.items()}
        label = samples[None][1]
        losses = [
            float(row["loss_nuisance"]) for row in history
            if row["method"] == name and row["loss_nuisance"]
            and int(row["epoch"]) == settings["epochs"]
        ]  # fmt: skip
        row: dict[str, Any] = {"method": name}
        row["ks"] = [kolmogorov(a, b)[0] for a, b in zip(scores[-1.0], scores[1.0], strict=True)]
        row["accuracy"] = [float(((s > 0.5) == label).mean()) for s in scores[None]]
        row["loss_nuisance"] = losses
        rows.append(row)
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of means and standard deviations over the networks."""
    for row in rows:
        cells = [
            f"{key} {np.mean(v):.3f} ± {np.std(v, ddof=1) if len(v) > 1 else 0:.3f}"
            for key, v in row.items() if isinstance(v, list) and v
        ]  # fmt: skip
        print(f"{row['method']:18} " + "  ".join(cells), flush=True)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--method", action="append", help="by default all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = {"seeds": 5, "epochs": 2, "batch_size": 256} | {
        name: json.loads(value) for name, value in (text.split("=") for text in given.set)
    }
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        tensors = toy_tensors(Path(folder), given.events)
        for method in given.method or RECIPES:
            known = {row["method"] for row in rows}
            made = toy(method, tensors, RECIPES.get(method, {}) | settings)
            show([row for row in made if row["method"] not in known])
            rows += made
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
