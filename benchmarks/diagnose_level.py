"""The level of the diagnosis: its p-values over 200 draws without a shift.

    python benchmarks/diagnose_level.py --data DIR

Each draw splits ALEPH's jets at random into "MC" and "data". The p-values of the two-sample test
must be uniform, and single features be named in about 1 % of the draws.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import uproot
from scipy.stats import kstest

from hepdann.evaluation import diagnose
from hepdann.samples import INPUTS
from hepdann.tensors import Target


def events(features: np.ndarray, first: int) -> Target:
    """Events of weight 1 with an identity of their own."""
    n = len(features)
    return Target(
        features.astype(np.float32),
        np.ones(n, np.float32),
        np.arange(first, first + n, dtype=np.uint64),
        np.zeros(n, np.uint8),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HEPDANN_DATA"))
    parser.add_argument("--draws", type=int, default=200)
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    with uproot.open(Path(given.data) / "aleph" / "aleph_mc.root") as file:
        columns = file["jets"].arrays(list(INPUTS), library="np")
    jets = np.stack([columns[name] for name in INPUTS], axis=1)
    values, named = [], 0
    for seed in range(given.draws):
        order = np.random.default_rng(seed).permutation(len(jets))
        first, second = np.array_split(jets[order], 2)
        sides = events(first, 0), events(second, len(first))
        found = diagnose(*sides, INPUTS, seed=seed)
        values.append(found.test.p_value)
        named += bool(found.differing)
    below = [float(np.mean(np.array(values) < level)) for level in (0.01, 0.05, 0.5)]
    print(f"{given.draws} draws without a shift: KS test of uniform p-values p = "
          f"{kstest(values, 'uniform').pvalue:.2f}")  # fmt: skip
    print(f"below .01, .05, .5: {below[0]:.3f}, {below[1]:.3f}, {below[2]:.3f}")
    print(f"draws in which a feature is said to differ: {named / given.draws:.3f}")


if __name__ == "__main__":
    main()
