"""Which map undoes which shift: ALEPH jets, each alignment, the recommendation and the oracle.

    python benchmarks/aleph/alignment.py --data DIR -o alignments

DIR holds ``aleph/aleph_mc.root``. Its jets are dealt into MC and data, the data are shifted, both
are written as ROOT files and go the way of any analysis: ``hepdann convert`` (with the data's truth
aside) and ``hepdann train``. The table gives means over the deals, on the test split. For the case
``label`` both halves are thinned by their labels first: that makes the problem, and nobody who
solves it sees them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from jets import FEATURES, Table, hepdann, read, rotated, thinned

from hepdann import shifts

MAPS = ("moments", "quantile", "gaussian-ot", "sliced", "affine", "affine+quantile")
BEFORE = ("source-only",)
METHODS = ("dann", "quantile+dann", "affine+quantile+dann")


def shift(name: str, t: float) -> Callable[[Table, Table, int], Table]:
    """One of hepdann's shifts, with the scales of the MC; ``name+rotation`` turns what it gives."""
    first, _, turned = name.partition("+")

    def apply(x: Table, mc: Table, seed: int) -> Table:
        fitted = shifts.get(first, t).fit(mc)
        moved = fitted.apply(x, np.random.default_rng([seed, 1])).astype(np.float64)
        if not turned:
            return moved
        return rotated(moved, fitted.apply(mc, np.random.default_rng([seed, 2])).astype(np.float64))

    return apply


CASES = {
    "none": shift("identity", 1),
    "sine 3": shift("sine", 3),
    "sine 8": shift("sine", 8),
    "gaussian 3": shift("gaussian", 3),
    "cosine 3": shift("cosine", 3),
    "rotation": shift("identity+rotation", 1),
    "sine 3, rotation": shift("sine+rotation", 3),
    "label": shift("sine", 8),  # after 33 % of signal in MC and 17 % in data
}


def write(path: Path, columns: dict[str, Any]) -> None:
    """One TTree."""
    with uproot.recreate(path) as file:
        file.mktree("jets", {name: values.dtype for name, values in columns.items()})
        file["jets"].extend(columns)


def deal(x: Table, label: Any, case: str, seed: int, folder: Path) -> None:
    """Write ``mc.root``, ``data.root`` and ``truth.root``."""
    generator = np.random.default_rng([seed, 0])
    order = generator.permutation(len(x))
    mc, data = np.sort(order[::2]), np.sort(order[1::2])
    if case == "label":
        mc, data = (thinned(r, label, s, generator) for r, s in ((mc, 0.33), (data, 0.17)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows, values in (
        ("mc", mc, x[mc]),
        ("data", data, CASES[case](x[data], x[mc], seed)),
    ):
        ids = {"run": np.full(len(rows), 1, "i4"), "event": rows.astype("i8")}
        features = dict(zip(FEATURES, values.T.astype("f4"), strict=True))
        truth = {"isb": label[rows].astype("i4")}
        write(folder / f"{name}.root", ids | features | (truth if name == "mc" else {}))
        if name == "data":
            write(folder / "truth.root", ids | truth)


def run(folder: Path, x: Table, label: Any, case: str, seed: int) -> dict[str, Any]:
    """The metrics of one training; a finished one is read again, and one cut off goes on."""
    place = folder / f"{case.replace(', ', '-').replace(' ', '')}-{seed}"
    if not (place / "run" / "metrics.json").exists():
        tensors = str(place / "tensors.h5")
        if not Path(tensors).exists():
            deal(x, label, case, seed, place)
            files = [str(place / f"{name}.root") for name in ("mc", "data", "truth")]
            hepdann(
                "convert", *files[:2], "--truth", files[2], "--features", ",".join(FEATURES),
                "--split-seed", str(seed), "-o", tensors,
            )  # fmt: skip
        maps = [word for name in MAPS for word in ("--alignment", name)]
        methods = [word for name in METHODS for word in ("--method", name)]
        if (place / "run" / "origin.json").exists():
            hepdann("train", tensors, "--resume", "-o", str(place / "run"))
        else:
            hepdann("train", tensors, *maps, *methods, "-o", str(place / "run"))
    metrics: dict[str, Any] = json.loads((place / "run" / "metrics.json").read_text("utf-8"))
    log = (place / "run" / "log.txt").read_text("utf-8")
    found = [line.split("class fractions: ")[1] for line in log.splitlines() if "fractions" in line]
    return metrics | {"fractions": found[-1] if found else None}


def show(case: str, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print the rows of a case as Markdown; return them."""
    rows = []
    recommended = [r["recommended"] for r in runs]
    for name in dict.fromkeys([m for r in runs for m in r["methods"]] + ["recommended"]):
        chosen = [
            r["methods"].get(r["recommended"] if name == "recommended" else name) for r in runs
        ]
        there = [c for c in chosen if c is not None]
        row: dict[str, Any] = {"case": case, "method": name, "runs": len(there)}
        for key in ("accuracy", "auc"):
            row[key] = float(np.mean([c["target"][key] for c in there]))
        row["matched"] = float(
            np.mean([c["threshold"]["prior_matched"]["accuracy"] for c in there])
        )
        left = [c["criteria"].get("residual_auc") for c in there]
        row["residual"] = None if None in left else float(np.mean(left))
        rows.append(row)
        last = "" if row["residual"] is None else f"{row['residual']:.3f}"
        print(
            f"| {case} | {name} | {row['accuracy']:.4f} | {row['auc']:.4f} | {row['matched']:.4f} "
            f"| {last} | {recommended.count(name) or ''} |",
            flush=True,
        )
    for one in runs:
        print(f"<!-- {case}: {one['fractions']} -->", flush=True)
    return rows


def matrix(rows: list[dict[str, Any]]) -> str:
    """Accuracy/AUC of every method in every case, as Markdown."""
    found = {(row["case"], row["method"]): row for row in rows}
    cases = list(dict.fromkeys(case for case, _ in found))
    lines = [f"| | {' | '.join(cases)} |", f"|---|{'---|' * len(cases)}"]
    for method in (*BEFORE, *MAPS, *METHODS, "recommended", "oracle"):
        cells = [found.get((case, method)) for case in cases]
        shown = ["" if c is None else f"{c['accuracy']:.3f}/{c['auc']:.3f}" for c in cells]
        lines.append(f"| {method} | {' | '.join(shown)} |".replace("0.", "."))
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print, write ``study.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("alignments"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    x, label = read(given.data)
    print("| case | method | accuracy | AUC | prior-matched | residual AUC | recommended |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for case in given.case or CASES:
        runs = [run(given.output, x, label, case, seed) for seed in range(given.splits)]
        rows += show(case, runs)
    print(f"\n{matrix(rows)}")
    (given.output / "study.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
