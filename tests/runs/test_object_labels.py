"""Objects with classes: from a list in MC to a score of each object in every list of a file."""

from __future__ import annotations

import re
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import torch
import uproot
from click.testing import CliRunner

import hepdann
from hepdann import shifts
from hepdann.domains import prepare
from hepdann.errors import ConfigError
from hepdann.evaluation import open_scores
from hepdann.inference import Model, object_scores, predict
from hepdann.runs import open_run
from hepdann.tensors import open_tensors, read_images
from hepdann_cli.main import hepdann as program

FAST = {"seeds": 1, "batch_size": 32, "extractor": [16], "diagnose": False, "alignments": []}
JETS = {"features": ["jet_x", "jet_z"], "cut": "jet_pt > 10", "sort": "jet_pt", "max": 5}
LABEL = {"branch": "jet_flavour", "classes": {"light": 0, "charm": 4, "bottom": [5, -5]}}


def write(path, events, seed, *, simulated):
    """Jets whose flavour follows from x and z; the event is signal with two bottoms."""
    random = np.random.default_rng(seed)
    counts = random.poisson(4, events)
    x, z = random.normal(size=(2, counts.sum()))
    sign = random.choice([-5, 5], len(x))
    flavour = np.where(x > 0.5, sign, np.where(z > 0, 4, np.where(z > -2, 0, 21)))
    lists = {"jet_x": x, "jet_z": z, "jet_pt": random.exponential(40, len(x))}
    columns = {"event": np.arange(events) + 10_000 * seed}
    if simulated:
        lists["jet_flavour"] = flavour
        bottoms = np.bincount(np.repeat(np.arange(events), counts), abs(flavour) == 5, events)
        columns["y"] = (bottoms > 1).astype("i4")
    with uproot.recreate(path) as file:
        types = {n: f"var * {v.dtype}" for n, v in lists.items()}
        tree = file.mktree("events", types | {n: v.dtype for n, v in columns.items()})
        tree.extend({n: ak.unflatten(v, counts) for n, v in lists.items()} | columns)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    return (
        write(folder / "mc.root", 700, 1, simulated=True),
        write(folder / "data.root", 300, 2, simulated=False),
    )


@pytest.fixture(scope="module")
def tensors(files):
    return hepdann.convert(
        *files, output=files[0].with_name("t.h5"), label="y", features=[], event_id=["event"],
        objects={"jets": JETS | {"label": LABEL}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tensors, files):
    return hepdann.train(tensors, output=files[0].with_name("run"), method="dann", epochs=6, **FAST)


def test_labels_run_along_cut_sorted_and_truncated_objects(tensors, files, tmp_path):
    (collection,) = tensors.objects
    assert collection.classes == ("light", "charm", "bottom")
    jets = uproot.open(files[0])["events"].arrays(["jet_pt", "jet_flavour"])
    hard = jets.jet_pt > 10
    order = ak.argsort(jets.jet_pt[hard], ascending=False, stable=True)
    flavour = np.abs(ak.to_numpy(ak.flatten(jets.jet_flavour[hard][order][:, :5])))
    expected = np.select([flavour == 0, flavour == 4, flavour == 5], [0, 1, 2], -1)
    (part,) = read_images(tensors, "mc", labelled=True).parts
    assert np.array_equal(part.numbers["label"], expected)
    assert (expected == -1).any()
    with tensors.read() as h5:
        assert "label" not in h5["data/objects/jets"]
        signal = h5["mc/label"][...] == 1
    copy = tmp_path / "copy.h5"
    command = ["tensors", "slice", str(tensors.path), "--cut", "label == 1", "--domain", "mc",
               "-o", str(copy)]  # fmt: skip
    assert CliRunner().invoke(program, command).exit_code == 0
    kept = read_images(open_tensors(copy), "mc", labelled=True).parts[0]
    assert np.array_equal(kept.numbers["label"], part.take(signal).numbers["label"])


def test_the_command_names_a_list_and_its_values(files, tmp_path):
    command = ["convert", str(files[0]), "--label", "y", "--objects", "jets:jet_x",
               "--object-label", "jets:jet_flavour=0,-5", "-o", str(tmp_path / "t.h5")]  # fmt: skip
    result = CliRunner().invoke(program, command)
    assert result.exit_code == 0
    assert re.search(r"note: mc: classes of jets: 0: [\d,]+, -5: [\d,]+", result.output)
    assert open_tensors(tmp_path / "t.h5").objects[0].classes == ("0", "-5")
    command[-3] = "jets:jet_flavour"
    result = CliRunner().invoke(program, command)
    assert result.exit_code == 2
    assert "NAME:LIST=VALUES" in result.stderr
    for values, message in (("77", "classes: needs at least 2"), ("77,78", "no object of 'jets'")):
        command[-3] = f"jets:jet_flavour={values}"
        result = CliRunner().invoke(program, command)
        assert isinstance(result.exception, ConfigError)
        assert message in str(result.exception)


def test_the_head_of_objects_learns_beside_the_adversary(run, tensors):
    for method in ("source-only", "dann"):
        figures = run.metrics["methods"][method]["objects"]["jets"]
        assert figures["accuracy"] > 0.75  # of three classes, the largest of a third
        assert figures["auc"] > 0.9
    shown = CliRunner().invoke(program, ["evaluate", str(run.folder)]).stdout
    assert "Objects of jets, of MC" in shown
    ((part, scores),) = open_scores(run.folder).objects("dann").values()
    events, model = read_images(tensors, "mc"), open_run(run.folder).model
    np.testing.assert_allclose(scores, object_scores(model, events, "dann", "source")["jets"],
                               atol=1e-6)  # fmt: skip
    assert np.array_equal(part.start, events.parts[0].start)


def test_scores_follow_their_objects_whatever_the_order_and_the_room(run, tensors):
    model, events = open_run(run.folder).model, read_images(tensors, "data", np.arange(40))
    (part,) = events.parts
    expected = object_scores(model, events, "dann")["jets"]
    event = np.repeat(np.arange(len(part)), part.counts)
    order = np.lexsort((np.random.default_rng(0).random(len(event)), event))
    mixed = replace(events, parts=(replace(part, values=part.values[order]),))
    scores = object_scores(model, mixed, "dann")["jets"]
    np.testing.assert_allclose(scores, expected[order], atol=1e-6)
    alone = [
        object_scores(model, events.take(np.array([row])), "dann")["jets"] for row in range(40)
    ]
    np.testing.assert_allclose(np.concatenate(alone), expected, atol=1e-6)
    both = Model.of_folds((model, model), 0)
    folds = object_scores(both, events, "dann", fold=np.arange(40) % 2)
    np.testing.assert_allclose(folds["jets"], expected, atol=1e-6)


def test_lists_of_scores_run_along_those_of_the_file(run, files, tensors, tmp_path):
    (output,) = predict(run, files[1], output=tmp_path, method="dann").outputs
    scores = uproot.open(output)["events"].arrays()
    jets = uproot.open(files[1])["events"].arrays()
    assert ak.all(ak.num(scores.score_jets_bottom) == ak.num(jets.jet_pt))
    rank = ak.argsort(ak.argsort(jets.jet_pt, ascending=False))
    kept = (jets.jet_pt > 10) & (rank < 5)
    assert ak.all(np.isnan(scores.score_jets_bottom) == ~kept)
    order = ak.argsort(jets.jet_pt, ascending=False, stable=True)
    bottom = scores.score_jets_bottom[order][kept[order]]
    model = open_run(run.folder).model
    expected = object_scores(model, read_images(tensors, "data"), "dann")["jets"]
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(bottom)), expected[:, 2], atol=1e-6)
    (rows,) = predict(run, files[1], output=tmp_path / "h5", method="dann", format="hdf5").outputs
    import h5py

    with h5py.File(rows) as file:
        lists = file["score_jets_bottom"][...]
    np.testing.assert_array_equal(np.concatenate(lists), ak.flatten(scores.score_jets_bottom))


def test_objects_that_stand_in_for_data_have_no_classes(tensors):
    domains = prepare(tensors, None, shifts.missing_objects(4), 0, "resident")
    source, target = domains.objects
    assert "label" in source.parts[0].numbers
    assert not target.parts[0].numbers
    assert (target.labelled(np.arange(5))[:, -5:] == -1).all()


def test_without_a_weight_for_them_a_training_does_not_see_the_classes(files, tensors, tmp_path):
    plain = hepdann.convert(
        *files, output=tmp_path / "t.h5", label="y", features=[], event_id=["event"],
        objects={"jets": JETS},
    )  # fmt: skip
    states = []
    for number, (file, more) in enumerate(((plain, {}), (tensors, {"object_weight": 0}))):
        run = hepdann.train(
            file, output=tmp_path / str(number), method="source-only", epochs=1, **FAST, **more
        )
        assert "objects" not in run.metrics["methods"]["source-only"]
        states.append(open_run(run.folder).model.parts["source-only"].network.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
