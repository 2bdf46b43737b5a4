"""Running the command within limits, and judging what it left, for ``faults.py``."""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward  # noqa: F401  # imported here once, not in every fork
import h5py
import rich.table  # noqa: F401
import uproot.behaviors.RNTuple  # noqa: F401

import hepdann.readers.root.opening  # noqa: F401
import hepdann_cli.convert  # noqa: F401
from hepdann.errors import HepdannError
from hepdann.tensors import open_tensors
from hepdann_cli import main as cli

SECONDS = 20.0  # a conversion of these files takes a twentieth of a second
MEMORY = 3 << 30  # of addresses, over what the parent has mapped
PACKED = ["--compress", "gzip"]
OPTIONS = ["--features", "pt,eta,njets", "--label", "isb", "--classes", "light,b"]


@dataclass(frozen=True)
class Ended:
    """How one run of the command ended."""

    code: int  # negative: the signal that ended it
    error: str
    seconds: float
    peak: int  # bytes


def forked(folder: Path, task: Callable[[], Any], seconds: float = SECONDS) -> Ended:
    """Run ``task`` in a fork with ``folder`` as its working folder, within the limits."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _in_child(folder, task)
    code, usage = None, None
    while time.monotonic() - began < seconds:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.002)
    if code is None:
        os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        code = 999
    error = (folder / "stderr").read_text(errors="replace")
    return Ended(code, error, time.monotonic() - began, usage.ru_maxrss * 1024 if usage else 0)


def _in_child(folder: Path, task: Callable[[], Any]) -> None:
    code = 99
    try:
        os.chdir(folder)
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        try:
            task()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(code)


def spread(task: Callable[[int], Any], count: int, jobs: int) -> Iterator[Any]:
    """The results of ``task(0)`` to ``task(count - 1)`` from forks of this process."""
    with tempfile.TemporaryDirectory() as results:
        children = []
        for job in range(jobs):
            child = os.fork()
            if child == 0:
                done = [task(number) for number in range(job, count, jobs)]
                (Path(results) / str(job)).write_bytes(pickle.dumps(done))
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        for job in range(jobs):
            yield from pickle.loads((Path(results) / str(job)).read_bytes())


def command(*arguments: str) -> Callable[[], None]:
    """``hepdann convert`` with these arguments, as a task."""

    def task() -> None:
        sys.argv = ["hepdann", "convert", *arguments]
        cli.main()

    return task


def rows_of(path: Path) -> dict[str, bytes] | None:
    """Every dataset but the checksums, in bytes; ``None`` for a file that is not whole."""
    try:
        if open_tensors(path).verify():
            return None
    except HepdannError:
        return None
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[...].tobytes()})
                if isinstance(item, h5py.Dataset) and not name.startswith("checksums/")
                else None
            )
        )
        found["impute"] = file["mc/features"].attrs["impute"].tobytes()
    return found


def judge(
    room: Path, ended: Ended, known: dict[str, dict[str, bytes] | None], *, skip: bool
) -> str:
    output = room / "tensors.h5"
    parts = [path.name for path in room.iterdir() if path.name.endswith(".part")]
    if ended.code == 999:
        return "hang"
    if ended.code < 0:
        return "crash"
    if ended.code not in (0, 2, 3) or "Traceback" in ended.error:
        return "traceback"
    if parts or (ended.code == 2 and output.exists()):
        return "left behind"
    if ended.code == 2:
        one = ended.error.startswith("hepdann: error: ") and ended.error.count("\n") == 1
        return "clean error" if one else "traceback"
    found = rows_of(output)
    if found is None:
        return "corrupt output"
    if ended.code == 3:
        return "skipped" if found == known["good"] else "corrupt output"
    same = found == known["both" if skip else "alone"]
    return "same values" if same else "wrong values"


@contextlib.contextmanager
def room_in(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)
