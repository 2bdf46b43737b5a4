from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import uproot
from click.testing import CliRunner

from hepdann.errors import HepdannError
from hepdann_cli.main import hepdann as command

HEPDANN = [sys.executable, "-m", "hepdann_cli.main"]


def start(folder):
    """A simulation that has begun to write and has long to go."""
    process = subprocess.Popen([*HEPDANN, "simulate", "bjets", "-o", folder, "--events=30000000"])
    for _ in range(600):
        if any(path.suffix == ".part" for path in folder.glob(".*")):
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("nothing was written")


def test_simulate_writes_the_files_and_says_what_to_type_next(tmp_path, typed):
    folder = tmp_path / "a toy"
    done = typed("simulate", "bjets", "-o", folder, "--events", 200, "--seed", 4, "--truth")
    assert done.code == 0
    assert done.stderr == ""
    *files, last = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in files] == [
        str(folder / name) for name in ("mc.root", "data.root", "truth.root")
    ]
    assert last.startswith(f"next: hepdann convert '{folder}/mc.root'")
    with uproot.open(folder / "mc.root") as file:
        assert file["jets"].num_entries == 200


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["bjet", "-o", "toy"], "simulate: there is no sample 'bjet'; did you mean 'bjets'?"),
        (["bjets"], "Missing option '-o' / '--output'; see "),
        (["bjets", "-o", "toy", "--events", "0"], "events: a sample has at least one event, not 0"),
        (["bjets", "-o", "toy", "--events", "many"], "'many' is not a valid integer"),
        (["bjets", "-o", "/dev/null"], "/dev/null: cannot be written: File exists"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path, typed, args, message):
    done = typed("simulate", *args)
    assert done.code == 2
    assert done.stderr.startswith("hepdann: error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_killed_simulation_leaves_the_earlier_files(tmp_path, number, code):
    assert here("simulate", "bjets", "-o", tmp_path, "--events", 100).exit_code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    process = start(tmp_path)
    process.send_signal(number)
    assert process.wait(60) == code
    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.root")}
    assert after == before
    if number != signal.SIGKILL:  # which nothing can clean up after
        assert {path.name for path in tmp_path.iterdir()} == before.keys()


def here(*arguments):
    """The command in this process: it imports the heavy packages once."""
    return CliRunner().invoke(command, list(map(str, arguments)))


def refused(*arguments):
    """What is said of bad input, before `main` makes one line and exit code 2 of it."""
    done = here(*arguments)
    assert isinstance(done.exception, SystemExit | HepdannError)
    return f"{done.stderr}{done.exception}"


def test_minerva_takes_options_of_its_own(tmp_path):
    options = ["--events", 3, "--format", "hdf5", "--fsi", "on", "--detector", "shifted"]
    done = here("simulate", "minerva", "-o", tmp_path / "toy", *options)
    assert (done.exit_code, done.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "toy").iterdir()} == {"mc.h5", "data.h5"}
    assert f"{tmp_path}/toy/mc.h5  3 events, " in done.stdout
    for arguments, message in (
        (["bjets", "--fsi", "off"], "--fsi belongs to minerva, not to bjets"),
        (["bjets", "--format", "root"], "--format belongs to minerva, not to bjets"),
        (["minerva", "--dead", "2"], "dead: a share of dead strips is at least 0 and below 1"),
    ):
        assert message in refused("simulate", *arguments, "-o", tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_events_of_every_kind_of_file_can_be_drawn(tmp_path):
    for options in (["--events", 3], ["--events", 3, "--format", "hdf5"]):
        assert here("simulate", "minerva", "-o", tmp_path, *options).exit_code == 0
    assert here("convert", tmp_path / "mc.root", "-o", tmp_path / "t.h5").exit_code == 0
    for number, name in enumerate(("mc.root", "mc.h5", "t.h5")):
        folder = tmp_path / f"pictures {number}"
        options = ["-n", 1, "--start", 2, "--formats", "png", "-o", folder]
        done = here("plot", "--events", tmp_path / name, *options)
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout == f"1 event of {tmp_path / name} in {folder}\n"
        assert [path.name for path in folder.iterdir()] == ["event_0.png"]
    for arguments, message in (
        ([], "Missing argument 'RUN', or --events FILE"),
        (["run", "--events", "t.h5"], "draws either RUN or --events FILE, not both"),
        (["--events", tmp_path / "t.h5", "--start", 9], "none with number 9"),
        (["--events", tmp_path / "mc.root", "--start", 9], "has no event 9, but 3 events"),
    ):
        assert message in refused("plot", *arguments)
