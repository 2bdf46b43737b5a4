"""A run on a tensor file that holds images."""

from __future__ import annotations

import json
import os
import runpy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.distributed import run as torchrun

import hepdann
from hepdann.calibration import image_families
from hepdann.config import PlotConfig, SplitConfig
from hepdann.domains import prepare
from hepdann.errors import ConfigError, HepdannError, Interrupted
from hepdann.evaluation import open_scores
from hepdann.plotting import plot_run
from hepdann.plotting.quantities import Quantities
from hepdann.plotting.run import wanted_jobs
from hepdann.readers import convert_files
from hepdann.runs import open_run, resume
from hepdann.tensors import Block, Layout, TensorWriter, View, open_tensors, read_images
from hepdann.training import threads
from hepdann_cli.main import hepdann as command

from . import together
from .together import FAST

pytestmark = pytest.mark.usefixtures("few_trees")

PLOTTING = Path(__file__).parents[1] / "plotting"
VIEWS = (View("x", 1, 21, 12), View("u", 1, 21, 6), View("v", 1, 21, 6))


def pictures(n, seed, gain):
    """Straight tracks that begin where the vertex is, and the third of the planes it is in."""
    generator = np.random.default_rng(seed)
    z = generator.random(n)
    views = {}
    for view in VIEWS:
        image = np.zeros((n, *view.shape), np.float32)
        place = np.clip(generator.integers(4, 17, n)[:, None] + np.zeros(view.width, int), 0, 20)
        hit = np.arange(view.width) / view.width >= z[:, None]
        event, column = np.nonzero(hit)
        image[event, 0, place[hit], column] = gain * generator.gamma(4, 0.25, len(event))
        views[view.name] = image
    return views, (3 * z).astype(np.int32), z


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "tensors.h5"
    layout = Layout(
        features=(), spectators=("track_segment", "W"), classes=("a", "b", "c"),
        samples={"mc": ("mc",), "data": ("data",)}, has_truth=True, views=tuple(VIEWS),
    )  # fmt: skip
    capacity = {"mc": 700, "data": 500}
    with TensorWriter(path, layout, capacity=capacity, split=SplitConfig()) as writer:
        for seed, (domain, n, gain) in enumerate((("mc", 700, 1.0), ("data", 500, 1.5))):
            views, label, z = pictures(n, seed, gain)
            track = np.where(z > 0.9, -1, np.clip(3 * z + 0.2, 0, 2).astype(int))
            writer.append(domain, Block(
                features=np.empty((n, 0), np.float32), views=views,
                spectators=np.stack([track, z], axis=1).astype(np.float32),
                weight=np.ones(n, np.float32), sample=np.zeros(n, np.uint16),
                event_id=np.arange(n, dtype=np.uint64) + 10_000 * seed,
                label=label if domain == "mc" else None, truth=label if domain == "data" else None,
            ))  # fmt: skip
        writer.finish({"settings": {}})
    return path


@pytest.fixture(scope="module")
def run(tensors, tmp_path_factory):
    return hepdann.train(tensors, output=tmp_path_factory.mktemp("runs") / "run", **FAST)


def test_networks_see_pixels_and_everything_else_what_sums_them_up(run, tensors):
    assert run.methods == ("source-only", "dann", "oracle", "tracking")
    scores = open_scores(run.folder)
    assert scores.features[:4] == ("energy_x", "hits_x", "first_plane_x", "last_plane_x")
    images = hepdann.open_tensors(tensors).read_views("mc", slice(None))
    assert scores.column("mc", "features")[:, 0] == pytest.approx(images["x"].sum((1, 2, 3)))
    assert run.metrics["diagnosis"]["shift"] is True
    assert run.metrics["recommended"] in ("source-only", "dann")
    assert run.metrics["methods"]["dann"]["domain"]["auc_features"] > 0.5
    rows = np.concatenate([view.reshape(700, -1) for view in images.values()], axis=1)
    again = run.predict(rows, "source", "dann")
    np.testing.assert_allclose(again, scores.score("mc", "dann"), atol=1e-6)


def test_threads_score_side_by_side_to_the_same_bits(run, tensors, monkeypatch):
    monkeypatch.setattr("hepdann.inference.passes._BYTES", 40_000)  # 25 events at a time
    hits, found = read_images(hepdann.open_tensors(tensors), "data", np.arange(500)), []
    before = torch.random.get_rng_state()
    for count in (1, 3):
        with threads(count):
            scores = run.model.score(hits, "dann")
            found.append((scores.members, scores.domain, run.model.latent(hits, "dann")))
    for one, three in zip(*found, strict=True):
        assert np.array_equal(one, three)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_tracking_stands_beside_the_networks_with_an_accuracy_and_no_area(run, tensors):
    block = run.metrics["methods"]["tracking"]
    assert block["mc"]["auc"] is None
    file = hepdann.open_tensors(tensors)
    test = file.column("mc", "split") == 2
    right = file.column("mc", "track_segment") == file.source().label
    assert block["mc"]["accuracy"] == pytest.approx(right[test].mean())
    assert 0.3 < block["target"]["accuracy"] < 0.95
    scores = open_scores(run.folder)
    assert scores.decision("mc", "tracking").shape == (700, 4)
    assert scores.spectator("mc", "W") == pytest.approx(file.column("mc", "W"))
    json.dumps(run.metrics, allow_nan=False)


def test_the_table_says_which_epoch_it_shows_beside_tracking(run, typed):
    shown = typed("evaluate", str(run.folder)).stdout
    assert "tracking" in shown
    assert "of the last epoch (" in " ".join(shown.split())
    assert "None" not in shown


def test_images_in_blocks_and_a_run_that_goes_on_give_the_same_bits(tensors, tmp_path, monkeypatch):
    monkeypatch.setattr("hepdann.tensors.blocks.BLOCK_ROWS", 128)
    monkeypatch.setattr("hepdann.domains.image_stream._WINDOW", 60_000)
    settings = FAST | {"memory": "blocks", "oracle": False, "diagnose": False}
    whole = hepdann.train(tensors, output=tmp_path / "whole", **settings)
    left = iter(range(1000))
    with pytest.raises(Interrupted):
        hepdann.train(
            tensors, output=tmp_path / "cut", stop=lambda: next(left) == 17,
            partial=lambda: False, **settings,
        )  # fmt: skip
    again = resume(tmp_path / "cut")
    for name, part in whole.model.parts.items():
        state = again.model.parts[name].network.state_dict()
        for key, value in part.network.state_dict().items():
            assert np.array_equal(value, state[key]), (name, key)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "quantile+dann"}, "maps the features"),
        ({"alignments": ["quantile"]}, "maps the features"),
        ({"method": "hybrid-dann"}, "shifts of features"),
    ],
)
def test_what_acts_on_single_features_is_refused(tensors, tmp_path, given, said):
    with pytest.raises(ConfigError, match=said):
        hepdann.train(tensors, output=tmp_path / "run", **(FAST | given))


@pytest.mark.parametrize("name", ["energy-scale", "energy-smear+dead-channels"])
def test_pseudo_data_of_images_is_the_same_read_whole_or_in_blocks(tensors, name):
    file = hepdann.open_tensors(tensors)
    shift = hepdann.shifts.get(name, 3)
    whole, blocks = (prepare(file, None, shift, 5, m) for m in ("resident", "blocks"))
    assert whole.kind == "pseudo-data"
    assert not np.intersect1d(whole.source.event_id, whole.target.event_id).size
    np.testing.assert_array_equal(whole.images.target[:], blocks.images.target[:])
    streamed = blocks.images.blocks[1]
    train = whole.target.split == 0
    parts = [streamed.train(block)[0][:] for block in range(len(streamed.counts))]
    np.testing.assert_array_equal(np.concatenate(parts), whole.images.target[:][train])
    raw = file.read_views("mc", np.flatnonzero(np.isin(file.column("mc", "event_id"),
                                                       whole.target.event_id)))  # fmt: skip
    before = np.concatenate([view.reshape(len(view), -1) for view in raw.values()], axis=1)
    after = whole.images.target[:]
    assert (after != before).any()
    assert (after[before == 0] == 0).all()


def test_a_shift_of_features_is_refused(tensors):
    with pytest.raises(ConfigError, match="the shift sine acts on features, and these events"):
        hepdann.train(tensors, shift=hepdann.shifts.sine(t=3), **FAST)


@pytest.mark.parametrize("schema", ["flat", "grouped"])
def test_files_of_the_collaboration_convert_and_train(tmp_path, schema):
    """Written by a script that imports nothing of hepdann."""
    path = Path(__file__).parents[1] / "readers/images/write_hits.py"
    hits = runpy.run_path(str(path))
    sizes = {"x": (13, 8), "u": (13, 4), "v": (13, 4)}
    files = []
    for seed, (name, n) in enumerate((("mc", 1200), ("data", 400)), 1):
        events = hits["make_events"](n, seed, sizes, first_run=1000 * seed)
        files.append(hits[f"write_{schema}"](tmp_path / f"{name}.h5", events))
    mc, data = map(str, files)
    convert_files([mc], [data], truth=data, output=tmp_path / "t.h5")
    run = hepdann.train(tmp_path / "t.h5", output=tmp_path / "run", **FAST | {"epochs": 1})
    assert run.methods[:3] == ("source-only", "dann", "oracle")
    assert 0 < run.metrics["methods"]["dann"]["target"]["accuracy"] < 1
    scores = open_scores(run.folder)
    assert len(scores.score("mc", "dann")[0]) == 11
    assert scores.look("units") == {f"energy_{view}": "MeV" for view in "xuv"}


def test_diagnose_compares_the_figures_of_images(tensors, few_trees, monkeypatch):
    monkeypatch.setattr("sklearn.ensemble.HistGradientBoostingClassifier", few_trees)  # all of them
    done = CliRunner().invoke(command, ["diagnose", str(tensors)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "energy_x" in done.stdout
    assert "Shift in energy_" in done.stdout
    assert "compare the methods with source-only" in " ".join(done.stdout.split())
    assert "align before" not in done.stdout


def test_two_processes_have_the_losses_of_one(tensors, run, tmp_path, capfd):
    """torchrun: each has half of every batch of 40, and the gradients' mean is that of all."""
    port = str(20_000 + os.getpid() % 20_000)
    torchrun.main(
        ["--nproc-per-node", "2", "--master-port", port, together.__file__, str(tensors),
         str(tmp_path / "two")]
    )  # fmt: skip
    assert capfd.readouterr().out.split() == [str(tmp_path / "two")]  # the second is silent
    two = open_run(tmp_path / "two")
    assert two.methods == ("source-only", "dann", "tracking")
    names = [name for name in run.history if name.startswith(("loss", "validation", "domain"))]
    for method in ("source-only", "dann"):
        rows = [one.history["method"] == method for one in (run, two)]
        for name in names if method == "dann" else ("loss_label", "validation_loss"):
            one, both = (h.history[name][r] for h, r in zip((run, two), rows, strict=True))
            np.testing.assert_allclose(both, one, rtol=1e-4, err_msg=f"{method} {name}")


def test_the_figures_of_a_run_on_images_are_drawn_with_their_numbers(run, tmp_path):
    only = ["confusion_purity_mc_tracking", "efficiency_target", "data_mc_segment_dann"]
    only.append("accuracy_W")
    made = plot_run(run.folder, PlotConfig(formats=["png"]), only, output=tmp_path)
    assert sorted(path.stem for path in made) == sorted(only)
    shown = json.loads((tmp_path / "confusion_purity_mc_tracking.json").read_text())
    assert np.sum(shown["sumw"]) == (open_scores(run.folder).column("mc", "split") == 2).sum()
    known = json.loads((tmp_path / "accuracy_W.json").read_text())
    assert set(known) == {"tracking", "source-only", "dann"}


@pytest.mark.parametrize("style", ["ROOT", "CMS"])
def test_nothing_overlaps_in_the_figures_of_segments(run, style):
    labelled = runpy.run_path(str(PLOTTING / "test_boxes.py"))["labelled"]
    drawn, look = Quantities.open(run.folder), PlotConfig(style=style, experiment="MINERvA")
    only = ["confusion_purity_mc_dann", "confusion_log_target_tracking", "accuracy_W"]
    for name in [*only, "efficiency_target", "purity_target", "data_mc_segment_dann"]:
        (job,) = wanted_jobs(drawn, look, [name])
        labelled(partial(job.draw, job.numbers()), look)


def test_the_command_takes_a_network_by_name(tensors, tmp_path, monkeypatch):
    """Which is too large for these images, and says so."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["train", str(tensors), "--network", "minerva-2016"])
    assert isinstance(done.exception, ConfigError)
    assert "smaller than the kernels" in str(done.exception)


def test_a_scan_of_images_trains_the_networks_of_a_training(run, tensors, tmp_path):
    given = {"seeds": 1, "epochs": 2, "batch_size": 40, "network": "run-views"}
    given |= {"augment": FAST["augment"]}
    scan = hepdann.scan(tensors, output=tmp_path / "scan", lambda_=[1.0], **given)
    groups = {group["method"]: group for group in scan.summary["groups"]}
    assert list(groups) == ["source-only", "oracle", "dann"]
    table, history = scan.table, run.history
    for method in groups:
        last = (history["method"] == method) & (history["epoch"] == 2)
        loss = table["loss_label"][table["method"] == method]
        assert loss == pytest.approx(history["loss_label"][last], rel=1e-5)
        wanted = run.metrics["methods"][method]["target"]["accuracy"]
        assert groups[method]["ensemble"]["target_accuracy"] == pytest.approx(wanted, abs=2e-2)
    assert scan.summary["choices"][-1]["criterion"] is None  # nothing without labels compares them


def test_the_energy_scale_of_images_is_measured_from_what_sums_them_up(tensors):
    report = hepdann.calibrate(tensors, families=["energy-scale", "none"])
    assert report.calibration.name == "energy-scale"
    scale = report.calibration.parameters()["energy-scale"]
    assert abs(scale.value - 0.5) < 3 * scale.error < 0.2
    assert report.after.value < report.before.value - 0.05
    mc = prepare(open_tensors(tensors), None, None, 0, "resident").source
    with pytest.raises(HepdannError, match="not the events whose images"):
        report.calibration.apply(mc.features + 1)
    with pytest.raises(ConfigError, match="sine is no shift of images"):
        hepdann.calibrate(tensors, families=["sine"])


def test_the_light_yield_is_a_scale_of_each_view(tensors):
    mc, made = image_families(open_tensors(tensors), ["light-yield"], 0)
    family = made["light-yield"]
    assert family.parameters == ("light-yield(x)", "light-yield(u)", "light-yield(v)")
    moved = family.apply(mc.features, np.array([0.0, 0.1, -0.3]), 0)
    energies = [0, 4, 8]  # of four figures a view
    factors = moved[:, energies].sum(axis=0) / mc.features[:, energies].sum(axis=0)
    np.testing.assert_allclose(factors, [1.0, 1.1, 0.7], rtol=1e-4)
    others = (np.delete(x, energies, axis=1) for x in (moved, mc.features))
    np.testing.assert_array_equal(*others)
