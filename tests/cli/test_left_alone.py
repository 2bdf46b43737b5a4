"""A training on a batch farm: signals, kills, full disks, and the one line that goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import hepdann as library
from hepdann import samples
from hepdann.config import Config
from hepdann.readers import convert_files
from hepdann_cli.interruption import Interruption

LINE = ("train", "tensors.h5", "--seeds", "1", "--batch-size", "64", "--no-oracle",
        "--alignment", "quantile", "--no-diagnose",
        "--method", "source-only", "--epochs")  # fmt: skip
EPOCHS = 25
SAME = ("model.safetensors", "history.csv", "scores.h5")


@pytest.fixture(scope="module", name="place")
def place_fixture(tmp_path_factory):
    """A folder with a tensor file and a run of 30 epochs that nothing came across."""
    place = tmp_path_factory.mktemp("place")
    samples.write_bjets(place, 600, 1, False)
    config = Config(convert={"features": ["spheri", "multip"]})
    files = [str(place / "mc.root")], [str(place / "data.root")]
    convert_files(*files, output=place / "tensors.h5", config=config)
    return place


def settings(epochs):
    return {
        "seeds": 1,
        "alignments": ["quantile"],
        "diagnose": False,
        "batch_size": 64,
        "oracle": False,
        "method": "source-only",
        "epochs": epochs,
    }


def started(executable, place, output, epochs, **options):
    """A training in a process of its own, once its first checkpoint is there."""
    process = subprocess.Popen(
        [executable, *LINE, str(epochs), "-o", str(output)],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
    while not list(output.glob("checkpoint/*.safetensors")) and process.poll() is None:
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def straight(place):
    return library.train(place / "tensors.h5", output=place / "straight", **settings(EPOCHS))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(
    executable, place, tmp_path, number, code
):
    process = started(executable, place, tmp_path / "run", 100_000)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "stopping after this step" in err
    assert f"hepdann train --resume -o {tmp_path / 'run'}" in out + err
    assert "Traceback" not in err
    if number == signal.SIGINT:  # of a person, who wants to see what there is
        stopped = library.open_run(tmp_path / "run")
        assert stopped.metrics["interrupted"]
        assert stopped.predict(np.zeros((3, 2))).shape == (3, 2)
    else:
        assert not (tmp_path / "run" / "metrics.json").exists()


def test_one_line_begins_goes_on_and_is_content_with_what_is_finished(
    executable, typed, place, straight, tmp_path
):
    process = started(executable, place, tmp_path / "run", EPOCHS)
    process.kill()
    process.communicate(timeout=120)
    assert not (tmp_path / "run" / "metrics.json").exists()
    line = (*LINE, str(EPOCHS), "-o", str(tmp_path / "run"), "--resume")
    done = typed(*line, cwd=place)
    assert done.code == 0, done.stderr
    for name in SAME:
        assert (tmp_path / "run" / name).read_bytes() == (straight.folder / name).read_bytes()
    assert typed(*line, cwd=place).code == 0
    done = typed(*line, "--clip-is-no-flag", cwd=place)
    assert done.code == 2
    done = typed(*line, "--learning-rate", ".01", cwd=place)
    assert done.code == 2
    assert "train.learning_rate is 0.01, the run began with 0.002" in done.stderr


def test_a_resume_without_tensors_begins_nothing(typed, place, tmp_path):
    done = typed("train", "--resume", "-o", str(tmp_path / "new"), cwd=place)
    assert done.code == 2
    assert "no such run folder" in done.stderr
    line = (*LINE, "1", "-o", str(tmp_path / "new"), "--resume")
    assert typed(*line, cwd=place).code == 0


def test_a_disk_that_fills_up_leaves_the_last_checkpoint_whole(
    executable, typed, place, straight, tmp_path
):
    """Checkpoints grow with the history; some epochs on, the next one has no room."""
    first = (straight.folder / "checkpoint" / "stack-0.safetensors").stat().st_size
    room = first - 4_000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    # of a module whose bytecode has no room, Python would keep the beginning
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = started(executable, place, tmp_path / "run", EPOCHS, preexec_fn=limit, env=env)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "stack-0.safetensors: cannot be written: File too large; make room there" in err
    assert "Traceback" not in err
    line = (*LINE, str(EPOCHS), "-o", str(tmp_path / "run"), "--resume")
    assert typed(*line, cwd=place).code == 0
    for name in SAME:
        assert (tmp_path / "run" / name).read_bytes() == (straight.folder / name).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 143), (signal.SIGINT, 130)])
def test_a_signal_while_the_program_starts_is_one_line(executable, place, tmp_path, number, code):
    """Here: while torch is imported, long before there is anything to stop."""
    process = subprocess.Popen(
        [executable, *LINE, "3", "-o", str(tmp_path / "run")],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "libtorch" not in maps.read_text():
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, ""), err
    assert err.startswith("hepdann: interrupted")
    assert err.count("\n") == 1


KILL = "os.kill(os.getpid(), {})"
WRAPPED = "\n            ".join(
    ["", "try: " + KILL, "except BaseException as signal: raise {}(signal)"]
)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGHUP, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("click", KILL),
        ("hepdann_cli.train", KILL),
        ("hepdann_cli.train", WRAPPED.format("{}", "RuntimeError")),  # Python 3.11, of a class
        ("hepdann_cli.train", WRAPPED.format("{}", "ValueError")),  # pydantic, of a validator
    ],
)
def test_a_signal_in_the_first_moments_leaves_no_traceback(module, what, number, code):
    """Here: at the first import that the program itself makes, and when it looks for a command.

    Code that is met there may put an error of its own in the place of the signal's.
    """
    program = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: {what.format(int(number))}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['hepdann', 'train', '-h']\n"
        "from hepdann_cli.main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == ("hepdann: interrupted\n" if number == signal.SIGINT else "")


def test_a_hangup_that_is_ignored_as_under_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interruption = Interruption()
        with interruption.listening():
            interruption()
            os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_gone_keeps_no_training_from_its_checkpoint(tmp_path):
    """Each write to it fails; so does what is said of the signal."""
    program = (
        "import os, signal, sys\n"
        "from hepdann_cli.interruption import Interruption\n"
        "with Interruption().listening() as interruption:\n"
        "    interruption()\n"
        "    os.dup2(os.open('/dev/full', os.O_WRONLY), 1), os.dup2(1, 2)\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('to nobody', flush=True)\n"
        "    os._exit(interruption.code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_not_lost_where_python_drops_what_is_raised(number, code):
    """In a weak reference's callback, of which matplotlib has many."""
    script = f"""
import os, time, weakref
from hepdann_cli import main

class Thing: pass

def callback(reference):
    os.kill(os.getpid(), {int(number)})
    time.sleep(0)

def run():
    thing = Thing()
    reference = weakref.ref(thing, callback)
    del thing
    time.sleep(60)

main._run = run
main.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          timeout=50, check=False)  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
