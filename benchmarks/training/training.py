"""Adversarial training against peers and against loops that one would write by hand.

    python benchmarks/training/training.py [--peer skada=PYTHON] [--peer pytorch-adapt=PYTHON]
        [--peer adapt=PYTHON] [--batch 256 1024 6250] [--members 1 8 32] [--cores 0]
        [--rounds 5] [-o training.json]

The DANN of the original ALEPH study (features 6-10-10-10, label head 10-10-5-1, domain head
10-20-10-1, Adam at 1e-3) trains on 50,000 events of each domain. A peer is the name of a package
and the Python that has it; one that is not given, or does not run, is left out with a note. Each
route is a process of its own, pinned to ``--cores``; each round asks every route once, in turn, for
epochs of about a second. Figures are medians over the rounds of thousand source events × members
per second; ratios are taken round by round. With ``--clock cpu`` seconds are those of the processor
instead of the clock, which leaves out what other programs took of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OURS = ("hepdann", "hepdann fused")
LOOPS = ("lean", "DataLoader")
PEERS = ("skada", "pytorch-adapt", "adapt")
TARGETS = {  # of K members at batch 1024 on one core, over a route
    1: {"lean": 1.5, "DataLoader": 7.0},
    8: {"lean": 4.0, "DataLoader": 20.0, "pytorch-adapt": 40.0, "skada": 70.0},
}
Case = tuple[str, int, int]  # route, batch, members


class Worker:
    """A route in its process."""

    def __init__(self, route: str, python: str, cores: list[int], events: int) -> None:
        program = str(HERE / "worker.py")
        self.process = subprocess.Popen(
            [python, program, route, json.dumps(cores), str(events)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def ask(self, batch: int, members: int, seconds: float) -> list[float]:
        self.send(batch, members, seconds)
        return self.answer()

    def send(self, batch: int, members: int, seconds: float) -> None:
        assert self.process.stdin is not None
        print(json.dumps([batch, members, seconds]), file=self.process.stdin, flush=True)

    def answer(self) -> list[float]:
        return list(json.loads(self._answer()))

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(last_line(self.process.communicate()[1]))
        return line

    def close(self) -> None:
        self.process.communicate()


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["ended without a word"])[-1]


def start(options: argparse.Namespace) -> tuple[dict[str, Worker], dict[str, str]]:
    """The workers that start, and why the others do not."""
    pythons = dict.fromkeys((*OURS, *LOOPS), sys.executable) | dict(options.peer)
    workers, left_out = {}, {peer: "no --peer given" for peer in PEERS if peer not in pythons}
    for route, python in pythons.items():
        try:
            workers[route] = Worker(route, python, options.cores, options.events)
        except (OSError, RuntimeError) as error:
            left_out[route] = str(error)
    return workers, left_out


def cases(options: argparse.Namespace, routes: list[str]) -> Iterator[Case]:
    """Every case, so that those which are compared stand side by side."""
    for batch in options.batch:
        for route in routes:
            for members in options.members if route in OURS else [1]:
                yield route, batch, members


def measure(options: argparse.Namespace) -> dict[str, Any]:
    workers, left_out = start(options)
    rates: dict[Case, list[float]] = {}
    for number in range(options.rounds):
        for case in list(cases(options, list(workers))):
            route, batch, members = case
            if route in left_out:
                continue
            try:
                clock, cpu, _ = workers[route].ask(batch, members, options.seconds)
            except RuntimeError as error:
                left_out[route] = str(error)
                continue
            rates.setdefault(case, []).append(cpu if options.clock == "cpu" else clock)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    for worker in workers.values():
        worker.close()
    return {"left_out": left_out, "rows": [row(case, rates) for case in rates]}


def row(case: Case, rates: dict[Case, list[float]]) -> dict[str, Any]:
    """Median rate of a case, and its ratio to each single-network route at the same batch."""
    route, batch, members = case
    over = {
        other: statistics.median(
            ours / theirs for ours, theirs in zip(rates[case], found, strict=False)
        )
        for (other, other_batch, _), found in rates.items()
        if route in OURS and other not in OURS and other_batch == batch
    }
    return {
        "route": route,
        "batch": batch,
        "members": members,
        "thousand_events_per_s": statistics.median(rates[case]) / 1e3,
        "over": over,
    }


def show(figures: dict[str, Any]) -> None:
    others = [name for name in (*LOOPS, *PEERS) if name not in figures["left_out"]]
    print("| route | batch | K | kev/s |" + "".join(f" × {name} |" for name in others))
    print("|---|--:|--:|--:|" + "--:|" * len(others))
    for entry in sorted(figures["rows"], key=lambda r: (r["batch"], r["route"], r["members"])):
        cells = [f"{entry['over'][n]:.1f}" if n in entry["over"] else "" for n in others]
        rate = f"{entry['thousand_events_per_s']:.0f}"
        start = [entry["route"], str(entry["batch"]), str(entry["members"]), rate]
        print(f"| {' | '.join(start + cells)} |")
    for name, why in figures["left_out"].items():
        print(f"left out: {name}: {why}")


def misses(figures: dict[str, Any]) -> list[str]:
    """Targets that the best engine of hepdann does not reach."""
    found = []
    for members, wanted in TARGETS.items():
        for other, least in wanted.items():
            ratios = [
                entry["over"][other]
                for entry in figures["rows"]
                if entry["members"] == members and entry["batch"] == 1024
                if other in entry["over"]
            ]
            if ratios and max(ratios) < least:
                found.append(f"K = {members}: {max(ratios):.1f} × {other}, wanted {least:g}")
    return found


def peer(text: str) -> tuple[str, str]:
    name, _, python = text.partition("=")
    if name not in PEERS or not python:
        raise argparse.ArgumentTypeError(f"NAME=PYTHON with a name of {', '.join(PEERS)}")
    return name, python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=peer, action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1024, 6250])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--cores", type=int, nargs="+", default=[0], help="processors to pin to")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="least, of each measurement")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    figures = measure(options)
    show(figures)
    missed = misses(figures) if len(options.cores) == 1 else []
    for line in missed:
        print(f"missed: {line}")
    if options.output is not None:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
        given = {k: v for k, v in vars(options).items() if k not in ("peer", "output")}
        result = {"options": given, "machine": machine, **figures}
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
