"""Whole commands against the reference of the last release: ``make bench``.

    python benchmarks/speed/regression.py [--rounds 3] [--write]

Every command is a process of its own and counts by the seconds of the processor that it takes, in
units of a probe (matrix products, sorting and interpreted Python) that runs before each of them;
the figure is the least of the rounds. The table shows the ratio to ``reference.json``, which
``--write`` replaces: above 1 is slower than it was.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

REFERENCE = Path(__file__).with_name("reference.json")
HEPDANN = str(Path(sysconfig.get_path("scripts")) / "hepdann")
_PR_SET_CHILD_SUBREAPER = 36
COMMANDS = {  # in this order, in an empty folder
    "start-up": "--version",
    "simulate": "simulate bjets -o toy",
    "convert": "convert toy/mc.root toy/data.root --label isb -o tensors.h5",
    "train": "train tensors.h5 --shift gaussian --t 8 --epochs 4 --workers 1 -o run",
    "diagnose": "diagnose tensors.h5",
    "evaluate": "evaluate run --recompute",
    "plot": "plot run",
    "report": "report run -o report.html",
    "predict": "predict run toy/data.root -o scores.root",
}


def probe() -> float:
    """Seconds of the processor that a fixed amount of work takes."""
    values = np.random.default_rng(1).normal(size=(500, 500)).astype(np.float32)
    with threadpool_limits(1):
        start = time.process_time()
        for _ in range(30):
            values @ values
            np.sort(values.ravel())
        sum(n % 7 for n in range(1_000_000))
        return time.process_time() - start


def seconds(arguments: str, folder: str) -> float:
    """Seconds of the processor that a command takes, with all its processes."""
    command = f"cd '{folder}' && exec '{HEPDANN}' {arguments} > log.txt 2>&1"
    before = os.times()
    if os.system(command):
        raise SystemExit(f"failed: hepdann {arguments}\n{Path(folder, 'log.txt').read_text()}")
    with contextlib.suppress(ChildProcessError):
        while True:  # workers end behind the command, and count from when they are waited for
            os.wait()
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


def main() -> int:
    """Measure, and print a table or replace the reference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="replace the reference")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(
            _PR_SET_CHILD_SUBREAPER, 1
        )  # orphans become children of this process
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, arguments in COMMANDS.items():
                unit = probe()
                found[name].append(seconds(arguments, folder) / unit)
    least = {name: round(min(values), 3) for name, values in found.items()}
    if options.write:
        REFERENCE.write_text(json.dumps(least, indent=1) + "\n")
    reference = json.loads(REFERENCE.read_text())
    print(f"{'command':<10}{'probes':>8}{'reference':>11}{'ratio':>7}")
    for name, value in least.items():
        print(f"{name:<10}{value:>8.2f}{reference[name]:>11.2f}{value / reference[name]:>7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
