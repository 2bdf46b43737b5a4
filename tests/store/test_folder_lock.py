"""Every training has a folder of its own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from hepdann.errors import Interrupted, RunError
from hepdann.store.paths import is_training, locked, new_folder, numbered_folder, training_in


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


@pytest.mark.parametrize("name", ["log.txt", "history.csv", "checkpoint", "checkpoint/a/b.json"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_nothing_is_written_through_a_link_or_a_pipe_in_the_folder(tmp_path, name, kind):
    folder, elsewhere = new_folder(tmp_path / "run"), tmp_path / "elsewhere"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    elsewhere.write_text("of the user")
    if kind == "link":
        path.symlink_to(elsewhere)
    else:
        os.mkfifo(path)
    with pytest.raises(RunError, match=f"{name}: is .* nothing is written"), locked(folder):
        pass
    assert elsewhere.read_text() == "of the user"


def test_nobody_waits_for_a_pipe_in_the_place_of_the_lock(tmp_path):
    os.mkfifo(tmp_path / "log.txt")
    assert not is_training(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for make in (lambda: new_folder(tmp_path / "file" / "run"),
                 lambda: numbered_folder("data", tmp_path / "file")):  # fmt: skip
        with pytest.raises(RunError, match="cannot be made: "):
            make()


def test_a_run_that_is_refused_at_the_start_leaves_no_folder(tmp_path):
    def refuse(folder, error=RunError):
        with suppress(error), training_in(folder, "go on with: hepdann train --resume"):
            (folder / "origin.json").touch()
            (folder / "diagnosis.json").touch()
            raise error("no")

    folder = new_folder(tmp_path / "run")
    refuse(folder)
    assert not folder.exists()
    for kept in ("notes.txt", "health.json", "checkpoint/stack-0.safetensors"):
        folder = new_folder(tmp_path / kept.replace("/", "-"))
        (folder / kept).parent.mkdir(exist_ok=True)
        (folder / kept).touch()
        refuse(folder)
        assert (folder / kept).exists()
        assert (folder / "origin.json").exists()
    folder = new_folder(tmp_path / "begun")
    refuse(folder, Interrupted)
    refuse(folder)  # now a resume
    assert (folder / "origin.json").exists()
