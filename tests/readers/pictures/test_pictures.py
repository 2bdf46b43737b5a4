"""Pictures from the files in which they are passed on; every file is written here."""

from __future__ import annotations

import gzip
import struct
import zipfile

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.io import savemat

import hepdann
from hepdann.errors import ConfigError, ReadError
from hepdann.readers.files import FileRef
from hepdann.readers.pictures.files import open_pictures
from hepdann_cli.main import hepdann as command

N = 120


@pytest.fixture(scope="module")
def digits():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (N, 12, 10), np.uint8), np.arange(N) % 10


def idx(values):
    kind = {"uint8": 8}[str(values.dtype)]
    return (
        struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.tobytes()
    )


def write_npz(path, images, labels):
    np.savez_compressed(path, x_train=images[:80], y_train=labels[:80], x_test=images[80:],
                        y_test=labels[80:])  # fmt: skip


def write_plain(path, images, labels):
    np.savez(path, image=images[..., None], label=labels)


def write_first(path, images, labels):
    np.savez(path, images=images[:, None], labels=labels)


def write_usps(path, images, labels):
    with h5py.File(path, "w") as file:
        for part, rows in (("train", slice(0, 80)), ("test", slice(80, None))):
            flat = images[rows, :10].reshape(-1, 100) / np.float32(255)
            file[f"{part}/data"], file[f"{part}/target"] = flat, labels[rows]


def write_mat(path, images, labels):
    pictures = np.stack([images] * 3, axis=-1).transpose(1, 2, 3, 0)
    savemat(path, {"X": pictures, "y": np.where(labels == 0, 10, labels)[:, None]},
            do_compression=True)  # fmt: skip


def write_idx(path, images, labels):
    path.write_bytes(gzip.compress(idx(images)))
    name = path.name.replace("images-idx3", "labels-idx1")
    path.with_name(name).write_bytes(gzip.compress(idx(labels.astype(np.uint8))))


def write_folder(path, images, labels):
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = path / "Images" / f"{label:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    (path / "Images" / "GT.csv").write_text("a")


WRITERS = {
    "a.npz": write_npz, "plain.npz": write_plain, "first.npz": write_first, "usps.h5": write_usps,
    "train_32x32.mat": write_mat, "train-images-idx3-ubyte.gz": write_idx, "folder": write_folder,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_its_pictures_with_their_classes(tmp_path, digits, name):
    images, labels = digits
    WRITERS[name](tmp_path / name, images, labels)
    tensors = hepdann.convert(tmp_path / name, output=tmp_path / "t.h5")
    assert tensors.classes == tuple("0123456789")
    order = np.argsort(labels, kind="stable") if name == "folder" else np.arange(N)
    source = tensors.source()
    np.testing.assert_array_equal(source.label, labels[order])
    read = tensors.read_views("mc", slice(None))["image"]
    wanted = images[order, :10] if name == "usps.h5" else images[order]
    assert read.shape[1] == (3 if name.endswith("mat") else 1)
    np.testing.assert_allclose(read[:, 0] * 255, wanted, atol=1e-3)
    assert tensors.summary.passed("mc") == N


def test_a_part_of_a_file_is_named_behind_a_colon(tmp_path, digits):
    write_npz(tmp_path / "a.npz", *digits)
    tensors = hepdann.convert(f"{tmp_path / 'a.npz'}:test", output=tmp_path / "t.h5")
    assert tensors.rows("mc") == 40
    with pytest.raises(ReadError, match="holds no pictures"):
        hepdann.convert(f"{tmp_path / 'a.npz'}:valid", output=tmp_path / "t.h5")


def test_sizes_and_colours_are_brought_together_and_said(tmp_path, digits):
    images, labels = digits
    write_npz(tmp_path / "a.npz", images, labels)
    colour = np.stack([images, images // 2, images // 4], axis=-1)[:, :8, :8]
    np.savez(tmp_path / "b.npz", image=colour, label=labels)
    tensors = hepdann.convert(
        tmp_path / "a.npz", tmp_path / "b.npz", truth=tmp_path / "b.npz", output=tmp_path / "t.h5"
    )
    view = tensors.views[0]
    assert (view.name, *view.shape) == ("image", 3, 12, 10)
    assert view.channel_names == ("red", "green", "blue")
    assert "data: resized from 8 × 8" in tensors.summary.notes
    assert "mc: grey in three channels" in tensors.summary.notes
    assert "mc: grey in three channels" in tensors.provenance["notes"]
    grey = tensors.read_views("mc", slice(None))["image"]
    np.testing.assert_array_equal(grey[:, 0], grey[:, 2])
    with h5py.File(tensors.path) as file:
        np.testing.assert_array_equal(file["truth/data/label"], labels)
    small = hepdann.convert(
        tmp_path / "b.npz", size=(6, 7), colour="grey", output=tmp_path / "s.h5"
    )
    assert small.views[0].shape == (1, 6, 7)


def test_contrast_is_that_of_every_picture_and_new_data_get_the_same(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "a.npz", image=images, label=labels)
    np.savez(tmp_path / "dark.npz", image=images // 3 + 5, label=labels)
    (tmp_path / "c.yaml").write_text("convert: {pictures: {contrast: standardise}}")
    tensors = hepdann.convert(
        tmp_path / "a.npz", tmp_path / "dark.npz", config=tmp_path / "c.yaml",
        output=tmp_path / "t.h5",
    )  # fmt: skip
    first, second = (tensors.read_views(d, slice(None))["image"] * 255 for d in ("mc", "data"))
    np.testing.assert_allclose(first.mean((1, 2, 3)), 128, atol=1)
    np.testing.assert_allclose(first.std((1, 2, 3)), 51, atol=1)
    np.testing.assert_allclose(first, second, atol=2)  # one third of the light is not seen
    assert "brightness and contrast of every picture standardised" in tensors.summary.notes
    assert tensors.provenance["settings"]["convert"]["pictures"]["contrast"] == "standardise"
    more = hepdann.convert((), tmp_path / "dark.npz", like=tensors.path, output=tmp_path / "m.h5")
    np.testing.assert_array_equal(more.read_views("data", slice(None))["image"] * 255, second)


def test_one_picture_is_one_event_in_mc_and_in_data(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "a.npz", image=images, label=labels, event_id=np.arange(N))
    np.savez(tmp_path / "b.npz", image=255 - images, label=labels, event_id=np.arange(N))
    tensors = hepdann.convert(tmp_path / "a.npz", tmp_path / "b.npz", output=tmp_path / "t.h5")
    np.testing.assert_array_equal(tensors.source().split, tensors.target().split)
    assert len(np.unique(tensors.source().event_id)) == N


def test_photographs_of_one_sign_share_a_split(tmp_path, digits):
    images, _ = digits
    for number, image in enumerate(images):
        folder = tmp_path / "signs" / f"{number % 3:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([image] * 3, axis=-1)).save(
            folder / f"{number // 30:05d}_{number:05d}.ppm"
        )
    tensors = hepdann.convert(tmp_path / "signs", output=tmp_path / "t.h5")
    assert len(np.unique(tensors.source().event_id)) == 12  # of 3 classes 4 tracks each


def test_new_pictures_are_brought_to_the_size_of_an_earlier_file(tmp_path, digits):
    images, labels = digits
    write_npz(tmp_path / "a.npz", images, labels)
    np.savez(tmp_path / "b.npz", image=images[:, :6], label=labels)
    hepdann.convert(tmp_path / "a.npz", tmp_path / "a.npz", output=tmp_path / "t.h5")
    new = hepdann.convert(
        data=tmp_path / "b.npz", like=tmp_path / "t.h5", truth=tmp_path / "b.npz",
        output=tmp_path / "new.h5",
    )  # fmt: skip
    assert new.views[0].shape == (1, 12, 10)
    assert new.rows("data") == N


def test_the_command_shows_what_it_did(tmp_path, digits):
    write_npz(tmp_path / "a.npz", *digits)
    result = CliRunner().invoke(
        command, ["convert", str(tmp_path / "a.npz"), "--size", "20", "-o", str(tmp_path / "t.h5")]
    )
    assert result.exit_code == 0, result.output
    assert "resized from 12 × 10" in result.output
    assert "pictures of 20 × 20 pixels" in result.output


def refused(path, **settings):
    with pytest.raises((ReadError, ConfigError)) as error:
        hepdann.convert(path, output=path.parent / "t.h5", **settings)
    assert "\n" not in str(error.value)
    assert not (path.parent / "t.h5").exists()
    return str(error.value)


@pytest.mark.parametrize("name", ["a.npz", "train_32x32.mat", "train-images-idx3-ubyte.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_off_is_damaged(tmp_path, digits, name, share):
    WRITERS[name](tmp_path / name, *digits)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    assert "is damaged" in refused(tmp_path / name)


def test_flipped_bits_of_compressed_pictures_are_noticed(tmp_path, digits):
    write_npz(tmp_path / "a.npz", *digits)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[2000] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(content)
    assert "is damaged" in refused(tmp_path / "a.npz")


def test_python_objects_are_not_read(tmp_path, digits):
    np.savez(tmp_path / "a.npz", image=digits[0], label=np.array([{}] * N, object))
    assert "holds Python objects, which are not read" in refused(tmp_path / "a.npz")


def test_an_array_that_claims_more_than_any_disk_is_refused(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (90000000, 1000, 1000), }"
    header = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(1000)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("image.npy", content)
    assert "claims 83,819 GiB" in refused(tmp_path / "a.npz")


def test_damaged_and_huge_pictures_of_a_folder_are_named(tmp_path, digits):
    write_folder(tmp_path / "f", *digits)
    (tmp_path / "f/Images/00003/bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert "bad.png" in refused(tmp_path / "f")
    Image.new("1", (20_000, 3_000)).save(tmp_path / "f/Images/00003/bad.png")
    assert "20000 × 3000 pixels" in refused(tmp_path / "f")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((5, 4, 4), np.uint8)}, "has no labels"),
        ({"image": np.zeros((5, 4, 4), np.uint8), "label": np.zeros(4, int)}, "has 4 rows"),
        ({"image": np.zeros((5, 4, 4), np.uint8), "label": np.full(5, 0.5)}, "no whole number"),
        ({"image": np.full((5, 4, 4), 300, np.int32), "label": np.arange(5)}, "from 300 to 300"),
        ({"image": np.full((5, 4, 4), np.nan), "label": np.arange(5)}, "from nan to nan"),
        ({"image": np.zeros((5, 6, 5, 7), np.uint8), "label": np.arange(5)}, "no pictures"),
        ({"spam": np.zeros((5, 4, 4), np.uint8)}, "it has spam"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in refused(tmp_path / "a.npz")


def test_classes_that_mc_does_not_have_are_named(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "a.npz", image=images[labels < 9], label=labels[labels < 9])
    np.savez(tmp_path / "b.npz", image=images, label=labels)
    with pytest.raises(ReadError, match="of class 9, which MC has not"):
        hepdann.convert(tmp_path / "a.npz", tmp_path / "b.npz", truth=tmp_path / "b.npz",
                        output=tmp_path / "t.h5")  # fmt: skip


def test_settings_of_tables_are_refused(tmp_path, digits):
    write_npz(tmp_path / "a.npz", *digits)
    assert "convert.cut" in refused(tmp_path / "a.npz", cut="pt > 20")


def test_no_pixel_is_read_before_it_is_wanted(tmp_path, digits, monkeypatch):
    write_npz(tmp_path / "a.npz", *digits)
    monkeypatch.setattr("hepdann.readers.pictures.files.BLOCK_BYTES", 1200)
    pictures = open_pictures(FileRef(str(tmp_path / "a.npz")))
    sizes = [len(block) for block in pictures.blocks()]
    assert max(sizes) == 10
    assert sum(sizes) == N
