"""A run on pictures with classes."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from PIL import Image

import hepdann
from hepdann.config import PlotConfig, TrainConfig
from hepdann.domains import Jitter
from hepdann.errors import ConfigError
from hepdann.evaluation import open_scores
from hepdann.plotting import plot_run
from hepdann.plotting.quantities import RunNames
from hepdann.runs import resume
from hepdann.runs.preparation import augment_of
from hepdann.runs.stacks.plan import resolve_auto
from hepdann.tensors import read_images

pytestmark = pytest.mark.usefixtures("few_trees")

PNG = PlotConfig(formats=["png"])
FAST = {"seeds": 1, "epochs": 2, "batch_size": 32, "diagnose": False, "progress": False}


def pictures(n, seed, light):
    """Three classes: a bright bar in one of three rows, on noise."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 3, n)
    images = generator.integers(0, 40, (n, 16, 16, 3)).astype(np.uint8)
    images[np.arange(n), 3 + 4 * label] = light
    return images, label


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, n, seed, light in (("mc", 500, 0, 250), ("data", 400, 1, 120)):
        images, label = pictures(n, seed, light)
        np.savez(folder / f"{name}.npz", image=images, label=label)
    hepdann.convert(
        folder / "mc.npz", folder / "data.npz", truth=folder / "data.npz", output=folder / "t.h5"
    )
    return folder


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    return hepdann.train(files / "t.h5", output=tmp_path_factory.mktemp("runs") / "run", **FAST)


def test_networks_see_pixels_and_everything_else_brightness_and_contrast(run, files):
    assert run.methods == ("source-only", "dann", "oracle")
    scores = open_scores(run.folder)
    assert scores.features == tuple(
        f"{figure}_{colour}"
        for colour in ("red", "green", "blue")
        for figure in ("brightness", "contrast")
    )
    held = read_images(hepdann.open_tensors(files / "t.h5"), "mc", np.arange(500))
    again = run.predict(held[:], "source", "dann")
    np.testing.assert_allclose(again, scores.score("mc", "dann"), atol=1e-5)
    assert run.metrics["methods"]["oracle"]["target"]["accuracy"] > 0.5


def test_what_is_wrong_is_drawn_surest_first(run, files, tmp_path, monkeypatch):
    claimed = np.random.default_rng(2).integers(0, 3, 400)  # a network that is right all but always
    monkeypatch.setattr(RunNames, "truth", lambda run, domain: claimed)
    plot_run(run.folder, PNG, ["misclassified_target_source-only"], output=tmp_path)
    scores, tensors = open_scores(run.folder), hepdann.open_tensors(files / "t.h5")
    rows = np.flatnonzero(scores.rows("target", "test"))
    score, true = scores.score("target", "source-only")[rows], claimed[rows]
    wrong = score.argmax(axis=1) != true
    assert wrong.any()
    first = np.where(wrong, score.max(axis=1), 0).argmax()
    shown = json.loads((tmp_path / "misclassified_target_source-only.json").read_text())
    assert (shown["wrong"], shown["events"]) == (wrong.sum(), len(rows))
    assert (shown["true"][0], shown["given"][0]) == (true[first], score[first].argmax())
    assert shown["score"] == sorted(shown["score"], reverse=True)
    row = int(rows[first])
    pixels = tensors.read_views("data", slice(row, row + 1))["image"][0].transpose(1, 2, 0)
    np.testing.assert_array_equal(shown["images"][0], np.rint(255 * pixels))


def test_pictures_read_in_blocks_train_the_same_networks(run, files, tmp_path):
    blocks = hepdann.train(files / "t.h5", output=tmp_path / "run", memory="blocks", **FAST)
    first, second = (open_scores(one.folder).score("mc", "dann") for one in (run, blocks))
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert resume(tmp_path / "run").metrics == blocks.metrics


def test_pictures_are_moved_as_pictures_and_not_like_hits(files, tmp_path):
    with pytest.raises(ConfigError, match="these events are pictures; take turn: 180"):
        hepdann.train(files / "t.h5", output=tmp_path / "r", augment={"rotate": True}, **FAST)
    train = TrainConfig.model_validate({"augment": {"shift": 2, "turn": 5, "zoom": 0.1}})
    views = hepdann.open_tensors(files / "t.h5").views
    assert augment_of(train, views) == Jitter((3, 16, 16), 2, 5, 0.1)


def test_a_shift_of_energies_has_no_meaning_for_pictures(files, tmp_path):
    shift = hepdann.shifts.get("energy-scale", 2)
    with pytest.raises(ConfigError, match="red and green and blue and no energies"):
        hepdann.train(files / "t.h5", output=tmp_path / "r", shift=shift, **FAST)


def test_pictures_of_files_and_folders_are_scored_row_by_row(run, files, tmp_path):
    images, label = pictures(12, 5, 120)
    for number in range(12):
        place = tmp_path / "new" / str(label[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(place / f"{number}.png")
    inputs = [files / "mc.npz", files / "data.npz", tmp_path / "new"]
    done = hepdann.predict(run, inputs, output=tmp_path / "out", format="hdf5", method="dann")
    assert [(f.sample, f.known, f.rows) for f in done.files] == [
        ("mc", True, 500), ("data", True, 400), ("data", False, 12),
    ]  # fmt: skip
    scores = open_scores(run.folder)
    for file, domain in zip(done.files, ("mc", "target"), strict=False):
        with h5py.File(file.output) as rows:
            known = np.stack([rows[f"score_{k}"][:] for k in range(3)], axis=1)
            np.testing.assert_array_equal(rows["event_id"][:], scores.column(domain, "event_id"))
        np.testing.assert_allclose(known, scores.score(domain, "dann"), atol=1e-5)
    assert done.files[0].trained == np.count_nonzero(scores.column("mc", "split") == 0)
    ordered = sorted(range(12), key=lambda number: (label[number], f"{number}.png"))
    pixels = images[ordered].transpose(0, 3, 1, 2).reshape(12, -1)
    expected = run.predict(pixels * np.float32(1 / 255), method="dann")
    with h5py.File(done.files[2].output) as rows:
        found = np.stack([rows[f"score_{k}"][:] for k in range(3)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ConfigError, match="pictures have no branches"):
        hepdann.predict(run, inputs[:1], output=tmp_path / "k", keep=["a"])


@pytest.mark.parametrize(("multiplies", "precision"), [(True, "bf16"), (False, "none")])
def test_automatic_precision_is_bfloat16_where_the_processor_multiplies_it(
    multiplies, precision, monkeypatch
):
    monkeypatch.setattr(
        "torch.cpu.get_capabilities", lambda: {"amx_bf16": multiplies}, raising=False
    )
    settings = TrainConfig(autocast="auto", device="cpu", batch_size=8)
    assert resolve_auto(settings, 100).autocast == precision
