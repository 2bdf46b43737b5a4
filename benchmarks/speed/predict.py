"""Prediction against conversion of the same file, side by side.

    python benchmarks/speed/predict.py [--events 1000000] [--features 6,30] [--rounds 5] [-o FILE]

A file is written by uproot, and a run is trained on small ones of the same branches. Each round
converts the file and scores it with each method, in turn: as commands, processes of their own with
their start, and then in one process that has imported everything. Clock and CPU time are medians
over the rounds, and ratios are taken round by round: the share of the speed of ``convert`` that
``predict`` reaches. Every event passes the 5 networks of a method, and of ``dann`` their domain
heads too, which are four fifths of its arithmetic; ``dann, score`` is asked for the score alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import hepdann

BASKET = 100_000
HEPDANN = str(Path(sysconfig.get_path("scripts")) / "hepdann")
UNCOMPILED = "PYTHONDONTWRITEBYTECODE"  # a user has the bytecode after the first start
FIGURES = ("clock_s", "cpu_s", "speed", "speed_by_cpu")


def write(path: Path, events: int, features: int, seed: int) -> Path:
    """A tree of float features, run and event numbers, a weight and a label."""
    import uproot

    random = np.random.default_rng(seed)
    types = {f"x{i}": "f4" for i in range(features)}
    types |= {"run": "i4", "event": "i8", "weight": "f4", "label": "i4"}
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("events", types)
        for start in range(0, events, BASKET):
            n = min(BASKET, events - start)
            label = (random.random(n) < 0.3).astype("i4")
            columns = {
                f"x{i}": np.round(random.normal(0.5 * label, 1), 4).astype("f4")
                for i in range(features)
            }
            tree.extend({
                **columns, "run": np.full(n, seed, "i4"), "event": np.arange(start, start + n),
                "weight": random.uniform(0.5, 1.5, n).astype("f4"), "label": label,
            })  # fmt: skip
    return path


def timed(work: Callable[[], Any], whose: int) -> tuple[float, float]:
    """Seconds by the clock, and of the processors."""
    clock, before = time.perf_counter(), resource.getrusage(whose)
    work()
    clock, after = time.perf_counter() - clock, resource.getrusage(whose)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command(*words: object) -> Callable[[], Any]:
    """What runs ``hepdann`` in a process of its own."""
    line = [HEPDANN, *map(str, words)]
    kept = {name: value for name, value in os.environ.items() if name != UNCOMPILED}
    return lambda: subprocess.run(line, check=True, capture_output=True, env=kept)


def measure(folder: Path, events: int, features: int, rounds: int) -> list[dict[str, Any]]:
    """Times of every route, and of each round the share of the conversion's speed."""
    mc, data = (write(folder / f"{n}.root", 20_000, features, s) for n, s in (("mc", 1), ("d", 2)))
    names = [f"x{i}" for i in range(features)]
    settings: dict[str, Any] = {"features": names, "label": "label", "weight": "weight"}
    hepdann.convert(mc, data, output=folder / "t.h5", data_weight="weight", **settings)
    run = hepdann.train(folder / "t.h5", epochs=2, diagnose=False, output=folder / "run")
    large, converted = write(folder / "large.root", events, features, 3), folder / "large.h5"
    scored, columns = folder / "scores.root", ("score_signal", "spread", "selected")
    options = ("--features", ",".join(names), "--label", "label", "--weight", "weight")
    processes = {"convert": command("convert", large, "-o", converted, *options)}
    calls: dict[str, Callable[[], Any]] = {
        "convert": lambda: hepdann.convert(large, output=converted, **settings)
    }
    for name, some in (
        ("source-only", ()),
        ("quantile", ()),
        ("dann", ()),
        ("dann, score", columns),
    ):
        method, words = name.partition(",")[0], ("--columns", ",".join(some)) if some else ()
        line = ("predict", run.folder, large, "-o", scored, "--method", method, *words)
        processes[name] = command(*line)
        calls[name] = partial(
            hepdann.predict, run, large, output=scored, method=method, columns=some
        )
    return [
        {"events": events, "features": features, "measured": measured, "route": name, **figures}
        for measured, routes, whose in (
            ("commands", processes, resource.RUSAGE_CHILDREN),
            ("in process", calls, resource.RUSAGE_SELF),
        )
        for name, figures in compare(routes, whose, rounds, (converted, scored)).items()
    ]


def compare(
    routes: dict[str, Callable[[], Any]], whose: int, rounds: int, outputs: tuple[Path, ...]
) -> dict[str, dict[str, float]]:
    """Medians of each route over the rounds, and of its ratios to the first."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in routes}
    for number in range(rounds + 1):
        for name, work in routes.items():
            for path in outputs:
                path.unlink(missing_ok=True)
            taken = timed(work, whose)
            if number:  # the first finds nothing in memory
                times[name].append(taken)
    base = next(iter(times.values()))
    figures = {}
    for name, rows in times.items():
        ratios = [(c[0] / t[0], c[1] / t[1]) for c, t in zip(base, rows, strict=True)]
        columns = (*zip(*rows, strict=True), *zip(*ratios, strict=True))
        figures[name] = dict(zip(FIGURES, map(statistics.median, columns), strict=True))
    return figures


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--features", default="6,30")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=Path("predict.json"))
    given = parser.parse_args()
    results = []
    print(
        f"{'features':>8}  {'measured':<11}{'route':<12}"
        + "".join(f"{name:>8}" for name in ("s", "CPU s", "speed", "by CPU"))
    )
    for features in map(int, given.features.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(Path(folder), given.events, features, given.rounds):
                results.append(row)
                figures = "".join(f"{row[name]:>8.2f}" for name in FIGURES)
                print(
                    f"{features:>8}  {row['measured']:<11}{row['route']:<12}{figures}", flush=True
                )
    given.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
