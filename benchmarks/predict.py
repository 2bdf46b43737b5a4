"""Prediction against conversion of the same file, side by side.

    python benchmarks/predict.py [--events 1000000] [--features 6,30] [--rounds 5] [-o predict.json]

A file is written by uproot, and a run is trained on small ones of the same branches. Each round
converts the file and scores it with each method, in turn, in one process that has both in memory;
clock and CPU time are medians over the rounds, and ratios are taken round by round: the share of
the speed of ``convert`` that ``predict`` reaches. Every event passes the 5 networks of a method,
and of ``dann`` their domain heads too, which are four fifths of its arithmetic; ``dann, score`` is
asked for the score alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hepdann

BASKET = 100_000


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


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of the processors."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def measure(folder: Path, events: int, features: int, rounds: int) -> dict[str, Any]:
    """Times of every route, and of each round the share of the conversion's speed."""
    mc, data = (write(folder / f"{n}.root", 20_000, features, s) for n, s in (("mc", 1), ("d", 2)))
    names = [f"x{i}" for i in range(features)]
    settings: dict[str, Any] = {"features": names, "label": "label", "weight": "weight"}
    hepdann.convert(mc, data, output=folder / "t.h5", data_weight="weight", **settings)
    run = hepdann.train(folder / "t.h5", epochs=2, diagnose=False, output=folder / "run")
    large = write(folder / "large.root", events, features, 3)
    routes: dict[str, Callable[[], Any]] = {
        "convert": lambda: hepdann.convert(large, output=folder / "large.h5", **settings),
    }

    def predict(method: str, columns: tuple[str, ...] = ()) -> Callable[[], Any]:
        def go() -> None:
            output = folder / f"{method}.root"
            output.unlink(missing_ok=True)
            hepdann.predict(run, large, output=output, method=method, columns=columns)

        return go

    routes |= {method: predict(method) for method in ("source-only", "quantile", "dann")}
    routes["dann, score"] = predict("dann", ("score_signal", "spread", "selected"))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in routes}
    for work in routes.values():
        work()
    for _ in range(rounds):
        for name, work in routes.items():
            times[name].append(timed(work))
    medians = {
        name: [statistics.median(one) for one in zip(*found, strict=True)]
        for name, found in times.items()
    }
    base = times["convert"]
    ratios = {
        name: [
            statistics.median(c[kind] / t[kind] for c, t in zip(base, found, strict=True))
            for kind in (0, 1)
        ]
        for name, found in times.items()
    }
    return {"events": events, "features": features, "seconds": medians, "ratio": ratios}


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--features", default="6,30")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=Path("predict.json"))
    given = parser.parse_args()
    results = []
    print(f"{'features':>8}  {'route':<12}{'s':>8}{'CPU s':>8}{'speed':>8}{'by CPU':>8}")
    for features in map(int, given.features.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            result = measure(Path(folder), given.events, features, given.rounds)
        results.append(result)
        for name, (clock, cpu) in result["seconds"].items():
            share, by_cpu = result["ratio"][name]
            print(f"{features:>8}  {name:<12}{clock:>8.2f}{cpu:>8.2f}{share:>8.2f}{by_cpu:>8.2f}")
    given.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
