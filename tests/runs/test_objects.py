"""A run on events with objects, from lists in files to scores of every row of them."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import torch
import uproot
from click.testing import CliRunner
from scipy.stats import ks_2samp

import hepdann
from hepdann import samples, shifts
from hepdann.deploy import export
from hepdann.deploy.graph import Graph, evaluate, onnx_model
from hepdann.deploy.steps import ObjectInputs, add_member
from hepdann.domains import StreamReader, prepare, resident_images
from hepdann.errors import ConfigError, RunError, SchemaError
from hepdann.evaluation import open_scores
from hepdann.inference import Part, predict
from hepdann.inference.row_scores import RowScorer
from hepdann.networks import AdversarialNetwork, NetworkShape
from hepdann.registry import SHIFTS
from hepdann.runs import open_run
from hepdann.tensors import open_tensors, read_images

pytestmark = pytest.mark.usefixtures("few_trees")

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
    known = {"families": ["missing-objects+pt-scale+scale(sum_pt)"], "hold_fractions": True}
    return hepdann.train(
        tensors, output=files[0].with_name("run"), method=["dann", "calibrated", "calibrated+dann"],
        calibration=known, **FAST,
    )  # fmt: skip


def test_deep_sets_train_with_every_method_of_the_run(run, tensors):
    assert set(run.metrics["methods"]) == {
        "source-only", "quantile", "dann", "calibrated", "calibrated+dann", "oracle"
    }  # fmt: skip
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
    assert not RowScorer(run.folder, None, "cpu").in_threads
    (output,) = predict(run, files[1], output=tmp_path).outputs
    rows = uproot.open(output)["jets"].arrays(library="np")
    jets = uproot.open(files[1])["jets"].arrays(["jet_eta", "event"], library="np")
    selected = jets["jet_eta"] < 1.4
    assert np.array_equal(rows["selected"], selected)
    model, method = open_run(run.folder).model, run.metrics["recommended"]
    expected = model.score(read_images(tensors, "data"), method).mean[:, 1]
    np.testing.assert_allclose(rows["score_signal"][selected], expected, atol=1e-6)
    assert np.isnan(rows["score_signal"][~selected]).all()


def test_networks_train_on_calibrated_objects_and_score_mc_so(run, files, tensors, tmp_path):
    model = open_run(run.folder).model
    calibration, mc = model.calibrations["calibrated"], read_images(tensors, "mc")
    event_id = tensors.source().event_id
    mapped = calibration.apply(mc, event_id=event_id)
    network = model.steps("calibrated", "source")
    lost = 1 - mapped.parts[0].values.shape[0] / mc.parts[0].values.shape[0]
    assert 0.05 < lost < 0.25
    expected = network.part.network.predict(
        torch.from_numpy(network.scaling.apply(mapped[:]).T)[None], network.statistics
    )[0][0]
    for inputs in (mc, mc[:]):  # as objects, or as the rows that they make
        scores = model.score(inputs, "calibrated", "source", event_id=event_id).mean
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    stored = open_scores(run.folder)
    np.testing.assert_allclose(stored.score("mc", "calibrated"), expected, atol=1e-5)
    varied = stored.varied("calibrated")
    assert (varied[0] != varied[1]).any()
    verdict = run.metrics["calibrations"]["calibrated"]["verdict"]
    known = json.loads((run.folder / "recommendation.json").read_text())["candidates"]
    assert ("calibrated" in known) == (verdict != "not closed")
    (output,) = predict(run, files[0], output=tmp_path, method="calibrated").outputs
    rows = uproot.open(output)["jets"].arrays(library="np")
    np.testing.assert_allclose(
        rows["score_signal"][rows["selected"] == 1], expected[:, 1], atol=1e-5
    )
    assert "_up" in " ".join(rows)


def test_an_alignment_moves_the_features_of_objects_and_no_object(
    run, tensors, tmp_path, monkeypatch
):
    model, data = open_run(run.folder).model, read_images(tensors, "data")
    mapped = model.alignments["quantile"].apply(data)
    np.testing.assert_array_equal(mapped.parts[0].start, data.parts[0].start)
    train = [read_images(tensors, d).take(tensors.column(d, "split") == 0) for d in ("mc", "data")]
    mc, moved = train[0].tables, model.alignments["quantile"].apply(train[1]).tables
    for before, after, source in zip(train[1].tables, moved, mc, strict=True):
        for column in range(source.shape[1]):
            shift, left = (ks_2samp(x[:, column], source[:, column])[0] for x in (before, after))
            assert left < 0.02 + 0.2 * shift
    network = model.steps("source-only", "target")
    expected = network.part.network.predict(
        torch.from_numpy(network.scaling.apply(mapped[:]).T)[None], network.statistics
    )[0][0]
    scores = model.score(data, "quantile").mean
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    stored = open_scores(run.folder)
    np.testing.assert_allclose(stored.score("target", "quantile"), expected, atol=1e-5)
    np.testing.assert_array_equal(stored.events("target", "quantile").features, mapped.summed)
    assert "quantile" in json.loads((run.folder / "recommendation.json").read_text())["candidates"]
    monkeypatch.setattr("hepdann.deploy.check._EVENTS", 20)
    made = export(run.folder, tmp_path / "model.onnx", method="quantile")
    assert made.agreement.largest < 1e-5


def test_networks_train_and_scans_judge_behind_an_alignment_of_objects(tensors, tmp_path):
    few = FAST | {"epochs": 1, "oracle": False}
    scan = hepdann.scan(
        tensors, t=[1], shift="pt-scale", methods=["quantile+dann"], lambda_=[1.0],
        output=tmp_path / "scan", **few,
    )  # fmt: skip
    table = csv.DictReader((scan.folder / "scan.csv").read_text().splitlines())
    by_method = {row["method"]: row for row in table}
    assert list(by_method) == ["source-only", "quantile", "quantile+dann"]
    assert by_method["quantile"]["target_auc"] != by_method["source-only"]["target_auc"]
    assert by_method["quantile+dann"]["agreement"]  # with the better of the first two
    run = hepdann.train(tensors, method="quantile+dann", folds=2, output=tmp_path / "run", **few)
    data, models = read_images(tensors, "data"), open_run(run.folder).model.folds
    scores = open_scores(run.folder)
    features, fold = scores.events("target", "quantile").features, scores.column("target", "fold")
    summed = [model.alignments["quantile"].apply(data).summed for model in models]
    np.testing.assert_array_equal(features, np.stack(summed)[fold, np.arange(len(fold))])


def exported_member(shape):
    """A new network of one feature of the event and 64 objects, and its graph."""
    network, graph = AdversarialNetwork(shape, [0]).eval(), Graph()
    flat, part = graph.input("f", (1,)), graph.input("v", (64, 2))
    valid = graph.binary("Greater", graph.input("m", (64, 1)), 0.5)
    inputs = ObjectInputs(flat, (part,), (valid,))
    member = Part(shape, network.arrays(), 0, (0.0,), (0,))
    graph.output("scores", add_member(graph, member, 0, 0, inputs))
    return network, onnx_model(graph, "t", 20, {})


def test_deep_sets_are_exported_with_a_mask_and_padding_means_nothing(run, tensors, tmp_path):
    made = export(run.folder, tmp_path / "model.onnx", domain="source", method="dann")
    assert made.agreement.largest < 1e-6
    assert [one.name for one in made.inputs] == ["features", "constituent", "constituent_valid"]
    events = read_images(tensors, "mc", np.arange(40))
    values = np.full((40, 64, 2), 1e3, np.float32)
    valid = np.arange(64) < events.parts[0].pad(values)[:, None]
    inputs = {"features": events.features, "constituent": values}
    scores = evaluate(
        made.files[0].read_bytes(), inputs | {"constituent_valid": valid.astype("f4")}
    )
    expected = open_run(run.folder).model.score(events, "dann", "source").mean
    np.testing.assert_allclose(scores[0], expected, atol=1e-6)
    with pytest.raises(ConfigError, match="this takes numbers alone"):
        export(run.folder, tmp_path / "model.hpp", "cpp")
    with pytest.raises(RunError, match="a calibration of objects, which is not exported"):
        export(run.folder, tmp_path / "mc.onnx", domain="source", method="calibrated")
    shape = NetworkShape(
        events.width, 2, network="deepsets", normalisation="layer", objects=(("c", 64, 2),)
    )
    network, proto = exported_member(shape)
    given = {"f": events.features, "v": values, "m": valid.astype("f4")[..., None]}
    (scores,) = evaluate(proto.SerializeToString(), given)
    expected = network.predict(torch.from_numpy(events[:]).T[None], 0)[0][0]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    with pytest.raises(RunError, match="networks with attention cannot be exported"):
        exported_member(replace(shape, network="transformer"))


def test_pseudo_data_is_half_of_the_mc_shifted_alike_in_memory_and_in_blocks(tensors):
    shift, read = shifts.compose(shifts.missing_objects(4), shifts.pt_scale(1)), {}
    for memory in ("resident", "blocks"):
        domains = prepare(tensors, None, shift, 3, memory)
        rows = np.argsort(domains.target.event_id)
        read[memory] = domains.inputs("target")[rows]
        events = read_images(tensors, "mc", domains.rows).take(rows)
    np.testing.assert_array_equal(read["resident"], read["blocks"])
    assert read["blocks"][:, 1].sum() == pytest.approx(0.75 * events.parts[0].start[-1], rel=0.03)
    log_pt = read["blocks"][:, 2::2].sum() / read["blocks"][:, 1].sum()
    before = events.parts[0].values[:, 0].mean(dtype=float)
    assert log_pt == pytest.approx(before + np.log(2), abs=0.02)
    assert not set(domains.source.event_id) & set(domains.target.event_id)


def test_maps_of_features_shift_those_of_objects_by_their_own_scales(tensors):
    objects = read_images(tensors, "mc")
    fitted = shifts.sine(2).of_objects(objects)
    jagged = fitted.apply_objects(objects, tensors.column("mc", "event_id"), 0)
    part, values = jagged.parts[0], objects.parts[0].values
    np.testing.assert_array_equal(part.start, objects.parts[0].start)
    scale = np.abs(values).max(axis=0)
    x = values / scale
    expected = (x + np.sin(2 * np.pi * x) / 2) * 1.5 * scale
    np.testing.assert_allclose(part.values, expected, atol=0.1 * scale.max())
    assert not np.array_equal(jagged.features, objects.features)


@pytest.mark.parametrize("shift", [None, shifts.gaussian(t=3)])
def test_batches_from_blocks_of_the_file_are_those_of_memory(tensors, shift):
    rows = {}
    for memory in ("resident", "blocks"):
        domains = prepare(tensors, None, shift, 0, memory)
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
    if shift is not None:
        return
    counts = rows["blocks"][:, 1]  # beside the feature of the event
    objects = rows["blocks"][:, 2:].reshape(len(counts), 64, 2)
    inside = np.arange(64) < counts[:, None]
    # scaled by the objects of the MC, of which those of the data have half of the momentum
    assert objects[inside][:, 0].mean() == pytest.approx(np.log(0.5) / 0.8, abs=0.1)
    assert objects[inside][:, 1].std() == pytest.approx(1, abs=0.1)


def test_what_acts_on_features_alone_is_refused(run, tensors, tmp_path, monkeypatch):
    monkeypatch.setattr(SHIFTS, "_registered", {})
    hepdann.register.shift("turn")(lambda x, t, generator: x[::-1] / t)
    for settings, message in (
        ({"shift": shifts.energy_scale(t=3)}, "acts on pixels, and these events have objects"),
        ({"shift": shifts.dead_region(t=3)}, "no feature of constituent ends in 'phi'"),
        ({"shift": shifts.get("turn", 3), "memory": "blocks"}, "to be read in blocks"),
        ({"method": "affine+dann"}, "affine maps the features of an event together, and these"),
        ({"alignments": ["sliced"]}, "sliced maps .* are objects; take quantile or moments"),
        ({"method": "parametrised"}, "needs maps or shifts of features"),
        ({"method": "calibrated", "memory": "blocks"}, "maps all objects, and they are to be"),
    ):
        with pytest.raises(ConfigError, match=message):
            hepdann.train(tensors, output=tmp_path / "run", **settings)
    with pytest.raises(ConfigError, match="maps objects, which a scan does not"):
        hepdann.scan(tensors, t=[3], shift="pt-scale", methods=["calibrated"])
    with pytest.raises(ConfigError, match="there is no family 'refiner'"):
        hepdann.calibrate(tensors, families=["refiner"])


def test_a_second_file_needs_the_same_objects(tensors, files, tmp_path):
    other = hepdann.convert(files[0], files[1], objects=["constituent"], output=tmp_path / "t.h5")
    with pytest.raises(SchemaError, match=r"(features|objects) differ"):
        open_tensors(tensors).check_features(other)


def test_an_analysis_from_one_yaml_is_that_of_the_documentation(tmp_path, monkeypatch):
    """Jets and taus, lumi mask, duplicates, cross sections, 2-D reweighting, folds, scores."""
    from hepdann_cli.main import hepdann as command

    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs/objects.md").read_text(encoding="utf-8")
    text, script = (
        re.search(rf"```{kind}\n(.*?)```", page.split("## An analysis from one YAML")[1], re.S)[1]
        for kind in ("yaml", "python")
    )
    exec(script.replace("20_000", "700"), {})
    quick = re.sub(r"(seeds|epochs): \d", r"\1: 1", text.replace("folds: 3", "folds: 2"))
    Path("analysis.yaml").write_text(quick, encoding="utf-8")
    for line in (
        "convert --config analysis.yaml -o t.h5",
        "train t.h5 --config analysis.yaml -o run --batch-size 256 --no-diagnose",
        "plot run --only roc --formats png --workers 1",
        "predict run higgs.root tau.root -o scores",
    ):
        done = CliRunner().invoke(command, line.split(), catch_exceptions=False)
        assert done.exit_code == 0, done.output
    tensors = open_tensors("t.h5")
    assert tensors.verify() == []
    assert [one.name for one in tensors.objects] == ["jets", "taus"]
    weight, label = tensors.column("mc", "weight"), tensors.source().label
    assert {"pileup_off"} == set(tensors.weights)
    nominal = tensors.column("mc", "weights/pileup_off")
    np.testing.assert_allclose(nominal[label == 1], 2000 / 700, rtol=1e-6)
    assert weight.sum() == pytest.approx(nominal.sum(), rel=1e-5)
    ids = tensors.column("data", "event_id")
    assert len(np.unique(ids)) == len(ids)
    events, m_vis = uproot.open("higgs.root")["Events"].arrays(), tensors.features.index("m_vis")
    events = events[events.HLT_tau | events.HLT_mu]
    taus = ak.zip({"pt": events.tau_pt, "eta": events.tau_eta, "phi": events.tau_phi, "mass": 0.0})
    px, py, pz = taus.pt * np.cos(taus.phi), taus.pt * np.sin(taus.phi), taus.pt * np.sinh(taus.eta)
    energy = ak.sum(taus.pt * np.cosh(taus.eta), axis=1)
    mass = np.sqrt(energy**2 - sum(ak.sum(p, axis=1) ** 2 for p in (px, py, pz)))
    features = read_images(tensors, "mc").features
    np.testing.assert_allclose(features[label == 1, m_vis], mass, rtol=1e-4)
    scores, model = open_scores(Path("run")), open_run(Path("run")).model
    fold = scores.column("mc", "fold")
    assert set(fold) == {0, 1}
    expected = model.score(read_images(tensors, "mc"), "dann", "source", fold=fold).mean
    np.testing.assert_allclose(scores.score("mc", "dann"), expected, atol=1e-6)
    assert len({one.scaling.mean[3] for one in model.folds}) == 2  # of jets, without its part
    rows = uproot.open("scores/higgs.scores.root")["Events"].arrays(library="np")
    method = json.loads(Path("run/recommendation.json").read_text())["method"]
    known = scores.score("mc", method)[label == 1]
    np.testing.assert_allclose(rows["score_signal"][rows["selected"] == 1], known[:, 1], atol=1e-6)
