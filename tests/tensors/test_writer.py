from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann.config.samples import SplitConfig
from hepdann.errors import SchemaError
from hepdann.tensors import open_tensors, split_of
from hepdann.tensors.hdf5.checksums import TILE_ROWS, TileHasher


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_the_file_is_laid_out_as_designed(tmp_path, make_block, make_writer):
    mc, data = make_block(700), make_block(300, domain="data", truth=True)
    with make_writer(tmp_path / "t.h5", mc=700, data=300, truth=True) as writer:
        writer.append("mc", mc)
        writer.append("data", data)
        writer.finish({"hepdann": "test"})
    with h5py.File(tmp_path / "t.h5") as file:
        assert file.attrs["format"] == "hepdann-tensors"
        assert file.attrs["format_version"] == 1
        assert file.attrs["complete"]
        assert file.attrs["provenance"] == '{"hepdann": "test"}'
        assert list(file["mc"].attrs["classes"]) == ["background", "signal"]
        assert list(file["mc/features"].attrs["names"]) == ["pt", "eta", "mass"]
        assert list(file["mc/features"].attrs["units"]) == ["GeV", "", "GeV"]
        assert list(file["mc/spectators"].attrs["names"]) == ["nbjet"]
        assert list(file["mc/sample"].attrs["names"]) == ["ttbar", "wjets"]
        assert set(file["data"]) == {
            "event_id",
            "features",
            "sample",
            "spectators",
            "split",
            "weight",
        }
        dtypes = {
            "features": "<f4",
            "spectators": "<f4",
            "label": "<i4",
            "weight": "<f4",
            "weights/up": "<f4",
            "sample": "<u2",
            "event_id": "<u8",
            "split": "|u1",
        }
        for name, dtype in dtypes.items():
            dataset = file["mc"][name]
            assert dataset.dtype.str == dtype, name
            assert dataset.chunks is None, name  # contiguous
        for name in ("features", "spectators", "weight", "sample", "event_id"):
            np.testing.assert_array_equal(file["mc"][name], getattr(mc, name))
            np.testing.assert_array_equal(file["data"][name], getattr(data, name))
        np.testing.assert_array_equal(file["mc/label"], mc.label)
        np.testing.assert_array_equal(file["mc/weights/up"], mc.weights["up"])
        np.testing.assert_array_equal(file["truth/data/label"], data.truth)
        expected = split_of(mc.event_id, SplitConfig(seed=3))
        np.testing.assert_array_equal(file["mc/split"], expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8), st.integers(0, 500))
def test_neither_block_sizes_nor_spare_capacity_change_a_byte(
    make_block, cut, make_writer, sizes, spare
):
    mc, data = make_block(1000), make_block(200, domain="data")

    def written(folder: str, edges: list[int], capacity: int) -> bytes:
        path = Path(folder) / "t.h5"
        with make_writer(path, mc=capacity, data=200) as writer:
            writer.append("data", data)
            for start, stop in zip([0, *edges], [*edges, 1000], strict=True):
                writer.append("mc", cut(mc, start, stop))
            writer.finish({"a": 1})
        return path.read_bytes()

    edges = np.minimum(np.cumsum([0, *sizes]), 1000).tolist()
    with tempfile.TemporaryDirectory() as folder:
        assert written(folder, edges, 1000 + spare) == written(folder, [], 1000)
        assert names(folder) == ["t.h5"]


@given(st.lists(st.integers(0, 90_000), max_size=6))
@settings(max_examples=25, deadline=None)
def test_checksums_do_not_depend_on_blocks(sizes):
    rows = np.arange(150_000, dtype=np.uint16)
    whole, pieces = TileHasher(), TileHasher()
    whole.update(rows)
    for part in np.split(rows, np.minimum(np.cumsum(sizes, dtype=int), len(rows))):
        pieces.update(part)
    assert whole.digests().tolist() == pieces.digests().tolist()
    assert len(whole.digests()) == -(-len(rows) // TILE_ROWS)


def test_no_event_feature_or_spectator_is_no_special_case(tmp_path, make_block, make_writer):
    block = make_block(10, domain="data")
    bare = type(block)(
        features=block.features,
        spectators=np.empty((10, 0), np.float32),
        weight=block.weight,
        sample=block.sample,
        event_id=block.event_id,
    )
    changes = {"samples": {"data": ["run"]}, "spectators": [], "weights": []}
    for rows in (10, 0):
        path = tmp_path / f"{rows}.h5"
        with make_writer(path, capacity={"data": 10}, **changes) as writer:
            if rows:
                writer.append("data", bare)
            writer.finish({})
        tensors = open_tensors(path)
        assert tensors.domains == ("data",)
        assert tensors.rows("data") == len(tensors.target()) == rows
        assert tensors.target().features.shape == (rows, 3)
        assert tensors.classes == tensors.spectators == ()
        assert tensors.verify() == []


def test_memory_does_not_grow_with_the_number_of_events(tmp_path, make_block, make_writer):
    block = make_block(10_000)

    def peak(blocks: int) -> int:
        tracemalloc.start()
        with make_writer(tmp_path / "t.h5", mc=blocks * 10_000 + 1) as writer:  # + 1: compacted
            for _ in range(blocks):
                writer.append("mc", block)
            writer.finish({})
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)  # imports
    few, many = peak(40), peak(160)
    assert many < 1.1 * few


def test_the_longest_provenance_fits(tmp_path, make_writer):
    provenance = {"inputs": [{"path": f"root://host//{i:0100d}.root"} for i in range(20_000)]}
    with make_writer(tmp_path / "t.h5") as writer:
        writer.finish(provenance)
    assert open_tensors(tmp_path / "t.h5").provenance == provenance


# An output appears whole or not at all.


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_earlier_file(
    tmp_path, tensor_file, make_block, make_writer, error
):
    earlier = tensor_file().read_bytes()
    for after_finish in (False, True):
        with (  # noqa: PT012
            pytest.raises(error),
            make_writer(tmp_path / "tensors.h5", mc=50) as writer,
        ):
            writer.append("mc", make_block(10))
            if after_finish:
                writer.finish({})
            raise error
        assert (tmp_path / "tensors.h5").read_bytes() == earlier
        assert names(tmp_path) == ["tensors.h5"]


def test_forgetting_finish_writes_nothing(tmp_path, make_writer):
    with pytest.raises(RuntimeError, match="finish"), make_writer(tmp_path / "t.h5"):
        pass
    assert names(tmp_path) == []


KILLED = """
import sys
import numpy as np
from hepdann.config.samples import SplitConfig
from hepdann.tensors import Block, Layout, TensorWriter

n = 1000
block = Block(np.zeros((n, 1), "f4"), np.zeros((n, 0), "f4"), np.ones(n, "f4"), np.zeros(n, "u2"),
              np.arange(n, dtype="u8"))
layout = Layout(features=("x",), samples={"data": ("run",)})
with TensorWriter(sys.argv[1], layout, capacity={"data": 10**9}, split=SplitConfig()) as writer:
    writer.append("data", block)
    print("writing", flush=True)
    while True:
        writer.append("data", block)
"""


def test_sigkill_leaves_the_earlier_file(tmp_path, tensor_file):
    path = tensor_file()
    earlier = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == earlier
    assert (
        tensor_file("tensors.h5", mc=10, data=10) == path
    )  # and nothing is in the way of the next
    assert open_tensors(path).rows("mc") == 10


@contextmanager
def largest_file(size: int):
    """A disk that is full: writes past ``size`` fail (with EFBIG in place of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("stage", ["append", "compaction", "description"])
def test_a_full_disk_is_one_line_and_leaves_the_earlier_file(
    tmp_path, tensor_file, make_block, make_writer, stage
):
    path = tensor_file()
    earlier = path.read_bytes()
    with (  # noqa: PT012
        pytest.raises(SchemaError, match="cannot be written: File too large") as caught,
        make_writer(path, mc=2000 + (stage == "compaction")) as writer,
    ):
        with largest_file(20_000 if stage == "append" else 2**30):
            writer.append("mc", make_block(2000))
        with largest_file(20_000):
            writer.finish({"long": "x" * 100_000})
    assert caught.value.where == str(path)
    assert path.read_bytes() == earlier
    assert names(tmp_path) == ["tensors.h5"]
    assert open_tensors(tensor_file("next.h5")).verify() == []  # HDF5 itself saw no failure


def test_a_place_that_cannot_be_written_fails_at_once(tmp_path, make_writer):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SchemaError, match="No such file"), make_writer(tmp_path / "no" / "t.h5"):
        pass
    with pytest.raises(SchemaError, match="Is a directory"), make_writer(tmp_path / "folder"):
        pass
    assert names(tmp_path) == ["folder"]


def test_a_link_stays_a_link(tmp_path, tensor_file):
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "tensors.h5").symlink_to(store / "real.h5")
    path = tensor_file()
    assert path.is_symlink()
    assert open_tensors(store / "real.h5").rows("mc") == 1000


def test_the_file_has_the_permissions_of_any_new_file(tmp_path, tensor_file):
    (tmp_path / "plain").touch()
    assert tensor_file().stat().st_mode == (tmp_path / "plain").stat().st_mode


# What a block may not be.


def test_more_events_than_announced_are_refused(tmp_path, make_block, make_writer):
    with (
        pytest.raises(SchemaError, match="more than the announced 5 mc events"),
        make_writer(tmp_path / "t.h5", mc=5) as writer,
    ):
        writer.append("mc", make_block(6))


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("label", np.full(4, 2, np.int32), SchemaError, "label 2 is out of range, there are 2"),
        ("label", np.full(4, -1, np.int32), SchemaError, "label -1 is out of range"),
        ("sample", np.full(4, 9, np.uint16), SchemaError, "sample 9 is out of range"),
        ("label", None, ValueError, "mc/label of a block is missing"),
        ("weight", np.ones(3, np.float32), ValueError, r"mc/weight .* shape \(3,\)"),
        ("features", np.ones((4, 2), np.float32), ValueError, r"mc/features .* shape \(4, 2\)"),
        ("weights", {}, ValueError, "mc/weights/up of a block is missing"),
        ("weights", {"down": np.ones(4)}, ValueError, "no place for mc/weights/down"),
        ("truth", np.ones(4, np.int32), ValueError, "no place for truth"),
    ],
)
def test_a_wrong_block_is_refused(tmp_path, make_block, make_writer, name, value, error, message):
    block = make_block(4)
    fields = vars(block) | {name: value}
    with (
        pytest.raises(error, match=message),
        make_writer(tmp_path / "t.h5", mc=4) as writer,
    ):
        writer.append("mc", type(block)(**fields))


def test_data_has_no_place_for_a_label(tmp_path, make_block, make_writer):
    block = make_block(4, domain="data")
    labelled = type(block)(**(vars(block) | {"label": np.zeros(4, np.int32)}))
    with (
        pytest.raises(ValueError, match="no place for mc/label"),
        make_writer(tmp_path / "t.h5", data=4) as writer,
    ):
        writer.append("data", labelled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["a", "b", "a"]}, "features named twice: a"),
        ({"units": ["GeV"]}, "3 features, but 1 units"),
        ({"feature_info": [{}]}, "3 features, but 1 feature_info"),
        ({"samples": {"mc": ["a"], "date": ["b"]}}, "unknown domain date"),
        ({"samples": {}}, "no domain"),
        ({"samples": {"mc": ["a"]}, "capacity": {"mc": 1}, "truth": True}, "there is no data"),
        ({"samples": {"mc": ["a"]}}, "capacity is given for"),
        ({"weights": ["a/b"]}, "hold no /"),
    ],
)
def test_contradictions_are_refused(tmp_path, make_writer, changes, message):
    with pytest.raises(SchemaError, match=message):
        make_writer(tmp_path / "t.h5", **changes)


@pytest.mark.parametrize("impute", [[1.0], [1.0, 2.0, np.nan]])
def test_impute_is_a_number_for_each_feature(tmp_path, make_writer, impute):
    with (
        pytest.raises(SchemaError, match="impute needs one finite number"),
        make_writer(tmp_path / "t.h5") as writer,
    ):
        writer.finish({}, impute=impute)
