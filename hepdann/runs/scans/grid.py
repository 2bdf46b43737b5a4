"""From a grid to units: the stacks of a target, and the files of what becomes of them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ... import methods
from ...config import Config, ScanConfig, ShiftConfig, TrainConfig
from ...errors import RunError
from ...inputs import read_json
from ...methods import method_of
from ...outputs import write_run_file
from ...registry import SOURCE_ONLY
from ...store.content import PointBaselines, PointResult
from ...store.paths import ScanPaths
from ...training import Member
from ..stacks.plan import SourceIndices, StackPlan, group_members, oracles, seeds_of

# Members times events of a step: activations of a stack stay in a core's cache, and the cost of
# calling torch is shared (benchmarks/speed/scan.py).
_EVENTS = 4096
_LARGEST = 40


@dataclass(frozen=True)
class Point:
    """A target of a scan: a shift and its t, or the data."""

    shift: str | None = None
    t: float | None = None

    def __str__(self) -> str:
        return "data" if self.shift is None else f"{self.shift} t={self.t:g}"


@dataclass(frozen=True)
class SeedGroup:
    """The members of a stack that differ in nothing but the seed."""

    method: str
    lambda_: float | None
    members: tuple[int, ...]


class ScanUnit(NamedTuple):
    """A part of a scan whose results one file holds.

    Attributes:
        stack: of those at this target, by number; ``None`` is the baselines, and the fit of the
            maps, which the stacks need.
    """

    target: int
    stack: int | None


def points_of(scan: ScanConfig) -> list[Point]:
    """Targets in the order of the table; without a shift, the data alone."""
    return [Point(name, t) for name in scan.shifts for t in scan.t] or [Point()]


def settings_at(config: Config, point: Point, *, images: bool = False) -> TrainConfig:
    """Settings of the trainings at a target, where every epoch of every member is looked at."""
    alignments = config.scan.alignments
    if images and alignments == ScanConfig().alignments:
        alignments = []
    shift = None if point.shift is None else ShiftConfig(name=point.shift, t=point.t or 1.0)
    changed = {"shift": shift, "alignments": alignments, "patience": 0, "choose": "last"}
    return config.train.model_copy(update=changed)


def plan_source(train: TrainConfig, indices: SourceIndices, lean: bool = False) -> list[StackPlan]:
    """Source-only trains once: whatever the target is, it does not see it."""
    return group_members(seeds_of(SOURCE_ONLY, 0.0, train, indices), train, lean)


def plan_point(
    scan: ScanConfig, train: TrainConfig, indices: SourceIndices, lean: bool = False
) -> list[StackPlan]:
    """The stacks of one target.

    Returns:
        Stacks of whole groups of seeds, none larger than it pays, and never less than one group.
        Their targets are the plain one and those that ``trained_alignments(train)`` leaves, in
        this order.
    """
    members = oracles(train) if indices.oracle else []
    for name in train.methods:
        if name != SOURCE_ONLY:
            adversarial = methods.get(method_of(name)[1]).adversarial
            for lambda_ in scan.lambda_ if adversarial else [0.0]:
                members += seeds_of(name, lambda_, train, indices)
    assert isinstance(train.batch_size, int)
    cached = min(_LARGEST, max(1, _EVENTS // train.batch_size))
    size = cached if scan.stack == "auto" else scan.stack
    return [part for plan in group_members(members, train, lean) for part in _split(plan, size)]


def _split(plan: StackPlan, size: int) -> Iterable[StackPlan]:
    """Cut a stack between groups into parts that are about equally large."""
    groups = [[plan.members[k] for k in seeds.members] for seeds in seed_groups(plan.members)]
    each = max(1, size // max(len(one) for one in groups))
    parts = math.ceil(len(groups) / each)
    bounds = [round(i * len(groups) / parts) for i in range(parts + 1)]
    for first, last in itertools.pairwise(bounds):
        members = tuple(member for one in groups[first:last] for member in one)
        yield replace(plan, members=members)


def seed_groups(members: Sequence[Member]) -> list[SeedGroup]:
    """The groups of a stack, in its order."""
    places: dict[tuple[str, float | None], list[int]] = {}
    for k, member in enumerate(members):
        lambda_ = member.lambda_ if member.method.adversarial else None
        places.setdefault((member.label, lambda_), []).append(k)
    return [SeedGroup(name, lambda_, tuple(ks)) for (name, lambda_), ks in places.items()]


Result = dict[str, Any]
AGAIN = "remove it and resume"


def result_path(folder: Path, unit: ScanUnit) -> Path:
    """Of the result of a unit."""
    what = "baselines" if unit.stack is None else f"stack-{unit.stack}"
    return target_path(folder, unit.target, what)


def target_path(folder: Path, target: int, what: str) -> Path:
    """Of what a scan keeps of a target."""
    return ScanPaths(folder).work / f"target-{target}-{what}.json"


def read_result(folder: Path, unit: ScanUnit, fingerprint: str) -> Result:
    """The result of a unit.

    Raises:
        RunError: it is damaged, or that of another scan.
    """
    kind = PointBaselines if unit.stack is None else PointResult
    return read_target(result_path(folder, unit), kind, fingerprint)


def read_target(path: Path, kind: Any, fingerprint: str) -> Result:
    """A file of a target.

    Raises:
        RunError: it is damaged, or that of another scan.
    """
    result: Result = read_json(path, kind, mend=AGAIN)
    if result.get("fingerprint") != fingerprint:
        raise RunError(
            "the result belongs to other tensors or settings",
            where=path,
            mend="resume with those of the scan, or start a new one",
        )
    return result


def write_target(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of a target, whole or not at all."""
    write_run_file(path, json.dumps(content, allow_nan=False).encode())
