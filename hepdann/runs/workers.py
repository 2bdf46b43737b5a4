"""Spreads the pieces of a run over processes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..training import MethodProgress, Progress
from .crew import Crew, Worker, started
from .pieces import Hooks
from .stacks import Piece
from .worker import Order

__all__ = ["deal", "together", "train_in_processes"]

Key = TypeVar("Key", bound=Hashable)


def deal(pieces: Sequence[Piece], workers: int) -> list[list[Piece]]:
    """Share pieces out, in their order and with about equally much to do for each.

    Returns:
        One list a process; none is empty, so there may be fewer than asked for.
    """
    total = sum(piece.cost for piece in pieces)
    shares: dict[int, list[Piece]] = {}
    before = 0
    for piece in pieces:
        middle = before + piece.cost / 2
        shares.setdefault(int(middle * workers / total), []).append(piece)
        before += piece.cost
    return list(shares.values())


def train_in_processes(
    order: Order, shares: Sequence[Sequence[Piece]], hooks: Hooks, further: str
) -> None:
    """Train pieces in processes of one thread; they leave checkpoints and notes in the folder.

    Args:
        order: what every process is told, the pieces apart.
        shares: the pieces of each process.
        hooks: what is told and asked meanwhile.
        further: how to go on with the run.

    Raises:
        RunError: a loss is not finite, or a process died; the others have written checkpoints.
    """
    members = {piece.number: len(piece.plan.members) for share in shares for piece in share}
    names = dict.fromkeys(name for share in shares for piece in share for name in piece.methods)
    what = f"{sum(members.values())} networks ({', '.join(names)}) in {len(shares)} processes"
    crew = _Trainers(hooks, what, members, further)
    hooks.clock.lap("preparation")
    orders = [replace(order, pieces=tuple(piece.number for piece in share)) for share in shares]
    with started(orders) as workers:
        crew.follow(workers)
    hooks.clock.share(crew.seconds)
    if crew.failure is not None:
        raise crew.failure


class _Trainers(Crew):
    """What the workers of a run say, put together."""

    def __init__(self, hooks: Hooks, what: str, members: dict[int, int], further: str) -> None:
        super().__init__(hooks.stop, further)
        self._hooks, self._what, self._members = hooks, what, members
        self._now: dict[int, Progress] = {}
        self.seconds: dict[str, float] = {}

    def heard(self, worker: Worker, word: str, content: Any) -> None:
        """Pass on what a worker said of its training."""
        if word == "ready":
            worker.ready = worker.saves = True
        elif word == "line":
            self._hooks.tell(content)
        elif word == "progress":
            number, now = content
            self._now[number] = now
            self._hooks.progress(self._what, together(self._now, self._members))
        elif word == "done":
            worker.ended = True
            for stage, seconds in content.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def together(now: Mapping[Key, Progress], members: Mapping[Key, int]) -> Progress:
    """Where trainings stand that go on at the same time; a step is one of one member.

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
