"""Samples of pictures, and the moons."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import uproot
from click.testing import CliRunner
from PIL import Image

import hepdann
from hepdann import samples
from hepdann.errors import ConfigError, ReadError
from hepdann.samples.pictures import CLASSES, SHAPES, blend, draw_shape
from hepdann.samples.toys import moons
from hepdann_cli.main import hepdann as command


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Digits, and a folder of two photographs of one colour each."""
    folder = tmp_path_factory.mktemp("sources")
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8)
    np.savez(folder / "digits.npz", x_train=images, y_train=np.arange(30) % 10)
    for name, colour in (("a", (10, 200, 90)), ("b", (250, 0, 128))):
        (folder / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(folder / "photos" / f"{name}.png")
    return folder, images


def hdf5(path):
    with h5py.File(path) as file:
        return {name: dataset[...] for name, dataset in file.items()}


def test_a_digit_is_blended_as_the_paper_says():
    photograph = np.random.default_rng(1).integers(0, 256, (20, 21, 3), np.uint8)
    digit = np.random.default_rng(2).integers(0, 256, (1, 20, 21), np.uint8)
    made = blend(digit, [photograph], np.random.default_rng(3))
    wanted = np.abs(photograph.astype(int) - digit[0, ..., None].astype(int))
    np.testing.assert_array_equal(made[0], wanted)


def test_mnist_m_is_the_digits_and_the_same_digits_in_photographs(sources, tmp_path):
    folder, images = sources
    result = CliRunner().invoke(command, [
        "simulate", "mnist-m", "-o", str(tmp_path), "--digits", f"{folder / 'digits.npz'}:train",
        "--photographs", str(folder / "photos"), "--truth",
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    mc, data, truth = (hdf5(tmp_path / f"{name}.h5") for name in ("mc", "data", "truth"))
    np.testing.assert_array_equal(mc["image"][..., 0], images)
    assert set(data) == {"image", "event_id"}
    assert set(truth) == {"label", "event_id"}
    np.testing.assert_array_equal(truth["label"], np.arange(30) % 10)
    colours = np.array([(10, 200, 90), (250, 0, 128)])
    parts = np.abs(colours[:, None, None, None] - images[None, ..., None].astype(int))
    assert (parts == data["image"]).all((2, 3, 4)).any(0).all()
    tensors = hepdann.convert(
        tmp_path / "mc.h5", tmp_path / "data.h5", truth=tmp_path / "truth.h5",
        output=tmp_path / "t.h5",
    )  # fmt: skip
    np.testing.assert_array_equal(tensors.source().event_id, tensors.target().event_id)
    assert tensors.views[0].shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "mnist-m needs --digits"),
        (["--digits", "digits.npz"], "mnist-m needs --photographs"),
        (["--digits", "digits.npz", "--photographs", "none"], "no such folder of photographs"),
        (["--digits", "digits.npz", "--photographs", "photos", "--events", "99"], "30 digits"),
        (["--rotation", "3"], "--rotation belongs to moons"),
    ],
)
def test_what_is_missing_is_named(sources, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(sources[0])
    result = CliRunner().invoke(command, ["simulate", "mnist-m", "-o", str(tmp_path), *options])
    text = str(result.exception) + result.output
    assert message in text
    assert list(tmp_path.iterdir()) == []


def test_a_photograph_that_is_none_is_named(sources, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").write_bytes(b"nothing")
    settings = {"digits": sources[1], "labels": np.arange(30), "photographs": tmp_path / "p"}
    with pytest.raises(ReadError, match=r"a\.jpg: is no picture"):
        samples.write("mnist-m", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_the_target_of_the_moons_is_turned():
    straight, label = moons(4000, 0.0, np.random.default_rng(0))
    turned, same = moons(4000, 35.0, np.random.default_rng(0))
    np.testing.assert_array_equal(label, same)
    assert label.mean() == 0.5
    angle = np.arctan2(*turned.T[::-1]) - np.arctan2(*straight.T[::-1])
    np.testing.assert_allclose(np.degrees(angle) % 360, 35, atol=0.1)
    np.testing.assert_allclose(straight.mean(0), 0, atol=0.1)


def test_moons_are_trees(tmp_path):
    paths = samples.write("moons", tmp_path, 50, truth=True)
    assert [path.name for path in paths] == ["mc.root", "data.root", "truth.root"]
    branches = [set(uproot.open(path)["moons"].keys()) for path in paths]
    assert branches == [{"x", "y", "moon"}, {"x", "y"}, {"x", "y", "moon"}]


@pytest.mark.parametrize(
    ("name", "side", "classes"), [("numbers", 32, range(10)), ("signs", 40, CLASSES)]
)
def test_drawn_pictures_differ_and_come_equally_often_of_each_class(tmp_path, name, side, classes):
    count = 2 * len(classes)
    (path,) = samples.write(name, tmp_path, count, seed=1)
    drawn = hdf5(path)
    assert drawn["image"].shape == (count, side, side, 3)
    assert sorted(drawn["label"]) == sorted([*classes] * 2)
    assert len({image.tobytes() for image in drawn["image"]}) == count
    assert drawn["image"].std((1, 2, 3)).min() > 1
    (again,) = samples.write(name, tmp_path / "again", count, seed=1)
    np.testing.assert_array_equal(hdf5(again)["image"], drawn["image"])
    with pytest.raises(ConfigError, match="at least one event"):
        samples.write(name, tmp_path, 0)


def test_shapes_are_whole_and_have_the_area_of_their_kind():
    """Share of the circle around it that a shape fills: all, 2/pi, and 3 sqrt(3) / 4 pi."""
    wanted = {"circle": 1.0, "square": 2 / np.pi, "triangle": 3 * np.sqrt(3) / (4 * np.pi)}
    for name in SHAPES:
        for seed in range(10):
            picture = draw_shape(name, np.random.default_rng(seed))[..., 0].astype(float)
            assert picture.shape == (32, 32)
            radius = np.random.default_rng(seed).uniform(5, 13)
            corners = np.sort(picture[[0, 0, -1, -1], [0, -1, 0, -1]])
            contrast = np.abs(picture - np.median(corners))
            inside = contrast > contrast.max() / 2
            assert inside.sum() == pytest.approx(wanted[name] * np.pi * radius**2, rel=0.12)
            assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_shapes_are_mc_and_others_of_the_same_kind_as_data(tmp_path):
    paths = samples.write("shapes", tmp_path, 60, seed=2, truth=True)
    mc, data, truth = map(hdf5, paths)
    assert mc["image"].shape == data["image"].shape == (60, 32, 32, 1)
    assert mc["image"].dtype == np.uint8
    for label in (mc["label"], truth["label"]):
        np.testing.assert_array_equal(np.bincount(label), [20, 20, 20])
    assert set(data) == {"image", "event_id"}
    assert not set(mc["event_id"]) & set(data["event_id"])
    images = [*mc["image"], *data["image"]]
    assert len({image.tobytes() for image in images}) == 120
    assert all(np.ptp(image.astype(int)) > 60 for image in images)
    again = hdf5(samples.write("shapes", tmp_path / "again", 60, seed=2)[0])
    np.testing.assert_array_equal(again["image"], mc["image"])
    assert samples.default_events("shapes") == 10_000
