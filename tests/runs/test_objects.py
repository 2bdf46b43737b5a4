"""A run on events with objects, from lists in files to scores of every row of them."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

import hepdann
from hepdann import samples, shifts
from hepdann.deploy import export
from hepdann.domains import StreamReader, prepare, resident_images
from hepdann.errors import ConfigError, RunError, SchemaError
from hepdann.inference import predict
from hepdann.inference.row_scores import RowScorer
from hepdann.runs import open_run
from hepdann.tensors import open_tensors, read_images

FAST = {"seeds": 1, "epochs": 2, "batch_size": 128, "extractor": [16], "diagnose": False}
FEATURES = {
    "log_pt": "log(constituent_pt)",
    "log_dr": "log(deltaR(constituent_eta, constituent_phi, jet_eta, jet_phi))",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jets")
    return samples.write("jets", folder, 900, truth=True)


@pytest.fixture(scope="module")
def tensors(files):
    mc, data, truth = files
    objects = {
        "constituent": {
            "features": [{"name": n, "expression": text} for n, text in FEATURES.items()]
        }
    }
    return hepdann.convert(
        mc, data, truth=truth, objects=objects, features=["sum_pt"],
        output=mc.with_name("t.h5"), cut="jet_eta < 1.4",
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tensors, files):
    return hepdann.train(tensors, output=files[0].with_name("run"), **FAST)


def test_deep_sets_train_with_every_method_of_the_run(run, tensors):
    assert set(run.metrics["methods"]) == {"source-only", "dann", "oracle"}
    assert run.metrics["methods"]["oracle"]["mc"]["auc"] > 0.55
    model = open_run(run.folder).model
    assert model.objects == (("constituent", 64, 2),)
    assert model.features == (
        "sum_pt", "n_constituent", "mean_constituent_log_pt", "mean_constituent_log_dr"
    )  # fmt: skip
    events = read_images(tensors, "mc", np.arange(20))
    assert model.score(events, "dann", "source").mean.shape == (20, 2)


def test_scores_run_along_the_rows_of_the_files(run, files, tensors, tmp_path):
    # modules that run with the values of one member after another cannot be shared by threads
    assert not RowScorer(run.folder, None, "cpu", None).in_threads
    (output,) = predict(run, files[1], output=tmp_path).outputs
    rows = uproot.open(output)["jets"].arrays(library="np")
    jets = uproot.open(files[1])["jets"].arrays(["jet_eta", "event"], library="np")
    selected = jets["jet_eta"] < 1.4
    assert np.array_equal(rows["selected"], selected)
    model, method = open_run(run.folder).model, run.metrics["recommended"]
    expected = model.score(read_images(tensors, "data"), method).mean[:, 1]
    np.testing.assert_allclose(rows["score_signal"][selected], expected, atol=1e-6)
    assert np.isnan(rows["score_signal"][~selected]).all()


def test_batches_from_blocks_of_the_file_are_those_of_memory(tensors):
    rows = {}
    for memory in ("resident", "blocks"):
        domains = prepare(tensors, None, None, 0, memory)
        images = domains.images
        events = resident_images(
            domains.target, images.target, device="cpu", scaling=images.scaling,
            blocks=None if images.blocks is None else images.blocks[1],
        )  # fmt: skip
        reader = StreamReader(events.stream, [0], epoch=0, number=1, first=0)
        ((x, label, _, _),) = reader.take(events.stream.n_train)
        assert label is None
        rows[memory] = x.numpy()[np.lexsort(x.numpy().T)]
    np.testing.assert_array_equal(rows["resident"], rows["blocks"])
    counts = rows["blocks"][:, 1]  # beside the feature of the event
    objects = rows["blocks"][:, 2:].reshape(len(counts), 64, 2)
    inside = np.arange(64) < counts[:, None]
    # scaled by the objects of the MC, of which those of the data have half of the momentum
    assert objects[inside][:, 0].mean() == pytest.approx(np.log(0.5) / 0.8, abs=0.1)
    assert objects[inside][:, 1].std() == pytest.approx(1, abs=0.1)


def test_what_acts_on_features_alone_is_refused(run, tensors, tmp_path):
    for settings, message in (
        ({"shift": shifts.sine(t=3)}, "these events have objects"),
        ({"method": "quantile+dann"}, "maps features, and these events are objects"),
        ({"folds": 2}, "these events are objects"),
    ):
        with pytest.raises(ConfigError, match=message):
            hepdann.train(tensors, output=tmp_path / "run", **settings)
    with pytest.raises(RunError, match="networks of objects cannot be exported; score files"):
        export(run.folder, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match="a calibration maps features"):
        hepdann.calibrate(tensors)


def test_a_second_file_needs_the_same_objects(tensors, files, tmp_path):
    other = hepdann.convert(files[0], files[1], objects=["constituent"], output=tmp_path / "t.h5")
    with pytest.raises(SchemaError, match=r"(features|objects) differ"):
        open_tensors(tensors).check_features(other)
