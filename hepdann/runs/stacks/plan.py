"""From settings to stacks: which members train, and which of them train together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ... import alignment, methods, networks
from ...config import TrainConfig
from ...config.schedules import LambdaSchedule, RateSchedule
from ...domains import auto_batch_size
from ...errors import refuse_first
from ...inference.steps import choose_autocast, choose_device
from ...methods import Method, calibration_of, method_of
from ...networks.shape import NetworkShape, Normalisation, ObjectShape, ViewShape
from ...registry import ORACLE, PARAMETRISED, SOURCE_ONLY
from ...training import Member, Settings
from ..maps import wanted_maps


@dataclass(frozen=True)
class StackPlan:
    """One stack: members with the same phases, networks and number of auxiliaries.

    Attributes:
        cost: of a member's step, beside those of other stacks; 1 where all are alike.
    """

    members: tuple[Member, ...]
    normalisation: Normalisation
    cost: int = 1


@dataclass(frozen=True)
class SourceIndices:
    """Where the sources of the stacks stand in their order: MC first, and the others if any.

    Attributes:
        oracle: whether the oracle's events are there, second.
        copies: of the MC for hybrid methods, the next.
        resampled: whether the MC follows once more, with the class fractions of the target.
        made: methods that make their source of the events, which follow.
        calibrations: of the MC, which follow in this order. The target as a teacher labels it is
            the last, if a method learns from one.
    """

    oracle: bool = False
    copies: int = 0
    resampled: bool = False
    made: tuple[str, ...] = ()
    calibrations: tuple[str, ...] = ()

    def source(self, method: Method, calibration: str = "") -> int:
        """The source of a method: adapting ones are given the target's class fractions."""
        if method.source is not None:
            return 1 + self.oracle + self.copies + self.resampled + self.made.index(method.name)
        if calibration:
            first = 1 + self.oracle + self.copies + self.resampled + len(self.made)
            return first + self.calibrations.index(calibration)
        at_target_fractions = self.resampled and method.target_domain == 1
        return 1 + self.oracle + self.copies if at_target_fractions else 0

    def auxiliaries(self, method: Method) -> tuple[int, ...]:
        """The further labelled domains of a method."""
        first = 1 + self.oracle
        if method.taught:
            further = len(self.made) + len(self.calibrations)
            return (first + self.copies + self.resampled + further,)
        return tuple(range(first, first + self.copies)) if method.auxiliary else ()


def resolve_auto(train: TrainConfig, n_train: int) -> TrainConfig:
    """Replace what is left to hepdann ("auto") by the value that is used.

    Raises:
        ConfigError: a batch larger than the training split, an unknown method, alignment or device,
            or a method that cannot train on an aligned target.
    """
    for name in train.methods:
        before, last = method_of(name)
        method, calibration = methods.get(last), calibration_of(name)
        lacking = [
            key
            for key in method.mixtures
            if not train.mixtures or any(getattr(m, key) is None for m in train.mixtures)
        ]
        how = {
            "cut": "by a condition each, for example --mixture 'm > 80' --mixture 'm <= 80'",
            "fraction": "with known fractions, for example --fraction 0.4 --fraction 0.7",
        }
        refuse_first(
            (method.taught and before,
             f"{last} learns from the best of the alignments, on the target as it is",
             "train.methods", f"write {last}, and name {before} among the alignments"),
            (method.decorrelates and not train.nuisance,
             f"{last} needs what the score is to be independent of", "train.nuisance",
             "name columns of the MC, for example --nuisance m_vis"),
            (lacking, f"{last} trains on samples within the target", "train.mixtures",
             f"name two or more {how.get(''.join(lacking[:1]))}"),
            (calibration and (method.taught or method.auxiliary),
             f"{last} trains on more than MC, and that is not calibrated", "train.methods",
             f"write {last}, or {calibration}+dann"),
        )  # fmt: skip
    for name in wanted_maps(train):
        alignment.get(name)
    if train.network is not None:
        networks.get(train.network)
    size = auto_batch_size(n_train) if train.batch_size == "auto" else train.batch_size
    rates, seeds = len(train.rates), train.seeds
    refuse_first(
        (rates > seeds, f"{rates} learning rates for {seeds} seeds of each method",
         "train.learning_rate", "take as many seeds at least"),
        (not 1 <= size <= n_train,
         f"batch of {size} events, but the source's training split has {n_train}",
         "train.batch_size", "take a smaller batch, or auto"),
    )  # fmt: skip
    device = choose_device(train.device, train.shares, where="train.device")
    autocast = choose_autocast(train.autocast, device)
    return train.model_copy(update={"batch_size": size, "device": device, "autocast": autocast})


def settings_of(train: TrainConfig, n_train: int) -> Settings:
    """Settings of every stack; ``train`` is resolved."""
    assert isinstance(train.batch_size, int)
    rate, ramp = train.schedule, train.lambda_schedule
    same = {f.name: getattr(train, f.name) for f in fields(Settings) if hasattr(train, f.name)}
    chosen: dict[str, Any] = {
        "steps": max(1, n_train // train.batch_size),
        "learning_rate": train.rates[0],
        "schedule": RateSchedule(name=rate) if isinstance(rate, str) else rate,
        "lambda_schedule": LambdaSchedule(name=ramp) if isinstance(ramp, str) else ramp,
    }
    return Settings(**same | chosen)


def shape_of(
    train: TrainConfig,
    inputs: int,
    classes: int,
    plan: StackPlan,
    views: tuple[ViewShape, ...] = (),
    nuisances: tuple[int, ...] = (),
    objects: tuple[ObjectShape, ...] = (),
    object_classes: tuple[int, ...] = (),
) -> NetworkShape:
    """The networks of a stack."""
    first = plan.members[0]
    estimated = nuisances if first.method.nuisance_head else ()
    domains = 2 + len(first.auxiliaries)
    return NetworkShape(
        inputs + (first.method.name == PARAMETRISED),
        classes,
        tuple(train.extractor),
        tuple(train.label_head),
        tuple(train.domain_head),
        plan.normalisation,
        train.activation,
        train.dropout,
        train.residual,
        domains,
        domains if train.adversary == "per-domain" else 2,
        first.method.conditioned,
        network=train.network or "",
        views=views,
        autocast=choose_autocast(train.autocast, train.device),
        nuisances=estimated,
        nuisance_head=tuple(train.nuisance_head) if estimated else (),
        objects=objects,
        object_classes=object_classes,
        object_weight=train.object_weight,
    )


def plan_stacks(train: TrainConfig, indices: SourceIndices, lean: bool = False) -> list[StackPlan]:
    """Group the members of a run into stacks; the baselines are always among them.

    An oracle trains if its source is there. ``lean`` source-only never looks at the target, which
    takes half of its time; its domain head is not trained then, and a step of what does look costs
    as much as two.
    """
    members = []
    for name in dict.fromkeys([SOURCE_ONLY, *train.methods]):
        members += seeds_of(name, train.lambda_, train, indices)
    if indices.oracle:
        members += oracles(train)
    return group_members(members, train, lean)


def seeds_of(name: str, lambda_: float, train: TrainConfig, indices: SourceIndices) -> list[Member]:
    """The members of a method, with the domains that they train on; they differ in their seeds."""
    before, last = method_of(name)
    method, target = methods.get(last), 0
    if before:
        target = 1 + trained_alignments(train).index(before)
    source, auxiliaries = indices.source(method, calibration_of(name)), indices.auxiliaries(method)
    label = name if "+" in name else ""
    return [
        Member(method, lambda_, train.seed + k, source, target, auxiliaries, label)
        for k in range(train.seeds)
    ]


def oracles(train: TrainConfig) -> list[Member]:
    """The oracle's members."""
    method, seeds = methods.get(SOURCE_ONLY), range(train.seed, train.seed + train.seeds)
    return [Member(method, 0.0, seed, source=1, name=ORACLE) for seed in seeds]


def made_sources(train: TrainConfig) -> tuple[str, ...]:
    """Methods of a run that train on events of their own making."""
    names = dict.fromkeys(method_of(name)[1] for name in train.methods)
    return tuple(name for name in names if methods.get(name).source is not None)


def trained_alignments(train: TrainConfig) -> tuple[str, ...]:
    """Alignments whose images of the target are trained on: the stacks' further targets."""
    return tuple(dict.fromkeys(filter(None, (method_of(name)[0] for name in train.methods))))


def group_members(
    members: Sequence[Member], train: TrainConfig, lean: bool = False
) -> list[StackPlan]:
    """Members that can train together: same phases, networks and number of auxiliaries.

    Where there are several learning rates, they are the seeds' in turn.
    """
    groups: dict[tuple[object, ...], StackPlan] = {}
    if len(train.rates) > 1:
        places = [(member.seed - train.seed) % len(train.rates) for member in members]
        pairs = zip(members, places, strict=True)
        members = [replace(member, learning_rate=train.rates[k]) for member, k in pairs]
    if lean:
        members = [replace(member, method=methods.unwatched(member.method)) for member in members]
    for member in members:
        normalisation = train.normalisation or member.method.normalisation
        if normalisation == "shared" and not member.method.adversarial:
            normalisation = "domain"  # statistics shared with the target would show it to them
        method = member.method
        aware = method.name == PARAMETRISED
        kind = (method.conditioned, method.nuisance_head, len(member.auxiliaries), aware)
        key = (id(method.phases), normalisation, *kind)
        before = groups[key].members if key in groups else ()
        cost = 2 if lean and method.name != SOURCE_ONLY else 1
        groups[key] = StackPlan((*before, member), normalisation, cost)
    return list(groups.values())
