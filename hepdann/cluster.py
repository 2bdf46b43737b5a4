"""Tasks on dask.distributed: on this machine, at an address, or on a batch farm.

Within :func:`on_cluster` every :class:`.Executor` with workers gives its tasks to the cluster. The
task of a worker that is lost is given to another one; results that have come are not asked again.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from .errors import RunError

_FARMS = {  # class of dask-jobqueue, what submits a job, and what lists those that wait
    "htcondor": ("HTCondorCluster", "condor_submit", "condor_q"),
    "slurm": ("SLURMCluster", "sbatch", "squeue --me"),
}
_ASK = 0.2  # seconds between two questions whether to stop
_LOOK = 2.0  # the same of a task on a worker, for which each is a message
_REFILL = 20.0  # seconds between two looks whether jobs are gone that worked
_PATIENCE = 30.0  # seconds until it is said how many workers have come; then twice as many
_CURRENT: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


def current() -> Cluster | None:
    """The cluster that tasks are given to, if there is one."""
    return _CURRENT.get()


@contextmanager
def on_cluster(
    address: str, workers: int | None = None, tell: Callable[[str], None] | None = None
) -> Iterator[Cluster]:
    """Give all tasks of executors to a cluster; its workers see the same files by the same names.

    Args:
        address: of a scheduler (``tcp://host:8786``); or ``local`` for processes on this machine,
            ``htcondor`` or ``slurm`` for jobs, as dask-jobqueue's own configuration describes them.
        workers: processes or jobs; by default the cores of this machine, or those of the scheduler.
        tell: is told, after 30 seconds and at growing intervals, how many of them have come while
            not all have.

    Raises:
        RunError: the packages are not installed, the scheduler does not answer, or the number of
            jobs is not given.
    """
    try:
        import dask
        import distributed
    except ImportError as error:
        mend = 'pip install "hepdann[cluster]"'
        raise RunError("dask.distributed is not installed", where="--cluster", mend=mend) from error
    started: Any = None
    try:
        if address == "local":
            count = workers or len(os.sched_getaffinity(0))
            started = distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=50
            )
        elif address in _FARMS:
            kind, submit, _ = _FARMS[address]
            if workers is None:
                raise RunError("how many jobs?", where=f"--cluster {address}", mend="--workers 40")
            if shutil.which(submit) is None:
                mend = "start it where jobs are submitted, or name the address of a scheduler"
                what = f"there is no {submit} on this machine"
                raise RunError(what, where=f"--cluster {address}", mend=mend)
            import dask_jobqueue

            count, wanted = workers, {"cores": 1, "memory": "2 GB"}
            if address == "htcondor":
                wanted["disk"] = "2 GB"
            known = dask.config.get(f"jobqueue.{address}", {})
            missing = {k: v for k, v in wanted.items() if known.get(k) is None}
            started = getattr(dask_jobqueue, kind)(**missing)
            started.scale(jobs=workers)
        if started is None:  # a client of half an address complains once more when it is deleted
            full = address if "://" in address else f"tcp://{address}"
            distributed.comm.get_address_host_port(full, strict=True)
        client = distributed.Client(started or address, set_as_default=False)
        if started is None:
            count = workers or len(client.nthreads())
    except (OSError, ImportError, ValueError, RuntimeError) as error:
        if started is not None:
            started.close()
        raise RunError(f"cannot be used ({error})", where=f"--cluster {address}") from error
    ended = threading.Event()
    if address in _FARMS:
        # a result that is lost with its worker is waited for by the thread that asked for it
        refill = threading.Thread(target=_refill, args=(started, count, ended), daemon=True)
        refill.start()
    cluster = Cluster(client, max(count, 1))
    if tell is not None:
        mend = f"; see {_FARMS[address][2]}" if address in _FARMS else ""
        watch = threading.Thread(target=_watch, args=(cluster, tell, ended, mend), daemon=True)
        watch.start()
    token = _CURRENT.set(cluster)
    try:
        yield cluster
    finally:
        ended.set()
        _CURRENT.reset(token)
        for one in (client, started):
            if one is not None:
                with suppress(TimeoutError, OSError):
                    one.close()


def _refill(farm: Any, jobs: int, ended: threading.Event) -> None:
    """Submit jobs in the place of those that worked and are gone, as at the end of their time."""
    while not ended.wait(_REFILL):
        with suppress(RuntimeError):  # it ends just now
            farm.scale(jobs=jobs)


def _watch(
    cluster: Cluster, tell: Callable[[str], None], ended: threading.Event, mend: str = ""
) -> None:
    """Say how many workers have come, at growing intervals, until all have."""
    begun, waited, pause = 0, 0.0, _PATIENCE
    while begun < cluster.workers and not ended.wait(pause):
        waited, pause = waited + pause, 2 * pause
        with suppress(OSError, RuntimeError, TimeoutError):  # it ends, or is out of reach just now
            begun = cluster.begun
            if begun < cluster.workers:
                tell(f"{begun} of {cluster.workers} workers have begun after {waited:.0f} s{mend}")


@dataclass(eq=False)
class Cluster:
    """A scheduler and its workers, of which so many are, or will be, at work."""

    client: Any
    workers: int

    @property
    def dashboard(self) -> str:
        """Address of the page that shows what the workers do."""
        return str(self.client.dashboard_link)

    @property
    def begun(self) -> int:
        """Workers that have come so far and are there."""
        return len(self.client.nthreads())

    def completed(
        self,
        waiting: dict[Hashable, tuple[Any, Any]],
        report: Callable[[Any, Any], None],
        stop: Callable[[], bool],
        resume_hint: str,
    ) -> Iterator[tuple[Any, tuple[str, Any]]]:
        """Do tasks; the key, the kind and the content of each result as it comes.

        Tasks are taken out of ``waiting``, and more may be put in meanwhile. ``report`` is given
        the key of a task and what it reports; ``resume_hint`` says how to go on where the workers
        of a task have died.

        Raises:
            RunError: several workers died of one task.
        """
        from distributed import Event
        from distributed.protocol.pickle import loads
        from distributed.scheduler import KilledWorker

        name = f"hepdann-{uuid4().hex}"
        news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        running: dict[str, tuple[Hashable, Any]] = {}
        halt, stopping = Event(name, client=self.client), False
        self.client.subscribe_topic(name, lambda event: news.put(("report", event[1])))
        try:
            while running or waiting:
                while waiting:
                    key = next(iter(waiting))
                    task, _ = waiting.pop(key)
                    future = self.client.submit(
                        _do, task, name, str(Path.cwd()),
                        key=f"{name}-{uuid4().hex}", pure=False,
                    )  # fmt: skip
                    running[future.key] = key, future
                    future.add_done_callback(lambda done: news.put(("done", done.key)))
                if not stopping and stop():
                    stopping = True
                    halt.set()
                try:
                    word, content = news.get(timeout=_ASK)
                except queue.Empty:
                    continue
                if word == "report":
                    task_name, said = loads(content)
                    if task_name in running:
                        report(running[task_name][0], said)
                    continue
                key, future = running.pop(content)
                try:
                    result = future.result()
                except KilledWorker as error:
                    what = "was lost with several workers, as when memory runs out"
                    raise RunError(f"a task {what}", mend=resume_hint) from error
                yield key, result
        finally:
            self.client.unsubscribe_topic(name)
            self.client.cancel([future for _, future in running.values()])


def _do(task: Any, name: str, folder: str) -> tuple[str, Any]:
    """Do a task on a worker, in the folder of the client."""
    from distributed import Event, get_worker
    from distributed.protocol.pickle import dumps

    from .parallel import Link, outcome

    worker = get_worker()
    own = worker.get_current_task()
    asked = [time.monotonic(), False]

    def stop() -> bool:
        if time.monotonic() - float(asked[0]) > _LOOK:
            asked[:] = [time.monotonic(), Event(name).is_set()]
        return bool(asked[1])

    os.chdir(folder)
    return outcome(task, Link(lambda said: worker.log_event(name, dumps((own, said))), stop))
