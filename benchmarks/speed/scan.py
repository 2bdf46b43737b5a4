"""What a scan gains by training its networks as stacks, against one after the other.

    python benchmarks/speed/scan.py tensors.h5

In one process and on one thread, interleaved: an epoch of each stack of one target, and an epoch of
single networks of the same methods. Times are those of the processor, which a shared machine
disturbs least. The table gives the time a network and epoch, and what the whole grid would take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from hepdann import open_tensors, shifts
from hepdann.config import Config, ShiftConfig
from hepdann.domains import DomainEvents, auxiliary_sources, prepare, resident
from hepdann.networks import NetworkShape
from hepdann.runs.preparation import auxiliary_shifts
from hepdann.runs.scans.grid import plan_point
from hepdann.runs.stacks.plan import SourceIndices, resolve_auto, settings_of, shape_of
from hepdann.training import Member, Settings, StackTrainer

STRENGTHS = (0.1, 0.3, 1.0, 3.0)


def seconds(
    members: Sequence[Member], shape: NetworkShape, sources: Sequence[DomainEvents],
    target: DomainEvents, settings: Settings,
) -> float:  # fmt: skip
    """Processor time of an epoch of a stack, validation included."""
    trainer = StackTrainer(members, shape, sources, [target], settings)
    start = time.process_time()
    trainer.run()
    return time.process_time() - start


def main() -> None:
    """Parse, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tensors", type=Path)
    parser.add_argument("--methods", default="dann,dann-alternating")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--targets", type=int, default=5, help="t in the grid")
    parser.add_argument("-o", "--output", type=Path, default=Path("scan.json"))
    given = parser.parse_args()
    config = Config.model_validate(
        {"train": {"methods": given.methods.split(","), "epochs": 1},
         "scan": {"shifts": ["sine"], "lambda": list(STRENGTHS)}}
    )  # fmt: skip
    tensors = open_tensors(given.tensors)
    domains = prepare(tensors, None, shifts.sine(t=3), 0)
    n_train = len(domains.source.part("train"))
    train = resolve_auto(config.train, n_train)
    settings = settings_of(train, n_train)
    here = ShiftConfig(name="sine", t=3)
    shifted = auxiliary_shifts(train.model_copy(update={"shift": here}))
    copies = auxiliary_sources(domains.source, shifted, train.seed)
    *sources, target = (
        resident(events, domains.scaling, device="cpu")
        for events in (domains.source, *copies, domains.target)
    )
    plans = plan_point(config.scan, train, SourceIndices(copies=len(copies)))
    taken: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for number, plan in enumerate(plans):
            shape = shape_of(train, len(tensors.features), len(tensors.classes), plan)
            name = plan.members[0].method.name
            k = len(plan.members)
            stack = seconds(plan.members, shape, sources, target, settings) / k
            taken.setdefault(f"{name}, stack of {k} ({number + 1})", []).append(stack)
            one = seconds(plan.members[:1], shape, sources, target, settings)
            taken.setdefault(f"{name}, one after the other ({number + 1})", []).append(one)
    rows = {name: statistics.median(values) for name, values in taken.items()}
    per_target = {
        how: sum(
            value * len(plan.members)
            for plan, value in zip(plans, (v for n, v in rows.items() if how in n), strict=True)
        )
        for how in ("stack of", "one after the other")
    }
    print(f"{n_train} training events, batches of {settings.batch_size}")
    for name, value in rows.items():
        print(f"{name:40s} {1e3 * value:8.1f} ms a network and epoch")
    networks = given.targets * sum(len(plan.members) for plan in plans)
    for how, value in per_target.items():
        whole = value * given.targets * 20 / 60
        print(f"{networks} networks, 20 epochs, {how}: {whole:.1f} min")
    ratio = per_target["one after the other"] / per_target["stack of"]
    print(f"ratio {ratio:.2f}")
    result = {"rows": rows, "networks": networks, "per_target": per_target, "ratio": ratio}
    given.output.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
