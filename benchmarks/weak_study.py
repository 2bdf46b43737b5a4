"""Classifiers without labels: CWoLa, label proportions, and a bump found with neither label nor MC.

    python benchmarks/weak_study.py                       # cwola and llp, five networks each
    python benchmarks/weak_study.py --inject 0,0.001,0.003,0.01 --toys 20

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
HUNT = [{"cut": "m > 2.9 and m < 3.1"}, {"cut": "m > 2.6 and m < 3.4"}]


def tensors(name: str, folder: Path, events: int, seed: int, **options: Any) -> Path:
    """The tensor file of a toy, with a smaller MC if it is the bump's."""
    import hepdann
    from hepdann import samples

    mc, data, truth = samples.write(name, folder, events, seed, truth=True, **options)
    if name == "bump":
        mc, *_ = samples.write(name, folder / "mc", events // 4, seed)
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


def significance(share: float, seed: int, events: int) -> float:
    """Of the excess in one toy."""
    import hepdann
    from hepdann.evaluation.mixtures.search import search

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = hepdann.train(
            tensors("bump", folder, events, seed, signal=share), method="cwola", mixtures=HUNT,
            check_mixtures=False, alignments=[], diagnose=False, oracle=False, seeds=1, epochs=12,
            folds=2, output=folder / "run",
        )  # fmt: skip
        (point,) = search(run.folder, "m", (2.9, 3.1), (2, 4), efficiencies=[0.01])
    return point.bump.significance


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--inject", help="shares of signal, comma-separated")
    parser.add_argument("--toys", type=int, default=10)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.inject is None:
        aucs("mixtures", ["cwola"], MIXED, given.events)
        aucs("proportions", ["llp", "llp-unbiased"], BAGS, given.events)
        return
    for share in map(float, given.inject.split(",")):
        found = np.array([significance(share, seed, 20_000) for seed in range(given.toys)])
        print(
            f"{share:.1%} signal: {found.mean():+.1f} ± {found.std(ddof=1):.1f} σ; above 2: "
            f"{(found > 2).sum()}, above 5: {(found > 5).sum()} of {given.toys}",
            flush=True,
        )


if __name__ == "__main__":
    main()
