"""Every way to name input files."""

from __future__ import annotations

import pytest

from hepdann.errors import ConfigError, ReadError
from hepdann.readers import FileRef, resolve


@pytest.fixture(name="folder")
def folder_fixture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.root", "a.root", "deep/c.root", "odd:name.root", "x[1].root", "e.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"root")
    return tmp_path


def paths(*patterns):
    return [ref.path for ref in resolve(patterns)]


def test_a_path_is_one_file_and_a_glob_is_sorted(folder):
    assert paths("b.root") == ["b.root"]
    assert paths("[ab].root") == ["a.root", "b.root"]
    assert paths("**/c.root") == ["deep/c.root"]
    assert paths(str(folder / "?.root")) == [str(folder / "a.root"), str(folder / "b.root")]


def test_a_list_keeps_its_order(folder):
    assert paths("b.root,a.root") == ["b.root", "a.root"]
    assert paths("b.root", "a.root") == ["b.root", "a.root"]


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("a.root:jets", FileRef("a.root", "jets")),
        ("a.root:dir/jets", FileRef("a.root", "dir/jets")),
        ("e.dat:jets", FileRef("e.dat", "jets")),
        ("odd:name.root", FileRef("odd:name.root")),
        ("odd:name.root:jets", FileRef("odd:name.root", "jets")),
        ("x[1].root", FileRef("x[1].root")),
        ("root://host:1094//store/a.root", FileRef("root://host:1094//store/a.root")),
        ("root://host//store/a.root:t", FileRef("root://host//store/a.root", "t")),
    ],
)
def test_a_tree_after_a_colon_is_told_from_other_colons(folder, text, ref):
    assert resolve(text) == (ref,)


def test_a_tree_after_a_glob_holds_for_every_file(folder):
    assert resolve("[ab].root:t") == (FileRef("a.root", "t"), FileRef("b.root", "t"))


def test_a_text_file_lists_files(folder, monkeypatch):
    (folder / "deep" / "files.txt").write_text("c.root  # beside the list\n\n# none\n../a.root:t\n")
    (folder / "list.txt").write_text("[ab].root\n${INPUT}/c.root\n")
    monkeypatch.setenv("INPUT", str(folder / "deep"))
    assert [FileRef(r.path.rsplit("/", 1)[-1], r.tree) for r in resolve("deep/files.txt")] == [
        FileRef("c.root"),
        FileRef("a.root", "t"),
    ]
    assert paths("list.txt") == ["a.root", "b.root", str(folder / "deep" / "c.root")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none.root", "none.root: no such file"),
        ("none*.root", "the pattern matches no file"),
        ("deep", r"is a folder, not a file; write 'deep/\*.root'"),
        ("a.root,./a.root", "named twice"),
        ("?.root,b.root", "named twice"),
        ("root://host/a*.root", "wildcards in remote addresses"),
        ("empty.txt", "the file list is empty"),
        ("nested.txt", "a file list inside a file list"),
        ("endless.txt", "is too large for a file list"),
        ("", "no files given"),
    ],
)
def test_what_is_not_there_is_told(folder, text, message):
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "nested.txt").write_text("empty.txt\n")
    with (folder / "endless.txt").open("wb") as file:
        file.truncate(1 << 40)  # holes, which take no place on the disk
    with pytest.raises(ReadError, match=message):
        resolve(text)


def test_a_variable_that_is_not_set_is_told(folder, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(ConfigError, match="NOWHERE"):
        resolve("${NOWHERE}/a.root")
