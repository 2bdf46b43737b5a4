"""Results in the order of the work: of several threads, or of the tasks of a cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ...cluster import Cluster
from ...errors import ReadError
from ...tensors import Layout, TensorWriter, open_tensors, read_tile
from ..planning.columns import Columns
from ..planning.plan import Plan, SamplePlan
from ..prescan import FileScan
from .blocks import Scratch
from .entry_ranges import Reader, unit_reader
from .events import column_names
from .range_task import Done, Work

if TYPE_CHECKING:
    from ...parallel import Link

Result = TypeVar("Result")
Other = TypeVar("Other")
_AHEAD = 2  # results that may wait while every thread is at work
_MOST = 8  # the interpreter's lock leaves more threads little to do


def default_threads() -> int:
    """The processors that this process may use, at most eight."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(_MOST, len(affinity(0)) if affinity else os.cpu_count() or 1)


class JobStream(Generic[Result]):
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
        return _run_now(function) if self._pool is None else self._pool.submit(function)

    def take(self, group: int) -> Iterator[Result]:
        """The results of a group, in order; what is left of an earlier one is dropped.

        Raises:
            Exception: what a job of the group raised, when its turn comes.
        """
        while True:
            self._fill()
            if not self._queue or self._queue[0][0] > group:
                return
            number, future = self._queue.popleft()
            if number < group:
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


def _run_now(function: Callable[[], Other]) -> Future[Other]:
    """Run a function; its result or exception is asked for later."""
    future: Future[Other] = Future()
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
    return future


def new_file(
    plan: Plan, output: Path, capacity: Mapping[str, int], threads: int, *, truth: bool
) -> TensorWriter:
    """The writer of a conversion's tensor file, or of a part of it.

    Args:
        plan: the conversion.
        output: the file.
        capacity: domain to an upper bound of its rows.
        threads: that compress.
        truth: whether true labels of data are stored.
    """
    info: list[dict[str, Any]] = []
    for feature in plan.features:
        info.append({"unit": feature.settings.unit, **feature.info()})
        if feature.settings.indicator:
            title = feature.settings.title or feature.name
            info.append({"unit": "", "title": f"{title} missing", "indicator_of": feature.name})
    layout = Layout(
        features=column_names(plan.features),
        units=tuple(str(entry["unit"]) for entry in info),
        feature_info=tuple(info),
        spectators=plan.spectators,
        classes=plan.classes,
        samples=plan.names,
        weights=plan.weights,
        variations=plan.variations,
        has_truth=truth,
        views=plan.views,
        objects=plan.objects,
    )
    convert = plan.config.convert
    return TensorWriter(
        output, layout, capacity=capacity, split=convert.split, compress=convert.compress,
        threads=threads,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _ShardTask:
    """Converts one file of one sample into a tensor file of its own.

    Attributes:
        plan: the conversion, of that sample and file alone.
        reader: that reads it.
        output: the tensor file.
    """

    plan: Plan
    reader: Reader
    output: Path

    def __call__(self, _: Link) -> list[Done] | ReadError:
        """What is counted of each range of entries, without its rows; or why the file is bad."""
        plan, (sample,) = self.plan, self.plan.samples
        (file,) = sample.source.files
        capacity = dict.fromkeys(plan.names, 0) | {sample.source.domain: file.entries}
        counted = []
        try:
            with new_file(plan, self.output, capacity, 1, truth=False) as writer:
                work = Work(plan, None, writer, unit_reader(self.reader, plan.images))
                with JobStream(work.jobs([(sample, file)]), 1) as stream:
                    for done in stream.take(0):
                        writer.put(done.rows)
                        rows = replace(done.rows, rows={}, objects={})
                        counted.append(replace(done, rows=rows, scratch=Scratch()))
                        work.release(done)
                file.check_unchanged()
                writer.finish({})
        except ReadError as error:
            return error
        return counted


class ShardStream:
    """Has the files of a conversion converted on a cluster, and gives their rows in order.

    In place of :class:`.JobStream`; the rows are the same, whatever worker made them, and when.

    Args:
        plan: the conversion.
        files: with their samples, in order.
        reader: that reads them.
        cluster: the workers, which see the files and ``folder`` by the same names.
        folder: for the parts, which are removed as they are joined.
    """

    def __init__(
        self,
        plan: Plan,
        files: Sequence[tuple[SamplePlan, FileScan]],
        reader: Reader,
        cluster: Cluster,
        folder: Path,
    ) -> None:
        from ...parallel import Executor  # multiprocessing takes its time

        self._folder = folder
        hint = "call again, with fewer --workers if memory ran out"
        executor = Executor(cluster.workers, resume_hint=hint)
        for number, (sample, file) in enumerate(files):
            executor.submit(
                number, _ShardTask(_part(plan, sample, file), reader, self._path(number))
            )
        self._completed = executor.completed()
        self._results: dict[int, list[Done] | ReadError] = {}
        self.submit = _run_now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Forget the tasks that are not done."""
        self._completed.close()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.h5"

    def take(self, number: int) -> Iterator[Done]:
        """The results of a file, in order, when they are there.

        Raises:
            HepdannError: the file is bad, or a task failed.
        """
        while number not in self._results:
            done, result = next(self._completed)
            self._results[done] = result
        result = self._results.pop(number)
        if isinstance(result, ReadError):
            raise result
        tensors = open_tensors(self._path(number))
        domain = result[0].rows.domain if result else tensors.domains[0]
        with tensors.read() as h5:
            at = 0
            for done in result:
                first, at = at, at + done.rows.count
                yield replace(done, rows=read_tile(tensors, h5, domain, first, at))
        self._path(number).unlink()


def _part(plan: Plan, sample: SamplePlan, file: FileScan) -> Plan:
    """The conversion of one file, with what is known of the branches that are read alone."""
    needed = {name: file.branches[name] for name in sample.branches}
    columns = Columns.of(needed)
    alone = replace(file, branches=needed, baskets=None)
    part = replace(
        sample,
        source=replace(sample.source, files=(alone,)),
        columns=columns,
        selection=replace(sample.selection, columns=columns),
    )
    return replace(plan, samples=(part,))
