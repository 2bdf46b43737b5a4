"""The deeper network of `hepdann benchmark moons` on further deals of its points.

    python benchmarks/studies/moons_deals.py [--deals 5] [--seeds 5]

Each deal has 300 points of each domain, other ones than those of the benchmark, and 2,000 further
turned ones for the test; its networks, λ and settings are those of the benchmark. Errors are shares
of the test points after the last epoch: of single networks (their mean), of their mean score at
λ = 1, and of that at the λ that reverse validation chooses.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hepdann.experiments.plans import make_moons, plan
from hepdann.parallel import Executor

FIRST, STEP = 1000, 10  # seeds of the points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deals", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    wanted = parser.parse_args()
    rows = []
    print("| deal | networks, λ = 1 | mean score, λ = 1 | mean score, chosen λ | chosen λ |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, Executor(2) as executor:
        _, deeper = plan("moons", Path(folder), None, wanted.seeds).trials[1]
        for deal in range(wanted.deals):
            place = Path(folder) / str(deal)
            make = partial(make_moons, seed=FIRST + STEP * deal)
            trial = replace(deeper, tensors=place.with_suffix(".h5"), folder=place, make=make)
            executor.submit(deal, trial)
        for deal, members in executor.completed():
            of_lambda = {v: [m for m in members if m["lambda"] == v] for v in deeper.lambdas}
            single, mean_score, validation = (
                {v: float(np.mean([m[name] for m in ms])) for v, ms in of_lambda.items()}
                for name in ("last", "mean_score", "reverse_validation")
            )
            best = max(validation, key=validation.__getitem__)
            rows.append([single[1.0], mean_score[1.0], mean_score[best]])
            cells = [f"{100 * (1 - right):.2f} %" for right in rows[-1]]
            print(f"| {deal} | {' | '.join(cells)} | {best:g} |", flush=True)
    errors = 100 * (1 - np.array(rows))
    cells = [f"{e.mean():.2f} ± {e.std(ddof=1):.2f} %" for e in errors.T]
    print(f"| all | {' | '.join(cells)} | |")


if __name__ == "__main__":
    main()
