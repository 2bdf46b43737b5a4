"""Run hepdann at two revisions and compare everything that it writes, to the bit.

    python benchmarks/checks/same_numbers.py OLD NEW [--data DIR] [--only tour,…] [--keep FOLDER]

For a change that must leave the numbers alone. Both revisions run the same commands, at the same
time, with the packages of the Python that runs this: the tour of the README on the simulated
sample; ALEPH with every method, where DIR (by default ``HEPDANN_DATA``) has it; a scan with two
workers; the hybrid methods; a training that is interrupted and resumed; MINERvA's images from ROOT
and from HDF5. Samples, seeds and epochs are few: the figures themselves mean nothing.

Compared are exit codes, what is printed, and every file: tensors, scores, weights, metrics,
histories and tables entry by entry, figures by their pixels, pages by their lines. Left out are
dates, times and throughputs. Each entry that differs is a row of the table, and the exit code is
then 1.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from PIL import Image
from safetensors import safe_open

INPUTS = "prob_b,spheri,pt2rel,multip,bqvjet,ptlrel"
METHODS = ("source-only", "dann", "dann-alternating", "dann-joint", "cdan", "mmd",
           "coral", "self-training", "quantile+dann")  # fmt: skip
TRAIN = "train --shift sine --t 3 --seeds 2 --epochs 2"
IMAGES = "--method dann --seeds 1 --epochs 1 --no-diagnose"

# The lines after `hepdann`, in order; one that begins with ! is interrupted.
STUDIES = {
    "tour": f"""
simulate bjets -o toy --truth --events 6000
convert toy/mc.root toy/data.root --truth toy/truth.root --weight weight --features {INPUTS}
diagnose --json
train --seeds 2 --epochs 3 -o runs/data
{TRAIN} -o runs/sine
plot runs/sine --only roc,scores --formats png
evaluate runs/sine --json --health --working-points 0.5,0.7
compare runs/data runs/sine --csv table.csv --latex table.tex
report runs/data runs/sine -o report.html""",
    "aleph": f"""
convert --config aleph -o aleph.h5 --cut 'abs(cTheta) < 0.25'
{TRAIN} aleph.h5 -o runs/aleph --method {" --method ".join(METHODS)}
evaluate runs/aleph --json""",
    "scan": """
scan --shift sine,gaussian --t 3 --lambda 0.3,1 --methods dann,mmd --seeds 2 --epochs 2 \\
    --workers 2 -o runs/scan""",
    "hybrid": f"""
{TRAIN} --no-diagnose --method hybrid-dann --method hybrid-alternating \\
    --adversary per-domain -o runs/hybrid""",
    "resume": f"""
! {TRAIN} --epochs 60 --no-diagnose --alignment quantile -o runs/resumed
train --resume -o runs/resumed""",
    "minerva": f"""
simulate minerva -o root --events 400 --truth
convert root/mc.root root/data.root --truth root/truth.root -o root.h5
train root.h5 {IMAGES} -o runs/root
simulate minerva -o hdf5 --events 400 --format hdf5
convert hdf5/mc.h5 hdf5/data.h5 -o hdf5.h5
train hdf5.h5 --shift energy-smear --t 3 {IMAGES} -o runs/hdf5""",
}
# Times, and what stands for a file: each ROOT file that is written has a number of its own.
LEFT_OUT = {"created", "modified", "throughput", "seconds", "uuid", "content", "fingerprint"}
# Dates and places in a page, and its pictures, which hold their own.
DATED = re.compile(r"\d\d:\d\d UTC|training took|<button|folder</th|\.root</td")
SKIPPED = {".root", ".pdf", ".hdf5", ".part"}  # dates inside; of inputs, the tensors are compared
ABSENT = "(absent)"


class Side:
    """One revision: its packages, the folder that it works in, and how each command ended."""

    def __init__(self, revision: str, folder: Path, data: str) -> None:
        self.work, packages, tree = (folder / name for name in ("work", "packages", "tree"))
        self.ended: dict[str, int] = {}
        archive = subprocess.run(["git", "archive", revision], cwd=Path(__file__).parents[2],
                                 check=True, capture_output=True).stdout  # fmt: skip
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(tree, filter="data")
        build = [sys.executable, "-c", "from setuptools import setup; setup()", "build_ext", "-i"]
        subprocess.run(build, cwd=tree, check=False, capture_output=True)  # or NumPy does it
        self.work.mkdir()
        packages.mkdir()
        for name, source in {"": "hepdann", "_cli": "cli", "_configs": "configs"}.items():
            (packages / f"hepdann{name}").symlink_to((tree / source).resolve())
        self._environment = os.environ | {
            "PYTHONPATH": str(packages.resolve()), "HEPDANN_DATA": data, "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
        }  # fmt: skip

    def run(self, studies: list[str]) -> None:
        """Run all lines of these studies, one after the other."""
        for study in studies:
            lines = STUDIES[study].replace("\\\n", " ").strip().splitlines()
            for number, line in enumerate(lines):
                code, printed = self._command(line.removeprefix("!"), line.startswith("!"))
                self.ended[f"{study} {number}: {line[:60]}"] = code
                (self.work / f"{study}-{number}.printed").write_text(printed)

    def _command(self, line: str, interrupted: bool) -> tuple[int, str]:
        command = [sys.executable, "-m", "hepdann_cli.main", *shlex.split(line)]
        started = subprocess.Popen(command, cwd=self.work, env=self._environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        if interrupted:
            checkpoint = self.work / line.split()[-1] / "checkpoint"
            while started.poll() is None and not [*checkpoint.glob("*.safetensors")]:
                time.sleep(0.05)
            started.send_signal(signal.SIGTERM)
        printed, said = started.communicate()
        if started.returncode not in (0, 143):
            print(f"{line}: exit code {started.returncode}\n{said}", file=sys.stderr)
        return started.returncode, "" if interrupted else printed


def entries(path: Path) -> dict[str, Any]:
    """What is compared of a file, by name."""
    match path.suffix:
        case ".h5":
            return of_hdf5(path)
        case ".safetensors":
            with safe_open(path, "np") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        case ".csv":
            with path.open(newline="") as lines:
                return {f"row {n} {name}": value for n, row in enumerate(csv.DictReader(lines))
                        for name, value in row.items() if name not in LEFT_OUT}  # fmt: skip
        case ".json" | ".yaml":
            return flat(yaml.safe_load(path.read_text()))
        case ".png":
            with Image.open(path) as picture:  # its texts hold a mark of the code that drew it
                return {"pixels": np.asarray(picture.convert("RGBA"))}
        case ".npy":
            return {"array": np.load(path)}
    lines = path.read_text().splitlines()
    if "\n".join(lines[:1]) in ("{", "["):
        return flat(json.loads(path.read_text()))
    return {f"line {n}": line for n, line in enumerate(lines) if not DATED.search(line)}


def of_hdf5(path: Path) -> dict[str, Any]:
    """Every dataset and attribute of an HDF5 file; attributes that hold JSON entry by entry."""
    nodes: dict[str, Any] = {}
    held: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(nodes.__setitem__)
        for name, node in {"": file, **nodes}.items():
            if isinstance(node, h5py.Dataset):
                held[name] = node[()]
            for key, value in node.attrs.items():
                is_json = isinstance(value, str) and value.startswith(("{", "["))
                held |= flat(json.loads(value) if is_json else value, f"{name}@{key}")
    return held


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """The leaves of a document by their paths, less those that hold times."""
    if isinstance(value, dict):
        inner = {f"{name}.{key}": part for key, part in value.items() if key not in LEFT_OUT}
    elif isinstance(value, list):
        inner = {f"{name}[{n}]": part for n, part in enumerate(value)}
    else:
        return {name: value}
    return {path: leaf for key, part in inner.items() for path, leaf in flat(part, key).items()}


def difference(old: Any, new: Any) -> str:
    """In what two entries differ; empty if they are the same to the bit."""
    if old is ABSENT or new is ABSENT:
        return "only in the " + ("new" if old is ABSENT else "old")
    if isinstance(old, bytes):
        return "" if old == new else "other bytes"
    one, other = np.asarray(old), np.asarray(new)
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{one.dtype}{list(one.shape)} → {other.dtype}{list(other.shape)}"
    if one.dtype.kind == "O" or one.dtype.kind in "US":
        return "" if np.array_equal(one, other) else f"{old!s:.30} → {new!s:.30}"
    if one.tobytes() == other.tobytes():
        return ""
    if one.dtype.kind not in "fiu" or not one.ndim:
        return f"{old!s:.30} → {new!s:.30}"
    most = np.nanmax(np.abs(one.astype(float) - other.astype(float)))
    return f"{np.count_nonzero(one != other)} of {one.size} values, by at most {most:.3g}"


def compared(old: Side, new: Side) -> tuple[list[tuple[str, str, str]], int]:
    """The rows (file, entry, difference) of what differs, and how many entries there are."""
    codes = {"exit code of": (old.ended, new.ended)}
    paths = {
        str(path.relative_to(side.work)) for side in (old, new) for path in side.work.rglob("*")
        if path.is_file() and path.suffix not in SKIPPED and path.name != "log.txt"
    }  # fmt: skip
    files = {
        path: tuple(
            entries(side.work / path) if (side.work / path).exists() else {} for side in (old, new)
        )
        for path in sorted(paths)
    }
    rows, count = [], 0
    for path, (before, after) in (codes | files).items():
        for name in dict.fromkeys([*before, *after]):
            count += 1
            found = difference(before.get(name, ABSENT), after.get(name, ABSENT))
            if found:
                rows.append((path, name, found))
    return rows, count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", help="a revision of git")
    parser.add_argument("new", help="another")
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA", ""))
    parser.add_argument("--only", default=",".join(STUDIES), help="studies, comma-separated")
    parser.add_argument("--keep", type=Path, help="new folder for all that is written")
    parser.add_argument("--most", type=int, default=60, help="rows that are printed")
    given = parser.parse_args()
    wanted = {"tour", *given.only.split(",")}  # the others train on its tensors
    if not (given.data and (Path(given.data) / "aleph").is_dir()):
        wanted.discard("aleph")
        print("without ALEPH: --data names its folder", file=sys.stderr)
    studies = [name for name in STUDIES if name in wanted]
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        sides = [Side(getattr(given, name), folder / name, given.data) for name in ("old", "new")]
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda side: side.run(studies), sides))
        rows, count = compared(*sides)
    print("\n".join(["| file | entry | difference |", "|---|---|---|"] * bool(rows)))
    for row in rows[: given.most]:
        print(f"| {' | '.join(row)} |")
    print(f"{len(rows)} of {count} entries differ between {given.old} and {given.new}; "
          f"{', '.join(studies)} took {time.monotonic() - began:.0f} s")  # fmt: skip
    return int(bool(rows) or not count)


if __name__ == "__main__":
    sys.exit(main())
