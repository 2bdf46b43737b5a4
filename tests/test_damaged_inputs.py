"""What is read back of a run is what hepdann writes, or an error that names file and key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from safetensors.torch import save

from hepdann.errors import RunError
from hepdann.inputs import read_json, read_rows, read_tensors


class Kind(BaseModel):
    """A number below a key."""

    model_config = {"strict": True}

    a: dict[str, float]


def refusal(read: Any, path: Path, *arguments: Any) -> str:
    with pytest.raises(RunError) as caught:
        read(path, *arguments)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"b": 1}', "is damaged: Expecting"),
        ("", "is damaged: Expecting value"),
        ("{}", "is damaged: a: Field required; train anew"),
        ('{"a": {"b": "x"}}', "is damaged: a.b: Input should be a valid number"),
        ('{"a": {"b": true}}', "is damaged: a.b: Input should be a valid number"),
        ('{"a": {"b": NaN}}', "is damaged: NaN is no number"),
        ('{"a": {"b": 1, "b": 2}}', "is damaged: the key 'b' appears twice"),
        ('{"a": {"\\ud800": 1}}', "is damaged: 'utf-8' codec can't encode"),
        ("[" * 100_000, "is damaged: nested too deeply"),
        ('{"a": {"b": ' + "9" * 5000 + "}}", "is damaged: Exceeds the limit"),
    ],
)
def test_json_of_another_content_is_refused(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert refusal(read_json, path, Kind).startswith(message)


def test_json_keeps_the_keys_that_nobody_names(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": {"b": 1}, "more": [null]}')
    assert read_json(path, Kind) == {"a": {"b": 1}, "more": [None]}


@pytest.mark.parametrize("read", [lambda p: read_json(p, Any), read_tensors])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, message in (
        ("pipe", "is a pipe, not a file"),
        (".", "is a folder, not a file"),
        ("loop", "cannot be opened"),
        ("none", ""),
    ):
        assert message in refusal(read, tmp_path / name)
    (tmp_path / "latin").write_bytes(b"\xe9\xff")
    assert refusal(read, tmp_path / "latin").startswith("is damaged")


def test_a_text_without_end_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(1 << 40)  # a hole, which takes no room on the disk
    assert "too large" in refusal(read_json, tmp_path / "x.json", Any)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch\n1\n", "is damaged: no column method"),
        ("method,epoch,epoch\ndann,1,1\n", "is damaged: a column comes twice"),
        ("method,epoch\ndann\n", "is damaged: line 2 has not 2 fields"),
        ("method,epoch\ndann,1,2\n", "is damaged: line 2 has not 2 fields"),
        ("method,epoch\ndann,1.5\n", "is damaged: '1.5' in line 2 is no epoch"),
        ("method,epoch\ndann," + "9" * 5000, "is damaged: '999"),
        ("method,loss\ndann,x\n", "is damaged: 'x' in line 2 is no loss"),
    ],
)
def test_a_table_of_another_content_is_refused(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert refusal(read_rows, path, ("method",), ("method",)).startswith(message)


def test_tensors_that_are_cut_off_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    whole = save({"a": torch.zeros(9)}, metadata={"k": "v"})
    path.write_bytes(whole)
    assert read_tensors(path)[0] == {"k": "v"}
    for end in (0, 7, 20, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert refusal(read_tensors, path).startswith("is damaged: ")
