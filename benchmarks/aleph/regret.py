"""What the recommendation costs: over kinds of shift and sizes of sample, against the best.

    python benchmarks/aleph/regret.py --data DIR -o regret
    python benchmarks/aleph/regret.py --data DIR -o regret --case "sine 3" --events 2000
    python benchmarks/aleph/regret.py --data DIR -o regret --method calibrated

For each split seed and size, ALEPH's jets are dealt into MC and data that share none, the data are
changed, and one ``hepdann.train`` runs, three networks a method. No label of the data takes part in
anything but the figures of this table, which are those of all data events, jet by jet: accuracy of
the recommendation less that of source-only (a loss is a fault where it is more than .005, and more
than twice its error), less that of the best single method of the run, and less the oracle's.
What was trained is read again; the exit code is 1 if there is a fault, or if the mean distance to
the best is more than .004. A second table says how each label-free criterion ranks methods and
networks over all runs with a shift.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from criteria import ranking_table
from jets import FEATURES, Table, read, rotated, thinned, write_tensors

ORACLE, RAW = "oracle", "source-only"
SIZES = (2_000, 5_000, 17_000)
NETWORKS = 3  # of a method
FAULT, ASKED = 0.005, 0.004


@dataclass(frozen=True)
class Deal:
    """Features (N, 6) and labels of the data before they are changed, and features of the MC."""

    x: Table
    label: Any
    mc: Table
    generator: np.random.Generator


Change = Callable[[Deal], Table]


def shift(name: str, t: float) -> Change:
    """One of hepdann's shifts, with the scales of the MC."""

    def apply(deal: Deal) -> Table:
        from hepdann import shifts

        moved = shifts.get(name, t).fit(deal.mc).apply(deal.x, deal.generator)
        return np.asarray(moved, dtype=np.float64)

    return apply


def power(deal: Deal) -> Table:
    """Each feature to the power of 1.2, in units of its largest value."""
    largest = np.abs(deal.mc).max(axis=0)
    return np.asarray(np.sign(deal.x) * largest * np.abs(deal.x / largest) ** 1.2)


def scaled(deal: Deal) -> Table:
    """Each feature by a factor of its own."""
    return deal.x * np.array([1.15, 0.9, 1.2, 0.85, 1.1, 0.8])


def smeared(deal: Deal) -> Table:
    """Two features with half their width of noise."""
    wide = np.isin(FEATURES, ("prob_b", "multip")) * 0.5 * deal.mc.std(axis=0)
    return deal.x + wide * deal.generator.standard_normal(deal.x.shape)


def correlated(deal: Deal) -> Table:
    """Pairs turned by 45 degrees, and each feature given its old distribution again."""
    rank = rotated(deal.x, deal.mc).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return np.take_along_axis(np.sort(deal.x, axis=0), rank, axis=0)


def signal_only(factor: float) -> Change:
    """The signal's features larger by a factor."""
    return lambda deal: np.where(deal.label[:, None] == 1, factor * deal.x, deal.x)


def dead(deal: Deal) -> Table:
    """One feature that is constant in the data."""
    return np.where(np.array(FEATURES) == "bqvjet", 0.0, deal.x)


def foreign(share: float) -> Change:
    """A share of the data are background halfway between both classes, which the MC lacks."""

    def apply(deal: Deal) -> Table:
        moved = deal.x.copy()
        rest, signal = (np.flatnonzero(deal.label == c) for c in (0, 1))
        rows = deal.generator.permutation(rest)[: int(len(moved) * share)]
        moved[rows] = (deal.x[rows] + deal.x[deal.generator.choice(signal, len(rows))]) / 2
        return moved

    return apply


CASES: dict[str, tuple[Change, tuple[float, float] | None]] = {
    "none": (lambda deal: deal.x, None),
    "sine 3": (shift("sine", 3), None),
    "sine 8": (shift("sine", 8), None),
    "gaussian 3": (shift("gaussian", 3), None),
    "cosine 3": (shift("cosine", 3), None),
    "rotation": (lambda deal: rotated(deal.x, deal.mc), None),
    "power 1.2": (power, None),
    "scale per feature": (scaled, None),
    "smearing of two": (smeared, None),
    "correlations only": (correlated, None),
    "signal-only scaling": (signal_only(1.15), None),
    "constant feature": (dead, None),
    "10 % foreign": (foreign(0.1), None),
    "label shift up": (lambda deal: deal.x, (0.226, 0.5)),
    "label shift down": (lambda deal: deal.x, (0.33, 0.17)),
    "label shift + sine 8": (shift("sine", 8), (0.33, 0.17)),
}  # and the signal fractions of MC and data, where they are not as in the sample


def write_deal(x: Table, label: Any, case: str, events: int, seed: int, path: Path) -> None:
    """Write a tensor file with at most so many events of MC and as many data, and their truth."""
    change, fractions = CASES[case]
    generator = np.random.default_rng([seed, events])
    order = generator.permutation(len(x))
    sides = [order[::2], order[1::2]]
    if fractions is not None:
        sides = [
            generator.permutation(thinned(rows, label, share, generator))
            for rows, share in zip(sides, fractions, strict=True)
        ]
    mc, data = (np.sort(rows[:events]) for rows in sides)
    moved = change(Deal(x[data], label[data], x[mc], generator))
    write_tensors(path, (x[mc], mc, label[mc]), (moved, data, label[data]), seed)


def point(
    data: str, folder: Path, more: list[str], case: str, events: int, seed: int
) -> dict[str, Any]:
    """Train one point, unless it is there, and compare."""
    import hepdann
    from hepdann.config import TrainConfig
    from hepdann.evaluation import open_scores
    from hepdann.stats import accuracy

    stem = f"{case.replace(' ', '-').replace('%', 'percent')}-{events}-{seed}"
    tensors, run = folder / f"{stem}.h5", folder / stem
    if not (run / "metrics.json").exists():
        x, label = read(data)
        write_deal(x, label, case, events, seed, tensors)
        wanted = [*TrainConfig().methods, *more]
        hepdann.train(tensors, output=run, seeds=NETWORKS, method=wanted)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    scores = open_scores(run)
    truth = scores.label("target")
    right = {
        name: (scores.score("target", name).argmax(axis=1) == truth).astype(float)
        for name in scores.methods
    }
    reached = {name: float(r.mean()) for name, r in right.items()}
    alone = [n for n in right if n != ORACLE and n != "guard"]
    chosen, best = metrics["recommended"], max(alone, key=reached.__getitem__)
    row = {"case": case, "events": events, "seed": seed, "recommended": chosen, "best": best}
    for name, other in (("raw", RAW), ("best", best), ("oracle", ORACLE)):
        apart = right[chosen] - right[other]
        row[f"less_{name}"] = float(apart.mean())
        row[f"error_{name}"] = float(apart.std(ddof=1) / len(apart) ** 0.5)
    score, weight = scores.score("target", chosen), scores.column("target", "weight")
    row["accuracy"] = accuracy(score, truth, weight).value
    row["seconds"] = metrics["throughput"]["seconds"]
    row["large_residual"] = metrics["recommendation"]["large_residual"]
    return row | {"reached": reached, "criteria": metrics["criteria"]}


def is_fault(rows: list[dict[str, Any]]) -> bool:
    """Whether a case at a size loses to source-only, taken over its split seeds."""
    less = np.mean([row["less_raw"] for row in rows])
    error = np.sqrt(np.sum([row["error_raw"] ** 2 for row in rows])) / len(rows)
    return bool(less < -FAULT and less < -2 * error)


def show(rows: list[dict[str, Any]]) -> bool:
    """Print the table as Markdown; whether all is as asked."""
    print(
        "| shift | events | recommended | accuracy | less source-only | less best | best "
        "| less oracle |\n|---|---|---|---|---|---|---|---|"
    )
    faults = 0
    for case, events in dict.fromkeys((row["case"], row["events"]) for row in rows):
        group = [r for r in rows if (r["case"], r["events"]) == (case, events)]
        cells = []
        for name in ("raw", "best", "oracle"):
            error = np.sqrt(np.sum([r[f"error_{name}"] ** 2 for r in group])) / len(group)
            cells.append(f"{np.mean([r[f'less_{name}'] for r in group]):+.4f} ± {error:.4f}")
        fault = is_fault(group)
        faults += fault
        chosen, best = (
            ", ".join(dict.fromkeys(r[key] for r in group)) for key in ("recommended", "best")
        )
        accuracy = np.mean([r["accuracy"] for r in group])
        print(
            f"| {case} | {events} | {chosen} | {accuracy:.4f} | {cells[0]}{' **loss**' * fault} "
            f"| {cells[1]} | {best} | {cells[2]} |"
        )
    distance = -float(np.mean([row["less_best"] for row in rows]))
    print(
        f"\n{faults} losses to source-only; mean distance to the best single method {distance:.4f}"
    )
    return not faults and distance <= ASKED


def main() -> None:
    """Parse, train what is missing, print, write ``regret.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("regret"))
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--events", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--case", nargs="+", default=list(CASES))
    parser.add_argument("--method", nargs="+", default=[], help="beside the usual ones")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    os.environ["OMP_NUM_THREADS"] = "1"
    given.output.mkdir(parents=True, exist_ok=True)
    tasks = [
        (c, n, s) for c in given.case for n in sorted(given.events)[::-1] for s in given.splits
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = [
            pool.submit(point, given.data, given.output, given.method, *task) for task in tasks
        ]
        rows = [future.result() for future in futures]
    (given.output / "regret.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    well = show(rows)
    ranking_table([row for row in rows if row["case"] != "none"])
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
