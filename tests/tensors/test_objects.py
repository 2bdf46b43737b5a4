"""Objects in the tensor file: compact on disk, padded when they are read."""

from __future__ import annotations

from dataclasses import replace

import awkward as ak
import h5py
import numpy as np
import pytest

from hepdann.config.samples import ReweightConfig
from hepdann.errors import SchemaError
from hepdann.tensors import (
    Jagged,
    Objects,
    merge,
    open_tensors,
    read_images,
    reweight,
    seal,
    slice_rows,
    summarise_domain,
)
from hepdann.tensors.layout import Collection

JETS = Collection("jets", ("pt", "eta"), 4)
TAUS = Collection("taus", ("pt",), 2)


def jagged(n, one, seed=0):
    rng = np.random.default_rng([seed, n])
    counts = rng.integers(0, one.most + 1, n)
    values = rng.normal(size=(counts.sum(), len(one.features))).astype(np.float32)
    return Jagged.of(values, counts)


def parts(n, seed=0):
    return {"jets": jagged(n, JETS, seed), "taus": jagged(n, TAUS, seed + 1)}


def taken(objects, rows):
    return {name: part.take(rows) for name, part in objects.items()}


@pytest.fixture
def written(make_block, cut, make_writer, tmp_path):
    """Writes 300 MC and 50 data events with objects in blocks of some sizes, and opens the file."""

    def write(sizes=(300,), name="t.h5", spare=0, **settings):
        mc, data = make_block(300), make_block(50, domain="data")
        of_mc, path = parts(300), tmp_path / name
        with make_writer(path, mc=300 + spare, data=50, objects=(JETS, TAUS), **settings) as writer:
            for start, stop in zip(np.cumsum((0, *sizes)), np.cumsum(sizes), strict=False):
                some = replace(cut(mc, start, stop), objects=taken(of_mc, slice(start, stop)))
                mark = writer.mark()
                writer.append("mc", some)  # once in vain: a bad file takes its objects with it
                writer.rollback(mark)
                writer.append("mc", some)
            writer.append("data", replace(data, objects=parts(50, 7)))
            writer.finish({})
        return open_tensors(path), mc, of_mc

    return write


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_objects_are_compact_and_come_back_padded(written, compress):
    tensors, mc, of_mc = written((100, 0, 200), compress=compress)
    with h5py.File(tensors.path) as file:
        group = file["mc/objects/jets"]
        np.testing.assert_array_equal(group["values"], of_mc["jets"].values)
        np.testing.assert_array_equal(group["offsets"], of_mc["jets"].start)
    assert tensors.objects == (JETS, TAUS)
    assert tensors.verify() == []
    rows = np.array([3, 4, 200])
    events = read_images(tensors, "mc", rows)
    expected = ak.to_numpy(
        ak.fill_none(
            ak.pad_none(ak.unflatten(of_mc["jets"].values[:, 0], of_mc["jets"].counts), 4), 0
        )
    )
    table = events[np.arange(3)]
    np.testing.assert_array_equal(table[:, :3], mc.features[rows])
    np.testing.assert_array_equal(table[:, 3], of_mc["jets"].counts[rows])
    np.testing.assert_array_equal(table[:, 4:12:2], expected[rows])
    assert table.shape == (3, events.width) == (3, 3 + 9 + 3)


def test_block_sizes_and_spare_room_change_no_byte(written):
    one, *_ = written()
    other, *_ = written((1, 120, 179), "u.h5", spare=40)
    assert one.path.read_bytes() == other.path.read_bytes()


def test_rows_are_taken_and_joined_as_rows_of_their_table():
    objects = parts(40)
    events = Objects(np.zeros((40, 0), np.float32), tuple(objects.values()), (JETS, TAUS))
    whole, rows = events[:], np.array([5, 5, 39, 0])
    np.testing.assert_array_equal(events[rows], whole[rows])
    again = Objects.join([events.take(slice(0, 7)), events.take(np.arange(40) >= 7)])
    np.testing.assert_array_equal(again[:], whole)
    few = replace(events, collections=(replace(JETS, most=1), TAUS))  # what is beyond is cut off
    np.testing.assert_array_equal(few[:][:, 0], np.minimum(whole[:, 0], 1))
    np.testing.assert_array_equal(few[:][:, 1:3], whole[:, 1:3])


def test_objects_follow_their_events_into_slices_merged_and_reweighted_files(written, tmp_path):
    tensors, *_ = written()
    whole, rows = read_images(tensors, "mc"), np.arange(300)
    odd = tensors.column("mc", "split") == 0
    cuts = {"one": ("split == 0", odd), "two": ("split != 0", ~odd)}
    for name, (cut, chosen) in cuts.items():
        part = slice_rows(tensors, tmp_path / f"{name}.h5", cut=cut)
        assert part.verify() == []
        np.testing.assert_array_equal(read_images(part, "mc")[:], whole[chosen])
    both = merge([tmp_path / "one.h5", tmp_path / "two.h5"], tmp_path / "both.h5")
    order = np.concatenate([rows[odd], rows[~odd]])
    np.testing.assert_array_equal(read_images(both, "mc")[:], whole[order])
    again = ReweightConfig(name="r", variables={"pt": [0.0, 1.0]}, to="data")
    reweight(both, tmp_path / "r.h5", [again])
    for domain in ("mc", "data"):
        expected, made = (
            read_images(f, domain)[:] for f in (both, open_tensors(tmp_path / "r.h5"))
        )
        np.testing.assert_array_equal(made, expected)


def test_a_summary_counts_objects(written):
    tensors, _, of_mc = written()
    pt, *_ = summarise_domain(tensors, "mc").objects
    jets = of_mc["jets"]
    assert (pt.collection, pt.feature, pt.missing) == ("jets", "pt", 0)
    assert pt.mean == pytest.approx(jets.values[:, 0].mean(dtype=float))
    assert pt.objects == pytest.approx(len(jets.values) / 300)
    assert pt.empty == (jets.counts == 0).sum()


def test_damaged_objects_are_refused(written):
    tensors, *_ = written()
    with h5py.File(tensors.path, "r+") as file:
        file["mc/objects/jets/offsets"][20] = 5000
        file["mc/objects/taus/values"][0] = 7
    seal(tensors.path)
    damaged = open_tensors(tensors.path)
    assert len(damaged.verify()) == 2
    with pytest.raises(SchemaError, match=r"the offsets of events 0-299 are damaged"):
        read_images(damaged, "mc")
    with h5py.File(tensors.path, "r+") as file:
        file["mc/objects/taus"].attrs["most"] = 1 << 40
    seal(tensors.path)
    with pytest.raises(SchemaError, match="taus has 1099511627776 objects"):
        open_tensors(tensors.path)
    with h5py.File(tensors.path, "r+") as file:
        file["mc/objects/taus"].attrs["most"] = 2
        del file["mc/objects/jets/offsets"]
    seal(tensors.path)
    with pytest.raises(SchemaError, match="objects/jets/offsets is missing"):
        open_tensors(tensors.path)
