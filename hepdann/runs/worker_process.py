"""A process that works for another one, as one that trains its share of a run's members.

Signals are for the process that started it: this one ignores them, stops when it is told to, and
ends at once when the other is gone.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import outputs
from ..errors import HepdannError, RunError
from ..store.paths import RunPaths

if TYPE_CHECKING:
    from ..training import Progress
    from .aligned import Aligned
    from .registered import Registered
    from .stacks import Stacks

__all__ = [
    "SIGNALS",
    "STOP",
    "Receiver",
    "Sender",
    "Task",
    "TrainingTask",
    "refuse_in_worker",
    "work",
    "write_aligned",
]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
STOP = "stop"
Message = tuple[str, Any]  # the kind of a message of a worker, and its content


class Sender:
    """Sends messages to the parent process; ends this process where the parent is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, word: str, content: object = None) -> None:
        """Send the kind of a message, and its content."""
        try:
            self._connection.send((word, content))
        except OSError:
            _kill_self()


@dataclass(frozen=True)
class Receiver:
    """Receives the messages of the parent process.

    Attributes:
        stop: set when it is time to stop.
        inbox: all other messages; ``None`` marks the last one, also after ``STOP``.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    inbox: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)

    def listen(self, connection: Connection) -> None:
        """Receive for ever; end this process at once where the parent is gone."""
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                _kill_self()
                return
            if message == STOP:
                self.stop.set()
            self.inbox.put(None if message == STOP else message)


class Task(Protocol):
    """What a process is to do; sent there by pickle."""

    def work(self, send: Sender, receiver: Receiver) -> None:
        """Do it."""
        ...


@dataclass(frozen=True)
class TrainingTask:
    """Trains some shards of a run, from its folder and the tensor files.

    All that is not said here follows from ``origin.json`` and the tensor files, as for a resume.

    Attributes:
        folder: of the run.
        files: the tensor files, wherever they lie now; the MC's first.
        shards: numbers of the shards to train, in this order.
        settings: of the section ``train`` that may differ from the run's own.
        registered: what the user registered.
    """

    folder: Path
    files: tuple[Path, ...]
    shards: tuple[int, ...]
    settings: Mapping[str, Any]
    registered: Registered

    def work(self, send: Sender, receiver: Receiver) -> None:
        """Train the shards."""
        stacks, fingerprint = _prepared(self)
        from ..training import Clock
        from .shard_training import Hooks, train_shard

        clock = Clock(stacks.settings.device)
        send("ready")
        for number in self.shards:
            tell, progress = partial(send, "line"), partial(_progress, send, number)
            hooks = Hooks(tell, progress, receiver.stop.is_set, clock)
            train_shard(stacks.shards[number], stacks, self.folder, fingerprint, hooks)
        send("done", clock.seconds)


def refuse_in_worker() -> None:
    """Refuse to begin a training while a worker process reads the user's script once more.

    Raises:
        RunError: this is such a process.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RunError(
            "a training with workers begins within one of its workers, which read the script again",
            mend='put the call under: if __name__ == "__main__":',
        )


def work(task: Task, connection: Connection) -> None:
    """Do a task with one thread; the body of a process.

    Args:
        task: what to do.
        connection: to the process that gave it.
    """
    for kind in SIGNALS:
        signal.signal(kind, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    send, receiver = Sender(connection), Receiver()
    threading.Thread(target=receiver.listen, args=(connection,), daemon=True).start()
    try:
        task.work(send, receiver)
    except Exception as error:
        send(*_described(error))


def write_aligned(folder: Path, aligned: Aligned, names: Iterable[str]) -> None:
    """Leave what was fitted for the workers of a run; what a process is sent must be small.

    Args:
        folder: of the run.
        aligned: the alignments of the run.
        names: of those whose images of the target are trained on.
    """
    stored = {
        "maps": {name: aligned.maps[name].to_dict() for name in names},
        "correction": aligned.correction,
    }
    path = RunPaths(folder).alignments
    path.parent.mkdir(parents=True, exist_ok=True)
    outputs.write_whole(path, json.dumps(stored).encode())


def _kill_self() -> None:
    """End at once, whatever other threads do; nothing on disk is half written."""
    signal.raise_signal(signal.SIGKILL)


def _described(error: Exception) -> Message:
    if isinstance(error, HepdannError):
        return "refused", (type(error), error.message, error.where, error.mend)
    return "broken", traceback.format_exc()


def _progress(send: Sender, number: int, what: str, now: Progress) -> None:
    del what  # it is a part of what the other process trains
    send("progress", (number, now))


def _prepared(task: TrainingTask) -> tuple[Stacks, str]:
    """What the shards train on, made anew from the run's folder and the tensor files."""
    task.registered.register()
    import torch

    from .. import shifts
    from ..alignment import from_dict
    from ..inputs import read_json
    from ..store.content import PointMaps
    from ..store.start_record import StartRecord
    from ..tensors import open_tensors
    from .preparation import prepare_training
    from .stacks import Stacks

    torch.set_num_threads(1)
    origin = StartRecord.read(task.folder)
    asked = origin.config.train.model_copy(update=dict(task.settings))
    files = [open_tensors(path) for path in task.files]
    origin.check_files(files)  # one may have been replaced since the run began
    wanted = asked.shift
    shift = None if wanted is None else shifts.get(wanted.name, wanted.t, quantile=wanted.quantile)
    data = files[1] if len(files) > 1 else None
    domains, tensors, train = prepare_training(asked, files[0], data, shift)
    stored = read_json(RunPaths(task.folder).alignments, PointMaps)
    maps = {name: from_dict(one) for name, one in stored["maps"].items()}
    cut, correction = origin.config.train.workers, stored["correction"]
    stacks = Stacks(train, domains, maps, len(tensors.classes), cut, correction)
    return stacks, origin.fingerprint
