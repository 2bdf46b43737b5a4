"""Every method over λ on the ALEPH b jets: mean and spread over split seeds, no target label used.

    python benchmarks/aleph/methods.py --data DIR -o study
    python benchmarks/aleph/methods.py --data DIR -o study --targets sine-cubed:3 --lambda 1

DIR holds ``aleph/aleph_mc.root``. Each split seed is a conversion of its own, and half of its MC is
made pseudo-data, as in ``hepdann train --shift``; the settings are the defaults of ``train``. The
networks of all split seeds and λ of a method train as one stack. The tables give the figures of
single networks on the target's test split at the last epoch; ``<target>.json`` holds each of them,
and what it holds is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hepdann
from hepdann import alignment, methods, shifts
from hepdann.config import Config, load_config, override
from hepdann.domains import DomainEvents, Domains, auxiliary_sources, prepare, resident
from hepdann.evaluation import oracle_source, truth_of
from hepdann.inference.passes import classify
from hepdann.readers import convert_files
from hepdann.runs.preparation import auxiliary_shifts
from hepdann.runs.stacks.plan import group_members, resolve_auto, settings_of, shape_of
from hepdann.stats import accuracy, auc
from hepdann.tensors import Source, Target
from hepdann.training import Member, StackTrainer

METHODS = (
    "dann", "cdan", "mmd", "coral", "hybrid-dann", "dann-joint", "dann-alternating",
    "hybrid-alternating",
)  # fmt: skip
TARGETS = "sine:3,sine:8,gaussian:3,cosine:3"
_WATCHED = 256  # events of an epoch's validation, which nobody looks at here

Row = dict[str, object]


@dataclass(eq=False)
class Study:
    """One target: the domains of every split seed, and their events on the device.

    Attributes:
        config: of the training, resolved.
        domains: of each split seed.
        sources: MC of each split seed, then its copies, then the oracles' events.
        targets: of each split seed.
        copies: number of copies of each split seed.
    """

    config: Config
    domains: list[Domains]
    sources: list[DomainEvents]
    targets: list[DomainEvents]
    copies: int

    def member(self, method: str, lambda_: float, split: int) -> Member:
        """A network of one split seed."""
        n, kind = len(self.domains), methods.get(method)
        first = n + split * self.copies
        auxiliaries = tuple(range(first, first + self.copies)) if kind.auxiliary else ()
        return Member(kind, lambda_, split, split, split, auxiliaries)

    def oracle(self, split: int) -> Member:
        """The ceiling of one split seed."""
        base = self.member("source-only", 0.0, split)
        return replace(base, source=len(self.sources) - len(self.domains) + split, name="oracle")

    def train(self, members: Sequence[Member]) -> Iterator[Row]:
        """Train members of one method as a stack; the figures of each."""
        (plan,) = group_members(members, self.config.train)
        first = self.domains[0].source
        shape = shape_of(self.config.train, first.features.shape[1], len(first.classes), plan)
        settings = settings_of(self.config.train, self.sources[0].n_train)
        trainer = StackTrainer(members, shape, self.sources, self.targets, settings)
        trainer.run()
        with trainer.averaged() as network:
            for split, domains in enumerate(self.domains):
                test = domains.target.part("test")
                seen = {"": test.features}
                if members[0].label == "source-only":
                    sides = domains.target.part("train"), domains.source.part("train")
                    seen["quantile"] = alignment.get("quantile").fit(*sides).apply(test.features)
                label = _truth(domains).label
                for name, features in seen.items():
                    row = members[0].method.target_domain
                    scores = classify(network, features, domains.scaling, row)
                    for k, member in enumerate(members):
                        if member.target == split:
                            yield _row(name or member.label, member, scores[k], label, test)


def _truth(domains: Domains) -> Source:
    truth = truth_of(domains)
    assert truth is not None
    return oracle_source(truth, domains.target).part("test")


def _row(
    name: str, member: Member, scores: NDArray[np.float32], label: NDArray[np.int32], test: Target
) -> Row:
    return {
        "method": name,
        "lambda": member.lambda_ if member.method.adversarial else None,
        "split": member.target,
        "accuracy": accuracy(scores, label, test.weight).value,
        "auc": auc(scores[:, 1], label, test.weight).value,
    }


def prepared(files: Sequence[Path], shift: str, t: float) -> Study:
    """The events of a target for every split seed."""
    own = {"train.shift": {"name": shift, "t": t}, "train.methods": ["hybrid-dann"]}
    config = override(Config(), own)
    wanted = auxiliary_shifts(config.train)
    domains = [
        prepare(hepdann.open_tensors(path), None, shifts.get(shift, t), config.train.seed)
        for path in files
    ]
    n_train = min(len(d.source.part("train")) for d in domains)
    train = resolve_auto(config.train, n_train)

    def put(events: Source | Target, of: Domains) -> DomainEvents:
        there = resident(events, of.scaling, device=train.device)
        held = {k: v for k, v in vars(there).items() if "validation" in k and v is not None}
        return replace(there, **{key: value[..., :_WATCHED] for key, value in held.items()})

    copies = [put(c, d) for d in domains for c in auxiliary_sources(d.source, wanted, train.seed)]
    truths = [(truth_of(d), d) for d in domains]
    oracles = [put(oracle_source(truth, d.target), d) for truth, d in truths if truth is not None]
    return Study(
        config.model_copy(update={"train": train}),
        domains,
        [*(put(d.source, d) for d in domains), *copies, *oracles],
        [put(d.target, d) for d in domains],
        len(wanted),
    )


def study(
    files: Sequence[Path], target: str, names: Sequence[str], lambdas: Sequence[float], path: Path
) -> list[Row]:
    """All rows of one target; what is in ``path`` is not trained again."""
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    there = {(row["method"], row["lambda"]) for row in rows}
    wanted: dict[str, list[float]] = {"source-only": [0.0], "oracle": [0.0]}
    wanted |= {name: [s for s in lambdas if (name, s) not in there] for name in names}
    shift, _, t = target.partition(":")
    one = None
    for name, lambdas in wanted.items():
        if not lambdas or (name, None) in there:
            continue
        one = one or prepared(files, shift, float(t))
        splits, start = range(len(files)), time.perf_counter()
        if name == "oracle":
            members = [one.oracle(k) for k in splits]
        else:
            members = [one.member(name, s, k) for s in lambdas for k in splits]
        rows += one.train(members)
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        seconds = time.perf_counter() - start
        print(f"{target} {name}: {len(members)} networks, {seconds:.0f} s", file=sys.stderr)
    return rows


def show(target: str, rows: Sequence[Row]) -> None:
    """As Markdown: one row a method, one column a λ."""
    lambdas = sorted({float(str(r["lambda"])) for r in rows if r["lambda"] is not None})
    head = " | ".join(f"λ = {s:g}" for s in lambdas)
    for figure in ("accuracy", "auc"):
        print(f"\n{target}, {figure}\n\n| method | {head} |\n|---|{'---|' * len(lambdas)}")
        for method in dict.fromkeys(str(r["method"]) for r in rows):
            cells = [_cell(rows, method, figure, None)]
            if not cells[0]:
                cells = [_cell(rows, method, figure, lambda_) for lambda_ in lambdas]
            print(f"| {method} | {' | '.join(cells)} |")


def _cell(rows: Sequence[Row], method: str, figure: str, lambda_: float | None) -> str:
    values = [
        float(str(row[figure]))
        for row in rows
        if (row["method"], row["lambda"]) == (method, lambda_)
    ]
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if values else ""


def main() -> None:
    """Parse, run, print, write a JSON file a target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("HEPDANN_DATA"), help="HEPDANN_DATA")
    parser.add_argument("-o", "--output", type=Path, default=Path("study"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--targets", default=TARGETS, help="SHIFT:T,…")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--lambda", dest="lambdas", default="0,0.1,0.3,1,3")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data DIR or set HEPDANN_DATA")
    os.environ["HEPDANN_DATA"] = str(Path(given.data).resolve())
    given.output.mkdir(parents=True, exist_ok=True)
    files = [given.output / f"split{seed}.h5" for seed in range(given.splits)]
    for seed, path in enumerate(files):
        if not path.exists():
            config = load_config("aleph", changes={"convert.split.seed": seed})
            convert_files(output=path, config=config)
    for target in given.targets.split(","):
        lambdas = [float(word) for word in given.lambdas.split(",")]
        path = given.output / f"{target.replace(':', '-t')}.json"
        show(target, study(files, target, given.methods.split(","), lambdas, path))


if __name__ == "__main__":
    main()
