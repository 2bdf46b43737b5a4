"""``hepdann scan`` as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from hepdann import samples
from hepdann.config import Config
from hepdann.readers import convert_files

GRID = ("--shift", "sine", "--t", "3", "--lambda", "1", "--seeds", "2")


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan-toy")
    samples.write_bjets(folder, 3000, 1, False)
    settings = {"weight": "weight", "features": ["prob_b", "spheri", "bqvjet"]}
    config = Config.model_validate({"convert": settings})
    convert_files([str(folder / "mc.root")], output=folder / "tensors.h5", config=config)
    return folder / "tensors.h5"


def test_a_scan_prints_its_table_and_what_to_type_next(typed, tensors, tmp_path):
    more = ("--methods", "dann", "--alignments", "quantile,moments", "--normalisation", "none")
    done = typed("scan", tensors, *GRID, "--epochs", "2", *more)
    assert done.code == 0, done.stderr
    assert "runs/scan-sine-1" in done.stdout
    for word in ("source-only", "quantile", "moments", "oracle", "dann", "peeked", "hepdann plot"):
        assert word in done.stdout
    assert (tmp_path / "runs/scan-sine-1/scan.csv").is_file()
    assert "normalisation: none" in (tmp_path / "runs/scan-sine-1/config.yaml").read_text()
    every_command_knows_a_finished_scan(typed, done.stdout)


def every_command_knows_a_finished_scan(typed, printed):
    folder = "runs/scan-sine-1"
    table = printed.partition("scan: ")[0]
    assert typed("evaluate", folder).stdout == table
    assert typed("inspect", folder).stdout == table
    summary = json.loads(typed("evaluate", folder, "--json").stdout)
    assert summary == json.loads(typed("inspect", folder, "--json").stdout)["summary"]
    for command in (("report", folder), ("compare", folder), ("train", "--resume", "-o", folder)):
        done = typed(*command)
        assert done.code == 2
        assert "is a scan, not a run" in done.stderr
        assert "hepdann evaluate" in done.stderr or "hepdann scan --resume" in done.stderr
    again = typed("scan", "--resume", "-o", folder)
    assert again.code == 0, again.stderr
    assert again.stdout.partition("scan: ")[0] == table


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("--t", "3"), "--shift"),
        (("--shift", "sine", "--t", "a"), "'a'"),
        (("--shift", "sin"), "sine"),
        (("--shift", "sine", "--methods", "dan"), "dann"),
        (("--shift", "sine", "--alignments", "quantil"), "quantile"),
        (("--resume",), "-o"),
        (("--resume", "-o", "nowhere"), "no such folder"),
        (("--shift", "sine", "--stack", "some"), "stack"),
    ],
)
def test_wrong_input_is_one_line(typed, tensors, args, what):
    done = typed("scan", tensors, *args)
    assert done.code == 2
    assert done.stderr.count("\n") == 1
    assert what in done.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130)])
def test_an_interrupted_scan_says_how_to_go_on(executable, tensors, tmp_path, sent, code):
    process = subprocess.Popen(
        [executable, "scan", tensors, *GRID, "--epochs", "400", "-o", "a scan"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and not (tmp_path / "a scan/checkpoint/scan").is_dir():
        time.sleep(0.05)
    process.send_signal(sent)
    said = "".join(process.communicate(timeout=120))
    assert process.returncode == code
    assert "hepdann scan --resume -o 'a scan'" in said
