"""Fit the likeness behind ``hepdann simulate bjets``: prints hepdann/samples/aleph.json.

python benchmarks/aleph/fit_bjets.py --data DIR > hepdann/samples/aleph.json
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

import numpy as np
import uproot
from scipy.special import ndtr
from scipy.stats import spearmanr

COLUMNS = ["prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel", "energy"]
SCORES = [-4.2, -3.0, -2.0, -1.2, -0.6, 0.0, 0.6, 1.2, 2.0, 3.0, 4.2]
UNITS = dict.fromkeys(COLUMNS, 1e-4) | {"energy": 1e-2}
SPIKES = {"prob_b": 0.0, "spheri": -1.0, "multip": 0.0, "bqvjet": -0.02, "ptlrel": -0.0003}


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
    """Print what was fitted."""
    parser = argparse.ArgumentParser(description="Fit the likeness behind `simulate bjets`.")
    parser.add_argument("--data", type=Path, default=os.environ.get("HEPDANN_DATA", "data"))
    path = Path(parser.parse_args().data) / "aleph" / "aleph_mc.root"
    with uproot.open(path) as file:
        jets = file["jets"].arrays([*COLUMNS, "isb"], library="np")
    known = {"columns": COLUMNS, "units": UNITS, "spikes": SPIKES, "scores": SCORES, "kinds": []}
    for isb in (0, 1):
        flavour = jets["isb"] == isb
        lepton = ~np.isclose(jets["ptlrel"], SPIKES["ptlrel"], atol=1e-6)
        for has in (False, True):
            rows = flavour & (lepton == has)
            kind = {"isb": isb, "lepton": has}
            kind["share"] = round(float(rows.sum() / flavour.sum()), 4)
            kind |= fit({name: column[rows] for name, column in jets.items()})
            known["kinds"].append(kind)
    text = json.dumps(known, indent=1)
    print(re.sub(r"\[[^][{}]*\]", lambda row: " ".join(row[0].split()), text))  # a list a line


if __name__ == "__main__":
    main()
