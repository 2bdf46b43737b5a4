"""Classifiers without labels: CWoLa, label proportions, and a bump found with neither label nor MC.

    python benchmarks/studies/weak.py                       # cwola and llp, five networks each
    python benchmarks/studies/weak.py --inject 0,0.001,0.003,0.01 --toys 100

AUCs are those of single networks on the test split of the MC, whose classes are pure: mean ±
standard deviation over five seeds, beside source-only, which knows the labels. An injected toy is
20,000 events, of which the given share is a resonance; cwola distinguishes the region 2.9 to 3.1
from its neighbourhood in two folds, and the significance is that of the cut that keeps 1 % of the
sidebands.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

BAGS = [{"cut": "bag == 1", "fraction": 0.7}, {"cut": "bag == 0", "fraction": 0.4}]
MIXED = [{"cut": "mixture == 1"}, {"cut": "mixture == 0"}]


def tensors(name: str, folder: Path, events: int, seed: int) -> Path:
    """The tensor file of a toy."""
    import hepdann
    from hepdann import samples

    mc, data, truth = samples.write(name, folder, events, seed, truth=True)
    spectators = list(samples.TOYS[name].spectators)
    output = folder / f"{name}.h5"
    hepdann.convert(mc, data, truth=truth, spectators=spectators, output=output)
    return output


def aucs(name: str, methods: list[str], mixtures: list[dict[str, Any]], events: int) -> None:
    """Train and print the AUC of each method."""
    import hepdann

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = hepdann.train(
            tensors(name, folder, events, 0), method=methods, mixtures=mixtures, alignments=[],
            diagnose=False, seeds=5, epochs=6, output=folder / "run",
        )  # fmt: skip
        for method in ("source-only", *methods, "oracle"):
            one = run.metrics["methods"][method]["members"]["mc_auc"]
            print(f"{name:12} {method:14} AUC {one['mean']:.4f} ± {one['std']:.4f}", flush=True)


def significances(share: float, seeds: range, events: int) -> Any:
    """Of the excess in toys, whose networks of both folds train side by side as one stack."""
    import torch

    from hepdann import methods
    from hepdann.domains import Scaling, resident
    from hepdann.evaluation.bump_search import passing
    from hepdann.networks import NetworkShape
    from hepdann.samples import TOYS
    from hepdann.stats.histograms import find_bump
    from hepdann.training import Member, Settings, StackTrainer

    toys = [TOYS["bump"].draw(np.random.default_rng([s, 7]), events, "data", share) for s in seeds]
    tables = [np.stack([toy[f"x{k}"] for k in (1, 2, 3)], 1).astype(np.float32) for toy in toys]
    fold = np.arange(events) % 2
    sources = [_mixed(toy["m"], x, fold == k) for toy, x in zip(toys, tables, strict=True)
               for k in (0, 1)]  # fmt: skip
    known = Scaling.fit(sources[0], np.zeros(3))
    sides = [resident(source, known, device="cpu") for source in sources]
    kind = methods.unwatched(methods.get("source-only"))
    few = min(len(side.x) for side in sides)
    trainer = StackTrainer(
        [Member(kind, 0.0, seed=k, source=k) for k in range(len(sides))], NetworkShape(3, 2),
        sides, sides[:1], Settings(epochs=12, batch_size=128, steps=few // 128),
    )  # fmt: skip
    trainer.run()
    found = []
    with trainer.chosen() as network:
        for number, (toy, x) in enumerate(zip(toys, tables, strict=True)):
            every = torch.from_numpy(known.apply(x).T[None])
            score = np.empty(events)
            for k in (0, 1):
                rows = torch.from_numpy(np.flatnonzero(fold == k))
                out = network.classify(every[..., rows], 0)[2 * number + k, :, 1]
                score[fold == k] = out.numpy()
            m = toy["m"]
            kept = passing(score, (m < 2.9) | (m >= 3.1), fold, 0.01)
            found.append(find_bump(m[kept], (2.9, 3.1), (2, 4)).significance)
    return np.array(found)


def _mixed(m: Any, x: Any, held_out: Any) -> Any:
    """The two mixtures of a toy, as ``cwola`` weighs them, without one fold."""
    from hepdann.tensors import Source

    inside = (m > 2.9) & (m < 3.1)
    rows = np.flatnonzero((m > 2.6) & (m < 3.4) & ~held_out)
    first, split = inside[rows], np.arange(len(rows)) % 6 == 5
    weight = np.where(first, 0.5 / first.mean(), 0.5 / (~first).mean()).astype(np.float32)
    ids, label = rows.astype(np.uint64), first.astype(np.int32)
    return Source(x[rows], weight, ids, split.astype(np.uint8), label, ("other", "region"))


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--inject", help="shares of signal, comma-separated")
    parser.add_argument("--toys", type=int, default=100)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.inject is None:
        aucs("mixtures", ["cwola"], MIXED, given.events)
        aucs("proportions", ["llp", "llp-unbiased"], BAGS, given.events)
        return
    for share in map(float, given.inject.split(",")):
        parts = [
            significances(share, range(first, min(first + 20, given.toys)), 20_000)
            for first in range(0, given.toys, 20)
        ]
        found = np.concatenate(parts)
        print(
            f"{share:.1%} signal: {found.mean():+.2f} ± {found.std(ddof=1):.2f} σ; at most 2: "
            f"{(found <= 2).sum()}, at least 5: {(found >= 5).sum()} of {given.toys}",
            flush=True,
        )


if __name__ == "__main__":
    main()
