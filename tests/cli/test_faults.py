"""Signals, full disks and inputs that change, through the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import uproot

from hepdann.config import Config
from hepdann.errors import ReadError
from hepdann.readers import convert_files, read_blocks, scan
from hepdann.tensors import open_tensors

ROWS = 60_000
EARLIER = b"an earlier result"


def write(path, seed=1, rows=ROWS, parts=30):
    random = np.random.default_rng(seed)
    tree = {
        "pt": random.exponential(30, rows).astype("f4"),
        "isb": (np.arange(rows) % 2).astype("i4"),
        "event": np.arange(rows) + 10**6 * seed,
    }
    with uproot.recreate(path, compression=None) as file:
        file.mktree("jets", {key: values.dtype for key, values in tree.items()})
        for part in np.array_split(np.arange(rows), parts):
            file["jets"].extend({key: values[part] for key, values in tree.items()})


@pytest.fixture(name="files", autouse=True)
def files_fixture(tmp_path):
    write(tmp_path / "mc.root")
    # some seconds of blocks: long enough to be met in the middle
    (tmp_path / "slow.yaml").write_text("convert: {block_size: 40, classes: [light, b]}\n")
    (tmp_path / "tensors.h5").write_bytes(EARLIER)
    return tmp_path


def start(folder, *arguments, config="slow.yaml", **options):
    return subprocess.Popen(
        [sys.executable, "-m", "hepdann_cli.main", "convert", *arguments,
         "--features", "pt", "--label", "isb", "--config", config],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def parts(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


def wait_for_rows(folder, process):
    """Until the process writes rows."""
    while process.poll() is None and not any(path.stat().st_size for path in parts(folder)):
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupt_leaves_nothing_behind(tmp_path, number, code):
    process = start(tmp_path, "mc.root")
    wait_for_rows(tmp_path, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert not parts(tmp_path)
    assert (tmp_path / "tensors.h5").read_bytes() == EARLIER


def test_after_a_kill_the_next_conversion_cleans_up(typed, tmp_path):
    process = start(tmp_path, "mc.root")
    wait_for_rows(tmp_path, process)
    process.kill()
    process.communicate(timeout=60)
    assert len(parts(tmp_path)) == 1
    assert (tmp_path / "tensors.h5").read_bytes() == EARLIER
    done = typed("convert", "mc.root", "--features", "pt", "--label", "isb")
    assert (done.code, done.stderr) == (0, "")
    if sys.platform == "linux":
        assert not parts(tmp_path)
    assert open_tensors(tmp_path / "tensors.h5").rows("mc") == ROWS


def test_two_conversions_to_one_output_give_one_whole_file(tmp_path):
    write(tmp_path / "other.root", seed=2, rows=ROWS // 2)
    (tmp_path / "fast.yaml").write_text("")
    both = [start(tmp_path, name, config="fast.yaml") for name in ("mc.root", "other.root")]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    tensors = open_tensors(tmp_path / "tensors.h5")
    assert tensors.verify() == []
    rows = {"mc.root": ROWS, "other.root": ROWS // 2}
    assert tensors.rows("mc") == rows[tensors.provenance["inputs"][0]["path"]]
    assert not parts(tmp_path)


def test_an_input_that_is_cut_off_while_it_is_read_is_an_error_and_no_crash(tmp_path):
    path = tmp_path / "mc.root"
    blocks = read_blocks(scan(str(path))[0], ["pt", "event"], 1000)
    assert len(next(blocks)) == 1000
    os.truncate(path, path.stat().st_size // 3)  # a mapped file would end the process here
    with pytest.raises(
        ReadError, match=r"mc\.root:jets/(pt|event): entries \d+-\d+ cannot be read"
    ):
        list(blocks)


@pytest.mark.parametrize("how", ["grows", "goes", "is replaced"])
def test_an_input_that_changes_while_it_is_read_is_bad(tmp_path, how):
    path, output = tmp_path / "mc.root", tmp_path / "t.h5"
    content = path.read_bytes()

    def meddle(done, total):
        if done > total // 2:
            if how == "grows":
                with path.open("ab") as file:
                    file.write(b"more")
            elif how == "goes":
                path.unlink(missing_ok=True)
            else:
                (tmp_path / "new").write_bytes(content)
                (tmp_path / "new").replace(path)

    config = Config(convert={"label": "isb", "features": ["pt"], "block_size": 4096})
    message = "vanished while" if how == "goes" else "changed while it was converted"
    with pytest.raises(ReadError, match=message):
        convert_files([str(path)], output=output, config=config, progress=meddle)
    assert not output.exists()
    assert not parts(tmp_path)
