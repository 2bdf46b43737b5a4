"""A stack without its domain head against TabM's packed ensemble of the same networks.

    pip install tabm
    python benchmarks/training/ensembles.py [--members 5 20] [--batch 128 1024] [-o ensembles.json]

K perceptrons 6-32-32-32-1 (ReLU) train on labels alone, on one thread and in turns: hepdann's as
``scan`` trains source-only (weights, a shuffle for each member, clipping, averages, validation),
TabM's (Gorishniy et al., ICLR 2025) by a lean loop, its members on the same batches (``shared``) or
each on its own. Figures are thousand events x members a second of the processor, medians over the
rounds, and ratios of a round.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from routes import Hepdann, domains
from sample import FEATURES, LEARNING_RATE, Sample, sample

WIDTHS = (32, 32, 32)


class Stack(Hepdann):
    """hepdann's: source-only whose domain head does not watch."""

    def __init__(self, events: Sample, batch: int, members: int) -> None:
        from hepdann import methods
        from hepdann.domains import resident
        from hepdann.networks import NetworkShape
        from hepdann.training import Member, Settings, StackTrainer

        scaling, source, target = domains(events)
        steps = len(events.x_source) // batch
        alone = methods.unwatched(methods.get("source-only"))
        self.trainer = StackTrainer(
            [Member(alone, 0.0, seed) for seed in range(members)],
            NetworkShape(FEATURES, 2, WIDTHS, (), (4,), "none"),
            [resident(source, scaling, device="cpu")],
            [resident(target, scaling, device="cpu")],
            Settings(epochs=1_000_000, batch_size=batch, steps=steps, learning_rate=LEARNING_RATE),
        )


class Packed:
    """TabM's, with resident tensors and fused Adam; no weights, no validation, no history."""

    def __init__(self, events: Sample, batch: int, members: int, *, shared: bool) -> None:
        import tabm
        from torch import nn

        self.batch, self.members, self.shared = batch, members, shared
        self.x, self.y = torch.tensor(events.x_source), torch.tensor(events.y_source).float()
        self.network = nn.Sequential(
            tabm.MLPBackboneEnsemble(
                d_in=FEATURES, n_blocks=len(WIDTHS), d_block=WIDTHS[0], dropout=0.0, k=members
            ),
            tabm.LinearEnsemble(WIDTHS[-1], 1, k=members),
        )
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, fused=True)

    def epoch(self) -> float:
        start, n = time.perf_counter(), len(self.y)
        loss_of = torch.nn.functional.binary_cross_entropy_with_logits
        columns = 1 if self.shared else self.members
        order = torch.stack([torch.randperm(n) for _ in range(columns)], dim=1)
        for first in range(0, n - self.batch + 1, self.batch):
            rows = order[first : first + self.batch].expand(-1, self.members)
            loss = loss_of(self.network(self.x[rows])[..., 0], self.y[rows], reduction="none")
            self.optimiser.zero_grad()
            loss.mean(0).sum().backward()
            self.optimiser.step()
        return time.perf_counter() - start


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--events", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    events, results = sample(given.events), []
    print("| batch | networks | hepdann, kev/s | / TabM, shared batches | / TabM, own batches |")
    print("|--:|--:|--:|--:|--:|")
    for batch, members in itertools.product(given.batch, given.members):
        routes: dict[str, Any] = {
            "hepdann": Stack(events, batch, members),
            "shared": Packed(events, batch, members, shared=True),
            "own": Packed(events, batch, members, shared=False),
        }
        times: dict[str, list[float]] = {name: [] for name in routes}
        for number, (name, route) in itertools.product(range(given.rounds + 1), routes.items()):
            start = time.process_time()
            route.epoch()
            if number:
                times[name].append(time.process_time() - start)
        rate = given.events * members / statistics.median(times["hepdann"]) / 1e3
        ratios = {
            name: statistics.median(
                b / a for a, b in zip(times["hepdann"], times[name], strict=True)
            )
            for name in ("shared", "own")
        }
        results.append({"batch": batch, "members": members, "kev_per_s": rate, **ratios})
        print(
            f"| {batch} | {members} | {rate:.0f} | {ratios['shared']:.1f} | {ratios['own']:.1f} |"
        )
    if given.output is not None:
        given.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
