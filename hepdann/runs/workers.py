"""Spreads the pieces of a run over processes, and listens to them until they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from ..errors import HepdannError, RunError
from ..training import MethodProgress, Progress
from .pieces import Hooks
from .stacks import Piece
from .worker import SIGNALS, STOP, Order, work

__all__ = ["crowding", "deal", "train_in_processes"]

_ASK = 0.2  # seconds between two questions whether to stop
_GRACE = 5.0  # seconds that a process has to end in
_MEND = "define networks, shifts and methods of your own at the top of a module or script"


def crowding(workers: int) -> str | None:
    """What is to be said where there are fewer free cores than workers."""
    affinity = getattr(os, "sched_getaffinity", None)
    machine = os.cpu_count() or 1
    cores = len(affinity(0)) if affinity else machine
    if workers > cores:
        return f"{workers} workers on {cores} cores slow each other down; take --workers {cores}"
    free = machine - os.getloadavg()[0]
    if workers > free + 0.5:
        return (
            f"{workers} workers, but other programs leave about {max(0.0, free):.0f} of {machine} "
            "cores free: they will slow each other down"
        )
    return None


def deal(pieces: Sequence[Piece], workers: int) -> list[list[Piece]]:
    """Share pieces out, in their order and with about equally many members each.

    Returns:
        One list a process; none is empty, so there may be fewer than asked for.
    """
    total = sum(len(piece.plan.members) for piece in pieces)
    shares: dict[int, list[Piece]] = {}
    before = 0
    for piece in pieces:
        middle = before + len(piece.plan.members) / 2
        shares.setdefault(int(middle * workers / total), []).append(piece)
        before += len(piece.plan.members)
    return list(shares.values())


@dataclass(eq=False)
class _Worker:
    """A process and what is known of it."""

    number: int
    process: SpawnProcess
    wire: Connection
    ready: bool = False
    needless: bool = False
    ended: bool = False

    def stop(self) -> None:
        """Ask it to write its checkpoint and end; before its steps there is nothing to write."""
        if not self.ready:
            self.needless = True
            self.process.kill()
        with suppress(OSError):  # it has ended
            self.wire.send(STOP)


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
    crew = _Crew(hooks, what, members, further)
    hooks.clock.lap("preparation")
    with _started(order, shares) as workers:
        crew.follow(workers)
    hooks.clock.share(crew.seconds)
    if crew.failure is not None:
        raise crew.failure


class _Crew:
    """What the workers of a run say, put together."""

    def __init__(self, hooks: Hooks, what: str, members: dict[int, int], further: str) -> None:
        self._hooks, self._what, self._members, self._further = hooks, what, members, further
        self._now: dict[int, Progress] = {}
        self.seconds: dict[str, float] = {}
        self.failure: Exception | None = None

    def follow(self, workers: Sequence[_Worker]) -> None:
        """Listen until all have ended; when one fails, or it is time to stop, stop them all."""
        stopping = False
        while listening := {w.wire: w for w in workers if not w.ended}:
            for wire in wait(list(listening), _ASK):
                self._hear(listening[wire], len(workers))  # type: ignore[index]
            if not stopping and (self.failure is not None or self._hooks.stop()):
                stopping = True
                for worker in workers:
                    worker.stop()

    def _hear(self, worker: _Worker, workers: int) -> None:
        try:
            word, content = worker.wire.recv()
        except (EOFError, OSError):
            worker.ended = True
            worker.process.join()
            if not worker.needless:
                self.failure = self.failure or self._died(worker, workers)
            return
        if word == "ready":
            worker.ready = True
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
        else:
            worker.ended = True
            self.failure = self.failure or _failure(word, content)

    def _died(self, worker: _Worker, workers: int) -> RunError:
        code = worker.process.exitcode or 0
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", as when memory runs out"
        mend = self._further if worker.ready or code < 0 else f"see above, and {_MEND}"
        return RunError(f"worker {worker.number} of {workers} {how}", mend=mend)


def _failure(word: str, content: Any) -> Exception:
    """What a worker's error was, by what it said of it."""
    if word == "refused":
        kind, message, where, mend = content
        refused: HepdannError = kind(message, where=where, mend=mend)
        return refused
    return RuntimeError(f"in a worker process:\n{content}")


def together(now: dict[int, Progress], members: dict[int, int]) -> Progress:
    """Where pieces stand that train at the same time; a step is one of one member.

    Args:
        now: where each piece stands that has begun.
        members: number of them in each piece.
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
        for figure in ("reversal", "label_loss", "domain_loss", "domain_accuracy")
    }
    return replace(parts[0], networks=count, **means)


@contextmanager
def _started(order: Order, shares: Sequence[Sequence[Piece]]) -> Iterator[list[_Worker]]:
    """Processes at work; none is left when the block ends, however it ends."""
    context, workers = multiprocessing.get_context("spawn"), list[_Worker]()
    try:
        with _signals_wait():
            for number, share in enumerate(shares, 1):
                mine, theirs = context.Pipe()
                own = replace(order, pieces=tuple(piece.number for piece in share))
                process = context.Process(target=work, args=(own, theirs), daemon=True)
                _start(process)
                theirs.close()
                workers.append(_Worker(number, process, mine))
        yield workers
    finally:
        for worker in workers:
            worker.wire.close()  # whoever is still at work ends now
        for worker in workers:
            worker.process.join(_GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _start(process: SpawnProcess) -> None:
    try:
        process.start()
    except (ValueError, AttributeError, TypeError) as error:  # what pickling raises
        raise RunError(f"cannot be sent to a worker process: {error}", mend=_MEND) from error


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold signals back, so that a process that is started here never sees one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()  # lets some of them through again when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
