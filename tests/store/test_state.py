"""Why a folder holds no results of a run."""

from __future__ import annotations

import pytest

from hepdann.errors import RunError
from hepdann.evaluation import open_scores
from hepdann.runs import open_run, open_scan, resume_scan
from hepdann.store.paths import explain_absent, locked


@pytest.fixture
def begun(tmp_path):
    """The folder of a run that has just begun."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "origin.json").write_text("{}")
    return folder


def test_a_run_in_progress_is_said_to_be_one(begun):
    with locked(begun):
        for opens in (open_run, open_scores):
            with pytest.raises(RunError, match="the training is still going on"):
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
