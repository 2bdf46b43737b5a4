"""Could another classifier do better on the same jets? The networks beside larger ones and trees.

    python benchmarks/aleph/ceiling.py --data DIR -o study

For each split seed half of the ALEPH jets are MC and half the target, as in ``hepdann train
--shift identity``: without a shift, so that only the classifier matters. Everything trains on the
same training split of the MC. The first two columns are the target's test split, which every other
study quotes; the last two are all jets that nobody trained on, nearly nine times as many, and the
same ones for all. The last column is each one's accuracy less that of the default networks,
jet by jet, mean over the split seeds and its standard error.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

import hepdann
from hepdann import methods, shifts
from hepdann.config import Config, load_config, override
from hepdann.domains import prepare, resident
from hepdann.evaluation import open_truth, oracle_source
from hepdann.inference.passes import classify
from hepdann.readers import convert_files
from hepdann.runs.stacks.plan import group_members, resolve_auto, settings_of, shape_of
from hepdann.stats import accuracy, auc
from hepdann.tensors import Source, open_tensors
from hepdann.training import Member, StackTrainer

NETWORKS: dict[str, dict[str, Any]] = {
    "networks, default": {},
    "64-64, head 32, 40 epochs": {
        "train.extractor": [64, 64], "train.label_head": [32], "train.epochs": 40
    },
    "batches of 256, 40 epochs": {"train.batch_size": 256, "train.epochs": 40},
    "weight decay 1e-4": {"train.weight_decay": 1e-4},
    "averaged over 1000 steps": {"train.ema": 0.999},
}  # fmt: skip
TREES = "boosted trees (scikit-learn)"
SEEDS = 5


def networks(tensors: Any, changes: dict[str, Any], events: Source) -> np.ndarray:
    """(N,) mean score of five networks that trained on the MC's training split."""
    domains = prepare(tensors, None, shifts.identity(), 0)
    train = override(Config(), changes | {"train.methods": ["source-only"]}).train
    n_train = len(domains.source.part("train"))
    train = resolve_auto(train, n_train)
    members = [Member(methods.get("source-only"), 0.0, seed) for seed in range(SEEDS)]
    (plan,) = group_members(members, train)
    shape = shape_of(train, len(tensors.features), len(tensors.classes), plan)
    sides = [
        [resident(side, domains.scaling, device=train.device)]
        for side in (domains.source, domains.target)
    ]
    trainer = StackTrainer(plan.members, shape, *sides, settings_of(train, n_train))
    trainer.run()
    with trainer.averaged() as network:
        return np.asarray(classify(network, events.features, domains.scaling, 0)[..., 1].mean(0))


def trees(mc: Source, events: Source) -> np.ndarray:
    """(N,) mean score of three forests; their settings are a good guess for jets like these."""
    fitted = [
        HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.06, max_leaf_nodes=12, min_samples_leaf=30,
            l2_regularization=1.0, max_features=0.6, early_stopping=False, random_state=seed,
        ).fit(mc.features, mc.label)
        for seed in range(3)
    ]  # fmt: skip
    return np.asarray(np.mean([f.predict_proba(events.features)[:, 1] for f in fitted], axis=0))


def one_split(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Figures of every classifier on one split seed; those that are known are kept."""
    tensors = open_tensors(path)
    mc, target = tensors.source(half=True), tensors.pseudo_target()
    truth = oracle_source(open_truth(tensors).pseudo(), target)
    held = [mc.take(mc.split != 0), truth]
    events = Source(
        *(np.concatenate([getattr(e, name) for e in held])
          for name in ("features", "weight", "event_id", "split", "label")), mc.classes,
    )  # fmt: skip
    test = np.arange(len(events)) >= len(held[0])
    test &= events.split == 2
    for name in [*NETWORKS, TREES]:
        if name in known:
            continue
        if name == TREES:
            found = trees(mc.part("train"), events)
        else:
            found = networks(tensors, NETWORKS[name], events)
        known[name] = {
            "right": ((found > 0.5) == (events.label == 1)).tolist(),
            "test": [
                accuracy(found[test], events.label[test]).value,
                auc(found[test], events.label[test]).value,
            ],
            "held": [accuracy(found, events.label).value, auc(found, events.label).value],
        }
    return known


def show(splits: list[dict[str, Any]]) -> None:
    """As Markdown."""
    print("| classifier | accuracy | AUC | accuracy, all held out | AUC | less default |")
    print("|---|---|---|---|---|---|")
    first = next(iter(NETWORKS))
    for name in [*NETWORKS, TREES]:
        cells = []
        for where in ("test", "held"):
            for k in (0, 1):
                values = [split[name][where][k] for split in splits]
                cells.append(f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}")
        apart = [
            np.subtract(split[name]["right"], split[first]["right"], dtype=np.float64)
            for split in splits
        ]
        mean = np.mean([one.mean() for one in apart])
        error = np.mean([one.std() / len(one) ** 0.5 for one in apart])  # the jets are the same
        cells.append("" if name == first else f"{mean:+.4f} ± {error:.4f}")
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Parse, train what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("study"))
    parser.add_argument("--splits", type=int, default=5)
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    os.environ["HEPDANN_DATA"] = str(Path(given.data).resolve())
    given.output.mkdir(parents=True, exist_ok=True)
    splits = []
    for seed in range(given.splits):
        path, notes = given.output / f"split{seed}.h5", given.output / f"ceiling-{seed}.json"
        if not path.exists():
            convert_files(
                output=path, config=load_config("aleph", changes={"convert.split.seed": seed})
            )
        known = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
        splits.append(one_split(path, known))
        notes.write_text(json.dumps(splits[-1]), encoding="utf-8")
    print(f"hepdann {hepdann.__version__}, {given.splits} split seeds")
    show(splits)


if __name__ == "__main__":
    main()
