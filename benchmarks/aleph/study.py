"""The ALEPH b-jet study as a user runs it: convert, train, read metrics.json, over split seeds.

    python benchmarks/aleph/study.py --data DIR -o study

DIR holds ``aleph/aleph_mc.root``. For each split seed and each shift one ``hepdann train`` with
five networks a method; the table gives the mean and the standard deviation over the split seeds of
each method's figures on the test split. No target label takes part in any choice.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jets import hepdann

SHIFTS = (("identity", 1), ("sine", 3), ("sine", 8), ("gaussian", 3), ("gaussian", 8))
METHODS = ("dann", "dann-alternating")


def train(tensors: Path, run: Path, shift: str, t: float, env: dict[str, str]) -> dict[str, Any]:
    """Train one shift of one split; a finished run is read again."""
    if not (run / "metrics.json").exists():
        methods = [word for name in METHODS for word in ("--method", name)]
        given = ["--shift", shift, "--t", str(t), *methods, "-o", str(run)]
        hepdann("train", str(tensors), *given, env=env)
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def collect(folder: Path, seeds: int, jobs: int, env: dict[str, str]) -> dict[str, Any]:
    """All runs: shift to the metrics of each split seed."""
    for seed in range(seeds):
        tensors = folder / f"split{seed}.h5"
        if not tensors.exists():
            given = ["--config", "aleph", "-o", str(tensors), "--split-seed", str(seed)]
            hepdann("convert", *given, env=env)
    tasks = [(name, t, seed) for name, t in SHIFTS for seed in range(seeds)]
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(
            lambda task: train(
                folder / f"split{task[2]}.h5",
                folder / f"{task[0]}-t{task[1]}-split{task[2]}",
                task[0],
                task[1],
                env,
            ),
            tasks,
        )
        runs: dict[str, Any] = {}
        for (name, t, _), metrics in zip(tasks, done, strict=True):
            runs.setdefault(f"{name} t={t}", []).append(metrics)
    return runs


def table(runs: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a shift and method."""
    rows = []
    for shift, metrics in runs.items():
        for method in metrics[0]["methods"]:
            row: dict[str, Any] = {"shift": shift, "method": method}
            for domain in ("mc", "target"):
                for figure in ("accuracy", "auc"):
                    values = [m["methods"][method][domain][figure] for m in metrics]
                    row[f"{domain}_{figure}"] = [np.mean(values), np.std(values, ddof=1)]
            peeked = [m["methods"][method]["members"]["target_accuracy"] for m in metrics]
            tops = [p["peeked_max"] for p in peeked if p["peeked_max"] is not None]
            row["members"] = [
                np.mean([p["mean"] for p in peeked]),
                np.mean([p["std"] for p in peeked]),
            ]
            row["peeked"] = float(np.mean(tops)) if tops else None
            row["recommended"] = sum(m["recommended"] == method for m in metrics)
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]], seeds: int) -> None:
    """As Markdown."""
    print(
        "| shift | method | target accuracy | target AUC | single networks | peeked | recommended |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        pair = [
            f"{row[key][0]:.3f} ± {row[key][1]:.3f}" for key in ("target_accuracy", "target_auc")
        ]
        single = f"{row['members'][0]:.3f} ± {row['members'][1]:.3f}"
        peeked = "" if row["peeked"] is None else f"{row['peeked']:.3f}"
        print(
            f"| {row['shift']} | {row['method']} | {pair[0]} | {pair[1]} | {single} | {peeked} "
            f"| {row['recommended']}/{seeds} |"
        )
    source = next(row for row in rows if row["method"] == "source-only")
    accuracy, auc = source["mc_accuracy"], source["mc_auc"]
    print(
        f"\nsource-only on unshifted MC: accuracy {accuracy[0]:.4f} ± {accuracy[1]:.4f}, "
        f"AUC {auc[0]:.4f} ± {auc[1]:.4f}"
    )


def main() -> None:
    """Parse, run, print, write ``study.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("study"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    env = {**os.environ, "HEPDANN_DATA": str(Path(given.data).resolve()), "OMP_NUM_THREADS": "1"}
    given.output.mkdir(parents=True, exist_ok=True)
    rows = table(collect(given.output, given.splits, given.jobs, env))
    (given.output / "study.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    show(rows, given.splits)


if __name__ == "__main__":
    main()
