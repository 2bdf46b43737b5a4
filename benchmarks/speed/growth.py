"""How time and memory of whole commands grow with events, features and networks.

    python benchmarks/speed/growth.py [--events 10000,100000,1000000,10000000]
        [--features 6,30,100,300,1000] [--members 1,8,64,512] [-o growth.json]

Every figure is that of a process of its own: seconds of the processor and peak memory. Events grow
at 6 features, features and networks at the smallest number of events; a training has at most a
million events of each domain. The exponents are those between the two largest sizes, of what comes
on top of the smallest case, which is mostly start-up: 1 is linear.
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
MOST = 1_000_000  # events of each domain that are trained on
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
    """Of convert, train (one epoch) and predict; of train up to ``MOST`` events."""
    tensors, trained = folder / "t.h5", folder / "run"
    names = ",".join(f"x{i}" for i in range(features))

    def convert(events: int) -> tuple[Path, Figures]:
        mc, data = (
            write(folder / f"{name}.root", events, features, seed)
            for name, seed in (("mc", 1), ("d", 2))
        )
        return data, run(
            "convert", mc, data, "-o", tensors, "--features", names, "--label", "label",
            "--weight", "weight", "--data-weight", "weight",
        )  # fmt: skip

    data, conversion = convert(min(events, MOST))
    training = run(
        "train", tensors, "-o", trained, "--seeds", members, "--epochs", 1, "--no-diagnose",
        "--workers", 1,
    )  # fmt: skip
    figures = {"convert": conversion, "train": training}
    if events > MOST:
        data, figures["convert"] = convert(events)
        del figures["train"]
    figures["predict"] = run("predict", trained, data, "-o", folder / "scores.root")
    return figures


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Between the two largest sizes; what the smallest size costs is taken for granted."""
    more = np.array(values[1:][-2:]) - values[0]
    if (more <= 0).any() or len(more) < 2:
        return float("nan")
    return float(np.ptp(np.log(more)) / np.diff(np.log(np.array(sizes[-2:]) - sizes[0]))[0])


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    base = {"events": options.events[0], "features": options.features[0], "members": 1}
    for what in base:
        sizes, rows = getattr(options, what), []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(commands(Path(folder), **base | {what: size}))
        for command in rows[0]:
            measured = [row[command] for row in rows if command in row]
            seconds, memory = zip(*measured, strict=True)
            done = sizes[: len(measured)]
            yield {
                "grows": what, "command": command, "sizes": done, "seconds": seconds, "MB": memory,
                "exponents": (exponent(done, seconds), exponent(done, memory)),
            }  # fmt: skip


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, sizes in (
        ("events", "10000,100000,1000000,10000000"), ("features", "6,30,100,300,1000"),
        ("members", "1,8,64,512"),
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
