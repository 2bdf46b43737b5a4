"""How well the class fractions of a target are estimated beside a shift of its features.

    python benchmarks/aleph/fraction.py --data DIR
    python benchmarks/aleph/fraction.py --data DIR --share 0.25 --deals 5 6 7 8

ALEPH's jets are dealt into MC and data, both are thinned to their fractions of signal (33 % in MC),
the data are shifted (sine, t = 8), and the estimate sees 85 % of each, as it does in a training,
which keeps the test split out. Deals 0 to 4 were looked at while the estimate was made; the default
is ten others.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from alignment import CASES
from jets import read, thinned

from hepdann.alignment import FractionEstimate, estimate_fractions
from hepdann.tensors import Source, Target

KEPT = 0.85
IN_MC = 0.33


def estimate(x: np.ndarray, label: np.ndarray, share: float, deal: int) -> FractionEstimate:
    """The estimate of one deal."""
    generator = np.random.default_rng([deal, 0])
    order = generator.permutation(len(x))
    rows = [
        thinned(np.sort(order[k::2]), label, s, generator) for k, s in enumerate((IN_MC, share))
    ]
    shifted = CASES["label"](x[rows[1]], x[rows[0]], deal).astype(np.float32)
    mc = Source(
        **_plain(x[rows[0]].astype(np.float32)),
        label=label[rows[0]].astype(np.int32),
        classes=("udsc", "b"),
    )
    data = Target(**_plain(shifted))
    kept = [np.random.default_rng(deal + 99 * k).random(len(r)) < KEPT for k, r in enumerate(rows)]
    return estimate_fractions(mc.take(kept[0]), data.take(kept[1]))


def _plain(features: np.ndarray) -> dict[str, np.ndarray]:
    n = len(features)
    return {
        "features": features,
        "weight": np.ones(n, np.float32),
        "event_id": np.arange(n, dtype=np.uint64),
        "split": np.zeros(n, np.uint8),
    }


def main() -> None:
    """Parse, estimate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("--share", type=float, default=0.17, help="of signal in the data")
    parser.add_argument("--deals", type=int, nargs="+", default=list(range(5, 15)))
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    x, label = read(given.data)
    found = []
    for deal in given.deals:
        one = estimate(x, label, given.share, deal)
        found.append(one.value[1])
        told = "label shift" if one.shift else "none told"
        print(f"deal {deal}: {one.value[1]:.4f} ± {one.error[1]:.4f}, {told}", flush=True)
    values, spread = np.array(found), float(np.std(found, ddof=1))
    worst = np.abs(values - given.share).max()
    print(f"mean {values.mean():.4f}, spread {spread:.4f}, farthest from the truth {worst:.4f}")


if __name__ == "__main__":
    main()
