"""Every training has a folder of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hepdann.errors import RunError
from hepdann.runs.claim import locked, new_folder, numbered_folder


def test_runs_that_start_together_get_different_numbers(tmp_path):
    (tmp_path / "runs" / "data-2").mkdir(parents=True)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: numbered_folder("data", tmp_path / "runs"), range(20)))
    assert len(set(folders)) == 20
    assert {folder.name for folder in folders} == {f"data-{n}" for n in range(1, 22) if n != 2}


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    folder = new_folder(tmp_path / "a" / "run")
    with (
        locked(folder),
        pytest.raises(RunError, match="another process is training here"),
        locked(folder),
    ):
        pass
    with locked(folder):
        pass
    assert new_folder(folder) == folder  # a start that was killed before the run began
    (folder / "origin.json").touch()
    with pytest.raises(RunError, match="never overwritten"):
        new_folder(folder)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for make in (lambda: new_folder(tmp_path / "file" / "run"),
                 lambda: numbered_folder("data", tmp_path / "file")):  # fmt: skip
        with pytest.raises(RunError, match="cannot be made: "):
            make()
