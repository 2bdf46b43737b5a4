"""Work on several threads, with the results in the order of the work."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

Result = TypeVar("Result")
Other = TypeVar("Other")

_AHEAD = 2  # results that may wait while every thread is at work
_MOST = 8  # the interpreter's lock leaves more threads little to do


def default_threads() -> int:
    """The processors that this process may use, at most eight."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(_MOST, len(affinity(0)) if affinity else os.cpu_count() or 1)


class Stream(Generic[Result]):
    """Runs jobs that belong to numbered groups (files), and keeps few of them in memory.

    Args:
        jobs: (group, function) in order of the groups; drawn as the stream goes, so that drawing
            may open files. A function may run in any thread.
        threads: how many; with one, every job runs in the caller's thread when its turn comes.
    """

    def __init__(self, jobs: Iterator[tuple[int, Callable[[], Result]]], threads: int) -> None:
        self._jobs = jobs
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._queue: deque[tuple[int, Future[Result]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the jobs that are running, forget the others, and let go of open files."""
        if isinstance(self._jobs, Generator):
            self._jobs.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, function: Callable[[], Other]) -> Future[Other]:
        """Run something else in between."""
        return run_now(function) if self._pool is None else self._pool.submit(function)

    def take(self, group: int) -> Iterator[Result]:
        """The results of a group, in order; what is left of an earlier one is dropped.

        Raises:
            Exception: what a job of the group raised, when its turn comes.
        """
        while True:
            self._fill()
            if not self._queue or self._queue[0][0] > group:
                return
            found, future = self._queue.popleft()
            if found < group:
                future.cancel()
            else:
                yield future.result()

    def _fill(self) -> None:
        depth = self._threads + _AHEAD if self._pool is not None else 1
        while len(self._queue) < depth:
            job = next(self._jobs, None)
            if job is None:
                return
            group, function = job
            self._queue.append((group, self.submit(function)))


def run_now(function: Callable[[], Other]) -> Future[Other]:
    """Run a function; its result or exception is asked for later."""
    future: Future[Other] = Future()
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
    return future
