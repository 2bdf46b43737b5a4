"""What a training costs around its steps: start-up, more processes, a scan as one stack.

    python benchmarks/training_scaling.py [--engine torch] [--processes 2] [--rounds 5]
        [--what start processes scan] [--clock wall] [-o scaling.json]

* start: from nothing to the first step, over ``import torch`` alone, each in a process of its own
* processes: N trainings at once, each pinned to a processor of its own, over one alone; by the
  clock or, where other programs keep the machine busy, by processor time (``--clock cpu``)
* scan: an epoch of 5 t × 4 λ × 4 methods × 5 seeds = 400 networks, in stacks of ``--stack``, over
  the same networks one after another, of which every ``--every``-th is timed

Figures are medians over rounds in which the things compared take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training import Worker

HERE = Path(__file__).parent
FIRST_STEP = """
import sys; sys.path.insert(0, sys.argv[1])
from training_routes import ROUTES
from training_sample import sample
route = ROUTES[sys.argv[2]](sample(2_000), 1_024, 1, 1)
route.epoch()
"""


def seconds(code: str, *arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def start_up(options: argparse.Namespace) -> dict[str, float]:
    """Seconds to the first step (the data made, networks and tensors set up), over torch alone."""
    name = ROUTE[options.engine]
    seconds(FIRST_STEP, str(HERE), name)  # bytecode written, loops compiled
    rounds = [
        (seconds("import torch"), seconds(FIRST_STEP, str(HERE), name))
        for _ in range(options.rounds)
    ]
    return {
        "import_torch_s": statistics.median(torch for torch, _ in rounds),
        "first_step_s": statistics.median(first for _, first in rounds),
        "ratio": statistics.median(first / torch for torch, first in rounds),
    }


def processes(options: argparse.Namespace) -> dict[str, float]:
    """Rate of N processes together, over that of one alone."""
    cores = sorted(os.sched_getaffinity(0))[: options.processes]
    workers = [Worker(ROUTE[options.engine], sys.executable, [core], 50_000) for core in cores]
    ratios, which = [], ("wall", "cpu").index(options.clock)
    for _ in range(options.rounds):
        alone = workers[0].ask(1_024, 8, 2.0)[which]
        for worker in workers:
            worker.send(1_024, 8, 2.0)
        ratios.append(sum(worker.answer()[which] for worker in workers) / alone)
    for worker in workers:
        worker.close()
    return {"processes": len(cores), "speed_up": statistics.median(ratios)}


def scan(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of an epoch of a scan, in stacks and one network after another."""
    from training_grid import Grid

    engine = options.engine
    grid = Grid(options.events, options.methods)
    stacks, each = [], []
    for _ in range(options.rounds):
        stacks.append(grid.in_stacks(options.stack, engine))
        each.append(grid.one_by_one(options.every, engine))
    ratio = statistics.median(one / many for one, many in zip(each, stacks, strict=True))
    return {
        "networks": len(grid.members),
        "stacks_s": statistics.median(stacks),
        "one_after_another_s": statistics.median(each),
        "ratio": ratio,
    }


ROUTE = {"torch": "hepdann", "fused": "hepdann fused"}
WHAT: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "start": start_up,
    "processes": processes,
    "scan": scan,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=list(ROUTE), default="torch")
    parser.add_argument("--what", nargs="+", choices=list(WHAT), default=list(WHAT))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="of processes")
    parser.add_argument("--stack", type=int, default=8, help="networks of a stack of the scan")
    parser.add_argument("--every", type=int, default=25, help="of the networks one by one")
    parser.add_argument(
        "--methods", nargs="+", default=["source-only", "dann", "dann", "dann-alternating"]
    )
    parser.add_argument("--events", type=int, default=10_000, help="of each domain, in the scan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for what in options.what:
        figures[what] = WHAT[what](options)
        print(what, *(f"{name} {value:.3g}" for name, value in figures[what].items()))
    if options.output is not None:
        result = {"engine": options.engine, "rounds": options.rounds, "figures": figures}
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
