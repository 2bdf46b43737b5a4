"""Convert every tree of any ROOT files, and compare with uproot bit by bit.

    python benchmarks/checks/files.py FILE.root ...

Each file is converted as it is, without settings, which may end in an error of one line; then each
of its trees with all scalar numbers as features, twice (a file needs two classes: the second is a
copy). A tree is "same" if every value is what uproot reads, rounded to float32, in both halves;
"refused" if an error of one line says why; anything else ("differs", "traceback", "hang") is a
fault, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import uproot
from numpy.typing import NDArray

from hepdann.readers import scan

FAULTS = ("differs", "traceback", "hang")
MOST = 300  # columns of a tree that are compared


def run(arguments: list[str], limit: float) -> tuple[str, str]:
    """What became of ``hepdann convert``, and the last line that it said."""
    command = [sys.executable, "-m", "hepdann_cli.main", "convert", *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return "hang", ""
    said = (done.stderr.strip().splitlines() or [""])[-1]
    if "Traceback" in done.stderr or done.returncode not in (0, 2):
        return "traceback", said
    return ("converted" if done.returncode == 0 else "refused"), said


def columns(path: Path, tree: str) -> dict[str, NDArray[Any]]:
    """The scalar numbers of a tree as uproot reads them, by the names that hepdann gives."""
    names = [branch.name for branch in scan(str(path), tree)[0].branches.values() if branch.scalar]
    with uproot.open(path) as file:
        opened = file[tree]
        found = {}
        for name in names[:MOST]:
            values = np.asarray(opened[name].array())
            with np.errstate(over="ignore", invalid="ignore"):
                single = values.astype(np.float32)
            if np.isfinite(single).any() and "`" not in name:
                found[name] = np.where(np.isfinite(single), single, np.float32(np.nan))
    return found


def compare(path: Path, tree: str, folder: Path, limit: float) -> tuple[str, str]:
    """What became of one tree."""
    expected = columns(path, tree)
    if not expected:
        return "no numbers", ""
    copy, output, settings = folder / "copy.root", folder / "out.h5", folder / "settings.yaml"
    shutil.copy(path, copy)
    samples = [
        {"name": name, "role": "mc", "class": name, "files": f"{file}:{tree}"}
        for name, file in (("one", path.resolve()), ("two", copy))
    ]
    features = [f"`{name}`" for name in expected]
    settings.write_text(json.dumps({"samples": samples, "convert": {"features": features}}))
    found, said = run(["--config", str(settings), "-o", str(output)], limit)
    if found != "converted":
        return found, said
    with h5py.File(output) as file:
        halves = np.split(file["mc/features"][()], 2)
    wanted = np.stack(list(expected.values()), axis=1)
    same = all(np.array_equal(half, wanted, equal_nan=True) for half in halves)
    return ("same" if same else "differs"), f"{wanted.shape[0]} x {wanted.shape[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--limit", type=float, default=120, help="seconds for one conversion")
    options = parser.parse_args()
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for path in options.files:
            found, said = run([str(path), "-o", str(folder / "plain.h5")], options.limit)
            counts["file", found] += 1
            print(f"{path.name}: {found} {said}", flush=True)
            try:
                trees = list(scan(str(path))[0].trees)
            except Exception as error:
                print(f"    {type(error).__name__}: {error}")
                continue
            for tree in trees:
                found, said = compare(path, tree, folder, options.limit)
                counts["tree", found] += 1
                print(f"    {tree}: {found} {said}", flush=True)
    print("\n| | |\n|---|---:|")
    for (what, found), count in sorted(counts.items()):
        print(f"| {what}s {found} | {count} |")
    return int(any(found in FAULTS for _, found in counts))


if __name__ == "__main__":
    sys.exit(main())
