"""Calibrations of ALEPH's jets whose mismodelling is known: what is measured, and how well.

    python benchmarks/aleph/calibration.py --data DIR -o calibrated
    python benchmarks/aleph/calibration.py --data DIR -o calibrated --case "cosine 3" --seeds 0 1
    python benchmarks/aleph/calibration.py --data DIR -o calibrated --choice  # beside plain train
    python benchmarks/aleph/calibration.py --data DIR --coverage 100      # toys of 2,500 events
    python benchmarks/aleph/calibration.py --data DIR --power --seeds 5 6  # one class that moves
    python benchmarks/aleph/calibration.py --data DIR --time 30000        # how long a fit takes

13,000 jets are the MC, and 10,000 others, changed, the data. A calibration is fitted twice: with
the family that made the change (``known``), and with ``free`` alone; where no family made it, with
all families and ``free``. Two networks of scikit-learn each are trained on the calibrated MC, on
the MC as they are, and on labelled data (the oracle), and judged on 7,000 further changed jets by
accuracy and AUC; the labels of these choose nothing. With ``--choice`` one ``hepdann.train`` with
its default methods runs too, and its recommendation scores these jets. Each result is written as
it comes, and read again by the next call.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jets import FEATURES, Table, read, rotated, thinned, write_tensors
from regret import Change, Deal, correlated, foreign, shift, signal_only

NETWORKS, TOY = 2, 2_500
SIZES = (13_000, 10_000, 7_000)
DOWN = (0.33, 0.17)  # signal of MC and of data
_SOURCE_ONLY: dict[Any, Callable[[Table], Any]] = {}  # networks of the cases with one MC


def turned(t: float, sign: int) -> Change:
    """Sine t, and then pairs of features turned by 45 degrees to the one side or the other."""

    def apply(deal: Deal) -> Table:
        return rotated(shift("sine", t)(deal) if t else deal.x, deal.mc, sign)

    return apply


# the change, the family that made it, and the signal of MC and data where it is another
CASES: dict[str, tuple[Change, str | None, tuple[float, float] | None]] = {
    "cosine 3": (shift("cosine", 3), "cosine", None),
    "cosine 1.7": (shift("cosine", 1.7), "cosine", None),
    "sine 3": (shift("sine", 3), "sine", None),
    "sine-cubed 3": (shift("sine-cubed", 3), "sine-cubed", None),
    "gaussian 3": (shift("gaussian", 3), "gaussian", None),
    "rotation 45": (turned(0, 1), None, None),
    "sine 3, rotation +45": (turned(3, 1), None, None),
    "sine 3, rotation -45": (turned(3, -1), None, None),
    "none": (lambda deal: deal.x, None, None),
    "sine 3, 33 to 17 %": (shift("sine", 3), "sine", DOWN),
    "gaussian 3, 33 to 17 %": (shift("gaussian", 3), "gaussian", DOWN),
    "correlations only": (correlated, None, None),
    "signal-only scaling": (signal_only(1.15), None, None),
    "10 % foreign": (foreign(0.1), None, None),
    "sine 8": (shift("sine", 8), "sine", None),
}


def larger(factor: float) -> Change:
    """All features of all events larger by a factor."""
    return lambda deal: factor * deal.x


def sides(
    change: Change, shares: Any, x: Table, label: Any, sizes: Sequence[int], seed: int
) -> tuple[Any, Any, Any]:
    """Source, target and rows of MC, data and further jets; the target has no labels."""
    from hepdann.tensors import Source, Target

    generator = np.random.default_rng(seed)
    order, ends = generator.permutation(len(x)), np.cumsum(sizes)
    rows = np.split(order[: ends[-1]], ends[:-1])
    if shares is not None:
        wanted = (shares[0], shares[1], shares[1])
        rows = [thinned(r, label, w, generator) for r, w in zip(rows, wanted, strict=True)]
    mc, data, rest = rows

    def common(values: Table, rows: Any) -> dict[str, Any]:
        return {
            "features": values.astype(np.float32),
            "weight": np.ones(len(rows), np.float32),
            "event_id": rows.astype(np.uint64),
            "split": (generator.random(len(rows)) > 0.7).astype(np.uint8),
        }

    source = Source(**common(x[mc], mc), label=label[mc].astype(np.int32), classes=("udsc", "b"))
    moved = change(Deal(x[data], label[data], x[mc], np.random.default_rng(seed + 1)))
    return source, Target(**common(moved, data)), (mc, data, rest)


def trained(features: Table, label: Any, weight: Any) -> Callable[[Table], Any]:
    """The mean score of networks that are trained on features, labels and weights."""
    from sklearn.neural_network import MLPClassifier

    mean, width = features.mean(axis=0), features.std(axis=0) + 1e-9
    networks = [
        MLPClassifier((32, 32), batch_size=256, learning_rate_init=2e-3, max_iter=20,
                      random_state=k).fit((features - mean) / width, label, weight)
        for k in range(NETWORKS)
    ]  # fmt: skip
    return lambda x: np.mean([n.predict_proba((x - mean) / width)[:, 1] for n in networks], axis=0)


def reached(score: Any, truth: Any) -> tuple[float, float]:
    """Accuracy and AUC."""
    from sklearn.metrics import roc_auc_score

    return float(np.mean((score > 0.5) == truth)), float(roc_auc_score(truth, score))


def measured(case: str, x: Table, label: Any, seed: int) -> dict[str, Any]:
    """One deal of a case: what is fitted, and what networks reach."""
    from hepdann.calibration import calibrate

    change, known, shares = CASES[case]
    source, target, (mc, data, rest) = sides(change, shares, x, label, SIZES, seed)

    def at(rows: Any, number: int) -> Table:
        return change(Deal(x[rows], label[rows], x[mc], np.random.default_rng([seed, number])))

    test, truth = at(rest, 11), label[rest]
    if (key := (seed, shares)) not in _SOURCE_ONLY:
        _SOURCE_ONLY[key] = trained(x[mc], label[mc], np.ones(len(mc)))
    oracle = trained(at(data, 12), label[data], np.ones(len(data)))
    row: dict[str, Any] = {
        "case": case,
        "seed": seed,
        "source-only": reached(_SOURCE_ONLY[key](test), truth),
        "oracle": reached(oracle(test), truth),
    }
    outside = known is None and "rotation" not in case
    asked = {"known": [known]} if known else {}
    for name, families in {**asked, "free": None if outside else ["free"]}.items():
        began = time.process_time()
        report = calibrate(source, target, FEATURES, families=families)
        seconds = time.process_time() - began
        calibrated = report.applied.calibrated(source)
        score = trained(calibrated.features.astype(np.float64), label[mc], calibrated.weight)
        row[name] = {
            "reached": reached(score(test), truth),
            "seconds": seconds,
            "sentence": report.sentence,
            "verdict": report.verdict,
            "left": report.after.value,
            "signal": (float(report.calibration.fractions[1]),
                       float(report.calibration.fraction_error[1])),
            "truth": float(label[data].mean()),
        }  # fmt: skip
    return row


def choice(case: str, x: Table, label: Any, seed: int) -> dict[str, Any]:
    """What a training with the default methods recommends for a deal, and what that reaches."""
    import hepdann

    change, _, shares = CASES[case]
    source, target, (mc, data, rest) = sides(change, shares, x, label, SIZES, seed)
    with tempfile.TemporaryDirectory() as folder:
        tensors = Path(folder, "tensors.h5")
        pairs = (source.features, mc, label[mc]), (target.features, data, label[data])
        write_tensors(tensors, *pairs, seed)
        run = hepdann.train(tensors, output=Path(folder, "run"))
        generator = np.random.default_rng([seed, 11])
        score = run.predict(change(Deal(x[rest], label[rest], x[mc], generator)))[:, 1]
        recommended = str(run.metrics["recommended"])
    return {"verdict": recommended, "reached": reached(score, label[rest])}


def show(rows: list[dict[str, Any]]) -> None:
    """Means and standard deviations over the seeds; paired to the oracle and to source-only."""
    print("| case | row | seeds | verdicts | AUC left | accuracy | less oracle | AUC less oracle "
          "| less source-only | signal % (truth) |\n" + "|---" * 10 + "|")  # fmt: skip
    for case, name in [(c, n) for c in CASES for n in ("known", "free", "choice")]:
        group = [row for row in rows if row["case"] == case and name in row]
        if not group:
            continue
        figures = {key: np.array([row[key] for row in group]) for key in ("oracle", "source-only")}
        own = np.array([row[name]["reached"] for row in group])
        verdicts = [row[name]["verdict"] for row in group]
        cells = [
            (own - figures["oracle"])[:, 0],
            (own - figures["oracle"])[:, 1],
            (own - figures["source-only"])[:, 0],
        ]
        said = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        apart = " | ".join(f"{c.mean():+.4f} ± {c.std():.4f}" for c in cells)
        left = signal = ""
        if name != "choice":
            left = f"{np.mean([row[name]['left'] for row in group]):.3f}"
            shares = [100 * np.array([*r[name]["signal"][:1], r[name]["truth"]]) for r in group]
            signal = "{:.1f} ({:.1f})".format(*np.mean(shares, axis=0))
        print(f"| {case} | {name} | {len(group)} | {said} | {left} | {own[:, 0].mean():.4f} "
              f"| {apart} | {signal} |")  # fmt: skip


def coverage(x: Table, label: Any, toys: int) -> None:
    """How often the truth lies within one error, for t and for the fraction of b jets."""
    from hepdann.calibration import family, fit_family

    print("\n| shift | t | fraction |\n|---|---|---|")
    true = float(label.mean())
    for case in ("gaussian 3", "sine 3", "cosine 3"):
        inside = np.zeros(2)
        for seed in range(toys):
            source, target, _ = sides(CASES[case][0], None, x, label, (TOY, TOY, 1), seed)
            fit = fit_family(family(case.split()[0], source.features, FEATURES), source, target)
            inside[0] += abs(fit.theta[0] - 1 / 3) < fit.error[0]
            inside[1] += abs(fit.fractions[1] - true) < fit.fraction_error[1]
        t, fraction = inside / toys
        print(f"| {case} | {100 * t:.0f} % | {100 * fraction:.0f} % |", flush=True)


def power(x: Table, label: Any, seeds: Sequence[int]) -> None:
    """How often fractions move by two errors, no others explain that, and no free map either."""
    from hepdann.calibration import Calibration, calibrate, fit_family
    from hepdann.calibration.families import FamilyChain

    print(
        "\n| the data have | deals | fractions moved | no mixture | not closed |\n"
        + "|---" * 5
        + "|"
    )
    cases = {f"{100 * s:.0f} % foreign background": foreign(s) for s in (0.02, 0.05, 0.1)}
    cases |= {f"signal larger by {100 * s:.0f} %": signal_only(1 + s) for s in (0.05, 0.1, 0.15)}
    cases |= {f"all larger by {100 * s:.0f} %": larger(1 + s) for s in (0.0, 0.01, 0.03, 0.05)}
    for name, change in cases.items():
        counts = np.zeros(3, int)
        for seed in seeds:
            source, target, _ = sides(change, None, x, label, SIZES, seed)
            fit = fit_family(FamilyChain(()), source.part("train"), target.part("train"))
            share = np.bincount(source.label) / len(source)
            known = Calibration(None, source.classes, fit.fractions, fit.fraction_error, share)
            moved = known.moved(2.0)
            hidden = moved and not known.mixture(source, target).explains
            report = calibrate(source, target, FEATURES, families=["free"]) if hidden else None
            counts += moved, hidden, report is not None and report.verdict == "not closed"
        print(f"| {name} | {len(seeds)} | {' | '.join(map(str, counts))} |", flush=True)


def duration(x: Table, label: Any, events: int) -> None:
    """How long calibrations of so many events of MC and of data take: seconds, and of processors.

    Jets are drawn with replacement and blurred by a hundredth of their widths.
    """
    from hepdann.calibration import calibrate
    from hepdann.tensors import Source, Target

    generator = np.random.default_rng(1)
    halves = np.split(generator.permutation(len(x)), 2)
    rows = [generator.choice(half, events) for half in halves]
    mc, rest = (x[r] + 0.01 * x.std(axis=0) * generator.standard_normal((events, 6)) for r in rows)

    def common(values: Table, first: int) -> dict[str, Any]:
        return {
            "features": values.astype(np.float32),
            "weight": np.ones(events, np.float32),
            "event_id": np.arange(first, first + events).astype(np.uint64),
            "split": (generator.random(events) > 0.7).astype(np.uint8),
        }

    labels = label[rows[0]].astype(np.int32)
    source = Source(**common(mc, 0), label=labels, classes=("udsc", "b"))
    print("\n| case | families | seconds | of processors | fitted |\n" + "|---" * 5 + "|")
    for case, families in (("sine 3", None), ("cosine 3", ["free"])):
        moved = CASES[case][0](Deal(rest, label[rows[1]], mc, np.random.default_rng(2)))
        target = Target(**common(moved, events))
        began = time.perf_counter(), time.process_time()
        report = calibrate(source, target, FEATURES, families=families)
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
        name = ", ".join(families or ["all"])
        print(f"| {case} | {name} | {wall:.1f} | {cpu:.1f} | {report.sentence} |", flush=True)


def main() -> None:
    """Calibrate each case, write what was measured, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("calibrated"))
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)), help="of the deal")
    parser.add_argument("--choice", action="store_true", help="also train the default methods")
    parser.add_argument("--coverage", type=int, default=0, metavar="TOYS")
    parser.add_argument("--power", action="store_true", help="of the verdict, over the deals")
    parser.add_argument("--time", type=int, default=0, metavar="EVENTS")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    warnings.filterwarnings("ignore", "Stochastic Optimizer")
    x, label = read(given.data)
    if given.coverage:
        coverage(x, label, given.coverage)
        return
    if given.power:
        power(x, label, given.seeds)
        return
    if given.time:
        duration(x, label, given.time)
        return
    given.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed, case in [(s, c) for s in given.seeds for c in given.case]:
        path = given.output / f"{case.replace(' ', '_').replace('%', 'percent')}-{seed}.json"
        if not path.exists():
            path.write_text(json.dumps(measured(case, x, label, seed), indent=1))
        row = json.loads(path.read_text())
        if given.choice and "choice" not in row:
            row["choice"] = choice(case, x, label, seed)
            path.write_text(json.dumps(row, indent=1))
        rows.append(row)
    show(rows)


if __name__ == "__main__":
    main()
