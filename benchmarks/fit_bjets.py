"""Fit the likeness behind ``hepdann simulate bjets``: prints hepdann/samples/aleph.py.

python benchmarks/fit_bjets.py --data DIR > hepdann/samples/aleph.py
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import uproot
from scipy.special import ndtr
from scipy.stats import spearmanr

COLUMNS = ["prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel", "energy"]
SCORES = [-4.2, -3.0, -2.0, -1.2, -0.6, 0.0, 0.6, 1.2, 2.0, 3.0, 4.2]
UNITS = dict.fromkeys(COLUMNS, 1e-4) | {"energy": 1e-2}
SPIKES = {"prob_b": 0.0, "spheri": -1.0, "multip": 0.0, "bqvjet": -0.02, "ptlrel": -0.0003}

HEADER = '''"""What `hepdann simulate bjets` knows of the ALEPH sample: four kinds of jet.

Written by benchmarks/fit_bjets.py from 33,968 simulated ALEPH jets; no jet of theirs is in here.
Each kind has, per column, the share of the events in a spike at the lower end, the quantiles of the
rest at the standard normal scores `SCORES`, and the Gaussian copula that ties the columns together.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COLUMNS", "KINDS", "SCORES", "SPIKES", "UNITS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """Jets of one flavour, with or without a lepton.

    Attributes:
        isb: 1 for b jets.
        lepton: whether a lepton was found in the jet.
        share: fraction of the jets of this flavour.
        spike: per column, the share of this kind that sits exactly in its spike.
        quantiles: per column, the quantiles of the others at ``SCORES``, in ``UNITS``; none where
            all sit in the spike.
        correlation: lower triangle of the copula's correlation matrix, row by row, no diagonal.
    """

    isb: int
    lepton: bool
    share: float
    spike: tuple[float, ...]
    quantiles: tuple[tuple[int, ...], ...]
    correlation: tuple[tuple[float, ...], ...]

'''


def fit(jets: dict[str, np.ndarray]) -> dict[str, tuple]:
    """Spikes, quantiles and copula of jets of one kind."""
    spikes, quantiles = [], []
    for name in COLUMNS:
        x = jets[name].astype(float)
        spiked = np.isclose(x, SPIKES.get(name, np.nan), atol=1e-6)
        spikes.append(round(float(spiked.mean()), 4))
        knots = np.quantile(x[~spiked], ndtr(SCORES)) if not spiked.all() else np.empty(0)
        quantiles.append(tuple(np.rint(knots / UNITS[name]).astype(int).tolist()))
    live = [name for name in COLUMNS if np.ptp(jets[name]) > 0]
    ranks = spearmanr(np.stack([jets[name] for name in live], axis=1)).statistic
    matrix = np.eye(len(COLUMNS))
    at = [COLUMNS.index(name) for name in live]
    matrix[np.ix_(at, at)] = 2 * np.sin(np.pi / 6 * ranks)  # Pearson of the normal scores
    lower = tuple(tuple(np.round(matrix[i, :i], 3).tolist()) for i in range(1, len(COLUMNS)))
    return {"spike": tuple(spikes), "quantiles": tuple(quantiles), "correlation": lower}


def main() -> None:
    """Print the module."""
    parser = argparse.ArgumentParser(description="Fit the likeness behind `simulate bjets`.")
    parser.add_argument("--data", type=Path, default=os.environ.get("HEPDANN_DATA", "data"))
    path = Path(parser.parse_args().data) / "aleph" / "aleph_mc.root"
    with uproot.open(path) as file:
        jets = file["jets"].arrays([*COLUMNS, "isb"], library="np")
    print(HEADER)
    print(f"COLUMNS = {tuple(COLUMNS)!r}")
    print(f"UNITS = {UNITS!r}")
    print(f"SPIKES = {SPIKES!r}")
    print(f"SCORES = {tuple(SCORES)!r}")
    print("# fmt: off")
    print("KINDS = (")
    for isb in (0, 1):
        flavour = jets["isb"] == isb
        lepton = ~np.isclose(jets["ptlrel"], SPIKES["ptlrel"], atol=1e-6)
        for has in (False, True):
            rows = flavour & (lepton == has)
            share = round(float(rows.sum() / flavour.sum()), 4)
            fitted = fit({name: column[rows] for name, column in jets.items()})
            print(f"    Kind(\n        isb={isb}, lepton={has}, share={share},")
            print(f"        spike={fitted['spike']!r},")
            for key in ("quantiles", "correlation"):
                print(f"        {key}=(")
                for line in fitted[key]:
                    print(f"            {line!r},")
                print("        ),")
            print("    ),")
    print(")\n# fmt: on")


if __name__ == "__main__":
    main()
