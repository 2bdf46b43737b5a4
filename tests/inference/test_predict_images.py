"""Scores beside files of hit images."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import uproot

import hepdann
from hepdann import networks
from hepdann.errors import ConfigError
from hepdann.evaluation import open_scores
from hepdann.networks import Modules, ViewsNetwork
from hepdann.networks.minerva import TowerPlan
from hepdann.networks.pictures import perceptron
from hepdann.tensors import open_tensors

VIEWS = {"x": (21, 12), "u": (21, 6), "v": (21, 6)}


def tiny(shape):
    towers = [TowerPlan((3,), ((4, 3),), 8, dropout=0.0)] * 3
    return Modules(ViewsNetwork(shape.views, towers, perceptron((24, 10)), shape.autocast))


networks.register("predict-views", tiny)


def write_images(path, events, seed):
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for view, size in VIEWS.items():
            hit = random.random((events, 1, *size)) < 0.1
            file[f"hits-{view}"] = np.where(hit, random.exponential(4, hit.shape), 0).astype("f4")
        planes = random.integers(1, 67, events)
        file["planecodes"] = planes.astype("u2")
        file["segments"] = (planes > 30).astype("u1")
        file["eventids"] = (np.arange(events) * 100 + (2000 + seed) * 10**10).astype("u8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("images")
    for seed, (name, events) in enumerate((("mc", 700), ("data", 600))):
        write_images(place / f"{name}.h5", events, seed)
    hepdann.convert(
        place / "mc.h5", place / "data.h5", output=place / "tensors.h5", cut="planecodes > 3",
        classes=["front", "back"],
    )  # fmt: skip
    hepdann.train(
        place / "tensors.h5", output=place / "run", seeds=1, epochs=1, batch_size=40,
        network="predict-views", diagnose=False, oracle=False,
    )  # fmt: skip
    return place


def test_images_are_scored_row_by_row(folder, tmp_path):
    paths = [folder / "mc.h5", folder / "data.h5"]
    done = hepdann.predict(folder / "run", paths, output=tmp_path, keep=["planecodes"])
    scores = open_scores(folder / "run")
    method = done.method
    assert [(f.sample, f.known, f.rows) for f in done.files] == [
        ("mc", True, 700), ("data", True, 600),
    ]  # fmt: skip
    for file, domain in zip(done.files, ("mc", "target"), strict=True):
        with uproot.open(file.output) as root:
            rows = root["events"].arrays(library="np")
        chosen = rows["planecodes"] > 3
        np.testing.assert_array_equal(rows["selected"] == 1, chosen)
        ids = scores.column(domain, "event_id").tolist()
        known = dict(zip(ids, scores.score(domain, method), strict=True))
        expected = np.array([known[i] for i in rows["event_id"][chosen].tolist()])
        np.testing.assert_allclose(rows["score_back"][chosen], expected[:, 1], atol=1e-6)
        assert np.isnan(rows["spread"]).all()  # of one network
    split = scores.column("mc", "split")
    assert done.files[0].trained == np.count_nonzero(split == 0)


def test_a_copy_of_images_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="no TTree, but HDF5"):
        hepdann.predict(folder / "run", folder / "mc.h5", output=tmp_path, into_copy=True)


def test_a_run_of_images_is_exported(folder, tmp_path):
    """With a check on events of the tensor file."""
    made = hepdann.export(folder / "run", tmp_path / "model.onnx", method="source-only")
    assert made.agreement.largest <= 1e-6
    assert made.agreement.events == min(500, open_tensors(folder / "tensors.h5").rows("data"))
    assert [(one.name, one.kind) for one in made.inputs] == [(v, "image") for v in VIEWS]
    with pytest.raises(ConfigError, match="--for athena: its events are images"):
        hepdann.export(folder / "run", tmp_path / "model.onnx", target="athena")
