"""What the shift of a MINERvA target costs, and what a DANN recovers of it.

    hepdann simulate minerva -o sim --events 20000 --truth --format hdf5 [--detector shifted]
    hepdann convert sim/mc.h5 sim/data.h5 --truth sim/truth.h5 --config tenth.yaml -o t.h5
    python benchmarks/minerva_study.py t.h5 -o runs/study --seeds 5 --epochs 8
    python benchmarks/minerva_study.py --run runs/study    # the figures of a run that is there

``tenth.yaml`` has ``convert: {images: {channels: [energy], energy: {scale: 0.1}}}``. Every figure
is that of the test splits; the labels of the target are looked at by the evaluation alone. Errors
are the standard deviation over seeds of a single network, or binomial with one seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import hepdann
from hepdann.evaluation import open_scores
from hepdann.evaluation.classification import predicted
from hepdann.evaluation.segments import TARGETS
from hepdann.runs import open_run


def figures(folder: Path) -> dict[str, Any]:
    """Accuracies of each method, and the purity of what it takes for an event in a target."""
    run, scores = open_run(folder), open_scores(folder)
    out: dict[str, Any] = {}
    for name in (*scores.methods, *scores.decisions):
        own: dict[str, Any] = {}
        for domain in ("mc", "target"):
            block, members = run.metrics["methods"][name][domain], run.metrics["methods"][name]
            spread = members["members"][f"{domain}_accuracy"]
            own[domain] = block["accuracy"]
            own[f"{domain}_error"] = spread["std"] or block["accuracy_error"]
            own[f"{domain}_single"] = spread["mean"]
            test = scores.column(domain, "split") == 2
            label = scores.column("mc", "label") if domain == "mc" else scores.truth()
            given = (scores.decision if name in scores.decisions else scores.score)(domain, name)
            taken = predicted(given[test])
            signal = np.isin(taken, TARGETS)
            own[f"{domain}_signal_purity"] = float((taken == label[test])[signal].mean())
        out[name] = own
    raw, best = out["source-only"]["target"], out["oracle"]["target"]
    out["loss"] = out["source-only"]["mc"] - raw
    out["recovered"] = (out["dann"]["target"] - raw) / (best - raw)
    out["cost"] = out["source-only"]["mc"] - out["dann"]["mc"]
    out["recommended"] = run.metrics["recommended"]
    return out


def main() -> None:
    """Train if asked, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tensors", nargs="?", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    folder = given.run
    if folder is None:
        run = hepdann.train(
            given.tensors, output=given.output, seeds=given.seeds, epochs=given.epochs
        )
        folder = run.folder
    print(json.dumps(figures(folder), indent=1))


if __name__ == "__main__":
    main()
