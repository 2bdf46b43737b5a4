"""An output is the old one or the whole new one, and never takes the place of a device."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hepdann.outputs import replacing, write_whole


def test_only_an_ordinary_file_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name in ("pipe", "link", "socket"):
            with pytest.raises(FileExistsError, match="no ordinary file") as caught:
                write_whole(name, b"new")
            assert caught.value.filename == name
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "socket"]


def test_an_error_carries_the_name_of_the_output(tmp_path):
    for name in ("none/file", "x" * 300):
        with pytest.raises(OSError, match=r"none|too long") as caught:
            write_whole(tmp_path / name, b"new")
        assert caught.value.filename == str(tmp_path / name)


def test_the_longest_name_that_a_folder_takes_can_be_written(tmp_path):
    path = tmp_path / ("ü" * 127)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_links_are_followed_and_a_loop_of_links_is_replaced(tmp_path):
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    (tmp_path / "loop").symlink_to("loop")
    write_whole(tmp_path / "loop", b"new")
    assert (tmp_path / "loop").read_bytes() == b"new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted():
        with replacing(path) as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
