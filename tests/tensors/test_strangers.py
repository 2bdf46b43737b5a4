"""Tensor files of strangers: nothing outside of the file is read, and nothing that does not fit."""

from __future__ import annotations

import os
import shutil

import h5py
import numpy as np
import pytest

from hepdann.errors import SchemaError
from hepdann.evaluation import open_truth
from hepdann.tensors import EventBlocks, open_tensors, seal, summarise_domain


def _replace(file, path, **how):
    """A dataset in place of another one, with its attributes."""
    old = file[path]
    attributes, data = dict(old.attrs), how.pop("data", old[...])
    shape, dtype = how.pop("shape", None), how.pop("dtype", None)
    del file[path]
    if shape is None:
        new = file.create_dataset(path, data=data, dtype=dtype, **how)
    else:
        new = file.create_dataset(path, shape=shape, dtype=dtype or data.dtype, **how)
    new.attrs.update(attributes)


def _external_link(file):
    file.move("mc/features", "moved")
    with h5py.File(f"{file.filename}.other", "w") as other:
        file.copy("moved", other, "rows")
    del file["moved"]
    file["mc/features"] = h5py.ExternalLink(f"{file.filename}.other", "/rows")


def _soft_link(file):
    del file["mc/weight"]
    file["mc/weight"] = h5py.SoftLink("/mc/weights/up")


def _virtual(file):
    layout = h5py.VirtualLayout((1000,), "<f4")
    layout[:] = h5py.VirtualSource(file.filename, "mc/weights/up", (1000,))
    del file["mc/weight"]
    file.create_virtual_dataset("mc/weight", layout)


def _external_storage(file):
    _replace(file, "mc/weight", shape=(1000,), external=[("/etc/passwd", 0, 4000)])


def _many_rows(file):
    for name in ("features", "spectators", "weight", "sample", "event_id", "split"):
        shape = (2**60 // 12, *file["data"][name].shape[1:])
        _replace(file, f"data/{name}", shape=shape, chunks=(512, *shape[1:]))


def _never_written(file):
    _replace(file, "data/features", shape=(500, 3))


def _large_chunks(file):
    whole = file["data/features"][...]
    _replace(
        file, "data/features", shape=(500, 3), maxshape=(None, 3), chunks=(10**8, 3), dtype="<f4",
        compression=1,
    )  # fmt: skip
    file["data/features"].attrs["rows"] = whole[0]


def _names(path, names):
    def change(file):
        file[path].attrs["names"] = names

    return change


def _attribute(path, name, value):
    def change(file):
        file[path].attrs[name] = value

    return change


def _of_type(path, dtype):
    def change(file):
        _replace(file, path, dtype=dtype)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external_link, "mc/features is a link to somewhere else"),
        (_soft_link, "mc/weight is a link to somewhere else"),
        (_virtual, "the rows of /mc/weight are in other files"),
        (_external_storage, "the rows of /mc/weight are in other files"),
        (_many_rows, r"/data/\w+ claims \d{18,20} bytes of rows, and the file does not hold them"),
        (_never_written, "/data/features claims 6000 bytes of rows, and the file"),
        (_large_chunks, "/data/features (claims|has chunks)"),
        (_names("data/features", ["pt", "mass", "eta"]), "features of data.* of mc: their order"),
        (_names("data/features", ["pt", "eta", "m"]), "features of data are not.*: m, mass"),
        (_names("data/spectators", ["njet"]), "spectators of data.*: nbjet, njet"),
        (_names("mc/features", ["pt", "eta", "pt"]), "features named twice: pt"),
        (_names("mc/features", ["pt", "eta"]), "2 features, but 3 units"),
        (_names("mc/sample", ["a", "a"]), "mc samples named twice: a"),
        (_attribute("mc", "classes", ["a", "a"]), "classes named twice: a"),
        (_attribute("mc/features", "units", ["GeV"]), "3 features, but 1 units"),
        (_attribute("mc/features", "info", "[1, 2, 3]"), "is damaged"),
        (_attribute("mc/features", "info", "[" * 100_000), "is damaged"),
        (_attribute("mc/features", "impute", [1.0]), "impute needs one finite number"),
        (_attribute("mc/features", "impute", [1.0, 2.0, np.nan]), "impute needs one finite"),
        (_attribute("mc", "classes", ["a", "b\x1b[31m"]), "holds a control character"),
        (_attribute("mc", "classes", np.array([b"a", b"\xff"], h5py.string_dtype())), "is damaged"),
        (_attribute("/", "provenance", "[]"), "provenance is not a JSON object"),
        (_attribute("/", "split", "{}x"), "is damaged"),
        (_of_type("mc/event_id", "<f8"), "mc/event_id is of type float64, expected <u8"),
        (_of_type("mc/label", "<i8"), "mc/label is of type int64, expected <i4"),
        (_of_type("mc/features", ">f4"), "mc/features is of type >f4, expected <f4"),
    ],
)
def test_what_is_no_tensor_file_is_refused_as_it_is_opened(tensor_file, change, message):
    path = tensor_file()
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(SchemaError, match=message) as caught:
        open_tensors(path)
    assert caught.value.where == str(path)


def _source(tensors):
    return tensors.source()


def _labelled(tensors):
    return EventBlocks(tensors, "mc", labelled=True).read(0)


def _summary(tensors):
    return summarise_domain(tensors, "mc")


def _target(tensors):
    return EventBlocks(tensors, "data")


def _truth(tensors):
    return open_truth(tensors).data()


@pytest.mark.parametrize(
    ("path", "value", "known", "reads"),
    [
        ("mc/label", 7, ", there are 2", (_source, _labelled, _summary)),
        ("mc/label", -1, ", there are 2", (_source, _labelled, _summary)),
        ("mc/sample", 2, ", there are 2", (_summary,)),
        ("data/split", 3, ", there are 3", (_target,)),
        ("truth/data/label", 9, ", there are 2", (_truth,)),
    ],
)
def test_an_index_of_what_is_not_there_is_refused_as_it_is_read(
    tensor_file, path, value, known, reads
):
    file = tensor_file(truth=True)
    with h5py.File(file, "r+") as opened:
        opened[path][17] = value
    tensors = open_tensors(file)
    message = f"{path}: {path.rsplit('/', 1)[-1]} {value} is out of range{known}"
    for read in reads:
        with pytest.raises(SchemaError, match=message):
            read(tensors)


@pytest.mark.parametrize("read", [_source, _labelled])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weight", np.nan, "mc/weight: a weight is not finite"),
        ("weight", np.inf, "mc/weight: a weight is not finite"),
        ("features", -np.inf, "mc/features: a feature is infinite"),
    ],
)
def test_what_no_sum_can_hold_is_refused_as_it_is_read(tensor_file, read, name, value, message):
    path = tensor_file()
    with h5py.File(path, "r+") as file:
        file["mc"][name][17] = value
    with pytest.raises(SchemaError, match=message):
        read(open_tensors(path))


@pytest.mark.parametrize("body", [b"1", b"[]", b"{}", b'{"size": 1}', b"[" * 50_000])
def test_a_seal_of_nonsense_is_no_seal_that_fits(tensor_file, body):
    from hepdann.tensors.hdf5 import checksums

    path = tensor_file()
    with h5py.File(path, "r+"):
        pass  # takes the seal off
    whole = path.read_bytes()
    digest = checksums.xxhash.xxh64_intdigest(body)
    path.write_bytes(whole + body + checksums._FOOTER.pack(checksums._MAGIC, len(body), digest))
    with pytest.raises(SchemaError, match="its structure differs from what was written"):
        open_tensors(path)


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "tensors.h5")
    with pytest.raises(SchemaError, match="is a pipe, not a file; name a file that hepdann"):
        open_tensors(tmp_path / "tensors.h5")


# Files that change while they are read.


@pytest.fixture(name="two")
def two_fixture(tensor_file):
    """A compressed file, and another one whose features are 0."""
    first, second = (tensor_file(name, compress="gzip") for name in ("one.h5", "two.h5"))
    with h5py.File(second, "r+") as file:
        file["mc/features"][...] = 0
        file["checksums/mc/features"][...] = 0
    seal(second)
    return first, second


def test_blocks_of_a_file_that_is_replaced_are_those_of_the_old_one(two):
    first, second = two
    blocks = EventBlocks(open_tensors(first), "mc", labelled=True)
    before = blocks.read(0)
    second.replace(first)
    np.testing.assert_array_equal(blocks.read(0).features, before.features)


def test_blocks_of_a_file_that_is_overwritten_are_refused(two):
    first, second = two
    blocks = EventBlocks(open_tensors(first), "mc", labelled=True)
    shutil.copyfile(second, first)
    with pytest.raises(SchemaError, match="was replaced or changed while it was read; start again"):
        blocks.read(0)


def test_nothing_of_another_file_is_read_under_the_same_name(two):
    first, second = two
    tensors = open_tensors(first)
    content = tensors.content_id()
    second.replace(first)
    for read in (
        tensors.source,
        tensors.content_id,
        open_truth(tensors).pseudo,
        lambda: tensors.column("mc", "pt"),
        lambda: EventBlocks(tensors, "mc"),
    ):
        with pytest.raises(SchemaError, match="was replaced or changed while it was read"):
            read()
    assert open_tensors(first).content_id() != content
