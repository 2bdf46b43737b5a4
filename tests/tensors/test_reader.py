from __future__ import annotations

import json
import pickle
import struct

import h5py
import numpy as np
import pytest
import xxhash

from hepdann.errors import SchemaError
from hepdann.tensors import Source, Target, is_pseudo, open_tensors, seal
from hepdann.tensors.hdf5.checksums import TILE_ROWS


def test_what_was_written_is_read(tensor_file, make_block):
    tensors = open_tensors(tensor_file())
    assert tensors.classes == ("background", "signal")
    assert tensors.features == ("pt", "eta", "mass")
    assert tensors.units == ("GeV", "", "GeV")
    assert tensors.feature_info == ({"title": r"$p_T$"}, {}, {"missing": -999.0})
    assert tensors.impute.tolist() == [1.0, 2.0, 3.0]
    assert tensors.spectators == ("nbjet",)
    assert tensors.samples == {"mc": ("ttbar", "wjets"), "data": ("2012B",)}
    assert tensors.weights == ("up",)
    assert tensors.provenance == {"hepdann": "test", "inputs": []}
    assert tensors.domains == ("mc", "data")
    assert tensors.split_config.seed == 3
    assert tensors.has_data
    assert not tensors.has_truth
    assert (tensors.rows("mc"), tensors.rows("data")) == (1000, 500)
    mc = make_block(1000)
    expected = {
        "weight": mc.weight,
        "sample": mc.sample,
        "event_id": mc.event_id,
        "weights/up": mc.weights["up"],
        "nbjet": mc.spectators[:, 0],
        "eta": mc.features[:, 1],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(tensors.column("mc", name), values)


def test_source_and_target_hold_the_events(tensor_file, make_block):
    tensors = open_tensors(tensor_file())
    mc, data = make_block(1000), make_block(500, domain="data")
    source, target = tensors.source(), tensors.target()
    assert type(source) is Source
    assert source.classes == tensors.classes
    for name in ("features", "weight", "event_id", "label"):
        np.testing.assert_array_equal(getattr(source, name), getattr(mc, name))
    assert type(target) is Target
    for name in ("features", "weight", "event_id"):
        np.testing.assert_array_equal(getattr(target, name), getattr(data, name))
    assert source.features.dtype == np.float32
    assert source.label.dtype == np.int32


def test_source_and_pseudo_data_share_no_event_and_lose_none(tmp_path, make_block, make_writer):
    block = make_block(3 * TILE_ROWS // 2)  # more than a tile
    block.event_id[1::2] = block.event_id[::2]  # two jets an event
    with make_writer(tmp_path / "t.h5", mc=len(block)) as writer:
        writer.append("mc", block)
        writer.finish({})
    tensors = open_tensors(tmp_path / "t.h5")
    source, pseudo = tensors.source(half=True), tensors.pseudo_target()
    assert type(pseudo) is Target
    assert not np.intersect1d(source.event_id, pseudo.event_id).size
    assert len(source) + len(pseudo) == len(tensors.source())
    keep = is_pseudo(block.event_id, 3)
    np.testing.assert_array_equal(pseudo.features, block.features[keep])
    np.testing.assert_array_equal(source.features, block.features[~keep])
    np.testing.assert_array_equal(source.label, block.label[~keep])
    for part in ("train", "validation", "test"):  # the halves are drawn anew in each split
        halves = len(source.part(part)), len(pseudo.part(part))
        assert halves[0] / sum(halves) == pytest.approx(0.5, abs=0.03)


def test_a_target_has_no_label(tensor_file):
    tensors = open_tensors(tensor_file(truth=True))
    assert tensors.has_truth
    for target in (tensors.target(), tensors.pseudo_target()):
        assert not hasattr(target, "label")
        assert set(vars(target)) == {"features", "weight", "event_id", "split"}
    for domain in ("mc", "data"):
        for name in ("label", "/truth/data/label", "../truth/data/label"):
            with pytest.raises(SchemaError):
                tensors.column(domain, name)
            with pytest.raises(SchemaError):
                list(tensors.tiles(domain, name))


def test_a_tensor_file_crosses_to_another_process(tensor_file):
    tensors = pickle.loads(pickle.dumps(open_tensors(tensor_file())))
    assert len(tensors.source()) == 1000


def test_what_is_not_there_is_named(tensor_file, make_writer, tmp_path):
    tensors = open_tensors(tensor_file())
    with pytest.raises(SchemaError, match=r"no column 'p_t'.*'pt'"):
        tensors.column("mc", "p_t")
    with pytest.raises(SchemaError, match="weights/up"):
        tensors.column("data", "weights/up")
    with make_writer(tmp_path / "mc.h5", samples={"mc": ["a"]}, capacity={"mc": 0}) as writer:
        writer.finish({})
    only_mc = open_tensors(tmp_path / "mc.h5")
    assert not only_mc.has_data
    assert only_mc.rows("data") == 0
    with pytest.raises(SchemaError, match=r"mc\.h5: holds no detector events"):
        only_mc.target()


# Files that are refused.


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="no such file"):
        open_tensors(tmp_path / "none.h5")
    with pytest.raises(SchemaError, match="is a folder, not a file"):
        open_tensors(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5\n")
    with pytest.raises(SchemaError, match="is not an HDF5 file"):
        open_tensors(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "something"
    with pytest.raises(SchemaError, match=r"not a tensor file \(format 'something'\)"):
        open_tensors(tmp_path / "other.h5")


def test_a_truncated_file_is_refused(tensor_file):
    path = tensor_file()
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(SchemaError, match=r"is truncated|is not an HDF5 file|cut off"):
            open_tensors(path)


def _no_complete(file):
    del file.attrs["complete"]


def _false_complete(file):
    file.attrs["complete"] = False


def _version(file):
    file.attrs["format_version"] = 2


def _no_label(file):
    del file["mc/label"]


def _shorter(file):
    del file["data/weight"]
    file["data/weight"] = np.ones(3, np.float32)


def _no_names(file):
    del file["mc/features"].attrs["names"]


def _no_json(file):
    file.attrs["provenance"] = "{"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_complete, "is not complete"),
        (_false_complete, "is not complete"),
        (_version, "has format version 2, this hepdann reads 1"),
        (_no_label, "mc/label is missing"),
        (_shorter, r"data/weight has shape \(3,\), expected \(500,\)"),
        (_no_names, "is damaged"),
        (_no_json, "is damaged"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tensor_file, damage, message):
    path = tensor_file()
    with h5py.File(path, "r+") as file:
        damage(file)
    seal(path)
    with pytest.raises(SchemaError, match=message) as caught:
        open_tensors(path)
    assert caught.value.where == str(path)


# Checksums.


def test_verify_names_the_tile_of_a_flipped_bit(tmp_path, make_block, make_writer):
    path, n = tmp_path / "t.h5", 2 * TILE_ROWS + 10
    with make_writer(path, mc=n, data=10) as writer:
        writer.append("mc", make_block(n))
        writer.append("data", make_block(10, domain="data"))
        writer.finish({})
    tensors = open_tensors(path)
    assert tensors.verify() == []
    with h5py.File(path) as file:
        places = {
            f"mc/features rows {TILE_ROWS}-{2 * TILE_ROWS - 1}": file["mc/features"].id.get_offset()
            + (TILE_ROWS + 5) * 12,
            f"mc/label rows {2 * TILE_ROWS}-{n - 1}": file["mc/label"].id.get_offset() + 4 * n - 1,
            "data/split rows 0-9": file["data/split"].id.get_offset(),
        }
    with path.open("r+b") as file:
        for position in places.values():
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 0x10]))
    assert set(tensors.verify()) == set(places)


def test_verify_misses_no_dataset(tensor_file):
    path = tensor_file(truth=True)
    with h5py.File(path, "r+") as file:
        names = []
        file["checksums"].visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        del file["checksums/mc/weight"]
    seal(path)
    assert {"truth/data/label", "mc/weights/up", "data/event_id"} < set(names)
    assert open_tensors(path).verify() == ["mc/weight has no checksums"]


def _rows(path):
    """The bytes that the checksums of the tiles cover."""
    covered = set()
    with h5py.File(path) as file:
        names = []
        file["checksums"].visit(names.append)
        for name in names:
            if isinstance(file[name], h5py.Dataset) and file[name].id.get_offset() is not None:
                start = file[name].id.get_offset()
                covered |= set(range(start, start + file[name].id.get_storage_size()))
    return covered


def test_a_flipped_bit_in_the_structure_is_refused_before_hdf5_reads_it(tensor_file, monkeypatch):
    path = tensor_file(mc=40, data=20, truth=True)
    whole = path.read_bytes()
    structure = sorted(set(range(len(whole))) - _rows(path))
    assert len(structure) > 10_000
    random = np.random.default_rng(1)
    written = [place for place in structure if whole[place]]  # the rest is alignment
    places = [*range(40), *random.choice(written, 400), *range(len(whole) - 40, len(whole))]
    monkeypatch.setattr("hepdann.tensors.reader.h5_open", lambda _: pytest.fail("HDF5 reads it"))
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(SchemaError) as caught:
            open_tensors(path)
        assert caught.value.where == str(path)


def test_the_seal_is_nothing_to_other_readers(tensor_file):
    path = tensor_file()
    with h5py.File(path) as file:
        assert file.attrs["format"] == "hepdann-tensors"
    before = path.read_bytes()
    seal(path)
    assert path.read_bytes() == before
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "mine"
    assert open_tensors(path).verify() == []  # HDF5 cut the seal off; none is needed
    seal(path)
    assert open_tensors(path).verify() == []


def test_the_content_of_a_file_sealed_earlier_is_what_it_was(tensor_file):
    path = tensor_file()
    start, magic = path.read_bytes().rindex(b'{"size":'), b"hepdann-seal-01\n"
    body = json.loads(path.read_bytes()[start:-32])
    del body["content"]
    text = json.dumps(body).encode()
    footer = struct.pack("<16sQQ", magic, len(text), xxhash.xxh64_intdigest(text))
    path.write_bytes(path.read_bytes()[:start] + text + footer)
    assert open_tensors(path).content_id() == body["structure"]


def test_a_file_written_by_hand_needs_no_seal(tensor_file, tmp_path):
    """The documented format is enough: any program may write it."""
    copy = tmp_path / "by_hand.h5"
    with h5py.File(tensor_file()) as file, h5py.File(copy, "w") as other:
        for name in file:
            file.copy(name, other)
        other.attrs.update(file.attrs)
    assert open_tensors(copy).rows("mc") > 0
