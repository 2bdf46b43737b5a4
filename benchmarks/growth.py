"""How time and memory of whole commands grow with events, features and networks.

    python benchmarks/growth.py [--events 10000,100000,1000000] [--features 6,30,100,300]
        [--members 1,8,64,512] [-o growth.json]

Every figure is that of a process of its own: seconds of the processor and peak memory. Events grow
at 6 features, features and networks at the smallest number of events. The exponents are slopes of
straight lines through the logarithms of what comes on top of the smallest case, which is mostly
start-up: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import os
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from predict import write

HEPDANN = str(Path(sysconfig.get_path("scripts")) / "hepdann")
Figures = tuple[float, float]  # seconds, MB


def run(*arguments: object) -> Figures:
    """Seconds of the processor and peak memory of a command."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    command = [HEPDANN, *map(str, arguments)]
    pid = os.posix_spawn(HEPDANN, command, os.environ, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def commands(folder: Path, events: int, features: int, members: int) -> dict[str, Figures]:
    """Of convert, train (one epoch) and predict."""
    mc, data = (write(folder / f"{n}.root", events, features, s) for n, s in (("mc", 1), ("d", 2)))
    tensors, trained = folder / "t.h5", folder / "run"
    names = ",".join(f"x{i}" for i in range(features))
    found = {
        "convert": run(
            "convert", mc, data, "-o", tensors, "--features", names, "--label", "label",
            "--weight", "weight", "--data-weight", "weight",
        ),
        "train": run(
            "train", tensors, "-o", trained, "--seeds", members, "--epochs", 1, "--no-diagnose",
            "--workers", 1,
        ),
    }  # fmt: skip
    found["predict"] = run("predict", trained, data, "-o", folder / "scores.root")
    return found


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Slope of the logarithms; what the smallest size costs is taken for granted."""
    more = np.array(values[1:]) - values[0]
    if (more <= 0).any() or len(more) < 2:
        return float("nan")
    return float(np.polyfit(np.log(np.array(sizes[1:]) - sizes[0]), np.log(more), 1)[0])


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    base = {"events": options.events[0], "features": options.features[0], "members": 1}
    for what in base:
        sizes, rows = getattr(options, what), []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(commands(Path(folder), **base | {what: size}))
        for command in rows[0]:
            seconds, memory = zip(*(row[command] for row in rows), strict=True)
            yield {
                "grows": what, "command": command, "sizes": sizes, "seconds": seconds, "MB": memory,
                "exponents": (exponent(sizes, seconds), exponent(sizes, memory)),
            }  # fmt: skip


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, sizes in (
        ("events", "10000,100000,1000000"), ("features", "6,30,100,300"), ("members", "1,8,64,512"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", default=sizes, help="comma-separated")
    parser.add_argument("-o", "--output", type=Path, default=Path("growth.json"))
    options = parser.parse_args()
    for name in ("events", "features", "members"):
        setattr(options, name, [int(size) for size in getattr(options, name).split(",")])
    results = []
    print("| grows | command | sizes | CPU s | exponent | peak MB | exponent |\n|---|" + "---|" * 6)
    for row in measure(options):
        results.append(row)
        lists = [
            ", ".join(f"{v:{kind}}" for v in row[key])
            for key, kind in (("sizes", ","), ("seconds", ".1f"), ("MB", ".0f"))
        ]
        time, memory = (f"{value:.2f}" for value in row["exponents"])
        cells = [row["grows"], row["command"], lists[0], lists[1], time, lists[2], memory]
        print(f"| {' | '.join(cells)} |", flush=True)
    options.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
