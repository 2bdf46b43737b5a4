"""Level and power of the diagnosis: how often each of its tests finds a shift.

    python benchmarks/aleph/diagnose_level.py --data DIR
    python benchmarks/aleph/diagnose_level.py --data DIR --events 2000 --draws 30 --signal 0.3

Each draw deals ALEPH's jets at random into MC and data. Without ``--signal`` there is no shift: the
p-values of the classifier test must be uniform, and all tests together find a shift in at most 1 %
of the draws. With it, data are given another fraction of signal than the MC's .226.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from jets import read, thinned
from scipy.stats import kstest

from hepdann.evaluation import Diagnosis, diagnose
from hepdann.samples import INPUTS
from hepdann.stats.two_sample import smallest_p_value
from hepdann.tensors import Source


def draw(x: np.ndarray, label: np.ndarray, seed: int, most: int, signal: float | None) -> Diagnosis:
    """The diagnosis of one deal."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(x))
    mc, data = order[::2], order[1::2]
    if signal is not None:
        data = generator.permutation(thinned(data, label, signal, generator))
    sides = []
    for rows in (mc[:most], data[:most]):
        split = generator.choice(3, len(rows), p=[0.7, 0.15, 0.15]).astype(np.uint8)
        sides.append(
            Source(
                x[rows].astype(np.float32),
                np.ones(len(rows), np.float32),
                rows.astype(np.uint64),
                split,
                label[rows].astype(np.int32),
                ("udsc", "b"),
            )
        )
    return diagnose(*sides, INPUTS, seed=seed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--events", type=int, default=17_000, help="of MC and of data, at most")
    parser.add_argument("--signal", type=float, help="fraction of signal in the data")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    jets = read(given.data)
    found = [draw(*jets, seed, given.events, given.signal) for seed in range(given.draws)]
    values = {
        "all features": [one.test.p_value for one in found],
        "single features": [smallest_p_value(one.features) for one in found],
        "score": [one.score.p_value for one in found if one.score is not None],
        "together": [one.p_value for one in found],
    }
    print(f"{given.draws} draws of {given.events} events at most")
    for name, p in values.items():
        below = [float(np.mean(np.array(p) < level)) for level in (0.01, 0.05, 0.5)]
        print(f"{name}: p below .01, .05, .5: {below[0]:.3f}, {below[1]:.3f}, {below[2]:.3f}")
    if given.signal is None:
        uniform = kstest(values["all features"], "uniform").pvalue
        print(f"KS test of uniform p-values of the classifier: p = {uniform:.2f}")


if __name__ == "__main__":
    main()
