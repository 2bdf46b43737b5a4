"""The stacks of a run: what they train on, and the shards that they are cut into."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from ... import methods
from ...alignment import Alignment
from ...calibration import Calibration, ObjectSource, ObjectTarget, with_parameter
from ...config import TrainConfig
from ...domains import (
    ChangedBlocks,
    DomainEvents,
    Domains,
    ResampledBlocks,
    auxiliary_sources,
    object_shapes,
    resampled,
    resident,
    resident_images,
    view_shapes,
    watched_rows,
)
from ...errors import ConfigError
from ...evaluation import PeekObserver, oracle_source, truth_of
from ...networks.shape import OF_OBJECTS, NetworkShape
from ...registry import PARAMETRISED
from ...tensors import Source, Target
from ...training import StackTrainer, distributed
from ..maps import aligned_target, calibrated_on, events_of
from ..preparation import augment_of, auxiliary_shifts
from .plan import (
    SourceIndices,
    StackPlan,
    made_sources,
    plan_stacks,
    settings_of,
    shape_of,
    trained_alignments,
)

PAYS = 4_000_000  # events, each once for every network, from which processes repay their start
_SHARE = 8  # networks side by side, of which more are hardly faster

Planner = Callable[[TrainConfig, SourceIndices, bool], list[StackPlan]]


@dataclass(frozen=True)
class Shard:
    """Members of a stack that train side by side: all of them, or the share of one process.

    Attributes:
        number: counted through the run; names the checkpoint.
    """

    number: int
    stack: int
    plan: StackPlan
    fold: int | None = None

    @property
    def cost(self) -> int:
        """Of a step of all its members."""
        return self.plan.cost * len(self.plan.members)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods of its members."""
        return tuple(dict.fromkeys(m.label for m in self.plan.members))

    def __str__(self) -> str:
        return f"{self.prefix}{len(self.plan.members)} networks ({', '.join(self.methods)})"

    @property
    def prefix(self) -> str:
        """Begins a line about it: says of which fold it is."""
        return "" if self.fold is None else f"fold {self.fold}: "


def cut_into_shards(
    plans: Sequence[StackPlan], workers: int, fold: int | None = None
) -> list[Shard]:
    """Cut stacks into shards for some processes, which are given equally much to do.

    They are in the order of the members, and one process may be given shards of several stacks.
    """
    ends = list(itertools.accumulate(len(plan.members) for plan in plans))
    costs = (plan.cost for plan in plans for _ in plan.members)
    done = list(itertools.accumulate(costs, initial=0))  # when so many members were trained
    shares = {  # where so much is nearest to done; of two equally near the even one
        min(range(len(done)), key=lambda at: (abs(done[at] - share), at % 2))
        for share in (k * done[-1] / workers for k in range(1, workers))
    }
    shards: list[Shard] = []
    for stack, (plan, end) in enumerate(zip(plans, ends, strict=True)):
        start = end - len(plan.members)
        bounds = sorted({start, end} | {b for b in shares if start < b < end})
        for first, last in itertools.pairwise(bounds):
            members = plan.members[first - start : last - start]
            shards.append(Shard(len(shards), stack, replace(plan, members=members), fold))
    before = fold or 0
    return [
        replace(s, number=s.number + before * len(shards), stack=s.stack + before * len(plans))
        for s in shards
    ]


def pays(train: TrainConfig, domains: Domains) -> bool:
    """Whether a training lasts so long that processes repay their start."""
    events = settings_of(train, domains.n_train).events * train.members
    return events >= PAYS and train.device == "cpu" and domains.images is None


def share_count(began: TrainConfig, train: TrainConfig, domains: Domains) -> int:
    """Shares that the members of a run are cut into.

    They follow from the settings and the events, not from the machine: the bits are the same for
    any number of processes up to theirs. ``began`` are the settings with which the run began; a
    resume may have other processes.
    """
    if train.folds is not None or not pays(train, domains):
        return began.shares
    return max(began.shares, round(train.members / _SHARE))


def planned_shards(train: TrainConfig, domains: Domains, shares: int) -> list[Shard]:
    """The shards of a run on features, whatever the class fractions of its target will be."""
    oracle = train.oracle and truth_of(domains) is not None
    copies = len(auxiliary_shifts(train))
    indices = SourceIndices(oracle, copies, False, made_sources(train), calibrated_on(train))
    return cut_into_shards(plan_stacks(train, indices), shares)


class Stacks:
    """What the members of a run train on; from it follows every shard's trainer.

    Args:
        correction: (C,) logarithm of the target's over the MC's class fractions, if they differ;
            what adapts is then trained on MC of the target's fractions.
        plan: groups members into stacks, given the settings and the indices of the sources, and
            whether source-only should not look at the target; by default the members of a run.
    """

    def __init__(
        self,
        train: TrainConfig,
        domains: Domains,
        maps: Mapping[str, Alignment],
        workers: int = 1,
        correction: Sequence[float] | None = None,
        plan: Planner = plan_stacks,
        fold: int | None = None,
        calibrations: Mapping[str, Calibration] = MappingProxyType({}),
    ) -> None:
        self.train, self.settings = train, settings_of(train, domains.n_train)
        self._domains, self._truth = domains, truth_of(domains)
        self._calibrations, images = calibrations, domains.images
        oracle, copies = train.oracle and self._truth is not None, auxiliary_shifts(train)
        made, names = made_sources(train), calibrated_on(train)
        indices = SourceIndices(oracle, len(copies), correction is not None, made, names)
        plans = plan(train, indices, images is not None)
        self._share_images(plans)
        blocks: Any = (domains.blocks if images is None else images.blocks) or (None, None)
        self.sources = [self._put(domains.source, blocks[0])]
        self.targets = [self._put(domains.target, blocks[1])]
        for name in trained_alignments(train):
            self.targets.append(self._put(aligned_target(domains, maps[name])))
        if oracle and self._truth is not None:
            self.sources.append(self._put(oracle_source(self._truth, domains.target)))
        adapted, again = domains.source, None
        if correction is not None:
            adapted = resampled(adapted, correction, train.seed)
            if blocks[0] is not None:
                again = ResampledBlocks(blocks[0], correction, train.seed)
        self.sources += map(self._put, auxiliary_sources(adapted, copies, train.seed))
        if correction is not None:
            self.sources.append(self._put(adapted, again))
        for name in made:
            make = methods.get(name).source
            assert make is not None
            self.sources.append(resident(make(domains), domains.scaling, device=train.device))
        for one in (calibrations[name] for name in names):
            stream = None if blocks[0] is None else ChangedBlocks(blocks[0], one.calibrated)
            self.sources.append(self._put(one.calibrated(events_of(domains)[0]), stream))
        self.shards = cut_into_shards(plans, workers, fold)
        self._untaught = len(self.sources)

    def _share_images(self, plans: Sequence[StackPlan]) -> None:
        """Of images, torch's threads are as many as the process has; torchrun shares them out."""
        images = self._domains.images is not None
        processes, device = shared_processes(self.train, plans, images=images), self.settings.device
        if not images:
            return
        if processes.count > 1 and device == "cuda":
            device = f"cuda:{torch.cuda.current_device()}"  # other threads see another one
        self.settings = replace(
            self.settings, device=device, threads=torch.get_num_threads(), processes=processes
        )

    def _put(self, events: Source | Target, blocks: Any = None) -> DomainEvents:
        """Events on the device, with the images or objects that networks see of them, if any."""
        domains, device = self._domains, self.settings.device
        if (images := domains.images) is None:
            return resident(
                events, domains.scaling, device=device, blocks=blocks, nuisances=domains.nuisances
            )
        hits = images.source if events is domains.source else images.target
        if isinstance(events, ObjectSource | ObjectTarget):
            hits = events.objects
        augment = augment_of(self.train, images.views)
        return resident_images(
            events, hits, device=device, augment=augment, scaling=images.scaling, blocks=blocks
        )

    def waits_for_teacher(self, shard: Shard) -> bool:
        """Whether a shard waits for :meth:`add_pseudo_labelled`."""
        taught = any(member.method.taught for member in shard.plan.members)
        return taught and len(self.sources) == self._untaught

    @property
    def without_teacher(self) -> list[Shard]:
        """Shards that wait for no teacher."""
        return [shard for shard in self.shards if not self.waits_for_teacher(shard)]

    def add_pseudo_labelled(self, events: Source) -> None:
        """Add the target as a teacher labels it, which taught methods train on."""
        self.sources.append(self._put(events))

    def trainer(self, shard: Shard) -> StackTrainer:
        """The networks of a shard, before their first step."""
        members, shape = shard.plan.members, shape_at(self.train, self._domains, shard.plan)
        sources, targets = self.sources, self.targets
        if members[0].method.name == PARAMETRISED:
            members = tuple(replace(member, source=0) for member in members)
            sources, targets = self._parametrised()
        return StackTrainer(members, shape, sources, targets, self.settings)

    def _parametrised(self) -> tuple[list[DomainEvents], list[DomainEvents]]:
        """The events of a network that knows the parameters of the calibration; of data, 0."""
        domains, scaling = self._domains, self._domains.scaling.with_parameter()

        def target(events: Target, _: int = 0) -> Target:
            return replace(events, features=with_parameter(events.features, 0.0))

        changes: tuple[Callable[..., Target], ...] = (
            self._calibrations[PARAMETRISED].parametrised,
            target,
        )
        made = [
            resident(
                change(events),
                scaling,
                device=self.settings.device,
                blocks=None if stream is None else ChangedBlocks(stream, change),
            )
            for events, change, stream in zip(
                (domains.source, domains.target),
                changes,
                domains.blocks or (None, None),
                strict=True,
            )
        ]
        return made[:1], made[1:]

    def peek(self, notes: Path) -> PeekObserver | None:
        """What watches the target accuracy of a shard, where the truth is known."""
        domains = self._domains
        if self._truth is None:
            return None
        rows = watched_rows(domains.target, images=domains.images is not None)
        return PeekObserver(self._truth, domains.target, rows, notes)


def shape_at(train: TrainConfig, domains: Domains, plan: StackPlan) -> NetworkShape:
    """The networks of a stack that trains on these events."""
    inputs, images = domains.inputs("source").shape[1], domains.images
    views = () if images is None else view_shapes(images.views)
    nuisances = () if domains.nuisances is None else domains.nuisances.widths
    objects = object_shapes(domains.tensors.objects)
    labels = tuple(len(one.classes) for one in domains.tensors.objects)
    if not (any(labels) and train.object_weight and train.network in OF_OBJECTS):
        labels = ()
    classes = len(domains.source.classes)
    return shape_of(train, inputs, classes, plan, views, nuisances, objects, labels)


_MEANS = ("source-only", "dann", "dann-alternating", "dann-joint")  # of events, one by one


def shared_processes(
    train: TrainConfig, plans: Sequence[StackPlan], *, images: bool
) -> distributed.Processes:
    """The processes that train together, if they can.

    Raises:
        ConfigError: their steps would not be those of one process.
    """
    if not distributed.wanted():
        return distributed.ALONE
    if not images:
        raise ConfigError(
            "torchrun shares the training of images, and these events are features",
            where="hepdann train",
            mend="run it without torchrun: a stack of small networks fits one process",
        )
    processes = distributed.join()
    assert isinstance(train.batch_size, int)
    processes.check(train.batch_size)
    used = dict.fromkeys(m.method.name for plan in plans for m in plan.members)
    other = [name for name in used if name not in _MEANS]
    if other:
        raise ConfigError(
            f"the loss of {other[0]} is no mean over events, so processes cannot share a batch",
            where="train.methods",
            mend=f"take one of {', '.join(_MEANS)}",
        )
    return processes
