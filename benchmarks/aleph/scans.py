"""The domain-shift study on ALEPH: scans over shifts, t, λ, methods and split seeds, and its page.

    python benchmarks/aleph/scans.py --data DIR -o study
    python benchmarks/aleph/scans.py --data DIR -o study --grids methods,others --splits 3
    python benchmarks/aleph/scans.py -o study --page docs/aleph-study.md

The first line types, for each split seed, ``hepdann convert`` and the scans of ``GRIDS``; what is
there already is read again, and a scan that was stopped goes on. The second does so for some grids
and fewer split seeds. Either writes ``study/study.json`` of all that is there. The third puts the
tables that follow from it between the marks of a page. No target label takes part in any choice;
what the labels would have chosen is in columns of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jets import hepdann

FEW = "dann,dann-alternating"
MORE = "hybrid-dann,hybrid-alternating,dann-joint,cdan,mmd,coral,quantile+dann,self-training"
MAPS = ("--alignments", "quantile,affine+quantile", "--seeds", "3")
GRIDS: dict[str, tuple[str, ...]] = {  # name: flags of the scan of each split seed
    "sine": ("--shift", "sine", "--t", "3,8", "--methods", FEW),
    "methods": ("--shift", "sine", "--t", "3", "--methods", MORE, *MAPS),
    "others": (
        "--shift", "gaussian,cosine,sine-cubed", "--t", "3", "--methods", f"{FEW},{MORE}", *MAPS
    ),
    "identity": ("--shift", "identity", "--t", "3", "--methods", f"{FEW},{MORE}", *MAPS),
}  # fmt: skip
ALL_METHODS = ("methods", "others", "identity")  # grids that tell all methods apart
SHIFTS = {
    "identity": "no shift", "sine": "sine t=3", "gaussian": "gaussian t=3",
    "sine-cubed": "sine-cubed t=3", "cosine": "cosine t=3",
}  # fmt: skip
BASELINES = ("source-only", "quantile", "affine+quantile", "oracle")
HEAD = "| shift | method | {} |\n|---|---|{}|"
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def scan_all(folder: Path, splits: int, grids: Iterable[str], env: dict[str, str]) -> None:
    """Make what is missing."""
    for seed in range(splits):
        tensors = folder / f"split{seed}.h5"
        if not tensors.exists():
            given = ["--config", "aleph", "-o", str(tensors), "--split-seed", str(seed)]
            hepdann("convert", *given, env=env)
        for name in grids:
            scan = folder / f"{name}-split{seed}"
            if scan.exists():
                summary = scan / "scan.json"
                if not summary.exists() or json.loads(summary.read_text())["interrupted"]:
                    hepdann("scan", "--resume", "-o", str(scan), env=env)
            else:
                given = [*GRIDS[name], "--lambda", "1", "-o", str(scan)]
                hepdann("scan", str(tensors), *given, env=env)


def collect(folder: Path) -> list[dict[str, Any]]:
    """The groups of all scans that are there, each with its grid and its split seed."""
    groups: list[dict[str, Any]] = []
    for name in GRIDS:
        for summary in sorted(folder.glob(f"{name}-split*/scan.json")):
            split = int(summary.parent.name.rpartition("split")[2])
            found = json.loads(summary.read_text(encoding="utf-8"))
            groups += [{"grid": name, "split": split, **group} for group in found["groups"]]
    return groups


def pm(values: Sequence[float | None], digits: int = 3) -> str:
    """Mean ± standard deviation over split seeds."""
    known = np.array([v for v in values if v is not None])
    if not len(known):
        return "-"
    spread = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{spread}"


def _order(method: str) -> tuple[int, str]:
    """The baselines first, and the oracle last."""
    if method == "oracle":
        return len(BASELINES) + 1, method
    return BASELINES.index(method) if method in BASELINES else len(BASELINES), method


def tables(groups: list[dict[str, Any]]) -> dict[str, str]:
    """The Markdown of each table, by its name on the page."""
    places: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = {}
    for group in (g for g in groups if g["grid"] == "sine"):
        methods = places.setdefault((group["shift"], group["t"]), {})
        methods.setdefault(group["method"], []).append(group)
    accuracy = ["ensemble, last epoch", "last epoch", "chosen, no label", "*peeked*"]
    ranking = ["ensemble AUC", "last epoch AUC", "chosen AUC", "consistency", "gap closed"]
    out = {name: HEAD.format(" | ".join(columns), "---|" * (len(columns) - 1) + "---")
           for name, columns in (("accuracy", accuracy), ("auc", ranking))}  # fmt: skip
    for (shift, t), methods in places.items():
        place = shift if shift == "identity" else f"{shift} t={t:g}"
        for method in sorted(methods, key=_order):
            found = methods[method]
            ensemble = [g["ensemble"] for g in found]
            head = f"\n| {place} | {method} | "

            def members(block: str, figure: str, found: Any = found) -> str:
                return pm([g[block][f"target_{figure}"]["mean"] for g in found])

            chosen = "" if method in BASELINES else members("chosen", "accuracy")
            out["accuracy"] += (
                f"{head}{pm([e['target_accuracy'] for e in ensemble])} "
                f"| {members('last_epoch', 'accuracy')} | {chosen} "
                f"| *{members('peeked', 'accuracy')}* |"
            )
            chosen = "" if method in BASELINES else members("chosen", "auc")
            gap = pm([g["gap_closed"]["accuracy"] for g in found], 2)
            out["auc"] += (
                f"{head}{pm([e['target_auc'] for e in ensemble])} "
                f"| {members('last_epoch', 'auc')} | {chosen} "
                f"| {pm([e['consistency'] for e in ensemble])} | {gap} |"
            )
    return out | {
        "methods": methods_table(groups, _ensembles),
        "epochs": methods_table(groups, _epochs),
    }


def _ensembles(found: list[dict[str, Any]]) -> str:
    """Accuracy / AUC of the ensembles, last epoch."""
    known = [group["ensemble"] for group in found]
    return " / ".join(
        f"{np.mean([e[f'target_{name}'] for e in known]):.3f}" for name in ("accuracy", "auc")
    )


def _epochs(found: list[dict[str, Any]]) -> str:
    """Accuracy of single networks: last epoch / chosen / peeked."""
    last, chosen, peeked = (
        f"{np.mean([group[block]['target_accuracy']['mean'] for group in found]):.3f}"
        for block in ("last_epoch", "chosen", "peeked")
    )
    chosen = "–" if found[0]["method"] in BASELINES else chosen
    return f"{last} / {chosen} / *{peeked}*"


def methods_table(groups: list[dict[str, Any]], cell: Callable[[list[dict[str, Any]]], str]) -> str:
    """Every method at every shift that was scanned with all of them, on the same split seeds.

    Args:
        groups: of all scans.
        cell: what to say of the groups of a method and a shift, one a split seed.
    """
    known = [{g["split"] for g in groups if g["grid"] == name} for name in ALL_METHODS]
    splits = set.intersection(*known)
    shared = [g for g in groups if g["split"] in splits and g["t"] == 3]
    found: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
    for group in sorted(shared, key=lambda g: g["grid"] == "sine"):  # of two alike, the later's
        place = group["method"], group["shift"]
        found.setdefault(place, {}).setdefault(group["split"], group)
    shifts = [name for name in SHIFTS if any(shift == name for _, shift in found)]
    heads = [SHIFTS[name] for name in shifts]
    lines = [f"| method | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for method in sorted({name for name, _ in found}, key=_order):
        cells = [list(found.get((method, shift), {}).values()) for shift in shifts]
        lines.append(f"| {method} | {' | '.join(cell(c) if c else '' for c in cells)} |")
    return "\n".join(lines)


def write_page(page: Path, groups: list[dict[str, Any]]) -> None:
    """Put the tables between their marks."""
    found = tables(groups)
    text = MARK.sub(
        lambda mark: (
            f"{mark[1]}{found.get(mark[2], '')}\n{mark[3]}" if mark[2] in found else mark[0]
        ),
        page.read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("study"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--grids", default=",".join(GRIDS))
    parser.add_argument("--page", type=Path, help="put the tables of study.json into this page")
    given = parser.parse_args()
    path = given.output / "study.json"
    if given.page is not None:
        write_page(given.page, json.loads(path.read_text(encoding="utf-8")))
        return
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    env = {**os.environ, "HEPDANN_DATA": str(Path(given.data).resolve()), "OMP_NUM_THREADS": "1"}
    given.output.mkdir(parents=True, exist_ok=True)
    scan_all(given.output, given.splits, given.grids.split(","), env)
    groups = collect(given.output)
    path.write_text(json.dumps(groups), encoding="utf-8")
    for name, table in tables(groups).items():
        print(f"{name}\n{table}\n")


if __name__ == "__main__":
    main()
