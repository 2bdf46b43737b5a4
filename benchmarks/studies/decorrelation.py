"""Decorrelated classifiers: what they forget of a nuisance, and what it costs.

    python benchmarks/studies/decorrelation.py                      # the toy of arXiv:1611.01046
    python benchmarks/studies/decorrelation.py --data DIR --weight 20     # m_vis of CMS MC
    python benchmarks/studies/decorrelation.py --data DIR --method source-only --repeat 5

The toy: 150,000 events, five networks of each method; KS distance of the score between events drawn
at z = -1 and at z = +1, accuracy at 0.5, and the adversary's loss L_r at the end of the training,
which is H(Z) = 1.419 where the score tells nothing of z. CMS: background before and after a cut
that keeps half of the signal, scored out of fold, beside two baselines that train nothing; of
repeated trainings the mean and standard deviation as parts of source-only's.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

RECIPES: dict[str, dict[str, Any]] = {
    "source-only": {},
    "pivot": {"nuisance_weight": 25},
    "pivot-alternating": {"nuisance_weight": 25, "adversary_steps": 5},
    "disco": {"nuisance_weight": 15},
    "dann-pivot": {"nuisance_weight": 25},
    "planing": {},
}  # of the toy


def toy_tensors(folder: Path, events: int) -> Path:
    """The tensor file of the toy."""
    import hepdann
    from hepdann import samples

    mc, _ = samples.write("pivot", folder, events)
    _, data = samples.write("pivot", folder / "few", 5_000)  # no target has a part in this
    hepdann.convert(mc, data, output=folder / "pivot.h5", spectators=["z"])
    return folder / "pivot.h5"


def at(z: float | None, n: int, seed: int) -> tuple[Any, Any]:
    """Features and labels of events at a nuisance, or of any."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    x = generator.standard_normal((n, 2))
    nuisance = generator.standard_normal(n) if z is None else z
    background = np.stack([x[:, 0], -0.5 * x[:, 0] + np.sqrt(0.75) * x[:, 1]], axis=1)
    signal = np.stack([1 + x[:, 0], 1 + nuisance + x[:, 1]], axis=1)
    return np.where(label[:, None] == 1, signal, background).astype(np.float32), label


def toy(method: str, tensors: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Train networks of a method on the toy as one stack, and judge each by itself."""
    import torch

    from hepdann import methods, open_tensors
    from hepdann.domains import Wanted, prepare, resident
    from hepdann.networks import NetworkShape
    from hepdann.stats import kolmogorov
    from hepdann.training import Member, Settings, StackTrainer

    seeds = changes.pop("seeds")
    domains = prepare(open_tensors(tensors), None, None, 0, wanted=Wanted(("z",)))
    known, kind, nuisances = (
        domains.scaling,
        methods.unwatched(methods.get(method)),
        domains.nuisances,
    )
    assert nuisances is not None
    source = domains.source if kind.source is None else kind.source(domains)
    sides = [
        resident(source, known, device="cpu", nuisances=nuisances),
        resident(domains.target, known, device="cpu"),
    ]
    widths = nuisances.widths if kind.nuisance_head else ()
    shape = NetworkShape(2, 2, nuisances=widths, nuisance_head=(32, 32) if widths else ())
    steps = domains.n_train // changes["batch_size"]
    trainer = StackTrainer(
        [Member(kind, 1.0, seed) for seed in range(seeds)], shape, sides[:1], sides[1:],
        Settings(steps=steps, **changes),
    )  # fmt: skip
    trainer.run()
    row: dict[str, Any] = {"method": method}
    samples = {z: at(z, 20_000, seed) for seed, z in enumerate((None, -1.0, 1.0))}
    with trainer.chosen() as network:
        scores = {
            z: network.classify(torch.from_numpy(known.apply(x).T[None]), 0)[..., 1].numpy()
            for z, (x, _) in samples.items()
        }
    row["ks"] = [kolmogorov(a, b)[0] for a, b in zip(scores[-1.0], scores[1.0], strict=True)]
    row["accuracy"] = [float(((s > 0.5) == samples[None][1]).mean()) for s in scores[None]]
    last = [entry for entry in trainer.history if entry["epoch"] == trainer.epoch]
    row["L_r"] = [float(str(e["loss_nuisance"])) for e in last if "loss_nuisance" in e]
    return row


def cms(data: Path, methods: Sequence[str], weight: float, repeat: int) -> None:
    """Train on the CMS simulation with m_vis as the nuisance of the background, and print."""
    import hepdann
    from hepdann.config import load_config

    os.environ["HEPDANN_DATA"] = str(data)
    config = load_config("htautau")
    samples = [sample for sample in config.samples if sample.role != "template"]
    convert = config.convert.model_copy(update={"cut": "mt_1 < 1000"})
    config = config.model_copy(update={"samples": samples, "convert": convert})
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        hepdann.convert(config=config, output=folder / "cms.h5")
        parts: dict[str, list[tuple[float, float]]] = {}
        for number in range(repeat):
            run = hepdann.train(
                folder / "cms.h5", method=list(methods), nuisance=["m_vis"], seed=10 * number,
                nuisance_classes=["background"], nuisance_weight=weight, alignments=[],
                diagnose=False, folds=3, seeds=2, epochs=15, output=folder / f"run-{number}",
            )  # fmt: skip
            first = None
            for name, block in run.metrics["nuisances"]["m_vis"].items():
                (half,) = (cut for cut in block["cuts"] if cut["efficiency"] == 0.5)
                print(
                    f"{name:18} KS {block['ks']:.3f}  rejection {half['rejection']:.1f}  1/JSD "
                    f"{half['inverse_jsd']:.1f}  limit {1 / half['floor']:.0f}",
                    flush=True,
                )
                pair = np.array([half["rejection"], half["inverse_jsd"]])
                first = pair if first is None else first
                parts.setdefault(name, []).append(tuple(pair / first))
        for name, values in parts.items() if repeat > 1 else ():
            mean, std = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
            print(f"{name:18} rejection × {mean[0]:.3f} ± {std[0]:.3f}  1/JSD × {mean[1]:.2f} ± "
                  f"{std[1]:.2f}", flush=True)  # fmt: skip


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of means and standard deviations over the networks."""
    for row in rows:
        cells = [
            f"{key} {np.mean(v):.3f} ± {np.std(v, ddof=1) if len(v) > 1 else 0:.3f}"
            for key, v in row.items() if isinstance(v, list) and v
        ]  # fmt: skip
        print(f"{row['method']:18} " + "  ".join(cells), flush=True)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--method", action="append", help="by default all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--data", type=Path, help="folder of cms_htautau: CMS in place of the toy")
    parser.add_argument("--weight", type=float, default=10.0, help="nuisance_weight of CMS")
    parser.add_argument("--repeat", type=int, default=1, help="trainings on CMS, of other seeds")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.data is not None:
        cms(given.data, given.method or ("disco", "pivot"), given.weight, given.repeat)
        return
    settings = {"seeds": 5, "epochs": 4, "batch_size": 256} | {
        name: json.loads(value) for name, value in (text.split("=") for text in given.set)
    }
    rows = []
    with TemporaryDirectory() as folder:
        tensors = toy_tensors(Path(folder), given.events)
        for method in given.method or RECIPES:
            rows.append(toy(method, tensors, RECIPES[method] | settings))
            show(rows[-1:])
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
