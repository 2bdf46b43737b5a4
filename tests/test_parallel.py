"""One executor: tasks come whole, again, or are said to be lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from hepdann.errors import ConfigError, RunError
from hepdann.parallel import Executor, Link


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """A worker imports this module for its tasks."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])


@dataclass(frozen=True)
class Square:
    """What a worker does, and what becomes of it."""

    number: int
    fate: str = ""

    def __call__(self, link: Link) -> int:
        link.report(self.number)
        if self.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fate == "refused":
            raise ConfigError("is wrong", where="here", mend="mend it")
        if self.fate == "waits":
            link.saves()
            link.report(f"pid {os.getpid()}")
            while not link.stop():
                time.sleep(0.01)
        return self.number**2


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_with_their_keys_and_more_may_be_submitted(workers):
    reports = []
    with Executor(workers, lambda key, content: reports.append((key, content))) as executor:
        for number in range(3):
            executor.submit(number, Square(number), group=number % 2)
        results = {}
        for key, result in executor.completed():
            results[key] = result
            if key == 2:
                executor.submit("later", Square(7))
    assert results == {0: 0, 1: 1, 2: 4, "later": 49}
    assert set(reports) == {(0, 0), (1, 1), (2, 2), ("later", 7)}
    assert not multiprocessing.active_children()


def test_here_tasks_of_a_group_follow_each_other():
    with Executor(0) as executor:
        for key, group in (("a", 1), ("b", 2), ("c", 1)):
            executor.submit(key, Square(0), group)
        assert [key for key, _ in executor.completed()] == ["a", "c", "b"]


def test_a_failure_stops_the_others_which_end_with_what_they_have():
    results = []
    with Executor(2, resume_hint="go on") as executor:
        executor.submit("waits", Square(3, "waits"))
        executor.submit("killed", Square(1, "killed"))
        executor.submit("never", Square(2))
        with pytest.raises(RunError, match=r"worker 2 of 2 was killed by SIGKILL.*go on"):
            results += executor.completed()
        assert executor.stopping
    assert not multiprocessing.active_children()
    with Executor(1) as executor:
        executor.submit("refused", Square(1, "refused"))
        with pytest.raises(ConfigError, match="is wrong") as caught:
            list(executor.completed())
    assert (caught.value.where, caught.value.mend) == ("here", "mend it")


def test_a_stop_leaves_undone_what_has_not_begun():
    began = []

    def report(key, content):
        began.append(content)

    with Executor(1, report, stop=lambda: len(began) == 2) as executor:
        executor.submit("first", Square(3, "waits"))
        executor.submit("second", Square(4))
        assert list(executor.completed()) == [("first", 9)]
        assert executor.stopping


MAIN = """
from hepdann.parallel import Executor
from tests.test_parallel import Square
with Executor(1, lambda key, content: print(content, flush=True)) as executor:
    executor.submit(0, Square(3, "waits"))
    list(executor.completed())
"""


def test_a_worker_ends_with_the_process_that_was_killed():
    root = str(Path(__file__).parents[1])
    given = {"env": os.environ | {"PYTHONPATH": root}, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", MAIN], **given) as parent:
        assert parent.stdout.readline() == "3\n"
        worker = Path("/proc") / parent.stdout.readline().split()[1] / "stat"
        parent.kill()
    for _ in range(1000):
        if not worker.exists() or worker.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("a worker was left behind")


def test_what_has_no_name_cannot_be_sent():
    with Executor(1) as executor:
        executor.submit("nameless", lambda link: 1)
        with pytest.raises(RunError, match="cannot be sent to a worker process"):
            list(executor.completed())
