"""Are faults found, and are healthy trainings left in peace?

    python benchmarks/checks/health.py [--data DIR] [--json FILE]

Twenty healthy trainings, as a user runs them (source-only, DANN and the study's alternating
algorithm at λ = 0.1 to 3, the other methods at λ = 1, several shifts, two seeds each), on the toy b
jets and, with DIR/aleph/aleph_mc.root, on ALEPH's jets: no fault may be reported. Then every
planted fault, on the toy jets, with each kind of normalisation: its name must be. Prints the
figures behind the thresholds, and what the looks cost.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import health_plants
import torch

import hepdann
from hepdann.domains import prepare, resident
from hepdann.errors import RunError
from hepdann.networks import NetworkShape
from hepdann.training import Health, Settings, StackTrainer

EPOCHS, SEEDS = 10, 2
STUDY = {"extractor": [10, 10, 10], "label_head": [10, 5], "domain_head": [20, 10]}
DANN = ("dann",)
BOTH = ("dann", "dann-alternating")

# shift, t, methods, λ, further settings
HEALTHY: tuple[tuple[str | None, float, tuple[str, ...], float, dict[str, Any]], ...] = (
    ("sine", 3, DANN, 0.1, {}),
    ("sine", 3, DANN, 3.0, {}),
    ("sine", 8, DANN, 0.3, {}),
    ("sine", 8, DANN, 1.0, {"normalisation": "none"}),
    ("gaussian", 8, DANN, 1.0, {}),
    ("gaussian", 3, DANN, 3.0, {"normalisation": "shared"}),
    ("cosine", 3, DANN, 1.0, {}),
    ("identity", 1, BOTH, 0.1, STUDY),
    ("sine", 3, (*BOTH, "hybrid-dann"), 1.0, STUDY),
    ("sine", 8, ("cdan", "mmd", "coral", "dann-joint"), 1.0, {}),
)


@dataclass
class Case:
    """One training: what it was, the faults that were named, its figures, what looks cost."""

    name: str
    named: list[str]
    figures: list[dict[str, Any]]
    share: float | None = None


def command(*args: str, env: dict[str, str]) -> None:
    """Run one hepdann command."""
    path = str(Path(sys.executable).with_name("hepdann"))
    subprocess.run([path, *args], env=env, check=True, capture_output=True)


def tensor_files(folder: Path, data: str | None) -> dict[str, Path]:
    """The toy sample and, with data, ALEPH's."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command("simulate", "bjets", "-o", str(folder), "--truth", env=env)
    files = {"toy": folder / "toy.h5"}
    inputs = [str(folder / "mc.root"), str(folder / "data.root")]
    features = ",".join(hepdann.samples.INPUTS)
    command("convert", *inputs, "--features", features, "--weight", "weight",
            "-o", str(files["toy"]), env=env)  # fmt: skip
    if data is not None:
        files["aleph"] = folder / "aleph.h5"
        env["HEPDANN_DATA"] = str(Path(data).resolve())
        command("convert", "--config", "aleph", "-o", str(files["aleph"]), env=env)
    return files


def healthy(files: dict[str, Path], folder: Path) -> Iterator[Case]:
    """Twenty trainings that a user could have run."""
    plans = [(sample, *plan) for sample in files for plan in HEALTHY]
    if len(files) == 1:  # the same on other networks
        plans += [("toy", s, t, m, lambda_, {**more, "seed": 7})
                  for s, t, m, lambda_, more in HEALTHY]  # fmt: skip
    for number, (sample, shift, t, methods, lambda_, more) in enumerate(plans):
        started = time.perf_counter()
        run = hepdann.train(
            files[sample],
            method=methods,
            shift=getattr(hepdann.shifts, shift.replace("-", "_"))(t=t),
            output=folder / f"healthy-{number}",
            lambda_=lambda_,
            seeds=SEEDS,
            epochs=EPOCHS,
            alignments=["quantile"],
            diagnose=False,  # no network is another for it
            **more,
        )
        looks = json.loads((run.folder / "health.json").read_text())["looks"]
        named = sorted({v["name"] for look in looks for v in look["verdicts"]})
        settings = ", ".join(f"{k} {v}" for k, v in more.items() if k in ("normalisation", "seed"))
        what = f"{sample}, {shift} t={t:g}, {'+'.join(methods)}, λ={lambda_:g} {settings}"
        spent = run.metrics["throughput"]["time"]
        share = spent["health"] / sum(spent[k] for k in TRAINING if k in spent)
        yield Case(what, named, looks, share)
        print(f"{what:64s} {', '.join(named) or '-':28s} {time.perf_counter() - started:5.0f} s")


TRAINING = ("data", "forward", "backward", "optimiser", "step", "validation", "health")


def planted(tensors: Path) -> Iterator[tuple[health_plants.Plant, Case]]:
    """Every fault, put there and trained."""
    domains = prepare(hepdann.open_tensors(tensors), None, hepdann.shifts.sine(t=3), 0)
    sources = [resident(domains.source, domains.scaling, device="cpu")]
    targets = [resident(domains.target, domains.scaling, device="cpu")]
    settings = Settings(epochs=EPOCHS, batch_size=128, steps=sources[0].n_train // 128)
    for normalisation in ("domain", "shared", "none"):
        for plant in health_plants.plants():
            shape = NetworkShape(6, 2, normalisation=normalisation)  # type: ignore[arg-type]
            trainer = StackTrainer([plant.member], shape, sources, targets, settings)
            health = Health(trainer)
            plant.do(trainer)
            try:
                trainer.run(save=lambda _, h=health: h.look())
            except RunError:
                health.fail()
            last = health.entries[-1]
            named = [v["name"] for v in last["verdicts"]]
            what = f"{plant.name}, normalisation {normalisation}"
            yield plant, Case(what, named, [last])
            mark = "" if plant.fault in named else "   MISSED"
            print(f"{what:56s} {plant.fault:28s} {', '.join(named)}{mark}")


def ranges(cases: list[Case]) -> None:
    """Smallest and largest of each figure over all looks of the adversaries."""
    looks = [x for case in cases for x in case.figures if x["grl"]]
    last = [x for x in looks if x["epoch"] == EPOCHS]
    one = [x for x in last if x["method"] == "dann"]

    def show(name: str, values: list[float | None]) -> None:
        known = [value for value in values if value is not None]
        print(f"  {name:58s} {min(known):9.3g} … {max(known):9.3g}")

    ratio = [x["domain_gradient"] / x["label_gradient"] for x in looks]
    show("domain over label gradient", ratio)
    show("the same, per λ·λ_p", [r / x["grl"] for r, x in zip(ratio, looks, strict=True)])
    show("push over the head's loss", [x["push"] / x["own_loss"] for x in looks if x["push"]])
    show("λ's effect, one optimiser, last epoch", [x["effect"] for x in one])
    show("domain head moved, last epoch", [x["domain_moved"] for x in last])
    show("fresh less own AUC", [x["fresh_auc"] - x["own_auc"] for x in looks])
    show("spread of the features", [x["feature_spread"] for x in looks])
    show("effective directions", [x["feature_rank"] for x in looks])
    show("dead units, worst layer", [x["dead_units"] for x in looks])
    show("label AUC over what the inputs give, last epoch",
         [(x["label_auc"] - 0.5) / (x["label_reach"] - 0.5) for x in last])  # fmt: skip


def main() -> None:
    """Run all, print the tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        files = tensor_files(Path(name), given.data)
        well = list(healthy(files, Path(name)))
        print()
        ill = list(planted(files["toy"]))
    alarms = sum(bool(case.named) for case in well)
    missed = sum(plant.fault not in case.named for plant, case in ill)
    print(f"\nfigures of the {len(well)} healthy trainings")
    ranges(well)
    shares = [case.share for case in well if case.share is not None]
    print(f"\nfalse alarms: {alarms} of {len(well)} healthy trainings")
    print(f"planted faults missed: {missed} of {len(ill)}")
    print(f"share of the training spent on looks: {min(shares):.1%} to {max(shares):.1%}")
    if given.json:
        rows = [{"case": c.name, "named": c.named, "share": c.share} for c in well]
        rows += [{"case": c.name, "planted": p.fault, "named": c.named} for p, c in ill]
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    raise SystemExit(1 if alarms or missed else 0)


if __name__ == "__main__":
    main()
