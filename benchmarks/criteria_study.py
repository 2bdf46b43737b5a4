"""How each label-free criterion ranks methods and networks, over shifts and splits of ALEPH.

    python benchmarks/criteria_study.py --data DIR -o study --splits 0 1 2 3 4
    python benchmarks/criteria_study.py --data DIR -o study --case rotation

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
from hepdann.config.models import SplitConfig
from hepdann.criteria import CRITERIA
from hepdann.evaluation import open_truth, oracle_source
from hepdann.readers import convert
from hepdann.runs import resume
from hepdann.tensors import Block, Source, Target, Tensors, TensorWriter, open_tensors

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
    with TensorWriter(
        path,
        features=list(like.features),
        units=[""] * len(like.features),
        spectators=[],
        classes=list(like.classes),
        samples={"mc": ["mc"], "data": ["data"]},
        capacity={"mc": len(mc), "data": len(data)},
        split=SplitConfig(seed=seed),
        truth=True,
    ) as writer:
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
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Case and metrics of one split seed; what is there is read again.

    Args:
        folder: of the study.
        seed: of the split.
        wanted: cases; ``None`` for all.
    """
    jets = folder / f"jets-{seed}.h5"
    if not jets.exists():
        config = override(load_config("aleph"), {"convert.split.seed": seed})
        convert(output=jets, config=config)
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
        yield name, json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def ranking_table(runs: list[dict[str, Any]]) -> None:
    """Mean rank correlation and worst loss of each criterion, for accuracy and for AUC."""
    print(f"\n{'criterion':28s} {'accuracy ρ':>11s} {'loses':>6s} {'AUC ρ':>7s} {'loses':>6s}")
    for criterion in CRITERIA:
        cells = []
        for what in ("accuracy", "auc"):
            found = [run["criteria"]["ranking"][what][criterion] for run in runs]
            rho = [f["spearman"] for f in found if f["spearman"] is not None]
            regret = [f["regret"] for f in found if f["regret"] is not None]
            cells += [np.mean(rho) if rho else np.nan, np.max(regret) if regret else np.nan]
        print(f"{criterion:28s} {cells[0]:11.2f} {cells[1]:6.3f} {cells[2]:7.2f} {cells[3]:6.3f}")


def recommended_table(by_case: dict[str, list[dict[str, Any]]]) -> None:
    """What is recommended, and what it reaches beside source-only and the oracle."""
    print(f"\n{'case':20s} {'recommended':32s}", *(f"{m:>15s}" for m in ("", RAW, ORACLE)))
    for name, runs in by_case.items():
        chosen = [run["recommended"] for run in runs]
        counts = ", ".join(f"{m} {chosen.count(m)}" for m in dict.fromkeys(chosen))
        warned = sum(run["recommendation"]["large_residual"] for run in runs)
        counts += f" (large residual {warned})" if warned else ""
        cells = []
        for wanted in (chosen, [RAW] * len(runs), [ORACLE] * len(runs)):
            figures = [r["methods"][m]["target"] for r, m in zip(runs, wanted, strict=True)]
            means = [np.mean([f[k] for f in figures]) for k in ("accuracy", "auc")]
            cells.append("  ".join(f"{mean:.4f}" for mean in means))
        print(f"{name:20s} {counts:32s}", *(f"{cell:>15s}" for cell in cells))


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
    for seed in given.splits:
        for name, metrics in trained(given.output, seed, given.case):
            by_case.setdefault(name, []).append(metrics)
            print(f"{name}, split {seed}: {metrics['recommendation']['sentence']}", flush=True)
    recommended_table(by_case)
    ranking_table([run for name, runs in by_case.items() for run in runs if name != "no shift"])


if __name__ == "__main__":
    main()
