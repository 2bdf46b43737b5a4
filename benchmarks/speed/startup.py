"""How long a help page and a small conversion take, against what they import.

    python benchmarks/speed/startup.py [--rounds 41] [-o startup.json]

Each round runs every command once, in turn, so that a busy moment of the machine meets all of
them; the figures are seconds of the processor, with bytecode written: medians over the rounds, and
ratios of each round to its ``import click``, of the conversion to ``import uproot, h5py, numpy``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

LIMIT = 3.0  # of `hepdann --help` over `import click`
HEPDANN = str(Path(sysconfig.get_path("scripts")) / "hepdann")
REFERENCE, READING = "import click", "import uproot, h5py, numpy"
CONVERSION = "hepdann convert"
COMMANDS = {
    REFERENCE: [sys.executable, "-c", REFERENCE],
    READING: [sys.executable, "-c", READING],
    CONVERSION: [HEPDANN, "convert", "mc.root", "data.root", "--label", "isb", "-o", "t.h5"],
    "hepdann --help": [HEPDANN, "--help"],
    "hepdann --version": [HEPDANN, "--version"],
    "hepdann train --help": [HEPDANN, "train", "--help"],
    "hepdann convert --help": [HEPDANN, "convert", "--help"],
    "import hepdann": [sys.executable, "-c", "import hepdann"],
    "python": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str], folder: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    Path(folder, "t.h5").unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int, folder: str) -> dict[str, dict[str, float]]:
    for command in COMMANDS.values():  # files read, bytecode written
        seconds(command, folder)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command, folder))
    return {
        name: {
            "median_ms": 1e3 * statistics.median(values),
            "ratio": statistics.median(
                value / base
                for value, base in zip(
                    values, times[READING if name == CONVERSION else REFERENCE], strict=True
                )
            ),
        }
        for name, values in times.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        toy = [HEPDANN, "simulate", "bjets", "-o", folder, "--events", "1000"]
        subprocess.run(toy, check=True, stdout=subprocess.DEVNULL)
        figures = measure(options.rounds, folder)
    print(f"{'command':<28}{'median':>10}{'ratio':>8}")
    for name, row in figures.items():
        print(f"{name:<28}{row['median_ms']:>7.1f} ms{row['ratio']:>8.2f}")
    if options.output is not None:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
        result = {"rounds": options.rounds, "limit": LIMIT, "machine": machine, "figures": figures}
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return int(figures["hepdann --help"]["ratio"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
