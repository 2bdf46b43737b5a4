"""Images in the tensor file."""

from __future__ import annotations

import resource
import tempfile
import tracemalloc
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann.errors import SchemaError
from hepdann.tensors import (
    EventBlocks,
    Hits,
    Pixels,
    View,
    image_figures,
    is_pseudo,
    open_tensors,
    read_images,
    summarise_domain,
)

VIEWS = (View("x", 2, 7, 5, ("energy", "time")), View("u", 2, 7, 3), View("v", 2, 7, 3))


def with_views(block, seed=0):
    """Sparse images for the events of a block, and no feature."""
    rng = np.random.default_rng(seed)
    images = {}
    for view in VIEWS:
        shape = (len(block), *view.shape)
        values = rng.exponential(3, shape) * (rng.random(shape) < 0.1)
        images[view.name] = values.astype(np.float32)
    return replace(block, views=images, features=np.empty((len(block), 0), np.float32))


@pytest.fixture(scope="session")
def writer_of(make_writer):
    def make(path, *, mc, data=0, **changes):
        bare = {"features": [], "units": [], "feature_info": [], "views": VIEWS}
        return make_writer(path, mc=mc, data=data, **(bare | changes))

    return make


@pytest.fixture
def image_file(tmp_path, make_block, writer_of):
    def write(mc=150, data=70):
        blocks = {
            "mc": with_views(make_block(mc)),
            "data": with_views(make_block(data, domain="data"), 1),
        }
        with writer_of(tmp_path / "t.h5", mc=mc, data=data) as writer:
            for domain, block in blocks.items():
                writer.append(domain, block)
            writer.finish({"hepdann": "test"})
        return tmp_path / "t.h5", blocks

    return write


@pytest.mark.parametrize("rows", [(150, 70), (64, 128), (3, 1), (65, 0)])
def test_images_are_read_as_they_were_written(image_file, rows):
    path, blocks = image_file(*rows)
    tensors = open_tensors(path)
    assert tensors.views == VIEWS
    assert tensors.features == ()
    assert tensors.verify() == []
    for domain, block in blocks.items():
        found = tensors.read_views(domain, slice(None))
        assert list(found) == ["x", "u", "v"]
        for name, images in block.views.items():
            np.testing.assert_array_equal(found[name], images)
    assert tensors.source().features.shape == (rows[0], 0)


def test_h5py_alone_reads_the_images(image_file):
    path, blocks = image_file()
    with h5py.File(path) as file:
        images = file["mc/views/x"]
        assert images.dtype == np.dtype("<f4")
        assert images.chunks == (64, 2, 7, 5)
        assert images.compression == "gzip"
        assert not images.shuffle
        np.testing.assert_array_equal(images, blocks["mc"].views["x"])


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (10, 2, 7, 5), "compression": "lzf"},
        {"chunks": (9, 1, 7, 5), "compression": "gzip"},
        {"chunks": (9, 2, 7, 5), "compression": "gzip", "shuffle": True},
    ],
)
def test_images_that_another_program_stored_otherwise_are_read(image_file, how):
    path, blocks = image_file()
    with h5py.File(path, "r+") as file:
        del file["mc/views/x"], file["mc/views"].attrs["names"]
        file.create_dataset("mc/views/x", data=blocks["mc"].views["x"], **how)
    tensors = open_tensors(path)
    rows = np.array([0, 8, 9, 10, 149])
    assert [view.name for view in tensors.views] == ["x", "u", "v"]
    np.testing.assert_array_equal(
        tensors.read_views("mc", rows)["x"], blocks["mc"].views["x"][rows]
    )
    assert tensors.verify() == []  # the images are the same


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 90), max_size=6), st.integers(0, 100), st.booleans())
def test_neither_blocks_nor_spare_room_nor_rows_taken_back_change_a_byte(
    make_block, cut, writer_of, sizes, spare, back
):
    mc, data = with_views(make_block(200)), with_views(make_block(30, domain="data"))

    def part(start, stop):
        images = {name: values[start:stop] for name, values in mc.views.items()}
        return replace(cut(mc, start, stop), views=images)

    def written(path, edges, room, back):
        with writer_of(path, mc=room, data=30) as writer:
            writer.append("data", data)
            for start, stop in zip([0, *edges], [*edges, 200], strict=True):
                if back:
                    mark = writer.mark()
                    writer.append("mc", part(0, 200 - start))
                    writer.rollback(mark)
                writer.append("mc", part(start, stop))
            writer.finish({})
        return path.read_bytes()

    edges = np.minimum(np.cumsum([0, *sizes]), 200).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.h5"
        assert written(path, edges, 200 + spare, back) == written(path, [], 200, False)
        assert [entry.name for entry in Path(folder).iterdir()] == ["t.h5"]
        rows = np.flatnonzero(np.arange(200) % (spare + 1) == 0)
        with open_tensors(path).view_reader("mc") as reader:
            assert len(reader) == 200
            for name, images in reader.read(rows).items():
                np.testing.assert_array_equal(images, mc.views[name][rows])


def test_rows_that_are_not_there_are_refused(image_file):
    tensors = open_tensors(image_file()[0])
    for rows in ([150], [-1], [3, 2], [[1]]):
        with pytest.raises(IndexError):
            tensors.read_views("mc", np.array(rows))
    assert len(tensors.read_views("mc", slice(140, 999))["x"]) == 10
    assert len(tensors.read_views("mc", np.array([], int))["u"]) == 0


def test_a_file_without_images_says_so(tensor_file):
    tensors = open_tensors(tensor_file())
    assert tensors.views == ()
    with pytest.raises(SchemaError, match="holds no images"):
        tensors.read_views("mc", slice(5))


def test_splits_halves_and_blocks_work_without_features(image_file):
    path, blocks = image_file()
    tensors = open_tensors(path)
    keep = is_pseudo(blocks["mc"].event_id, tensors.split_config.seed)
    assert len(tensors.pseudo_target()) == keep.sum() > 0
    assert len(tensors.source(half=True)) == (~keep).sum() > 0
    events = EventBlocks(tensors, "mc", labelled=True)
    np.testing.assert_array_equal(events.read(0).label, blocks["mc"].label)
    assert events.n_train == (tensors.column("mc", "split") == 0).sum()


def test_verify_and_reading_name_damaged_images(image_file):
    path, _ = image_file()
    with h5py.File(path) as file:
        chunk = file["mc/views/x"].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        byte = file.read(1)[0]
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(bytes([byte ^ 0x55]))
    tensors = open_tensors(path)  # pixels are no structure
    assert tensors.verify() == ["mc/views/x rows 64-127"]
    with pytest.raises(SchemaError, match=r"t\.h5:mc/views/x: images 64-127 are damaged"):
        tensors.read_views("mc", np.array([70]))
    tensors.read_views("mc", slice(64))


def test_the_summary_counts_hits_and_empty_images(image_file):
    path, blocks = image_file()
    found = summarise_domain(open_tensors(path), "mc").images
    assert [(one.view, one.channel) for one in found[:3]] == [
        ("x", "energy"), ("x", "time"), ("u", "0"),
    ]  # fmt: skip
    pixels = blocks["mc"].views["x"][:, 0]
    assert found[0].maximum == pixels.max()
    assert found[0].minimum == 0
    assert found[0].mean == pytest.approx(pixels[pixels > 0].mean())
    assert found[0].hits == pytest.approx((pixels > 0).sum() / 150)
    assert found[0].empty == (~pixels.any(axis=(1, 2))).sum()
    assert found[0].nonfinite == 0


def test_a_full_disk_is_one_line_for_images_too(tmp_path, make_block, writer_of):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size, finishing in ((8_000, False), (60_000, True)):
        with ExitStack() as stack:
            stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
            stack.enter_context(pytest.raises(SchemaError, match="cannot be written"))
            writer = stack.enter_context(writer_of(tmp_path / "t.h5", mc=2001))
            if not finishing:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            writer.append("mc", with_views(make_block(2000)))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            writer.finish({})
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([View("x", 1, 2, 2), View("x", 1, 2, 2)], "views named twice: x"),
        ([View("a/b", 1, 2, 2)], "hold no /"),
        ([View("x", 1, 0, 2)], "no pixels"),
        ([View("x", 1, 2, 2, ("energy", "time"))], "1 channels, but 2 names"),
    ],
)
def test_views_that_cannot_be_are_refused(tmp_path, writer_of, views, message):
    with pytest.raises(SchemaError, match=message):
        writer_of(tmp_path / "t.h5", mc=1, views=views)


def test_images_of_another_shape_or_unforeseen_are_refused(tmp_path, make_block, writer_of):
    block = with_views(make_block(4))
    with writer_of(tmp_path / "t.h5", mc=4) as writer:
        with pytest.raises(ValueError, match="no place for mc/views/w"):
            writer.append("mc", replace(block, views=block.views | {"w": block.views["u"]}))
        with pytest.raises(ValueError, match=r"mc/views/u of a block is of shape \(4, 2, 7, 5\)"):
            writer.append("mc", replace(block, views=block.views | {"u": block.views["x"]}))
        with pytest.raises(ValueError, match="mc/views/x of a block is missing"):
            writer.append("mc", replace(block, views={}))
        writer.append("mc", block)
        writer.finish({})


def test_of_an_image_only_the_place_of_its_chunk_is_kept(tmp_path, make_block, writer_of):
    block = with_views(make_block(640))

    def peak(blocks):
        tracemalloc.start()
        with writer_of(tmp_path / "t.h5", mc=blocks * 640 + 1) as writer:  # + 1: compacted
            for _ in range(blocks):
                writer.append("mc", block)
            writer.finish({})
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)  # imports
    pixels = sum(4 * np.prod(view.shape) for view in VIEWS)
    assert peak(20) - peak(5) < 0.1 * 15 * 640 * pixels


@pytest.mark.parametrize("rows", [slice(None), slice(3, 3), np.array([0, 1, 63, 64, 128, 149])])
def test_hits_are_the_pixels_that_are_not_zero(image_file, rows):
    path, blocks = image_file()
    with open_tensors(path).view_reader("mc") as reader:
        found = reader.events(rows)
    expected = Hits.of([view[rows] for view in blocks["mc"].views.values()])
    assert found.width == expected.width == sum(np.prod(view.shape) for view in VIEWS)
    for name in ("start", "place", "value"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    dense = [view[rows].reshape(len(found), view[0].size) for view in blocks["mc"].views.values()]
    np.testing.assert_array_equal(found[:], np.concatenate(dense, axis=1))


PICTURES = View("image", 3, 6, 5, ("red", "green", "blue"), dtype="|u1")


@pytest.fixture
def picture_file(tmp_path, make_block, make_writer):
    images = np.random.default_rng(0).integers(0, 256, (150, 3, 6, 5), np.uint8)
    bare = np.empty((150, 0), np.float32)
    with make_writer(
        tmp_path / "p.h5", mc=150, data=0, features=[], units=[], feature_info=[], views=[PICTURES]
    ) as writer:
        writer.append("mc", replace(make_block(150), features=bare, views={"image": images}))
        writer.finish({"hepdann": "test"})
    return tmp_path / "p.h5", images


def test_pictures_take_a_byte_a_pixel_and_are_read_as_fractions(picture_file):
    path, images = picture_file
    with h5py.File(path) as file:
        assert file["mc/views/image"].dtype == np.uint8
        np.testing.assert_array_equal(file["mc/views/image"], images)
    tensors = open_tensors(path)
    assert tensors.views == (PICTURES,)
    assert tensors.verify() == []
    rows = np.array([3, 70, 149])
    read = tensors.read_views("mc", rows)["image"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, images[rows] * np.float32(1 / 255))
    assert read.max() <= 1
    channel = summarise_domain(tensors, "mc").images[1]
    assert (channel.channel, channel.maximum) == ("green", 1.0)


def test_pictures_are_held_as_bytes_and_summed_up_by_brightness_and_contrast(picture_file):
    path, images = picture_file
    tensors, rows = open_tensors(path), np.array([3, 70, 149])
    held = read_images(tensors, "mc", rows)
    assert isinstance(held, Pixels)
    assert held.nbytes == 3 * 90
    np.testing.assert_array_equal(held.values, images[rows].reshape(3, -1))
    names, figures = image_figures(held, tensors.views)
    assert names[:3] == ("brightness_red", "contrast_red", "brightness_green")
    np.testing.assert_allclose(figures[:, 2], images[rows, 1].mean((1, 2)) / 255, rtol=1e-5)
    np.testing.assert_allclose(figures[:, 1], images[rows, 0].std((1, 2)) / 255, rtol=1e-5)


def test_a_change_of_pictures_is_rounded_to_bytes_again(picture_file):
    path, images = picture_file

    def brighter(views, rows):
        return {"image": views["image"] * 1.5}

    held = read_images(open_tensors(path), "mc", np.arange(4), brighter)
    wanted = np.clip(np.rint(images[:4].astype(float) * 1.5), 0, 255).reshape(4, -1)
    assert np.abs(held.values - wanted).max() <= 1  # one where it ends in a half


def test_pictures_of_another_type_are_refused_when_written(picture_file, make_block, make_writer):
    path, images = picture_file
    bare = np.empty((150, 0), np.float32)
    block = replace(make_block(150), features=bare, views={"image": images / 255})
    with (
        pytest.raises(ValueError, match="of type float64, not uint8"),
        make_writer(
            path, mc=150, data=0, features=[], units=[], feature_info=[], views=[PICTURES]
        ) as writer,
    ):
        writer.append("mc", block)


def test_pictures_and_hits_do_not_go_together(tmp_path, make_writer):
    with pytest.raises(SchemaError, match="do not go together"):
        make_writer(
            tmp_path / "t.h5", mc=1, data=0, features=[], units=[], feature_info=[],
            views=[PICTURES, VIEWS[0]],
        )  # fmt: skip
