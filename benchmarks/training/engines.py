"""The same training by the fused engine and by torch's: how fast, and how far apart it ends.

    python benchmarks/training/engines.py [--network default] [--members 1 5 15]
        [--batch 256 1024] [--rounds 3] [--json FILE]

Both engines train whole epochs of `dann` with validation and history on the same 50,000 events of
each domain, in turn. A rate is source events times members per second of the processor, in the last
of two epochs. `apart` is the largest difference between their parameters after two epochs from the
same start. `peak` is the fused engine's share of the rate of torch's product of two matrices of
1024 x 1024 in float32, measured in turn; of an epoch, the multiplications and additions of products
count, forward and backward.
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
from routes import domains
from sample import DOMAIN_HEAD, EXTRACTOR, FEATURES, LABEL_HEAD, sample

from hepdann import methods
from hepdann.domains import resident
from hepdann.networks import NetworkShape
from hepdann.training import Member, Settings, StackTrainer

NETWORKS = {
    "study": NetworkShape(FEATURES, 2, EXTRACTOR, LABEL_HEAD, DOMAIN_HEAD, "none"),
    "default": NetworkShape(FEATURES, 2),
}


def operations(shape: NetworkShape) -> float:
    """Of a step of `dann`, for an event of the source and one of the target."""
    head = [shape.extractor[-1]]
    chains = [
        [shape.inputs, *shape.extractor],
        [*head, *shape.label_head, 1],
        [*head, *shape.domain_head, 1],
    ]
    extractor, label, domain = (sum(a * b for a, b in itertools.pairwise(c)) for c in chains)
    no_slopes = shape.inputs * shape.extractor[0]  # of the inputs
    return 6 * (2 * extractor + label + 2 * domain) - 2 * 2 * no_slopes


def largest_rate(size: int = 1024, rounds: int = 20) -> float:
    """Operations a second of the processor that torch reaches in a large product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    taken = []
    for _ in range(rounds):
        start = time.thread_time()
        torch.mm(a, b)
        taken.append(time.thread_time() - start)
    return 2 * size**3 / statistics.median(taken)


class Bench:
    """The same training by either engine.

    Args:
        events: of each domain.
    """

    def __init__(self, events: int) -> None:
        scaling, source, target = domains(sample(events))
        self.sources = [resident(source, scaling, device="cpu")]
        self.targets = [resident(target, scaling, device="cpu")]
        self.events = events

    def train(
        self, engine: str, shape: NetworkShape, members: int, batch: int
    ) -> tuple[float, StackTrainer]:
        """Rate of the second epoch, and the networks."""
        steps, ends = self.events // batch, list[float]()
        settings = Settings(epochs=2, batch_size=batch, steps=steps, engine=engine)
        several = [Member(methods.get("dann"), 1.0, seed) for seed in range(members)]
        trainer = StackTrainer(several, shape, self.sources, self.targets, settings)
        trainer.run(save=lambda _: ends.append(time.process_time()))
        return steps * batch * members / (ends[1] - ends[0]), trainer


def compared(
    bench: Bench, shape: NetworkShape, members: int, batch: int, rounds: int
) -> dict[str, float]:
    """Median rates, the median of their ratios round by round, and how far apart they end."""
    rates: dict[str, list[float]] = {"torch": [], "fused": []}
    last: dict[str, StackTrainer] = {}
    peaks = list[float]()
    for name in ["fused", *(name for _ in range(rounds) for name in rates)]:  # one to compile
        rate, last[name] = bench.train(name, shape, members, batch)
        rates[name].append(rate)
        peaks.append(largest_rate())
    rates["fused"].pop(0)
    one, other = (last[name].parts for name in rates)
    pairs = zip(rates["fused"], rates["torch"], strict=True)
    return {
        "torch": statistics.median(rates["torch"]),
        "fused": statistics.median(rates["fused"]),
        "ratio": statistics.median(new / old for new, old in pairs),
        "peak": statistics.median(rates["fused"]) * operations(shape) / statistics.median(peaks),
        "apart": max(float((one[n].value - other[n].value).detach().abs().max()) for n in one),
    }


def main() -> int:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=list(NETWORKS), default="study")
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1_024, 6_250])
    parser.add_argument("--events", type=int, default=50_000, help="of each domain")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench, rows = Bench(options.events), []
    for batch, members in itertools.product(options.batch, options.members):
        shape = NETWORKS[options.network]
        found = compared(bench, shape, members, batch, options.rounds)
        rows.append({"batch": batch, "members": members, **found})
        print(
            f"batch {batch:5d}  K = {members:2d}: torch {found['torch'] / 1e3:8.0f}, fused "
            f"{found['fused'] / 1e3:8.0f} thousand events/s ({found['ratio']:.2f}), "
            f"peak {found['peak']:.0%}, apart {found['apart']:.1e}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
