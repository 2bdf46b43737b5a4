"""The decoder of baskets gives what uproot gives, bit for bit, whatever the layout."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files, scan
from hepdann.readers.pipeline.entry_ranges import RangeReader, choose_reader, unit_reader
from hepdann.readers.root.baskets import locate, titles
from hepdann.readers.root.pages import locate_pages
from hepdann.tensors import open_tensors

DATA = Path(__file__).parent / "data"
LAYOUTS = sorted(DATA.glob("root_*.root"))
CODECS = {
    "none": None, "zlib": uproot.ZLIB(4), "lz4": uproot.LZ4(4), "zstd": uproot.ZSTD(3),
    "lzma": uproot.LZMA(1),
}  # fmt: skip


def some_columns(rows, seed=1):
    random = np.random.default_rng(seed)
    columns = {
        "f4": random.normal(size=rows).astype("f4"),
        "coarse": np.round(random.normal(size=rows), 1).astype("f4"),
        "f8": random.normal(size=rows) * 10.0 ** random.integers(-50, 50, rows),
        "i1": random.integers(-128, 127, rows, dtype="i1"),
        "u2": random.integers(0, 65535, rows, dtype="u2"),
        "i8": random.integers(-(2**62), 2**62, rows),
        "b": random.random(rows) > 0.4,
        "f4s": random.normal(size=(rows, 3)).astype("f4"),
        "matrix": random.normal(size=(rows, 2, 2)),
        "label": np.arange(rows, dtype="i4") % 2,
    }
    columns["f4"][::7] = [np.nan, np.inf, -np.inf, -999, -0.0, 1e-45, 3e38][seed % 7]
    columns["coarse"][2::5] = -999
    return columns


@contextmanager
def other_baskets(edges):
    """Inside, basket k of a branch holds the entries from edges[branch][k] on."""
    from uproot.writing import _cascadetree

    tree = _cascadetree.Tree
    original, counts = tree.write_np_basket, {}

    def write(self, sink, branch, compression, array):
        number = counts[branch] = counts.get(branch, -1) + 1
        low, high = edges[branch][number : number + 2]
        return original(self, sink, branch, compression, self.whole[branch][low:high])

    tree.write_np_basket = write
    try:
        yield
    finally:
        tree.write_np_basket = original


def write_misaligned(path, columns, edges, compression):
    """A TTree whose branches have their baskets where ``edges`` says."""
    parts = len(next(iter(edges.values()))) - 1
    rows = len(columns["label"])
    steps = [rows // parts] * (parts - 1)
    steps.append(rows - sum(steps))
    types = {n: (v.dtype, v.shape[1:]) if v.ndim > 1 else v.dtype for n, v in columns.items()}
    with uproot.recreate(path, compression=compression) as file, other_baskets(edges):
        tree = file.mktree("events", types)
        inner = tree._cascading
        inner.whole = {
            n: v.astype(v.dtype.newbyteorder(">")) for n, v in columns.items()
        }  # fmt: skip
        at = 0
        for step in steps:
            tree.extend({name: values[at : at + step] for name, values in columns.items()})
            at += step
        for datum in inner._branch_data:
            own = edges[datum["fName"]]
            datum["fBasketEntry"][: len(own)] = own
            datum["arrays_write_start"] = 0
        inner.write_updates(file.file.sink)
    return path


def same(first, second):
    assert first.dtype == second.dtype
    assert first.shape == second.shape
    assert first.tobytes() == second.tobytes()


def columns_of(reader, file, size, names=None):
    read = choose_reader(reader)
    blocks = list(read(file, names or list(file.branches), size))
    starts = [block.start for block in blocks]
    ends = [block.start + len(block) for block in blocks]
    assert starts == [0, *ends[:-1]]
    assert all(len(block) <= size for block in blocks)
    return {n: np.concatenate([b.columns[n] for b in blocks]) for n in blocks[0].columns}


@st.composite
def layouts(draw):
    rows = draw(st.integers(5, 400))
    parts = draw(st.integers(1, 5))
    columns = some_columns(rows, draw(st.integers(0, 50)))
    edges = {}
    for name in columns:
        inner = draw(
            st.lists(st.integers(1, rows - 1), min_size=parts - 1, max_size=parts - 1, unique=True)
        )
        edges[name] = [0, *sorted(inner), rows]
    return columns, edges, draw(st.sampled_from(sorted(CODECS)))


@settings(max_examples=40, deadline=None)
@given(layouts(), st.integers(1, 500))
def test_misaligned_baskets_give_what_uproot_reads(layout, size):
    columns, edges, codec = layout
    with tempfile.TemporaryDirectory() as folder:
        path = write_misaligned(Path(folder) / "mc.root", columns, edges, CODECS[codec])
        with uproot.open(path) as opened:
            tree = opened["events"]
            assert list(tree["f8"].entry_offsets) == edges["f8"]
            expected = tree.arrays(library="np")
            assert all(locate(tree[name], name, tree.num_entries, titles(tree)) for name in columns)
        (file,) = scan(str(path))
        found = columns_of("fast", file, size)
    for name, values in columns.items():
        same(found[name], values)
        same(found[name], expected[name])


@settings(max_examples=7, deadline=None)
@given(layouts(), st.integers(1, 300), st.integers(1, 4), st.integers(1, 3))
def test_the_tensor_file_does_not_tell_reader_threads_or_blocks(
    everything, layout, size, threads, files
):
    columns, edges, codec = layout
    features = ["coarse", {"name": "f4", "missing": -999, "indicator": True}, "f8", "f4s",
                "log(f8 + 2)", "i8", "matrix[1][0]"]  # fmt: skip
    choice = {"features": features, "label": "label", "cut": "i1 > -120", "spectators": ["u2", "b"],
              "weight": "abs(i1) + 0.1", "classes": ["x", "y"]}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [
            str(write_misaligned(folder / f"{number}.root", columns, edges, CODECS[codec]))
            for number in range(files)
        ]
        for output, reader, count, block in (
            ("a.h5", "uproot", 1, 100_000),
            ("b.h5", "fast", threads, size),
        ):
            config = Config(convert={**choice, "block_size": block})
            convert_files(
                paths, output=folder / output, config=config, reader=reader, threads=count
            )  # fmt: skip
        assert everything(folder / "a.h5") == everything(folder / "b.h5")


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 137, 300, 100_000])
def test_files_of_real_root_give_what_uproot_reads(path, size):
    (file,) = scan(str(path))
    if size == 1:
        names = ["f", "m", "x"]
    else:
        names = [name for name, branch in file.branches.items() if branch.dtype is not None]
    found = columns_of("fast", file, size, names)
    with uproot.open(path) as opened:
        for name in names:
            same(found[name], opened["events"][name].array(library="np"))


def test_these_files_hold_what_they_are_for():
    """Misaligned clusters, baskets inside the tree's record, and a type that only uproot reads."""
    taken = {}
    for path in LAYOUTS:
        with uproot.open(path) as file:
            tree = file["events"]
            taken[path.stem] = {
                b.name for b in tree if locate(b, b.name, tree.num_entries, titles(tree))
            }
            ends = {tuple(branch.entry_offsets) for branch in tree}
        assert len(ends) > 5
    names = set("fdiustchlmxyb")
    assert taken["root_embedded"] == {"y"}
    assert all(taken[f"root_{codec}"] == names for codec in ("zlib", "lz4", "zstd", "lzma"))


@pytest.mark.parametrize("rows", [0, 1])
def test_no_event_and_one_event(everything, write, tmp_path, rows):
    columns = some_columns(4)
    full = write("full.root", columns)
    few = write("few.root", {name: values[:rows] for name, values in columns.items()})
    (file,) = scan(str(few))
    read = choose_reader("fast")
    assert sum(map(len, read(file, ["f4"], 10))) == rows
    for reader in ("fast", "uproot"):
        config = Config(convert={"label": "label", "features": ["f8", "i1"]})
        convert_files(
            [str(full), str(few)], output=tmp_path / f"{reader}.h5", config=config, reader=reader
        )  # fmt: skip
    assert everything(tmp_path / "fast.h5") == everything(tmp_path / "uproot.h5")


def test_a_basket_that_many_units_need_is_decoded_once(write, monkeypatch):
    from hepdann.readers.root import baskets

    path = write("mc.root", some_columns(1000), parts=2)
    (file,) = scan(str(path))
    decoded = []
    original = baskets.Baskets.decode
    monkeypatch.setattr(
        baskets.Baskets, "decode",
        lambda self, *place: decoded.append((self.name, place[1])) or original(self, *place),
    )  # fmt: skip
    found = columns_of("fast", file, 60)
    assert len(found["f8"]) == 1000
    assert sorted(decoded) == sorted(itertools.product(file.branches, [0, 1]))


def test_baskets_longer_than_a_range_are_cut_evenly_and_passed_on_as_they_are(write):
    path = write("mc.root", some_columns(1000), parts=2)
    (file,) = scan(str(path))
    cut = unit_reader("fast")
    units = list(cut(file, ["f8", "f4s"], 180))
    bounds = [unit.start for unit in units] + [units[-1].stop]
    assert bounds == [0, 167, 334, 500, 667, 834, 1000]
    for unit in units:
        for values in unit.read(np.empty).columns.values():
            assert values.dtype.byteorder == ">"
            assert not values.flags.owndata


@pytest.mark.parametrize("size", [20, 1000])
def test_pages_of_an_rntuple_are_decoded_as_uproot_reads_them(write, monkeypatch, size):
    ours = write("mc.root", some_columns(200), kind="RNTuple", parts=4)
    for path in (ours, DATA / "ntuple.root"):  # the second one with split and zigzag bytes
        (file,) = scan(str(path))
        names = [b.name for b in file.branches.values() if b.scalar]
        with uproot.open(path) as opened:
            expected = {n: np.asarray(opened["events"][n].array()) for n in names}
        with monkeypatch.context() as patch:
            patch.setattr("hepdann.readers.pipeline.entry_ranges.RangeReader._by_uproot", None)
            source = RangeReader(file, names, size)
            blocks = [source.read(*ends, np.empty) for ends in source.ranges]
        for name in names:
            found = np.concatenate([block.columns[name] for block in blocks])
            same(found, expected[name])


def test_a_damaged_page_is_named_with_its_field_and_entries(tmp_path):
    content = bytearray((DATA / "ntuple.root").read_bytes())
    with uproot.open(DATA / "ntuple.root") as file:
        pages = locate_pages(file["events"], ["f8"])["f8"]
    content[int(pages.seeks[0]) + 30] ^= 1
    path = tmp_path / "bad.root"
    path.write_bytes(content)
    (file,) = scan(str(path))
    message = "events/f8: entries 0-149 cannot be read .*the checksum of the page of entries 0-149"
    with pytest.raises(ReadError, match=message):
        columns_of("fast", file, 1000, ["f4", "f8"])
    with pytest.raises(ReadError, match="a checksum in entries 0-149 is wrong"):
        columns_of("uproot", file, 1000, ["f8"])


def test_fields_of_an_rntuple_are_cut_computed_and_missed_as_branches_are(write, tmp_path):
    columns, made = some_columns(90), []
    settings = {"label": "label", "features": ["f8", "log(abs(f8) + f4)"], "cut": "f4 > 0"}
    for kind in ("TTree", "RNTuple"):
        path = str(write(f"{kind}.root", columns, kind=kind, parts=2))
        output = tmp_path / f"{kind}.h5"
        convert_files([path], output=output, config=Config(convert=settings), reader="fast")
        made.append(open_tensors(output).source())
        with pytest.raises(ConfigError, match="no branch 'f9'"):
            convert_files(
                [path], output=output, config=Config(convert=settings | {"cut": "f9 > 0"})
            )
    np.testing.assert_array_equal(made[0].features, made[1].features)
    np.testing.assert_array_equal(made[0].event_id, made[1].event_id)


def test_a_remote_file_is_left_to_uproot_or_refused(write):
    (file,) = scan(str(write("mc.root", some_columns(50), kind="RNTuple")))
    remote = dataclasses.replace(file, path=f"file://{file.path}")
    with pytest.raises(ConfigError, match="--reader fast reads trees in local files"):
        columns_of("fast", remote, 20)


@pytest.mark.parametrize("codec", ["zlib", "lz4", "lzma"])
def test_a_damaged_basket_is_named_with_its_branch_and_entries(write, tmp_path, codec):
    path = tmp_path / "mc.root"
    columns = {"good": np.arange(300.0), "bad": np.arange(300.0), "label": np.arange(300) % 2}
    with uproot.recreate(path, compression=CODECS[codec]) as file:
        tree = file.mktree("events", {name: v.dtype for name, v in columns.items()})
        for low in (0, 100, 200):
            tree.extend({name: v[low : low + 100] for name, v in columns.items()})
    with uproot.open(path) as file:
        branch = file["events"]["bad"]
        end = int(branch.member("fBasketSeek")[1]) + branch.basket_compressed_bytes(1)
    content = bytearray(path.read_bytes())
    content[end - 20] ^= 0x10
    path.write_bytes(content)
    (file,) = scan(str(path))
    where = "mc.root:events/bad: entries 100-199 cannot be read"
    for threads in (1, 3):
        with pytest.raises(ReadError, match=where):
            convert_files(
                [str(path)], output=tmp_path / "t.h5", threads=threads, reader="fast",
                config=Config(convert={"label": "label", "block_size": 100}),
            )  # fmt: skip
    assert not (tmp_path / "t.h5").exists()


def test_a_file_that_is_replaced_while_it_is_read_is_refused(write):
    path = write("mc.root", some_columns(100), parts=4)
    (file,) = scan(str(path))
    cut = unit_reader("fast")
    units = list(cut(file, ["f8"], 25))
    assert len(units[0].read(np.empty)) == 25
    write("mc.root", some_columns(101), parts=4)
    with pytest.raises(ReadError, match="changed while it was converted"):
        units[1].read(np.empty)


def test_the_uproot_reader_needs_no_decoder(write, tmp_path, monkeypatch):
    monkeypatch.setattr("hepdann.readers.root.baskets.locate", lambda *_: pytest.fail("was called"))
    monkeypatch.setattr(
        "hepdann.readers.root.baskets.decompress", lambda *_: pytest.fail("was called")
    )
    path = write("mc.root", some_columns(60))
    config = Config(convert={"label": "label"})
    summary = convert_files([str(path)], output=tmp_path / "t.h5", config=config, reader="uproot")
    assert summary.passed("mc") == 60


def test_an_uproot_that_is_not_known_reads_alone(write, monkeypatch):
    path = write("mc.root", some_columns(60))
    (file,) = scan(str(path))
    monkeypatch.setattr(uproot, "__version__", "6.0.0")
    same(columns_of("auto", file, 20)["f8"], some_columns(60)["f8"])
    with pytest.raises(ConfigError, match="with a version of uproot that it knows"):
        columns_of("fast", file, 20)
