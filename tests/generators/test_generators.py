"""Generators: physics that holds by construction, resume to the same bits, files to convert."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
import uproot
from click.testing import CliRunner

import hepdann
from hepdann.config import load_config
from hepdann.errors import ConfigError, Interrupted, RunError
from hepdann.generators import compare_showers, open_generator, train_generator, training
from hepdann.networks.generators import ShowerCritic, ShowerGenerator
from hepdann.plotting.axes import frame
from hepdann.samples import write
from hepdann.samples.showers import LAYERS, STRIPS, draw_showers
from hepdann_cli.main import hepdann as command

SMALL = {"conditions": ["energy"], "steps": 4, "batch_size": 16, "critic_steps": 2,
         "hidden": [8], "latent": 2, "seed": 3}  # fmt: skip


@pytest.fixture(scope="module")
def showers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("showers")
    (mc,) = write("showers", folder, 700, 1)
    hepdann.convert(mc, config=load_config("showers"), output=folder / "s.h5")
    return folder / "s.h5"


@pytest.fixture(scope="module")
def trained(showers):
    """A generator that was trained in one piece."""
    folder = showers.with_name("whole")
    train_generator(showers, folder, SMALL)
    return folder


def cells_of(n, seed, scale=1.0):
    generator = np.random.default_rng(seed)
    energy = generator.uniform(10, 100, n)
    return scale * draw_showers(energy, np.zeros(n, int), generator), energy[:, None]


def test_a_shower_has_the_energy_that_its_response_says():
    cells, energy = (torch.from_numpy(z).float() for z in cells_of(400, 1))
    generator, critic = ShowerGenerator((STRIPS, LAYERS), 1, [8], 2), ShowerCritic(
        (STRIPS, LAYERS), 1, [8])  # fmt: skip
    for network in (generator, critic):
        network.fit(cells[:, None], energy)
    mean, spread = generator.expected(energy)
    expected = 0.12 / energy.sqrt() / 0.97
    assert ((spread / expected).mean() - 1).abs() < 0.1
    with torch.no_grad():
        drawn = generator(torch.randn(400, generator.noise), energy)
    response = drawn.sum((1, 2, 3))[:, None] / energy
    assert ((response - mean) / spread).std() == pytest.approx(1.0, abs=0.15)
    read = generator.read_out(drawn)
    torch.testing.assert_close(read.sum((1, 2, 3)), drawn.sum((1, 2, 3)))
    assert read[read > 0].min() >= generator.least
    seen = critic.look(drawn, energy)[:, -2]
    torch.testing.assert_close(seen[:, None], (response - mean) / spread, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("stops", ["asked", "killed"])
def test_a_training_that_was_stopped_ends_in_the_same_bits(
    showers, trained, tmp_path, monkeypatch, killed, stops
):
    monkeypatch.setattr(training, "_EVERY", 2)
    if stops == "killed":  # the last checkpoint is a step older
        killed(lambda stop: train_generator(showers, tmp_path / "run", SMALL, stop=stop), 3)
    else:
        asked = iter([False, True])
        with pytest.raises(Interrupted):
            train_generator(showers, tmp_path / "run", SMALL, stop=lambda: next(asked))
    with pytest.raises(RunError, match="--resume"):
        open_generator(tmp_path / "run")
    train_generator(None, tmp_path / "run", resume=True)
    whole, again = (f / "generator.safetensors" for f in (trained, tmp_path / "run"))
    assert whole.read_bytes() == again.read_bytes()
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_showers_train_on_one_thread(showers, tmp_path):
    used, before = set(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        watch = lambda *_: used.add(torch.get_num_threads())  # noqa: E731
        train_generator(showers, tmp_path / "run", SMALL, progress=watch)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert used == {1}


def test_what_cannot_be_trained_is_refused(showers, trained, tmp_path):
    for settings, message in (
        ({}, "energy of their particle"),
        ({"conditions": ["mass"]}, "no column 'mass'"),
        ({**SMALL, "hiden": 3}, "no setting 'hiden'"),
        ({**SMALL, "steps": 0}, "generate.steps"),
        ({**SMALL, "batch_size": 600}, "less than a batch"),
    ):
        with pytest.raises(hepdann.errors.HepdannError, match=message):
            train_generator(showers, tmp_path / "new", settings)
    with pytest.raises(RunError, match="never overwritten"):
        train_generator(showers, trained, SMALL)
    with pytest.raises(RunError, match="no generator is here"):
        open_generator(tmp_path)
    for key, wrong in (("hidden", [9]), ("hidden", [1 << 20] * 3), ("conditions", [])):
        header = json.loads(json.dumps({"key": key, "wrong": wrong}))
        damaged(trained, tmp_path / "bad.safetensors", header)
        with pytest.raises(RunError, match="is damaged"):
            training.Generator.read(tmp_path / "bad.safetensors")


def damaged(folder, path, change):
    """A copy of a generator whose header claims another setting."""
    raw = (folder / "generator.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    ours = json.loads(header["__metadata__"]["hepdann"])
    ours["settings"][change["key"]] = change["wrong"]
    header["__metadata__"]["hepdann"] = json.dumps(ours)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + size :])


def test_the_commands_train_judge_show_and_draw(showers, tmp_path, monkeypatch, typed):
    figures = []

    def save(ax, stem, formats):
        figures.append(stem.name)
        return []

    monkeypatch.setattr("hepdann.plotting.generated._SHAPES", {"depth": "Depth"})
    monkeypatch.setattr("hepdann.plotting.axes.label.save", save)
    matrix = "hepdann.plotting.generated.correlation"  # of 256 numbers: its own test draws one
    monkeypatch.setattr(matrix, lambda *_, **__: frame.new_axes()[0])

    def run(*words):
        done = typed("generate", *words)
        assert done.code == 0, done.stderr
        return done.stdout

    folder = tmp_path / "run"
    said = run("train", showers, "--condition", "energy", "--steps", 2, "--batch-size", 16,
               "--hidden", "8", "--latent", 2, "-o", folder)  # fmt: skip
    assert "mean response within" in said
    content = json.loads((folder / "validation.json").read_text())
    assert content["showers"]["ks"]["along"] < 0.2
    assert {"gallery", "response", "resolution", "profile_along"} < set(figures)
    assert {"correlation_simulation", "correlation_generator", "shape_depth"} < set(figures)
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    names = figures[:]
    assert "0 figures" in typed("plot", again, "--style", "CMS").stdout
    assert figures == 2 * names
    assert typed("evaluate", folder).stdout in said
    for show in ("evaluate", "inspect"):
        known = json.loads(typed(show, again, "--json").stdout)
        assert known.get("validation", known) == content
    table = typed("compare", folder, again, "--csv", tmp_path / "t.csv").stdout
    for word in ("run", "again", "wgan-gp", f"{content['showers']['worst_response']:.4f}"):
        assert word in table
    assert "ks_profiles" in (tmp_path / "t.csv").read_text()
    monkeypatch.setattr("hepdann.plotting.generated._curves", lambda *_: None)
    monkeypatch.setattr("hepdann.plotting.axes.label.save", frame.save)
    assert typed("report", folder, again, "-o", tmp_path / "r.html").code == 0
    page = (tmp_path / "r.html").read_text()
    assert page.count("data:image/png;base64") == 2
    for name in ("d.h5", "d.root"):
        run("sample", folder, "--events", 60, "--at", "energy=50", "--at", "class=photon",
            "-o", tmp_path / name)  # fmt: skip
    tensors = hepdann.open_tensors(tmp_path / "d.h5")
    assert not tensors.verify()
    cells = tensors.read_views("mc", slice(0, 60))["x"]
    tree = uproot.open(tmp_path / "d.root")["showers"].arrays(["energy", "particle"], library="np")
    assert set(tree["energy"]) == {50.0}
    assert set(tree["particle"]) == {1}
    hits = uproot.open(tmp_path / "d.root")["showers"].arrays(library="ak")
    np.testing.assert_allclose([float(sum(h)) for h in hits["hit_energy"]], cells.sum((1, 2, 3)),
                               rtol=1e-5)  # fmt: skip
    for at in ({"mass": "3"}, {"energy": "-3"}, {"class": "muon"}, {"energy": "x"}):
        with pytest.raises(ConfigError, match="--at"):
            open_generator(folder).conditions(5, 0, at)


def test_pictures_are_drawn_of_the_class_that_is_asked_for(tmp_path):
    generator = np.random.default_rng(0)
    label = np.arange(200) % 2
    images = (generator.random((200, 8, 8)) < 0.1 + 0.7 * label[:, None, None]) * np.uint8(255)
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["image"], file["label"] = images, label
    hepdann.convert(tmp_path / "p.h5", output=tmp_path / "t.h5")
    settings = {"steps": 80, "batch_size": 32, "hidden": [8, 8], "latent": 4, "average": 0.8,
                "learning_rate": 0.01}  # fmt: skip
    made = train_generator(tmp_path / "t.h5", tmp_path / "run", settings)
    drawn = [made.draw(*made.conditions(50, 0, {"class": name})).mean() for name in ("0", "1")]
    assert drawn[0] < drawn[1] - 0.2
    result = CliRunner().invoke(command, ["generate", "sample", str(tmp_path / "run"), "--events",
                                          "30", "-o", str(tmp_path / "d.h5")])  # fmt: skip
    assert result.exit_code == 0, result.output
    tensors = hepdann.open_tensors(tmp_path / "d.h5")
    assert tensors.views[0].pictures
    assert len(set(tensors.source().label)) == 2


def test_what_lies_outside_of_the_training_is_said(trained):
    made = open_generator(trained)
    assert made.beyond(made.conditions(9, 0)[0]) == []
    (line,) = made.beyond(made.conditions(9, 0, {"energy": "5000"})[0])
    assert line.startswith("energy is asked for outside of what was trained on")


def test_showers_of_the_same_kind_are_not_distinguished_and_others_are():
    (first, energy), (other, _) = cells_of(800, 1), cells_of(800, 1, 1.05)
    same = draw_showers(energy[:, 0], np.zeros(800, int), np.random.default_rng(2))
    equal, apart = (compare_showers(first, z, energy) for z in (same, other))
    assert max(equal.ks.values()) < 0.1
    assert equal.auc["shapes"] == pytest.approx(0.5, abs=0.07)
    assert apart.worst_response == pytest.approx(0.05, abs=1e-6)
    assert apart.auc["shapes"] > 0.7
