"""Calibrations of ALEPH's jets whose mismodelling is known: what is measured, and how well.

    python benchmarks/calibration_study.py --data DIR
    python benchmarks/calibration_study.py --data DIR --case "cosine 3"
    python benchmarks/calibration_study.py --data DIR --seed 1            # another deal of the jets
    python benchmarks/calibration_study.py --data DIR --coverage 100      # toys of 2,500 events

13,000 jets are the MC, and 10,000 others, changed, the data. Two networks of scikit-learn each are
trained on the calibrated MC, on the MC as they are, and on labelled data (the oracle), and judged
on 7,000 further changed jets by accuracy and AUC; the labels of these choose nothing.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from aleph_jets import FEATURES, Table, read, rotated, thinned

FAMILIES = {
    "none": None, "sine 3": None, "cosine 3": None, "gaussian 3": None,
    "gaussian 3, 17 % signal": ["gaussian", "sine"], "free, none": ["free"],
    "free, sine 3": ["free"], "free, sine 8": ["free"], "free, sine-cubed 3": ["free"],
    "free, gaussian 3": ["free"], "free, cosine 3": ["free"], "free, cosine 1.7": ["free"],
    "free, rotation": ["free"], "free, sine 3 then rotation": ["free"],
}  # fmt: skip
NETWORKS, TOY = 2, 2_500


def changed(case: str, x: Table, mc: Table, seed: int) -> Table:
    """Jets as the detector of a case gives them."""
    from hepdann import shifts

    words = case.removeprefix("free, ").replace(",", "").split()
    if words[0] in ("sine", "sine-cubed", "cosine", "gaussian"):
        fitted = shifts.get(words[0], float(words[1])).fit(mc)
        x = np.asarray(fitted.apply(x, np.random.default_rng(seed)), dtype=np.float64)
    return rotated(x, mc) if "rotation" in words else x


def sides(case: str, x: Table, label: Any, sizes: Sequence[int], seed: int) -> tuple[Any, Any, Any]:
    """Source, target and rows of MC, data and further jets; the target has no labels."""
    from hepdann.tensors import Source, Target

    generator = np.random.default_rng(seed)
    order, ends = generator.permutation(len(x)), np.cumsum(sizes)
    mc, data, rest = np.split(order[: ends[-1]], ends[:-1])
    if "17 %" in case:
        data = thinned(data, label, 0.17, generator)

    def common(values: Table, rows: Any) -> dict[str, Any]:
        return {
            "features": values.astype(np.float32),
            "weight": np.ones(len(rows), np.float32),
            "event_id": rows.astype(np.uint64),
            "split": (generator.random(len(rows)) > 0.7).astype(np.uint8),
        }

    source = Source(**common(x[mc], mc), label=label[mc].astype(np.int32), classes=("udsc", "b"))
    moved = changed(case, x[data], x[mc], seed + 1)
    return source, Target(**common(moved, data)), (mc, data, rest)


def judged(case: str, x: Table, label: Any, report: Any, rows: Any) -> str:
    """Accuracy and AUC of networks trained on calibrated MC, on MC, and on labelled data."""
    from sklearn.metrics import roc_auc_score
    from sklearn.neural_network import MLPClassifier

    mc, data, rest = rows
    test = changed(case, x[rest], x[mc], 11)
    trained = {
        "calibrated": (report.calibration.apply(x[mc]), label[mc]),
        "source-only": (x[mc], label[mc]),
        "oracle": (changed(case, x[data], x[mc], 12), label[data]),
    }
    said = []
    for name, (features, truth) in trained.items():
        mean, width = features.mean(axis=0), features.std(axis=0) + 1e-9
        score = np.mean(
            [
                MLPClassifier((32, 32), batch_size=256, learning_rate_init=2e-3, max_iter=20,
                              random_state=k).fit((features - mean) / width, truth)
                .predict_proba((test - mean) / width)[:, 1]
                for k in range(NETWORKS)
            ],
            axis=0,
        )  # fmt: skip
        right = float(np.mean((score > 0.5) == label[rest]))
        said.append(f"{name} {right:.3f}, {roc_auc_score(label[rest], score):.3f}")
    return "; ".join(said)


def coverage(x: Table, label: Any, toys: int) -> None:
    """How often the truth lies within one error, for t and for the fraction of b jets."""
    from hepdann.calibration import family, fit_family

    print("\n| shift | t | fraction |\n|---|---|---|")
    true = float(label.mean())
    for case in ("gaussian 3", "sine 3", "cosine 3"):
        inside = np.zeros(2)
        for seed in range(toys):
            source, target, _ = sides(case, x, label, (TOY, TOY, 1), seed)
            fit = fit_family(family(case.split()[0], source.features, FEATURES), source, target)
            inside[0] += abs(fit.theta[0] - 1 / 3) < fit.error[0]
            inside[1] += abs(fit.fractions[1] - true) < fit.fraction_error[1]
        t, fraction = inside / toys
        print(f"| {case} | {100 * t:.0f} % | {100 * fraction:.0f} % |", flush=True)


def main() -> None:
    """Calibrate each case and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("--case", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0, help="of the deal; default 0")
    parser.add_argument("--coverage", type=int, default=0, metavar="TOYS")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    warnings.filterwarnings("ignore", "Stochastic Optimizer")
    x, label = read(given.data)
    if given.coverage:
        coverage(x, label, given.coverage)
        return
    from hepdann.calibration import calibrate

    for case in given.case:
        source, target, rows = sides(case, x, label, (13_000, 10_000, 7_000), given.seed)
        report = calibrate(source, target, FEATURES, families=FAMILIES[case])
        found = report.calibration
        b = f"{100 * found.fractions[1]:.1f} ± {100 * found.fraction_error[1]:.1f} % b"
        print(f"{case}\n  {report.sentence}; {b}", flush=True)
        if "17 %" not in case:
            print(f"  {judged(case, x, label, report, rows)}", flush=True)


if __name__ == "__main__":
    main()
