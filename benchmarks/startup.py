"""How long a help page takes, against the cost of importing click.

    python benchmarks/startup.py [--rounds 41] [-o startup.json]

Each round runs every command once, in turn, so that a busy moment of the machine meets all of
them; the figures are medians over the rounds, and ratios of each round to its ``import click``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

LIMIT = 3.0  # of `hepdann --help` over `import click`
HEPDANN = str(Path(sysconfig.get_path("scripts")) / "hepdann")
REFERENCE = "import click"
COMMANDS = {
    REFERENCE: [sys.executable, "-c", "import click"],
    "hepdann --help": [HEPDANN, "--help"],
    "hepdann --version": [HEPDANN, "--version"],
    "hepdann train --help": [HEPDANN, "train", "--help"],
    "hepdann convert --help": [HEPDANN, "convert", "--help"],
    "import hepdann": [sys.executable, "-c", "import hepdann"],
    "python": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, dict[str, float]]:
    for command in COMMANDS.values():  # files read, bytecode written
        seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    return {
        name: {
            "median_ms": 1e3 * statistics.median(values),
            "ratio": statistics.median(
                value / base for value, base in zip(values, times[REFERENCE], strict=True)
            ),
        }
        for name, values in times.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    figures = measure(options.rounds)
    print(f"{'command':<24}{'median':>10}{'ratio':>8}")
    for name, row in figures.items():
        print(f"{name:<24}{row['median_ms']:>7.1f} ms{row['ratio']:>8.2f}")
    if options.output is not None:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
        result = {"rounds": options.rounds, "limit": LIMIT, "machine": machine, "figures": figures}
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return int(figures["hepdann --help"]["ratio"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
