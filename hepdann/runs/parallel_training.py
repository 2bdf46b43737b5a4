"""Spreads the shards of a run over processes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..training import MethodProgress, Progress
from .shard_training import Hooks
from .stacks import Shard
from .worker_pool import Worker, WorkerPool, start_workers
from .worker_process import TrainingTask

__all__ = ["assign_shards", "combined_progress", "train_in_processes"]

Key = TypeVar("Key", bound=Hashable)


def assign_shards(shards: Sequence[Shard], workers: int) -> list[list[Shard]]:
    """Share shards out, in their order and with about equally much to do for each.

    Returns:
        One list a process; none is empty, so there may be fewer than asked for.
    """
    total = sum(shard.cost for shard in shards)
    shares: dict[int, list[Shard]] = {}
    before = 0
    for shard in shards:
        middle = before + shard.cost / 2
        shares.setdefault(int(middle * workers / total), []).append(shard)
        before += shard.cost
    return list(shares.values())


def train_in_processes(
    task: TrainingTask, shares: Sequence[Sequence[Shard]], hooks: Hooks, resume_hint: str
) -> None:
    """Train shards in processes of one thread; they leave checkpoints and notes in the folder.

    Args:
        task: what every process is told, the shards apart.
        shares: the shards of each process.
        hooks: what is told and asked meanwhile.
        resume_hint: how to go on with the run.

    Raises:
        RunError: a loss is not finite, or a process died; the others have written checkpoints.
    """
    members = {shard.number: len(shard.plan.members) for share in shares for shard in share}
    names = dict.fromkeys(name for share in shares for shard in share for name in shard.methods)
    what = f"{sum(members.values())} networks ({', '.join(names)}) in {len(shares)} processes"
    pool = _Trainers(hooks, what, members, resume_hint)
    hooks.clock.lap("preparation")
    tasks = [replace(task, shards=tuple(shard.number for shard in share)) for share in shares]
    with start_workers(tasks) as workers:
        pool.follow(workers)
    hooks.clock.share(pool.seconds)
    if pool.failure is not None:
        raise pool.failure


class _Trainers(WorkerPool):
    """The workers of a run; combines their progress."""

    def __init__(self, hooks: Hooks, what: str, members: dict[int, int], resume_hint: str) -> None:
        super().__init__(hooks.stop, resume_hint)
        self._hooks, self._what, self._members = hooks, what, members
        self._now: dict[int, Progress] = {}
        self.seconds: dict[str, float] = {}

    def handle(self, worker: Worker, word: str, content: Any) -> None:
        """Report a worker's lines and progress, and add up its times."""
        if word == "ready":
            worker.ready = worker.saves = True
        elif word == "line":
            self._hooks.tell(content)
        elif word == "progress":
            number, now = content
            self._now[number] = now
            self._hooks.progress(self._what, combined_progress(self._now, self._members))
        elif word == "done":
            worker.ended = True
            for stage, seconds in content.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def combined_progress(now: Mapping[Key, Progress], members: Mapping[Key, int]) -> Progress:
    """The progress of trainings that run at the same time; a step is one of one member.

    Args:
        now: where each stands that has begun.
        members: number of them in each.
    """
    first = next(iter(now.values()))
    begun = sum(members[number] for number in now)

    def mean(figure: str) -> float:
        return float(sum(getattr(one, figure) * members[n] for n, one in now.items()) / begun)

    methods: dict[str, list[MethodProgress]] = {}
    for one in now.values():
        for method in one.methods:
            methods.setdefault(method.name, []).append(method)
    return Progress(
        epoch=min(one.epoch for one in now.values()),
        step=sum(one.step * members[number] for number, one in now.items()),
        total=first.total * sum(members.values()),
        label_loss=mean("label_loss"),
        domain_loss=mean("domain_loss"),
        domain_accuracy=mean("domain_accuracy"),
        events_per_second=sum(one.events_per_second for one in now.values()),
        methods=tuple(map(_one_method, methods.values())),
    )


def _one_method(parts: Sequence[MethodProgress]) -> MethodProgress:
    count = sum(part.networks for part in parts)
    means = {
        figure: sum(getattr(part, figure) * part.networks for part in parts) / count
        for figure in ("lambda_", "label_loss", "domain_loss", "domain_accuracy")
    }
    return replace(parts[0], networks=count, **means)
