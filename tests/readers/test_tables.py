"""Parquet and HDF5 tables are converted as the same columns in a ROOT file are."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hepdann.errors import ConfigError, ReadError
from hepdann.readers.convert import convert
from hepdann.readers.prescan import scan

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write_parquet(path, columns, **options):
    table = {
        name: pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(v.ravel()), v.shape[1])
        if getattr(v, "ndim", 1) == 2
        else v
        for name, v in columns.items()
    }
    parquet.write_table(pyarrow.table(table), path, **options)
    return path


def write_structured(path, columns):
    rows = len(next(iter(columns.values())))
    table = np.empty(rows, [(n, v.dtype, v.shape[1:]) for n, v in columns.items()])
    for name, values in columns.items():
        table[name] = values
    with h5py.File(path, "w") as file:
        file["jets"] = table
        file["tracks"] = np.zeros((rows, 5), [("d0", "f4")])
    return path


@pytest.fixture(name="columns")
def columns_fixture(sample):
    cov = np.random.default_rng(2).normal(size=(200, 3)).astype("f4")
    return sample(cov=cov, good=np.arange(200) % 3 > 0)


SETTINGS = {"label": "isb", "weight": "weight", "cut": "pt > 5 && good",
            "features": ["pt", "eta", "log(pt)", "cov"], "spectators": ["njets"]}  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "h5"])
def test_rows_ids_and_splits_are_those_of_root(tmp_path, write, columns, kind):
    write_other = {"parquet": write_parquet, "h5": write_structured}[kind]
    more = {"row_group_size": 64} if kind == "parquet" else {}
    other = write_other(tmp_path / f"mc.{kind}", columns, **more)
    expected = convert(write("mc.root", columns, tree="jets"), output=tmp_path / "a.h5", **SETTINGS)
    found = convert(other, output=tmp_path / "b.h5", **SETTINGS)
    with h5py.File(expected.path) as one, h5py.File(found.path) as two:
        for name in ("features", "spectators", "label", "weight", "event_id", "split"):
            np.testing.assert_array_equal(one[f"mc/{name}"], two[f"mc/{name}"], err_msg=name)
    assert found.provenance["settings"]["files"][0][0]["path"] == str(other)


def test_a_parquet_file_is_described_and_what_is_no_number_is_refused_by_name(tmp_path):
    columns = {
        "i": pyarrow.array([1, None, 3]), "j": pyarrow.array([1, 2, 3]), "s": ["a", "b", "c"],
        "l": [[1.0], [], [2.0, 3.0]], "x": pyarrow.array([1.0, None, 2.0]), "y": [0, 1, 0],
        "b": pyarrow.array([True, False, None]),
    }  # fmt: skip
    path = write_parquet(tmp_path / "t.parquet", columns)
    (file,) = scan(str(path))
    assert (file.kind, file.entries, file.tree) == ("Parquet", 3, "table")
    kinds = {name: str(branch.dtype or branch.reason) for name, branch in file.branches.items()}
    assert kinds == {"i": "float64", "j": "int64", "s": "not a number", "l": "is a list",
                     "x": "float64", "y": "int64", "b": "float64"}  # fmt: skip
    made = convert(path, output=tmp_path / "a.h5", label="y", features=["i", "x", "b"])
    expected = np.float32([[1, 1, 1], [np.nan, np.nan, 0], [3, 2, np.nan]])
    np.testing.assert_array_equal(made.source().features, expected)
    for name in ("s", "l"):
        with pytest.raises(ConfigError, match=f"branch '{name}' .* cannot be used"):
            convert(path, output=tmp_path / "a.h5", label="y", features=[name])


def test_damage_is_one_line_and_a_dataset_is_chosen_by_name(tmp_path, columns):
    path = write_parquet(tmp_path / "t.parquet", columns)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ReadError, match=r"t.parquet: cannot be read \(ArrowInvalid"):
        scan(str(path))
    table = write_structured(tmp_path / "t.h5", columns)
    assert scan(f"{table}:jets")[0].kind == "HDF5 table"
    with pytest.raises(ReadError, match="no tree 'jet'; did you mean 'jets'"):
        scan(f"{table}:jet")
