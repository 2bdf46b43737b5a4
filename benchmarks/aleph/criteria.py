"""How each label-free criterion ranks methods and networks, over shifts and splits of ALEPH.

    python benchmarks/aleph/criteria.py --data DIR -o study --splits 0 1 2 3 4
    python benchmarks/aleph/criteria.py --data DIR -o study --case rotation

What was trained is read again, and a training that was cut off goes on where it was.

For each split seed and each case the jets are divided into MC and pseudo-data of other jets, which
are shifted, and one ``hepdann.train`` runs with default settings. The tables give, for each
criterion, the mean rank correlation with the true target accuracy and AUC over methods and their
networks, and what its favourite loses at worst; and, for each case, what is recommended and what it
reaches. True labels are read after all was chosen.

Cases: no shift, sine and gaussian shifts, the folding cosine, a rotation of three pairs of
standardised features by 45°, both, and a label shift (33 % signal in MC, 17 % in data) under a
sine.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hepdann
from hepdann import shifts
from hepdann.config import load_config, override
from hepdann.config.samples import SplitConfig
from hepdann.criteria import CRITERIA
from hepdann.evaluation import open_scores, open_truth, oracle_source
from hepdann.readers import convert_files
from hepdann.runs import resume
from hepdann.stats import accuracy, auc
from hepdann.tensors import Block, Layout, Source, Target, Tensors, TensorWriter, open_tensors

RAW, ORACLE = "source-only", "oracle"
PAIRS = (("prob_b", "spheri"), ("bqvjet", "multip"), ("pt2rel", "ptlrel"))
SHIFTS = {"sine 3": ("sine", 3), "sine 8": ("sine", 8), "gaussian 3": ("gaussian", 3),
          "cosine 3": ("cosine", 3)}  # fmt: skip


def rotated(x: np.ndarray, reference: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Pairs of standardised features turned by 45°."""
    mean, width = reference.mean(axis=0), reference.std(axis=0)
    z, out = (x - mean) / width, (x - mean) / width
    for first, second in PAIRS:
        i, j = names.index(first), names.index(second)
        out[:, i], out[:, j] = (z[:, i] - z[:, j]) / 2**0.5, (z[:, i] + z[:, j]) / 2**0.5
    return (out * width + mean).astype(np.float32)


def mixture(label: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Rows with this fraction of signal, as many as there are."""
    signal, other = (generator.permutation(np.flatnonzero(label == c)) for c in (1, 0))
    kept = min(len(other), int(len(signal) * (1 - fraction) / fraction))
    signal = signal[: int(kept * fraction / (1 - fraction))]
    return np.sort(np.concatenate([signal, other[:kept]]))


def cases(tensors: Tensors, seed: int) -> Iterator[tuple[str, Source, Target, np.ndarray]]:
    """Name, MC, pseudo-data and its true labels of each case."""
    source, target = tensors.source(half=True), tensors.pseudo_target()
    label = oracle_source(open_truth(tensors).pseudo(), target).label
    reference = tensors.source().part("train").features
    generator = np.random.default_rng(1000 + seed)
    features = {"no shift": target.features}
    for name, (shift, t) in SHIFTS.items():
        fitted = shifts.get(shift, t).fit(reference)
        features[name] = fitted.apply(target.features, generator)
    features["rotation"] = rotated(target.features, reference, tensors.features)
    features["sine 3, rotation"] = rotated(features["sine 3"], reference, tensors.features)
    for name, x in features.items():
        yield name, source, target.with_features(x), label
    few, fewer = (mixture(y, f, generator) for y, f in ((source.label, 0.33), (label, 0.17)))
    shifted = target.with_features(features["sine 8"])
    yield "sine 8, label shift", source.take(few), shifted.take(fewer), label[fewer]


def write(
    path: Path, like: Tensors, mc: Source, data: Target, truth: np.ndarray, seed: int
) -> None:
    """A tensor file whose data are the pseudo-data."""
    layout = Layout(
        features=like.features,
        classes=like.classes,
        samples={"mc": ("mc",), "data": ("data",)},
        has_truth=True,
    )
    capacity, split = {"mc": len(mc), "data": len(data)}, SplitConfig(seed=seed)
    with TensorWriter(path, layout, capacity=capacity, split=split) as writer:
        for domain, side in (("mc", mc), ("data", data)):
            block = Block(
                features=side.features,
                spectators=np.empty((len(side), 0), np.float32),
                weight=side.weight,
                sample=np.zeros(len(side), np.uint16),
                event_id=side.event_id,
                label=mc.label if domain == "mc" else None,
                truth=truth if domain == "data" else None,
            )
            writer.append(domain, block)
        writer.finish({})


def trained(
    folder: Path, seed: int, wanted: Sequence[str] | None
) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Case, run and metrics of one split seed; what is there is read again.

    Args:
        folder: of the study.
        seed: of the split.
        wanted: cases; ``None`` for all.
    """
    jets = folder / f"jets-{seed}.h5"
    if not jets.exists():
        config = override(load_config("aleph"), {"convert.split.seed": seed})
        convert_files(output=jets, config=config)
    tensors = open_tensors(jets)
    for name, mc, data, truth in cases(tensors, seed):
        if wanted is not None and name not in wanted:
            continue
        stem = name.replace(", ", "-").replace(" ", "-")
        run, path = folder / f"{stem}-{seed}", folder / f"{stem}-{seed}.h5"
        if not (run / "metrics.json").exists():
            if not path.exists():
                write(path, tensors, mc, data, truth, seed)
            if (run / "origin.json").exists():
                resume(run)
            else:
                hepdann.train(path, output=run)
        yield name, run, json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def whole_target(run: Path, method: str) -> list[float]:
    """Accuracy and AUC of a method on every event of the target, not only on the test split.

    No method but the oracle saw a label of the others either; seven times as many events tell a
    difference that the test split cannot.
    """
    scores = open_scores(run)
    label, weight = scores.label("target"), scores.column("target", "weight")
    assert label is not None
    score = scores.score("target", method)
    return [accuracy(score, label, weight).value, auc(score[:, 1], label, weight).value]


def ranking_table(runs: list[dict[str, Any]]) -> None:
    """Mean rank correlation and worst loss of each criterion, for accuracy and for AUC."""
    print(
        "\n| criterion | better is | Spearman, accuracy | worst loss | Spearman, AUC | worst loss |"
    )
    print("|---|---|---|---|---|---|")
    rows = []
    for name, criterion in CRITERIA.items():
        cells: list[float] = []
        for what in ("accuracy", "auc"):
            found = [run["criteria"]["ranking"][what][name] for run in runs]
            rho = [f["spearman"] for f in found if f["spearman"] is not None]
            regret = [f["regret"] for f in found if f["regret"] is not None]
            cells += [np.mean(rho) if rho else np.nan, np.max(regret) if regret else np.nan]
        better = "larger" if criterion.larger_is_better else "smaller"
        shown = " | ".join(f"{c:.{d}f}" for c, d in zip(cells, (2, 3, 2, 3), strict=True))
        rows.append((-cells[0], f"| {criterion.title} | {better} | {shown} |"))
    for _, row in sorted(rows):
        print(row)


def recommended_table(
    by_case: dict[str, list[dict[str, Any]]], folders: dict[str, list[Path]]
) -> None:
    """What is recommended, and what it reaches beside the others."""
    beside = [RAW, "quantile", "affine+quantile", "dann", ORACLE]
    columns = ["shift", "recommended", "accuracy, AUC", "less oracle", *beside, "whole target"]
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, runs in by_case.items():
        chosen = [run["recommended"] for run in runs]
        counts = ", ".join(f"{m} {chosen.count(m)}/{len(runs)}" for m in dict.fromkeys(chosen))
        warned = sum(run["recommendation"]["large_residual"] for run in runs)
        counts += f"; large shift remains {warned}/{len(runs)}" if warned else ""
        cells = [_means(runs, chosen)]
        oracles = _figures(runs, [ORACLE] * len(runs))
        apart = _figures(runs, chosen)[:, 0] - oracles[:, 0]
        error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else np.nan
        cells.append(f"{apart.mean():+.4f} ± {error:.4f}")
        cells += [_means(runs, [method] * len(runs)) for method in beside]
        whole = [whole_target(run, m) for run, m in zip(folders[name], chosen, strict=True)]
        cells.append("{:.4f}, {:.4f}".format(*np.mean(whole, axis=0)))
        print(f"| {name} | {counts} | {' | '.join(cells)} |")


def _figures(runs: list[dict[str, Any]], wanted: list[str]) -> np.ndarray:
    """(N, 2) accuracy and AUC of a method in each run."""
    found = [run["methods"][m]["target"] for run, m in zip(runs, wanted, strict=True)]
    return np.array([[one["accuracy"], one["auc"]] for one in found])


def _means(runs: list[dict[str, Any]], wanted: list[str]) -> str:
    return "{:.4f}, {:.4f}".format(*_figures(runs, wanted).mean(axis=0))


def main() -> None:
    """Train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HEPDANN_DATA"))
    parser.add_argument("-o", "--output", type=Path, default=Path("criteria-study"))
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--case", action="append", help="a name of the table; default: all")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    os.environ["HEPDANN_DATA"] = str(given.data)
    given.output.mkdir(parents=True, exist_ok=True)
    by_case: dict[str, list[dict[str, Any]]] = {}
    folders: dict[str, list[Path]] = {}
    for seed in given.splits:
        for name, run, metrics in trained(given.output, seed, given.case):
            by_case.setdefault(name, []).append(metrics)
            folders.setdefault(name, []).append(run)
            print(f"{name}, split {seed}: {metrics['recommendation']['sentence']}", flush=True)
    recommended_table(by_case, folders)
    ranking_table([run for name, runs in by_case.items() for run in runs if name != "no shift"])


if __name__ == "__main__":
    main()
