"""A step captured in a CUDA graph against the same step launched kernel by kernel.

    python benchmarks/training_graph.py [--members 1 8 32] [--batch 256 1024 6250] [--rounds 5]

The network and the samples are those of `benchmarks/training.py`. Both engines train whole epochs
on the same events, in turn; a rate is source events times members per second by the clock, and
`apart` the largest difference between their parameters after two epochs from the same start.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from training_routes import domains
from training_sample import DOMAIN_HEAD, EXTRACTOR, FEATURES, LABEL_HEAD, sample

from hepdann import methods
from hepdann.networks import NetworkShape
from hepdann.training import Member, Settings, StackTrainer, resident

_ENGINES = ("torch", "graph")
_EVENTS = 50_000


class Bench:
    """The same training by either engine."""

    def __init__(self, events: int, batch: int, members: int, device: str) -> None:
        scaling, source, target = domains(sample(events))
        self.sources = [resident(source, scaling, device=device)]
        self.targets = [resident(target, scaling, device=device)]
        self.members = [Member(methods.get("dann"), 1.0, seed) for seed in range(members)]
        self.device, self.batch, self.steps = device, batch, events // batch

    def train(self, engine: str, epochs: int = 2) -> tuple[float, StackTrainer]:
        """Rate of the last epoch, and the networks."""
        settings = Settings(
            epochs=epochs, batch_size=self.batch, steps=self.steps, engine=engine,
            device=self.device,
        )  # fmt: skip
        shape = NetworkShape(FEATURES, 2, EXTRACTOR, LABEL_HEAD, DOMAIN_HEAD, "none")
        trainer = StackTrainer(self.members, shape, self.sources, self.targets, settings)
        ends: list[float] = []

        def epoch_ends(_: StackTrainer) -> None:
            if self.device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

        trainer.run(save=epoch_ends)
        seconds = ends[-1] - ends[-2]
        return self.steps * self.batch * len(self.members) / seconds, trainer

    def apart(self) -> float:
        """Largest difference between the engines' parameters."""
        one, other = (self.train(engine)[1].parts for engine in _ENGINES)
        return max(float((one[n].value - other[n].value).abs().max()) for n in one)


def main() -> int:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1024, 6250])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("skipped: torch sees no CUDA device")
        return 0
    rows = []
    for batch, members in itertools.product(options.batch, options.members):
        bench = Bench(_EVENTS, batch, members, "cuda")
        rates: dict[str, list[float]] = {engine: [] for engine in _ENGINES}
        for _ in range(options.rounds):
            for engine in _ENGINES:
                rates[engine].append(bench.train(engine)[0])
        middle = {engine: statistics.median(found) for engine, found in rates.items()}
        row = {"batch": batch, "members": members, **middle, "apart": bench.apart()}
        rows.append(row)
        torch_rate, graph_rate = (middle[engine] / 1e3 for engine in _ENGINES)
        print(
            f"batch {batch:5d}  K = {members:2d}: torch {torch_rate:8.0f}, graph {graph_rate:8.0f} "
            f"thousand events/s ({graph_rate / torch_rate:.2f}), apart {row['apart']:.1e}"
        )
    if options.json is not None:
        found = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
