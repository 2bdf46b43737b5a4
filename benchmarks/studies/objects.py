"""Networks of objects against the exact likelihood ratio, and what mends a shift of them.

    python benchmarks/studies/objects.py [--events 60000] [--epochs 12] [--seeds 5] [--seed 0]
        [--networks summaries,deepsets,transformer] [--output study.json]

Jets are those of ``hepdann simulate jets``. On MC each AUC is that of single networks on the test
split, mean ± standard deviation over the seeds, beside the likelihood ratio on the same jets: of
networks of constituents alone, and of the default perceptron on summaries alone. The data have lost
constituents, p_T and a sector; there source-only, dann, calibrated and the oracle (trained on their
labels) are compared, and the shares of the gap between source-only and the oracle that dann and
calibrated close. Nothing is chosen by a label of the data: every network is that of its last epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

OBJECTS = {
    "constituent": {
        "features": [
            {"name": "log_pt", "expression": "log(constituent_pt)"},
            {
                "name": "log_dr",
                "expression": "log(deltaR(constituent_eta, constituent_phi, jet_eta, jet_phi))",
            },
            "constituent_d0",
        ]
    }
}
SUMMARIES = ["nconstituent", "sum_pt", "mean_pt", "mean_dr", "mean_d0"]


def optimum(events: int, tensors: Any) -> float:
    """AUC of the likelihood ratio on the test split of the MC."""
    from hepdann import samples
    from hepdann.stats import auc

    jets, constituents = samples.constituent_jets(events)
    test = tensors.column("mc", "split") == 2
    ratio = samples.log_likelihood_ratio(jets, constituents)
    return float(auc(ratio[test], jets["is_signal"][test]).value)


def study(folder: Path, events: int, networks: list[str], settings: dict[str, Any]) -> Any:
    """Convert, train and take the figures of each network."""
    import hepdann
    from hepdann import samples

    mc, data, truth = samples.write("jets", folder, events, truth=True)
    rows: dict[str, Any] = {}
    for name in networks:
        chosen: dict[str, Any] = {"objects": OBJECTS, "features": []}
        if name == "summaries":
            chosen = {"features": SUMMARIES}
        tensors = hepdann.convert(mc, data, truth=truth, output=folder / f"{name}.h5", **chosen)
        rows.setdefault("optimum", {"mc_auc": {"mean": optimum(events, tensors), "std": 0.0}})
        run = hepdann.train(
            tensors, network=None if name == "summaries" else name, alignments=[], diagnose=False,
            method=["dann", "calibrated"], output=folder / name, **settings,
        )  # fmt: skip
        names = "source-only", "dann", "calibrated", "oracle"
        members = {method: run.metrics["methods"][method]["members"] for method in names}
        target = {method: one["target_auc"] for method, one in members.items()}
        low, *adapted, high = (target[method]["mean"] for method in names)
        rows[name] = {
            "mc_auc": members["source-only"]["mc_auc"],
            "target_auc": target,
            "recovered": [(one - low) / (high - low) for one in adapted],
            "calibration": run.metrics["calibrations"]["calibrated"]["sentence"],
        }
        show(name, rows)
        print(rows[name]["calibration"], flush=True)
    return rows


def show(name: str, rows: dict[str, Any]) -> None:
    """Print a row of the table."""
    row, best = rows[name], rows["optimum"]["mc_auc"]["mean"]
    figures = [row["mc_auc"], *row["target_auc"].values()]
    cells = [f"{one['mean']:.4f} ± {one['std'] or 0:.4f}" for one in figures]
    below = f"{best - figures[0]['mean']:.4f}"
    closed = " | ".join(f"{share:.0%}" for share in row["recovered"])
    print(f"| {name} | {' | '.join([cells[0], below, *cells[1:]])} | {closed} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the first network")
    parser.add_argument("--networks", default="summaries,deepsets,transformer")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    settings = {
        "epochs": given.epochs, "seeds": given.seeds, "seed": given.seed, "batch_size": 256
    }  # fmt: skip
    heads = "AUC on MC", "below the optimum", "source-only on data", "dann", "calibrated", "oracle"
    print(f"| inputs | {' | '.join(heads)} | dann closes | calibrated closes |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    with TemporaryDirectory() as temporary:
        rows = study(Path(temporary), given.events, given.networks.split(","), settings)
    print(f"likelihood ratio on the same MC: {rows['optimum']['mc_auc']['mean']:.4f}")
    if given.output is not None:
        given.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
