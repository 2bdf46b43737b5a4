"""What is converted is what uproot reads, rounded once to float32."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import awkward
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

import hepdann
from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files
from hepdann.readers.prescan import scan
from hepdann.tensors import open_tensors, read_images

INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
ROWS = 301


def every_type():
    random = np.random.default_rng(3)
    columns = {"b": random.random(ROWS) > 0.5, "label": np.arange(ROWS, dtype="i4") % 2}
    for code in INTEGERS:
        info = np.iinfo(code)
        values = random.integers(info.min, info.max, ROWS, dtype=code, endpoint=True)
        values[:2] = info.min, info.max
        columns[code] = values
    columns["f4"] = random.normal(size=ROWS).astype("f4")
    columns["f8"] = random.normal(size=ROWS) * 10.0 ** random.integers(-40, 30, ROWS)
    columns["f4s"] = random.normal(size=(ROWS, 3)).astype("f4")
    columns["f8s"] = random.normal(size=(ROWS, 2))
    columns["matrix"] = random.normal(size=(ROWS, 2, 2))
    columns["i2s"] = random.integers(-9, 9, (ROWS, 2)).astype("i2")
    columns["u1s"] = random.integers(0, 255, (ROWS, 1)).astype("u1")
    columns["bs"] = random.random((ROWS, 2)) > 0.5
    return columns


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
@pytest.mark.parametrize("compression", ["none", "zlib", "zstd"])
def test_every_type_equals_uproots_array(write, tmp_path, kind, compression):
    path = write("mc.root", every_type(), kind=kind, parts=3, compression=compression)
    features = [name for name in every_type() if name != "label"]
    config = Config(convert={"features": features, "label": "label", "block_size": 70})
    convert_files([str(path)], output=tmp_path / "t.h5", config=config)
    tensors = open_tensors(tmp_path / "t.h5")
    with uproot.open(path) as file:
        expected = file["events"].arrays(library="np")
    assert tensors.rows("mc") == ROWS
    done = 0
    for name in features:
        flat = expected[name].reshape(ROWS, -1)
        for column in range(flat.shape[1]):
            found = tensors.column("mc", tensors.features[done])
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, flat[:, column].astype(np.float32))
            done += 1
    assert done == len(tensors.features)


def test_elements_of_an_array_are_numbered(write, tmp_path):
    columns = {"x": np.arange(12.0).reshape(4, 3), "m": np.arange(16.0).reshape(4, 2, 2),
               "y": np.array([0, 1, 0, 1], dtype="i4")}  # fmt: skip
    path = write("mc.root", columns)
    config = Config(convert={"features": ["x", "m", "m[1][0]", "x_2 + x[0]"], "label": "y"})
    convert_files([str(path)], output=tmp_path / "t.h5", config=config)
    tensors = open_tensors(tmp_path / "t.h5")
    assert tensors.features == (
        "x_0", "x_1", "x_2", "m_0_0", "m_0_1", "m_1_0", "m_1_1", "m[1][0]", "x_2 + x[0]",
    )  # fmt: skip
    np.testing.assert_array_equal(tensors.column("mc", "m[1][0]"), columns["m"][:, 1, 0])
    np.testing.assert_array_equal(tensors.column("mc", "x_2 + x[0]"), [2, 8, 14, 20])


@settings(max_examples=7, deadline=None)
@given(
    block=st.integers(1, 400),
    files=st.integers(1, 4),
    parts=st.integers(1, 5),
    kind=st.sampled_from(["TTree", "RNTuple"]),
)
def test_blocks_files_and_baskets_do_not_show_in_the_result(
    everything, write_root, block, files, parts, kind
):
    columns = every_type()
    columns["f4"][::7] = -999
    columns["f8"][::5] = np.nan
    features = [{"name": "f4", "indicator": True}, "f8", "f8s", "i8", "log(f4 + 2)"]
    settings_ = {"features": features, "label": "label", "missing": -999, "cut": "i1 > -100",
                 "spectators": ["u2"], "weight": "abs(f4) + 0.1"}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = write_root(folder / "whole.root", columns)
        edges = np.linspace(0, ROWS, files + 1).astype(int)
        pieces = [
            str(write_root(
                folder / f"{n}.root",
                {key: values[edges[n] : edges[n + 1]] for key, values in columns.items()},
                parts=parts, kind=kind,
            ))
            for n in range(files)
        ]  # fmt: skip
        for output, inputs, size in (("a.h5", [str(whole)], 1000), ("b.h5", pieces, block)):
            config = Config(convert={**settings_, "block_size": size})
            convert_files(inputs, output=folder / output, config=config)
        assert everything(folder / "a.h5") == everything(folder / "b.h5")


def test_memory_is_that_of_a_block(write, tmp_path):
    """The reader is asked for no more entries at once than block_size, and keeps none."""
    path = write("mc.root", every_type(), parts=2)
    sizes = []

    def reader(file, branches, size):
        from hepdann.readers import read_blocks

        for block in read_blocks(file, branches, size):
            sizes.append(len(block))
            yield block

    config = Config(convert={"label": "label", "block_size": 64})
    convert_files([str(path)], output=tmp_path / "t.h5", config=config, reader=reader)
    assert max(sizes) == 64
    assert sum(sizes) == 2 * ROWS  # once for the classes, once for the events


LISTS = [[30.5, 20.25], [], [np.nan, -999.0, 7.0], [40.0]]


@pytest.fixture(name="lists", scope="module", params=["TTree", "RNTuple"])
def lists_fixture(request, tmp_path_factory):
    """A file of two baskets (or clusters) with lists of floats, integers and bools."""
    path = tmp_path_factory.mktemp("lists") / "mc.root"
    pt = awkward.values_astype(awkward.Array(LISTS * 2), np.float32)
    columns = {
        "pt": pt,
        "charge": awkward.values_astype(awkward.num(pt)[:, None] * (pt == pt), np.int32),
        "tag": pt > 25,
        "y": np.arange(8, dtype=np.int32) % 2,
        "met": np.arange(8, dtype=np.float64),
    }
    with uproot.recreate(path) as file:
        if request.param == "RNTuple":
            tree = file.mkrntuple("t", {n: values[:3] for n, values in columns.items()})
            tree.extend({n: values[3:] for n, values in columns.items()})
        else:
            types = {"pt": "var * float32", "charge": "var * int32", "tag": "var * bool"}
            tree = file.mktree("t", types | {"y": np.int32, "met": np.float64})
            for part in (slice(0, 3), slice(3, None)):
                tree.extend({n: values[part] for n, values in columns.items()})
    return path


@pytest.mark.parametrize("reader", ["uproot", "auto"])
def test_an_element_of_a_list_is_missing_where_the_list_is_too_short(lists, tmp_path, reader):
    features = ["pt[0]", "pt[1]", "pt[-1]", "pt[0] / 2 + met", "charge[1]", "tag[0]", "met"]
    config = Config(convert={"features": features, "label": "y", "block_size": 3})
    summary = convert_files(
        [str(lists)], [], output=tmp_path / "t.h5", config=config, reader=reader
    )
    tensors, nan = open_tensors(tmp_path / "t.h5"), np.nan
    expected = {
        "pt[0]": [30.5, nan, nan, 40],
        "pt[1]": [20.25, nan, -999, nan],
        "pt[-1]": [20.25, nan, 7, 40],
        "charge[1]": [2, nan, 3, nan],
        "tag[0]": [1, nan, 0, 1],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(tensors.column("mc", name), values * 2)
    half = np.array(expected["pt[0]"] * 2) / 2 + np.arange(8)
    np.testing.assert_array_equal(tensors.column("mc", "pt[0] / 2 + met"), half)
    counts = {one.name: (one.missing, one.nonfinite) for one in summary.features}
    assert counts["pt[0]"] == counts["pt[0] / 2 + met"] == (2, 2)  # too short, NaN in the file
    assert counts["pt[1]"] == (4, 0)
    assert counts["met"] == (0, 0)
    unused = [one for one in summary.left_out if "varies" in one.reason]
    assert not unused


def test_a_list_that_is_not_named_is_listed_with_what_to_write(lists, tmp_path):
    config = Config(convert={"label": "y"})
    summary = convert_files([str(lists)], [], output=tmp_path / "t.h5", config=config)
    reasons = {one.name: one.reason for one in summary.left_out}
    assert reasons["tag"].startswith("its length varies: name an element to take it, tag[0], or")


@pytest.mark.parametrize("reader", ["uproot", "auto"])
def test_elements_of_lists_stand_in_cuts_weights_labels_and_for_the_sentinel(
    lists, tmp_path, reader
):
    def made(**settings):
        settings = {"features": ["met"], "label": "y", "block_size": 3} | settings
        output = tmp_path / "t.h5"
        convert_files(
            [str(lists)], [], output=output, config=Config(convert=settings), reader=reader
        )
        return open_tensors(output)

    assert made(cut="pt[0] > 35 || met == 0").column("mc", "met").tolist() == [0, 3, 7]
    assert made(cut="tag[0] && met > 0").column("mc", "met").tolist() == [3, 4, 7]
    labelled = made(label="charge[0] == 1", weight="pt[0]", cut="isfinite(pt[0])")
    assert labelled.source().label.tolist() == [0, 1, 0, 1]
    assert labelled.column("mc", "weight").tolist() == [30.5, 40, 30.5, 40]
    sentinel = made(features=["pt[1]", "pt[1] + met"], missing=-999, spectators=["pt[-1]"])
    assert np.isnan(sentinel.column("mc", "pt[1]")).tolist() == [False, True, True, True] * 2
    assert np.isnan(sentinel.column("mc", "pt[1] + met")).tolist() == [False, True, True, True] * 2
    with pytest.raises(ReadError, match=r"is not finite in 2 of .*--cut 'isfinite\(pt\[0\]\)'"):
        made(weight="pt[0]")


def test_a_list_alone_is_no_column_and_the_error_says_what_to_write(lists, tmp_path):
    for feature in ("pt", "2 * pt", "pt[0][1]"):
        config = Config(convert={"features": [feature], "label": "y"})
        with pytest.raises(ConfigError, match=r"its length varies; write one element, pt\[0\]"):
            convert_files([str(lists)], [], output=tmp_path / "t.h5", config=config)


def test_an_index_may_count_from_the_end_of_an_array(write, tmp_path):
    columns = {"x": np.arange(12, dtype=np.float32).reshape(4, 3), "y": np.arange(4) % 2}
    path = write("mc.root", columns)
    config = Config(convert={"features": ["x[-1]"], "label": "y"})
    convert_files([str(path)], [], output=tmp_path / "t.h5", config=config)
    assert open_tensors(tmp_path / "t.h5").column("mc", "x[-1]").tolist() == [2, 5, 8, 11]


NO_NUMBERS = {
    "kinds.root": "pairs leaves text string tstring vector_vector vector_string set lorentz "
    "lorentz_split object",
    "kinds_ntuple.root": "byte vector_vector string vector_string pair vector_pair optional "
    "variant bitset atomic",
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_every_kind_of_branch_of_real_root_equals_uproots_or_is_refused_by_name(name, tmp_path):
    path = Path(__file__).parent / "data" / name
    with uproot.open(path) as file:
        tree = file["events"]
        branches = scan(str(path))[0].branches
        assert set(branches) == set(tree.keys(recursive=False))
        lists = [one.name for one in branches.values() if one.element is not None]
        numbers = [n for n, one in branches.items() if one.dtype is not None and n != "y"]
        expected = tree.arrays([*numbers, *lists])
    refused = NO_NUMBERS[name].split()
    assert set(branches) - {*lists, *numbers, "y"} == set(refused)
    objects = {one: {"features": [one]} for one in lists}

    def made(**settings):
        config = Config(convert={"features": ["int8"], "label": "y"} | settings)
        convert_files([str(path)], output=tmp_path / "t.h5", config=config)
        return open_tensors(tmp_path / "t.h5")

    tensors = made(features=numbers, objects=objects)
    table = np.stack([tensors.column("mc", one) for one in tensors.features], axis=1)
    columns = [np.asarray(expected[one]).reshape(len(table), -1) for one in numbers]
    np.testing.assert_array_equal(table, np.concatenate(columns, axis=1).astype(np.float32))
    for one, part in zip(lists, read_images(tensors, "mc").parts, strict=True):
        assert part.counts.tolist() == awkward.num(expected[one]).tolist()
        values = awkward.to_numpy(awkward.flatten(expected[one])).astype(np.float32)
        np.testing.assert_array_equal(part.values[:, 0], values)
    for one in refused:
        for asked in ({"features": [one]}, {"objects": {"o": {"features": [one]}}}):
            with pytest.raises(ConfigError, match=f"'{one}'.* cannot be used"):
                made(**asked)


@pytest.mark.parametrize("kind", ["mktree", "mkrntuple"])
def test_calls_grow_linearly_with_the_number_of_fields(tmp_path, kind):
    def calls(fields):
        path, names = tmp_path / f"{fields}.root", [f"x{n}" for n in range(fields)]
        values = {name: (np.arange(9) % 2).astype("f4") for name in names}
        with uproot.recreate(path) as file:
            tree = getattr(file, kind)("t", dict.fromkeys(names, "f4"))
            tree.extend(values)
        count = 0

        def counted(frame, event, argument):
            nonlocal count
            count += event == "call"

        sys.setprofile(counted)
        try:
            output, features = tmp_path / "t.h5", names[1:]
            hepdann.convert(path, output=output, features=features, label="x0", threads=1)
        finally:
            sys.setprofile(None)
        return count

    calls(2)  # imports
    few, more, most = (calls(fields) for fields in (15, 30, 60))
    assert most - more < 2.2 * (more - few)
