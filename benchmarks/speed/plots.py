"""How fast figures are drawn, and a histogram of ten million events is filled.

    python benchmarks/speed/plots.py runs/data-1 --figures 100 --workers 2 -o plots.json

Draws the data/MC figures of a run again and again until there are as many as asked, in several
processes, once as PNG and once in all formats; and fills a weighted histogram of 10^7 events in
five groups with one pass of boost-histogram (in threads) and with numpy's histogram, group by
group, in turn. Prints wall time and, because other work on a machine stretches that, the processor
time of twelve figures in this process; writes JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from hepdann import evaluation, stats
from hepdann.config import PlotConfig
from hepdann.plotting import plot_run

ALL = ["png", "pdf", "svg"]


def clock(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall time and of this process's processor time."""
    start, before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - before


def figures(run: Path, number: int, workers: int, formats: list[str]) -> dict[str, float]:
    variables = [
        {"variable": f"{name} + {round_}", "name": f"{name}_{round_}"}
        for round_ in range(number)
        for name in evaluation.open_scores(run).features
    ][:number]
    look = PlotConfig.model_validate({"formats": formats, "figures": variables, "style": "CMS",
                                      "experiment": "CMS", "lumi": 4.4, "com": 8.0})  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = clock(lambda: plot_run(run, look, output=folder, workers=workers))
    found = {"figures": number, "workers": workers, "wall_s": wall}
    return found | ({"cpu_s": cpu} if workers == 1 else {})


def histograms(events: int, repeats: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=events), rng.normal(1.0, 0.1, size=events)
    process = rng.integers(0, 5, size=events)
    edges = np.linspace(-3, 3, 41)

    def one_by_one() -> None:
        for i in range(5):
            rows = process == i
            np.histogram(x[rows], edges, weights=weight[rows])
            np.histogram(x[rows], edges, weights=weight[rows] ** 2)

    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(clock(lambda: stats.fill(x, weight, edges, process, 5))[0])
        theirs.append(clock(one_by_one)[0])
    return {"events": events, "one_pass_s": median(ours), "numpy_s": median(theirs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--figures", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    results = {
        "histogram": histograms(args.events, 3),
        "png, one process": figures(args.run, 12, 1, ["png"]),
        "all, one process": figures(args.run, 12, 1, ALL),
        "png": figures(args.run, args.figures, args.workers, ["png"]),
        "all": figures(args.run, args.figures, args.workers, ALL),
    }
    for name, found in results.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in found.items()))
    if args.output is not None:
        args.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
