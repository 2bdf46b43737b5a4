"""One executor for tasks that are independent: stacks of a run, targets of a scan, fits of maps.

A task is called with a :class:`Link`. It writes its result whole or not at all, and can be done
again, so that a process may be killed at any moment. Results that are large stay in files.

Each worker process has a pipe of its own, by which tasks, reports and results travel. The queues
of :mod:`concurrent.futures` are common to all workers: one that is killed while it holds their lock
leaves the others waiting for ever, nobody learns which one it was, and the others are ended by a
signal where they should write a checkpoint.

On Linux the workers are copies of a server process that has imported what they need once, with one
thread and nothing running. Elsewhere, where libraries do not survive a fork, each imports it anew.

Signals are for the process that started the workers: these ignore them, stop when they are asked
to, and end at once when the other process is gone.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Self

from .cluster import Cluster, current
from .errors import HepdannError, RunError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_THREADS = [f"{n}_NUM_THREADS" for n in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")]
TRAINING = (
    "hepdann.runs.stacks.worker_tasks",
    "sklearn.ensemble",
)  # modules that workers begin with
DRAWING = ("hepdann.plotting.run", "mplhep")
_STOP = "stop"
_ASK = 0.2  # seconds between two questions whether to stop
_GRACE = 5.0  # seconds that a process has to end in
_MEND = "define networks, shifts and methods of your own at the top of a module or script"


def _nothing(*content: object) -> None:
    del content


@dataclass(frozen=True)
class Link:
    """The connection of a task with who gave it.

    Attributes:
        report: sends something small, as a line or the progress.
        stop: whether the task should end, with what it has so far in files.
        saves: says that from now on there is something to write when the task is stopped; before
            that, and in tasks that never say so, a stop may end its process.
    """

    report: Callable[[Any], None] = _nothing
    stop: Callable[[], bool] = lambda: False
    saves: Callable[[], None] = _nothing


Task = Callable[[Link], Any]  # what a process is sent by pickle, as is its result, which is small


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _free_cores() -> int:
    """Cores that this process may use and that other programs leave free, at least 1."""
    others = max(0.0, os.getloadavg()[0] - 1.0)  # this program has kept one core busy
    return max(1, min(_cores(), round((os.cpu_count() or 1) - others)))


def processes_for(asked: int | Literal["auto"], tasks: int, *, pays: bool) -> int:
    """Processes for some tasks, at most one for each; a cluster gives its own.

    "auto" is as many as there are free cores, if the tasks last so long that starting processes
    pays.
    """
    if (cluster := current()) is not None:
        return min(cluster.workers, tasks)
    if asked == "auto":
        asked = _free_cores() if pays else 1
    return min(asked, tasks)


def overload_warning(workers: int) -> str | None:
    """A warning where there are fewer free cores than workers, unless these are elsewhere."""
    if current() is not None or workers < 2:
        return None
    machine, cores = os.cpu_count() or 1, _cores()
    if workers > cores:
        return f"{workers} workers on {cores} cores slow each other down; take --workers {cores}"
    free = machine - os.getloadavg()[0]
    if workers > free + 0.5:
        left = f"about {max(0.0, free):.0f} of {machine} cores free"
        return f"{workers} workers, but other programs leave {left}: they will slow each other down"
    return None


def refuse_in_worker() -> None:
    """Refuse to begin a training while a worker process reads the user's script once more.

    Raises:
        RunError: this is such a process.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        what = "a training with workers begins within a worker, which read the script once more"
        raise RunError(what, mend='put the call under: if __name__ == "__main__":')


@dataclass(eq=False)
class _Worker:
    """A worker process and its state; it is idle where ``key`` is ``None``."""

    number: int
    process: BaseProcess
    connection: Connection
    key: Hashable | None = None
    group: Hashable | None = None
    ready: bool = False
    saves: bool = False
    ended: bool = False

    def stop(self) -> None:
        """Ask it to end its task; where there is nothing to write, end it."""
        if self.saves:
            with suppress(OSError):  # it has ended
                self.connection.send(_STOP)
        else:
            self.process.kill()
            self.ended = True


@dataclass(eq=False)
class Executor:
    """Does tasks in worker processes; use it as a context, at whose end no process is left.

    Attributes:
        workers: processes at most, or those of a cluster; 0 does the tasks here, one by one.
        report: given the key of a task and what it reports.
        stop: asked again and again whether to stop them all.
        resume_hint: how to go on where a worker has died.
        modules: that the tasks need, of the first tasks of this process.
        stopping: whether it was stopped; tasks that had not begun are left undone then.
    """

    workers: int
    report: Callable[[Any, Any], None] = _nothing
    stop: Callable[[], bool] = lambda: False
    resume_hint: str = ""
    modules: Sequence[str] = TRAINING
    stopping: bool = False
    _waiting: dict[Hashable, tuple[Task, Hashable]] = field(default_factory=dict)
    _crowd: list[_Worker] = field(default_factory=list)
    _results: list[tuple[Any, Any]] = field(default_factory=list)
    _failure: Exception | None = None

    def submit(self, key: Hashable, task: Task, group: Hashable = None) -> None:
        """Add a task by a key, by which its reports and its result come.

        It stands at the top of a module, if it goes to a process. A worker is given tasks of one
        group by preference, as it holds their events.

        Raises:
            RunError: the task cannot be sent to a process.
        """
        self._waiting[key] = (task, group)

    def completed(self) -> Generator[tuple[Any, Any]]:
        """The key and the result of each task as it ends; meanwhile more may be submitted.

        Raises:
            HepdannError: of the first task that failed, or a worker died. The others were stopped.
        """
        if not self.workers:
            yield from self._in_this_process()
            return
        if (cluster := current()) is not None:
            yield from self._on(cluster)
            return
        while True:
            self._assign()
            while self._results:
                yield self._results.pop(0)
            listening = {w.connection: w for w in self._crowd if w.key is not None and not w.ended}
            if not listening:
                if self._waiting and not self.stopping:
                    continue  # submitted while results were taken
                break
            for connection in wait(list(listening), _ASK):
                self._receive(listening[connection])  # type: ignore[index]
            if not self.stopping and (self._failure is not None or self.stop()):
                self.stopping = True
                for worker in listening.values():
                    worker.stop()
        if self._failure is not None:
            raise self._failure

    def run(
        self,
        tasks: Mapping[Hashable, Task],
        then: Callable[[Any, Any], Mapping[Hashable, Task]] = lambda *_: {},
    ) -> dict[Hashable, Any]:
        """Do tasks by key, and those that ``then`` gives of the key and the result of each.

        The results of those that came to their end, by key.

        Raises:
            HepdannError: as :meth:`completed` does.
        """
        results = dict[Hashable, Any]()
        for key, task in tasks.items():
            self.submit(key, task)
        for done, result in self.completed():
            results[done] = result
            for key, task in then(done, result).items():
                self.submit(key, task)
        return results

    def _on(self, cluster: Cluster) -> Iterator[tuple[Any, Any]]:
        def stop() -> bool:
            if not self.stopping and self.stop():
                self.stopping = True
                self._waiting.clear()
            return self.stopping

        done = cluster.completed(self._waiting, self.report, stop, self.resume_hint)
        for key, (word, content) in done:
            if word != "done":
                raise _failure(word, content)
            yield key, content

    def _in_this_process(self) -> Iterator[tuple[Any, Any]]:
        last: Hashable = None
        while self._waiting:
            if self.stop():
                self.stopping = True
                return
            key = min(self._waiting, key=lambda k: self._waiting[k][1] != last)
            task, last = self._waiting.pop(key)
            yield key, task(Link(partial(self.report, key), self.stop))

    def _assign(self) -> None:
        """Give a task to every worker that has none, and start workers that are missing."""
        if self.stopping:
            self._waiting.clear()
        while self._waiting:
            idle = [w for w in self._crowd if w.key is None and not w.ended]
            if not idle and len(self._crowd) == self.workers:
                return
            worker = idle[0] if idle else self._started()
            worker.key = self._next(worker)
            task, worker.group = self._waiting.pop(worker.key)
            worker.saves = False
            try:
                worker.connection.send(task)
            except OSError:  # it has died, which is noticed when it is listened to
                pass
            except Exception as error:  # whatever pickling raises
                worker.key = None
                what = f"cannot be sent to a worker process: {error}"
                raise RunError(what, mend=_MEND) from error

    def _next(self, worker: _Worker) -> Hashable:
        """A task of the group that the worker has at hand, of a new one, or any."""
        busy = {w.group for w in self._crowd if w.key is not None}
        groups = {key: group for key, (_, group) in self._waiting.items()}
        return min(groups, key=lambda k: (groups[k] != worker.group, groups[k] in busy))

    def _started(self) -> _Worker:
        context = start_method(self.modules)
        with _signals_wait():
            parent_end, child_end = context.Pipe()
            process = context.Process(target=_work, args=(child_end,), daemon=True)
            process.start()
            child_end.close()
        worker = _Worker(len(self._crowd) + 1, process, parent_end)
        self._crowd.append(worker)
        return worker

    def _receive(self, worker: _Worker) -> None:
        try:
            word, content = worker.connection.recv()
        except (EOFError, OSError):
            worker.ended = True
            worker.process.join()
            self._failure = self._failure or self._death(worker)
            return
        if word == "ready":
            worker.ready = True
        elif word == "saves":
            worker.saves = True
            if self.stopping:
                worker.stop()
        elif word == "report":
            self.report(worker.key, content)
        elif word == "done":
            self._results.append((worker.key, content))
            worker.key, worker.saves = None, False
        else:
            worker.key = None
            self._failure = self._failure or _failure(word, content)

    def _death(self, worker: _Worker) -> RunError:
        code = worker.process.exitcode or 0
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", as when memory runs out"
        mend = self.resume_hint if worker.ready or code < 0 else f"see above, and {_MEND}"
        return RunError(f"worker {worker.number} of {len(self._crowd)} {how}", mend=mend)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._crowd:
            worker.connection.close()  # whoever is still at work ends now
        for worker in self._crowd:
            worker.process.join(_GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _failure(word: str, content: Any) -> Exception:
    """The exception that a worker's message describes."""
    if word == "refused":
        kind, message, where, mend = content
        refused: HepdannError = kind(message, where=where, mend=mend)
        return refused
    return RuntimeError(f"in a worker process:\n{content}")


def start_method(modules: Sequence[str] = TRAINING + DRAWING) -> ForkServerContext | SpawnContext:
    """How processes start; never as a copy of this one, whose threads and locks are at work.

    The server that they are copies of is started, if there is none, and imports the modules.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with _signals_wait():
            forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold signals back, so that a process that is started here never sees one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        resource_tracker.ensure_running()  # lets some of them through again when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection) -> None:
    """Do the tasks that come in, with one thread; the body of a worker process."""
    gc.freeze()  # what the server imported stays
    gc.set_threshold(50_000)
    for kind in _SIGNALS:
        signal.signal(kind, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    stop, inbox = threading.Event(), queue.SimpleQueue[Any]()
    threading.Thread(target=_listen, args=(connection, stop, inbox), daemon=True).start()
    send = partial(_send, connection)
    send("ready")
    link = Link(partial(send, "report"), stop.is_set, partial(send, "saves"))
    while True:
        send(*outcome(inbox.get(), link))


def outcome(task: Any, link: Link) -> tuple[str, Any]:
    """Do a task: ``done`` and its result, or a word and what :func:`_failure` makes of it."""
    try:
        if isinstance(task, Exception):
            raise RunError(f"cannot be read in a worker process: {task}", mend=_MEND)
        return "done", task(link)
    except HepdannError as error:
        return "refused", (type(error), error.message, error.where, error.mend)
    except Exception:
        return "broken", traceback.format_exc()


def _listen(connection: Connection, stop: threading.Event, inbox: queue.SimpleQueue[Any]) -> None:
    """Receive for ever; end this process at once where the parent is gone."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            _kill_self()
            return
        except Exception as error:  # whatever pickling raises
            message = error
        if message == _STOP:
            stop.set()
        else:
            inbox.put(message)


def _send(connection: Connection, word: str, content: object = None) -> None:
    """Send the kind of a message and its content; end this process where the parent is gone."""
    try:
        connection.send((word, content))
    except OSError:
        _kill_self()


def _kill_self() -> None:
    """End at once, whatever other threads do; nothing on disk is half written."""
    signal.raise_signal(signal.SIGKILL)
