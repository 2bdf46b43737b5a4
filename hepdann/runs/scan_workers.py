"""A scan spread over processes, which leave its results in the folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store.paths import ScanPaths
from ..training import Progress
from .parallel_training import combined_progress
from .registered import Registered
from .scan_plan import Unit
from .worker_pool import Worker, WorkerPool, start_workers
from .worker_process import Receiver, Sender

if TYPE_CHECKING:
    from .scan_job import ScanJob

__all__ = ["ScanTask", "scan_in_processes"]


@dataclass(frozen=True)
class ScanTask:
    """Trains the units of a scan that it is given one after the other.

    Attributes:
        folder: of the scan, whose source-only is trained.
        files: the tensor files; the MC's first.
        registered: what the user registered.
    """

    folder: Path
    files: tuple[Path, ...]
    registered: Registered

    def work(self, send: Sender, receiver: Receiver) -> None:
        """Train what comes in until nothing more does."""
        job = self._job(receiver.stop.is_set)
        send("ready")
        while (unit := receiver.inbox.get()) is not None:
            whole = job.train(unit, partial(_progress, send, unit))
            send("whole" if whole else "stopped", unit)

    def _job(self, stop: Callable[[], bool]) -> ScanJob:
        self.registered.register()
        import torch

        from ..config import load_config
        from ..tensors import open_tensors
        from .scan_job import ScanJob

        torch.set_num_threads(1)
        config = load_config(ScanPaths(self.folder).config, expand=False)
        files = [open_tensors(path) for path in self.files]
        data = files[1] if len(files) > 1 else None
        job = ScanJob(config, files[0], data, lambda: self.folder, _ignore_report, stop)
        job.folder = self.folder
        return job


def _progress(send: Sender, unit: Unit, now: Progress) -> None:
    send("progress", (unit, now))


def _ignore_report(stage: str, progress: Progress | None) -> None:
    """The process that gave the order tells the user."""
    del stage, progress


def scan_in_processes(
    task: ScanTask,
    members: Mapping[Unit, int],
    workers: int,
    hooks: tuple[Callable[[int, Progress], None], Callable[[], bool]],
    resume_hint: str,
) -> bool:
    """Have the units of a scan trained by processes of one thread.

    A process is given the next unit when it is done with one. Which process trains a unit changes
    nothing of what comes out.

    Args:
        task: what every process is told.
        members: the units, those of a target one after the other and its baselines first, with
            their numbers of members.
        workers: processes.
        hooks: told of the steps that are done, a step being one of one member, and of the
            figures; and asked whether to stop.
        resume_hint: how to go on with the scan.

    Returns:
        Whether all of them are whole.

    Raises:
        RunError: a loss is not finite, or a process died; the others have written checkpoints.
    """
    pool = _Scanners(members, *hooks, resume_hint)
    with start_workers([task] * min(workers, len(members))) as processes:
        pool.follow(processes)
    if pool.failure is not None:
        raise pool.failure
    return not pool.stopping


class _Scanners(WorkerPool):
    """Assigns units to workers, and combines their progress."""

    def __init__(
        self,
        members: Mapping[Unit, int],
        show: Callable[[int, Progress], None],
        stop: Callable[[], bool],
        resume_hint: str,
    ) -> None:
        super().__init__(stop, resume_hint)
        self._members, self._show = members, show
        self._waiting = list(members)
        self._closed = {unit.target for unit in members if unit.stack is None}
        self._at: dict[int, int] = {}
        self._idle: list[Worker] = []
        self._now: dict[Unit, Progress] = {}
        self._done = 0

    def handle(self, worker: Worker, word: str, content: Any) -> None:
        """Pass on where a unit stands, and give the next one to who is done."""
        if word == "progress":
            unit, now = content
            self._now[unit] = now
            combined = combined_progress(self._now, {u: self._members[u] for u in self._now})
            self._show(self._done + combined.step, combined)
            return
        if word == "whole":
            last = self._now.pop(content, None)
            self._done += 0 if last is None else last.total * self._members[content]
            if content.stack is None:
                self._closed.discard(content.target)
        worker.ready, worker.saves = True, False
        worker.ended = worker.ended or word == "stopped" or self.stopping
        self._idle.append(worker)
        self._assign()

    def _assign(self) -> None:
        """A unit to every worker that waits for one; those that no unit is left for end."""
        for worker in list(self._idle):
            unit = None if worker.ended else self._next(self._at.get(worker.number))
            if unit is not None:
                self._waiting.remove(unit)
                self._at[worker.number] = unit.target
                worker.saves = unit.stack is not None  # the fit of the maps leaves nothing
                worker.connection.send(unit)
            elif self._waiting and not worker.ended:
                continue  # until the baselines of a target are there
            else:
                worker.ended = True
                worker.connection.send(None)
            self._idle.remove(worker)

    def _next(self, at: int | None) -> Unit | None:
        """The unit for a worker: of the target that it has at hand, of a new one, or any."""
        able = [u for u in self._waiting if u.stack is None or u.target not in self._closed]
        same_target = (unit for unit in able if unit.target == at)
        new = (unit for unit in able if unit.stack is None)
        return next(itertools.chain(same_target, new, able), None)
