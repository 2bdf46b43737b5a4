"""What is not a regular file is refused before it is opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hepdann.errors import ConfigError, ReadError
from hepdann.inputs import regular_file


def test_a_pipe_a_socket_a_device_and_a_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 108 bytes
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, kind in [
            ("pipe", "a pipe"),
            ("link", "a pipe"),
            ("socket", "a socket"),
            (os.devnull, "a device"),
            (".", "a folder"),
        ]:
            with pytest.raises(ReadError, match=f"^{name}: is {kind}, not a file; name a regular"):
                regular_file(name)


def test_a_regular_file_a_link_to_one_and_a_missing_one_pass(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("x")
    link.symlink_to(file)
    for path in (file, link, tmp_path / "none", file / "none"):
        assert regular_file(path) == path


def test_what_the_system_cannot_name_is_refused_with_the_error_asked_for(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match=r"cannot be opened \(Too many levels"):
        regular_file(loop, ConfigError)
    with pytest.raises(ConfigError, match="is no name of a file; choose"):
        regular_file("a\0b", ConfigError, mend="choose another")
