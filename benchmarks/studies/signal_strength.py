"""What a fit of the score's templates says of a signal strength that is known.

    python benchmarks/studies/signal_strength.py -o strength
    python benchmarks/studies/signal_strength.py -o strength --case "half the signal" --toys 5

Toys of ``hepdann simulate bjets``, 40,000 jets of MC and as many data, of which every toy has its
own. The data are what the MC are (the fit by itself: nothing is mismodelled), or as simulated, or
these without half of the events with b jets. Each toy is trained on once, two networks a method;
``hepdann histogram`` fills ten even bins of each method's score, and pyhf (with iminuit) fits the
workspace. The truth is the number of b jets in these data over the yield of those in the MC. Each
toy's result is written as it comes, and read again by the next call. It needs the extra ``pyhf``,
and iminuit.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("source-only", "quantile", "affine+quantile", "dann", "calibrated", "oracle")
CASES = ("no mismodelling", "as simulated", "half the signal")
EVENTS, NETWORKS = 40_000, 2


def toy(case: str, seed: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Columns of MC and of data, and the true classes of the data."""
    from hepdann import samples

    sample = samples.bjets(EVENTS, seed)
    data, truth = dict(sample.data), sample.truth["isb"]
    if case == "no mismodelling":
        other = samples.bjets(EVENTS, seed + 10_000).mc
        data = {name: other[name] for name in data} | {"weight": data["weight"]}
        truth = other["isb"]
    if case == "half the signal":
        kept = (truth == 0) | (data["event"] % 2 == 0)
        data, truth = {name: column[kept] for name, column in data.items()}, truth[kept]
    return dict(sample.mc), data, truth


def strength(workspace: dict[str, Any]) -> tuple[float, float]:
    """The fitted signal strength and its error (Hesse)."""
    import pyhf

    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer())
    opened = pyhf.Workspace(workspace)
    model = opened.model()
    fitted = pyhf.infer.mle.fit(opened.data(model), model, return_uncertainties=True)
    value, error = fitted[model.config.poi_index]
    return float(value), float(error)


def point(folder: Path, case: str, seed: int) -> dict[str, Any]:
    """One toy, unless it is there: the truth, and the fit of each method's score."""
    path = folder / f"{case.replace(' ', '-')}-{seed}.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    import hepdann
    from hepdann import samples
    from hepdann.deploy import pyhf_workspace
    from hepdann.evaluation import TemplateSettings, fill_templates

    mc, data, truth = toy(case, seed)
    row: dict[str, Any] = {"case": case, "seed": seed}
    row["truth"] = float(truth.sum() / mc["weight"][mc["isb"] == 1].sum())
    with tempfile.TemporaryDirectory() as made:
        ids = [np.stack([side["run"], side["event"]], axis=1) for side in (mc, data)]
        columns = ({name: side[name] for name in samples.INPUTS} for side in (mc, data))
        tensors = hepdann.Tensors.from_arrays(
            next(columns), mc["isb"], mc["weight"], next(columns), data["weight"], truth=truth,
            event_id=ids[0], data_event_id=ids[1], output=Path(made, "tensors.h5"),
        )  # fmt: skip
        run = Path(made, "run")
        methods = ["source-only", "dann", "calibrated"]
        hepdann.train(tensors, output=run, seeds=NETWORKS, method=methods)
        stored = json.loads((run / "calibrations.json").read_text(encoding="utf-8"))
        fractions = stored["folds"][0]["calibrated"]["map"]
        row["calibration"] = {key: fractions[key][1] for key in ("fractions", "mc_fractions")}
        for method in METHODS:
            templates = fill_templates(run, TemplateSettings(method=method))
            row[method] = strength(pyhf_workspace(templates))
    path.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table as Markdown: means over the toys, and the spread of the pulls."""
    print("| the data are | score of | toys | truth | μ | error | μ less truth | pulls |")
    print("|---" * 8 + "|")
    for case in dict.fromkeys(row["case"] for row in rows):
        group = [row for row in rows if row["case"] == case]
        truth = np.array([row["truth"] for row in group])
        for method in METHODS:
            value, error = np.array([row[method] for row in group]).T
            apart = value - truth
            pulls = apart / error
            print(
                f"| {case} | {method} | {len(group)} | {truth.mean():.3f} | {value.mean():.3f} "
                f"| {error.mean():.3f} | {apart.mean():+.3f} ± {apart.std(ddof=1):.3f} "
                f"| {pulls.mean():+.1f} ± {pulls.std(ddof=1):.1f} |"
            )
        held = [row["calibration"] for row in group]
        kept = sum(one["fractions"] == one["mc_fractions"] for one in held)
        taken = np.mean([one["fractions"] / one["mc_fractions"] for one in held])
        print(f"\ncalibrated at the fractions of MC in {kept} of {len(group)}, signal {taken:.3f} "
              "of MC's in the mean\n")  # fmt: skip


def main() -> None:
    """Parse, train what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("strength"))
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--toys", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="seed of the first toy")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    given.output.mkdir(parents=True, exist_ok=True)
    seeds = range(given.first, given.first + given.toys)
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = [pool.submit(point, given.output, c, s) for c in given.case for s in seeds]
        show([future.result() for future in futures])


if __name__ == "__main__":
    main()
