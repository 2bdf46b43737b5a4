"""What the shift of a MINERvA target costs, and what a DANN recovers of it.

    python benchmarks/studies/minerva.py study --only detector --also frozen --figures docs/figures
    python benchmarks/studies/minerva.py smaller --only frozen --events 45000 --seeds 3
    python benchmarks/studies/minerva.py study --curve 14000 42000 --seeds 1

Samples, tensor files and runs are made in the folder where they are not there, and a training that
was interrupted goes on. Settings are those of configs/minerva.yaml. Every figure is that of the
test splits; labels of the target are looked at here and by the evaluation alone, after everything
was chosen.

"frozen" is FSI off and the low-energy beam, as detector.yaml has it; "detector" has energies × 1.5
and 30 % dead strips on top. "adabn" are the networks of source-only with the target's statistics in
their batch normalisation (Li et al., "Revisiting Batch Normalization for Practical Domain
Adaptation", 2016): what is left for the adversary is the difference.
"""

from __future__ import annotations

import argparse
import copy
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import hepdann
from hepdann.config import Config, PlotConfig, load_config
from hepdann.evaluation import open_truth
from hepdann.evaluation.minerva import TARGETS
from hepdann.evaluation.truth import true_labels
from hepdann.inference import Model
from hepdann.plotting import plot_run
from hepdann.readers import convert_files
from hepdann.runs import Run, open_run, resume
from hepdann.samples.minerva import target, write_minerva
from hepdann.stats.ranking import predicted
from hepdann.tensors import Tensors, read_images

SHIFTS: dict[str, dict[str, float]] = {
    "frozen": {},
    "detector": {"energy_scale": 1.5, "dead": 0.3},
}
PICTURES = (
    ("minerva-confusion", 1418, ["confusion_purity_mc_tracking", "confusion_purity_mc_dann"]),
    (
        "minerva-segments",
        1600,
        ["purity_mc", "data_mc_segment_dann", "residual_planes", "accuracy_W"],
    ),
)
Figures = dict[str, dict[str, NDArray[np.float64]]]


def settings(given: argparse.Namespace) -> Config:
    """Those of configs/minerva.yaml, with what was asked for."""
    config = load_config(Path(str(files("hepdann_configs") / "minerva.yaml")))
    names = ("seeds", "epochs", "workers")
    train = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def sample(folder: Path, name: str, events: int, config: Config) -> Path:
    """The tensor file of a shift, made if it is not there."""
    made, at = folder / f"{name}.h5", folder / name
    if not made.exists():
        say(f"{name}: simulating {events} events")
        write_minerva(at, events, truth=True, conditions=replace(target(), **SHIFTS[name]))
        paths = {kind: str(at / f"{kind}.root") for kind in ("mc", "data", "truth")}
        plain = Config(convert=config.convert)
        convert_files(
            [paths["mc"]], [paths["data"]], truth=paths["truth"], output=made, config=plain
        )
    return made


def trained(tensors: Path, folder: Path, config: Config) -> Run:
    """The run of that name, trained or gone on with if it is not whole."""
    if (folder / "metrics.json").exists():
        run = open_run(folder)
        return resume(folder, report=report) if run.metrics["interrupted"] else run
    if (folder / "config.yaml").exists():
        return resume(folder, report=report)
    return hepdann.train(tensors, output=folder, config=config, report=report)


def accuracies(model: Model, file: Tensors) -> tuple[Figures, Figures]:
    """Of each method and domain: (1 + K,) accuracy of the mean and of each of its networks.

    Also (2, 6) purity and efficiency of what the mean takes for an event in a passive target: in
    any of them, and in each.
    """
    figures: Figures = {}
    signal: Figures = {}
    for domain, stored in (("source", "mc"), ("target", "data")):
        test = np.flatnonzero(file.column(stored, "split") == 2)
        if stored == "mc":
            label = file.source().label[test]
        else:
            label = true_labels(open_truth(file).data(), file.target())[test]
        hits = read_images(file, stored, test)
        found = {"tracking": [file.column(stored, "track_segment")[test].astype(np.int64)]}
        for name in model.parts:
            seen = model.score(hits, name, domain).members
            found[name] = [predicted(one) for one in (seen.mean(0), *seen)]
        for name, taken in found.items():
            right = np.array([(one == label).mean() for one in taken])
            figures.setdefault(name, {})[stored] = right
            signal.setdefault(name, {})[stored] = _signal(taken[0], label)
    return figures, signal


def with_adabn(model: Model) -> Model:
    """Also the networks of source-only with the target's statistics."""
    base = model.parts["source-only"]
    return replace(model, parts={**model.parts, "adabn": replace(base, target_domain=1)})


def elsewhere(model: Model, file: Tensors) -> Model:
    """Source-only alone, with the statistics of another target."""
    part = model.parts["source-only"]
    network = copy.deepcopy(part.network)
    events = []
    for domain in ("mc", "data"):
        train = np.flatnonzero(file.column(domain, "split") == 0)
        pixels = torch.from_numpy(read_images(file, domain, train[:: len(train) // 1024])[:])
        events.append(pixels.T.unsqueeze(0).expand(network.members, -1, -1))
    network.collect_statistics(*events)
    return replace(model, parts={"source-only": replace(part, weights=network.arrays())})


def _signal(taken: NDArray[Any], label: NDArray[Any]) -> NDArray[np.float64]:
    right, found = taken == label, []
    for segments in (TARGETS, *([segment] for segment in TARGETS)):
        inside, true = np.isin(taken, segments), np.isin(label, segments)
        found.append((right[inside].mean(), right[true].mean()))
    return np.array(found).T


def table(name: str, model: Model, file: Tensors) -> None:
    """Print what was measured, as Markdown."""
    figures, signal = accuracies(with_adabn(model), file)
    say(f"\n### {name}\n")
    say("| | MC | target | MC, one network | target, one network |\n|---|---|---|---|---|")
    for method, own in figures.items():
        whole = [f"{own[domain][0]:.3f}" for domain in ("mc", "data")]
        single = [_spread(own[domain][1:]) for domain in ("mc", "data")]
        say(f"| {method} | {' | '.join([*whole, *single])} |")
    say("\n| in targets | MC: purity | impurity | efficiency | target: purity | impurity | eff. |")
    say("|---|---|---|---|---|---|---|")
    for method, own in signal.items():
        cells = [(p, 1 - p, e) for p, e in (own["mc"][:, 0], own["data"][:, 0])]
        say(f"| {method} | {' | '.join(f'{value:.3f}' for cell in cells for value in cell)} |")
    say("\n| impurity of tracking / | | all | 1 | 2 | 3 | 4 | 5 |")
    say("|---|---|---|---|---|---|---|---|")
    for method, own in signal.items():
        for where, (purity, _) in own.items():
            ratio = (1 - signal["tracking"][where][0]) / (1 - purity)
            say(f"| {method} | {where} | {' | '.join(f'{value:.2f}' for value in ratio)} |")
    if not {"dann", "oracle"} <= set(figures):
        return
    mc, met = ({m: own[d] for m, own in figures.items()} for d in ("mc", "data"))
    loss, gap = (mc["source-only"] - met["source-only"], met["oracle"] - met["source-only"])
    say("\n| percent | together | one network |\n|---|---|---|")
    rows = {"source-only loses from MC to target": loss, "oracle - source-only": gap}
    for method in ("adabn", "dann"):
        rows[f"{method} recovers of it"] = (met[method] - met["source-only"]) / gap
    rows["dann costs on MC"] = mc["source-only"] - mc["dann"]
    for what, values in rows.items():
        say(f"| {what} | {100 * values[0]:.1f} | {_spread(100 * values[1:], 1)} |")


def curve(folder: Path, tensors: Path, sizes: list[int], config: Config) -> None:
    """Accuracy of source-only on MC against events to train on, at equally many steps."""
    full = hepdann.open_tensors(tensors)
    whole = int((full.column("mc", "split") == 0).sum())
    say("\n| training events | epochs | one network | together |\n|---|---|---|---|")
    for size in sizes:
        epochs = max(1, round(config.train.epochs * whole / size))
        update = {"epochs": epochs, "oracle": False, "diagnose": False}
        train = config.train.model_copy(update=update | {"methods": ["source-only"]})
        smaller = sample(folder / f"curve-{size}", "frozen", round(size / 0.7), config)
        own = config.model_copy(update={"train": train})
        run = trained(smaller, folder / "runs" / f"curve-{size}", own)
        block = run.metrics["methods"]["source-only"]["mc"]
        one = run.metrics["methods"]["source-only"]["members"]["mc_accuracy"]["mean"]
        whole_error = f"{block['accuracy']:.3f} ± {block['accuracy_error']:.3f}"
        say(f"| {size} | {epochs} | {one:.3f} | {whole_error} |")


def pictures(run: Run, folder: Path) -> None:
    """The two figures of docs/minerva.md, put together from those of ``hepdann plot``."""
    from PIL import Image

    for name, width, parts in PICTURES:
        made = plot_run(run.folder, PlotConfig(formats=["png"]), parts)
        order = [next(path for path in made if path.stem == part) for part in parts]
        images = [Image.open(path).convert("RGB") for path in order]
        pairs = [images[at : at + 2] for at in range(0, len(images), 2)]
        heights = [max(image.height for image in pair) for pair in pairs]
        half = max(image.width for image in images)
        whole = Image.new("RGB", (2 * half, sum(heights)), "white")
        for row, pair in enumerate(pairs):
            for column, image in enumerate(pair):
                whole.paste(image, (column * half, sum(heights[:row])))
        height = round(whole.height * width / whole.width)
        whole.resize((width, height), Image.Resampling.LANCZOS).save(folder / f"{name}.png")


def _spread(values: NDArray[np.float64], digits: int = 3) -> str:
    if not len(values):  # tracking
        return ""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def report(what: str, progress: object) -> None:
    """Say what begins."""
    if progress is None:
        say(what)


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Make what is not there, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=list(SHIFTS), action="append")
    parser.add_argument("--events", type=int, default=120_000)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--also", metavar="SHIFT", help="score source-only of the last run there")
    parser.add_argument("--figures", type=Path, help="folder for the figures of the last run")
    parser.add_argument("--curve", type=int, nargs="+", default=[])
    given = parser.parse_args()
    config = settings(given)
    for name in given.only or ([] if given.curve else SHIFTS):
        tensors = sample(given.folder, name, given.events, config)
        run = trained(tensors, given.folder / "runs" / name, config)
        say(f"recommended: {run.metrics['recommended']}")
        table(name, run.model, hepdann.open_tensors(tensors))
        if given.figures is not None:
            pictures(run, given.figures)
    if given.also is not None:
        other = hepdann.open_tensors(sample(given.folder, given.also, given.events, config))
        table(f"source-only on {given.also}", elsewhere(run.model, other), other)
    if given.curve:
        tensors = sample(given.folder, "frozen", given.events, config)
        curve(given.folder, tensors, given.curve, config)


if __name__ == "__main__":
    main()
