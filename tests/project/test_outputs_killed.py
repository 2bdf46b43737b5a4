"""Whole files or none, and nothing of a killed writer left for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hepdann.outputs import drawing_folder, replacing

WRITE = """
import sys, time
from pathlib import Path
from hepdann.outputs import replacing
with replacing(sys.argv[1]) as part:
    part.write_text("half")
    with replacing(part) as inner:
        print("ready", flush=True)
        time.sleep(60)
"""


def start(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as part:
        part.write_text("half")
        raise error


def test_a_failure_leaves_the_earlier_file_alone(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("earlier")
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            fail(path, error)
    assert path.read_text() == "earlier"
    assert names(tmp_path) == ["x.h5"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells machines and boots apart")
def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    path = tmp_path / "x.h5"
    killed, living = start(path), start(path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = names(tmp_path)
    assert len(left) == 4
    foreign = tmp_path / f".x.h5.0123abcd-{killed.pid}-89abcdef.part"  # of another machine
    dead = next(name for name in left if f"-{killed.pid}-" in name)
    other = tmp_path / dead.replace("x.h5", "y.h5")  # of another output
    for file in (foreign, other):
        file.write_text("")
    with replacing(path) as part:
        part.write_text("whole")
    stay = {name for name in left if f"-{living.pid}-" in name}
    assert set(names(tmp_path)) == {"x.h5", foreign.name, *stay}
    assert len(stay) == 2
    assert path.read_text() == "whole"
    living.kill()
    living.communicate()


def test_of_two_writers_the_last_wins(tmp_path):
    path = tmp_path / "x.h5"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["x.h5"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells machines and boots apart")
def test_a_drawing_folder_of_a_killed_process_goes_and_one_in_use_stays(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.communicate()
    (tmp_path / ".drawing-of-mine").mkdir()
    with drawing_folder(tmp_path) as living:
        abandoned = living.with_name(living.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
        abandoned.mkdir()
        (abandoned / "roc.png").touch()
        with drawing_folder(tmp_path) as other:
            assert names(tmp_path) == sorted([".drawing-of-mine", living.name, other.name])
    assert names(tmp_path) == [".drawing-of-mine"]
