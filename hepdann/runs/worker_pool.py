"""Worker processes of one thread: starting them, receiving their messages, stopping them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from ..errors import HepdannError, RunError
from .worker_process import SIGNALS, STOP, Task, work

__all__ = ["Worker", "WorkerPool", "overload_warning", "start_workers"]

_ASK = 0.2  # seconds between two questions whether to stop
_GRACE = 5.0  # seconds that a process has to end in
_MEND = "define networks, shifts and methods of your own at the top of a module or script"


def overload_warning(workers: int) -> str | None:
    """A warning where there are fewer free cores than workers."""
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


@dataclass(eq=False)
class Worker:
    """A worker process and its state.

    Attributes:
        number: counted from 1.
        process: the operating system's process.
        connection: for messages in both directions.
        ready: whether it has begun.
        saves: whether it has something to write when it is asked to end.
        needless: whether it may end without a message.
        ended: whether no more messages come from it.
    """

    number: int
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    saves: bool = False
    needless: bool = False
    ended: bool = False

    def stop(self) -> None:
        """Ask it to write its checkpoint and end; where there is nothing to write, end it."""
        if not self.saves:
            self.needless = True
            self.process.kill()
        with suppress(OSError):  # it has ended
            self.connection.send(STOP)


class WorkerPool(ABC):
    """Receives messages of workers until all have ended; where one fails, stops the others.

    Args:
        stop: asked again and again whether to stop them all.
        resume_hint: how to go on with what they do.

    Attributes:
        failure: of the first that failed.
    """

    def __init__(self, stop: Callable[[], bool], resume_hint: str) -> None:
        self._stop, self._resume_hint = stop, resume_hint
        self.failure: Exception | None = None
        self.stopping = False

    @abstractmethod
    def handle(self, worker: Worker, word: str, content: Any) -> None:
        """Act on a message that reports no failure."""

    def follow(self, workers: Sequence[Worker]) -> None:
        """Listen until all have ended; when one fails, or it is time to stop, stop them all."""
        while listening := {w.connection: w for w in workers if not w.ended}:
            for connection in wait(list(listening), _ASK):
                self._receive(listening[connection], len(workers))  # type: ignore[index]
            if not self.stopping and (self.failure is not None or self._stop()):
                self.stopping = True
                for worker in workers:
                    worker.stop()

    def _receive(self, worker: Worker, workers: int) -> None:
        try:
            word, content = worker.connection.recv()
        except (EOFError, OSError):
            worker.ended = True
            worker.process.join()
            if not worker.needless:
                self.failure = self.failure or self._died(worker, workers)
            return
        if word in ("refused", "broken"):
            worker.ended = True
            self.failure = self.failure or _failure(word, content)
        else:
            self.handle(worker, word, content)

    def _died(self, worker: Worker, workers: int) -> RunError:
        code = worker.process.exitcode or 0
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", as when memory runs out"
        mend = self._resume_hint if worker.ready or code < 0 else f"see above, and {_MEND}"
        return RunError(f"worker {worker.number} of {workers} {how}", mend=mend)


def _failure(word: str, content: Any) -> Exception:
    """The exception that a worker's message describes."""
    if word == "refused":
        kind, message, where, mend = content
        refused: HepdannError = kind(message, where=where, mend=mend)
        return refused
    return RuntimeError(f"in a worker process:\n{content}")


@contextmanager
def start_workers(tasks: Sequence[Task]) -> Iterator[list[Worker]]:
    """Start worker processes; none is left when the block ends, however it ends.

    Args:
        tasks: one a process; it is sent there.

    Raises:
        RunError: a task cannot be sent.
    """
    context, workers = multiprocessing.get_context("spawn"), list[Worker]()
    try:
        with _signals_wait():
            for number, task in enumerate(tasks, 1):
                parent_end, child_end = context.Pipe()
                process = context.Process(target=work, args=(task, child_end), daemon=True)
                _start(process)
                child_end.close()
                workers.append(Worker(number, process, parent_end))
        yield workers
    finally:
        for worker in workers:
            worker.connection.close()  # whoever is still at work ends now
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
