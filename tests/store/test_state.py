"""Why a folder holds no results of a run."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from hepdann.config import Config, dump_config
from hepdann.errors import RunError
from hepdann.evaluation import open_scores
from hepdann.runs import open_run, open_scan, resume_scan
from hepdann.store.paths import explain_absent, locked


@pytest.fixture
def begun(tmp_path):
    """The folder of a run of 20 epochs that has just begun."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "origin.json").write_text("{}")
    (folder / "config.yaml").write_text(dump_config(Config()))
    return folder


def test_a_run_in_progress_is_said_to_be_one_and_how_far_it_is(begun):
    with locked(begun):
        assert "still going on (before its first checkpoint)" in str(explain_absent(begun))
        (begun / "checkpoint").mkdir()
        content = {"x": np.zeros(1)}
        save_file(content, begun / "checkpoint/stack-0.safetensors", {"epoch": "7"})
        for opens in (open_run, open_scores):
            with pytest.raises(RunError, match="epoch 7 of 20 at its last checkpoint"):
                opens(begun)
    with pytest.raises(RunError, match=r"has not finished.*hepdann train --resume -o"):
        open_run(begun)


def test_a_scan_in_progress_is_one_too(begun):
    (begun / "checkpoint/scan").mkdir(parents=True)
    with locked(begun), pytest.raises(RunError, match="the scan is still going on"):
        open_scan(begun)
    with pytest.raises(RunError, match=r"has not finished.*hepdann scan --resume -o"):
        open_run(begun)


def test_a_run_is_not_resumed_as_a_scan(begun):
    with pytest.raises(RunError, match=r"is a run, not a scan.*hepdann train --resume"):
        resume_scan(begun)


def test_another_folder_is_no_run(tmp_path):
    assert "no such run folder" in str(explain_absent(tmp_path / "none"))
    assert "not a run folder" in str(explain_absent(tmp_path))
