"""Compressed tensor files hold the same rows, and their chunks are HDF5's own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import uproot

from hepdann.config import Config
from hepdann.errors import SchemaError
from hepdann.readers import convert_files
from hepdann.tensors import EventBlocks, open_tensors

ROWS = 20_011
CODECS = [
    "gzip",
    pytest.param(
        "zstd",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("hdf5plugin") is None, reason="hdf5plugin is an extra"
        ),
    ),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two MC files and one that is cut off, 20,000 events each."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(1)
    for number in range(3):
        with uproot.recreate(folder / f"{number}.root", compression=uproot.ZLIB(1)) as file:
            values = {f"x{i}": random.normal(size=ROWS).astype("f4") for i in range(3)}
            values |= {"label": np.arange(ROWS, dtype="i4") % 2, "event": np.arange(ROWS)}
            tree = file.mktree("events", {name: column.dtype for name, column in values.items()})
            for half in (slice(0, ROWS // 2), slice(ROWS // 2, ROWS)):
                tree.extend({name: column[half] for name, column in values.items()})
    content = bytearray((folder / "2.root").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    (folder / "2.root").write_bytes(content)
    return folder


def converted(folder, output, compress, names=("0.root", "1.root"), **more):
    choice = {"label": "label", "features": ["x0", "x1", "x2"], "spectators": ["x0 + x1"]}
    settings = Config(convert={**choice, "compress": compress, **more})
    convert_files(
        [str(folder / name) for name in names], output=output, config=settings, threads=2,
        skip_bad=len(names) > 2,
    )  # fmt: skip
    return open_tensors(output)


def rows(path):
    found = {}
    with h5py.File(path) as file:
        file["mc"].visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("names", "more"),
    [
        (("0.root", "1.root"), {}),
        (("0.root",), {"cut": "x0 > 2.5"}),
        (("0.root", "2.root", "1.root"), {"block_size": 7_001}),
    ],
    ids=["whole", "fewer than a chunk", "a bad file is taken back"],
)
def test_every_row_is_what_it_is_without_compression(files, tmp_path, codec, names, more):
    plain = converted(files, tmp_path / "plain.h5", "none", names, **more)
    packed = converted(files, tmp_path / "packed.h5", codec, names, **more)
    first, second = rows(plain.path), rows(packed.path)
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert values.dtype == second[name].dtype
        assert values.tobytes() == second[name].tobytes()
    assert packed.verify() == []
    assert packed.rows("mc") == plain.rows("mc")
    assert packed.source().features.tobytes() == plain.source().features.tobytes()
    if not more:
        assert packed.path.stat().st_size < plain.path.stat().st_size


def test_files_converted_again_elsewhere_hold_the_same(files, tmp_path):
    shutil.copytree(files, tmp_path / "elsewhere")
    first = converted(files, tmp_path / "1.h5", "none")
    again = converted(tmp_path / "elsewhere", tmp_path / "2.h5", "none", block_size=7_001)
    assert first.provenance != again.provenance
    assert first.content_id() == again.content_id()
    for change in ({"cut": "x0 > 0"}, {"split": {"seed": 1}}, {"features": ["x1", "x0", "x2"]}):
        assert converted(files, tmp_path / "3.h5", "none", **change).content_id() != (
            first.content_id()
        )


def test_training_in_blocks_sees_the_same_events(files, tmp_path):
    plain = converted(files, tmp_path / "plain.h5", "none")
    packed = converted(files, tmp_path / "packed.h5", "gzip")
    first, second = (EventBlocks(tensors, "mc", labelled=True) for tensors in (plain, packed))
    assert list(first.counts) == list(second.counts)
    for block in range(len(first)):
        ours, theirs = first.train(block), second.train(block)
        assert ours.features.tobytes() == theirs.features.tobytes()
        assert ours.label.tobytes() == theirs.label.tobytes()


def test_gzip_needs_nothing_but_h5py(files, tmp_path):
    path = converted(files, tmp_path / "t.h5", "gzip").path
    code = (
        "import h5py, sys; d = h5py.File(sys.argv[1])['mc/features']; "
        "print(d.compression, d.shuffle, d.chunks, d[...].any())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["gzip", "True", "(8192,", "3)", "True"]


def test_a_damaged_chunk_is_found_and_named(files, tmp_path):
    tensors = converted(files, tmp_path / "t.h5", "gzip")
    with h5py.File(tensors.path) as file:
        chunk = file["mc/features"].id.get_chunk_info(1)
    content = bytearray(tensors.path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0x10
    tensors.path.write_bytes(content)
    damaged = open_tensors(tensors.path)
    assert damaged.verify() == ["mc/features rows 8192-16383"]
    with pytest.raises(SchemaError, match="cannot be read"):
        damaged.source()
    blocks = EventBlocks(damaged, "mc", labelled=True)
    with pytest.raises(SchemaError, match="cannot be read"):
        blocks.train(1)


def test_zstd_without_hdf5plugin_is_an_error_with_the_mend(files, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "hdf5plugin" else found(name)
    )
    with pytest.raises(SchemaError, match=r"needs the package hdf5plugin.*hepdann\[zstd\]"):
        converted(files, tmp_path / "t.h5", "zstd")
    assert not (tmp_path / "t.h5").exists()
