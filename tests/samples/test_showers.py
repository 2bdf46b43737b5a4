"""Showers: what a calorimeter of this kind is known to do, and files that convert reads."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import hepdann
from hepdann.config import load_config
from hepdann.samples import write
from hepdann.samples.showers import LAYERS, STOCHASTIC, STRIPS, THRESHOLD, draw_showers
from hepdann_cli.main import hepdann as command


def drawn(energy, photon, n=4_000):
    showers = draw_showers(np.full(n, energy), np.full(n, photon), np.random.default_rng(1))
    return showers.astype(np.float64)


def test_response_resolution_and_depth_of_the_maximum_are_those_of_the_parametrisation():
    for energy in (10.0, 100.0):
        cells = drawn(energy, 0)
        total = cells.sum((1, 2))
        assert total.mean() == pytest.approx(energy, rel=0.04)  # sides, end and threshold
        stochastic = STOCHASTIC / np.sqrt(energy)
        assert stochastic < total.std() / total.mean() < 1.25 * stochastic
        top = np.log(energy / 0.010) * 1.007 - 1.396  # radiation lengths, 1.5 a layer
        assert cells.mean(0).sum(0).argmax() == int(top / 1.5)
        assert cells.mean(0).sum(1).argmax() == STRIPS // 2


def test_photons_begin_where_they_convert():
    depth = [cells.sum(1) @ np.arange(LAYERS) / cells.sum((1, 2))
             for cells in (drawn(50.0, 0), drawn(50.0, 1))]  # fmt: skip
    assert 1.5 * (depth[1].mean() - depth[0].mean()) == pytest.approx(9 / 7, abs=0.15)
    assert depth[1].std() > 1.3 * depth[0].std()


def test_the_files_are_converted_to_the_cells_that_were_drawn(tmp_path):
    (path,) = write("showers", tmp_path, 30, 5)
    config = load_config("showers")
    hepdann.convert(path, config=config, output=tmp_path / "s.h5")
    tensors = hepdann.open_tensors(tmp_path / "s.h5")
    assert [view.shape for view in tensors.views] == [(1, STRIPS, LAYERS)]
    assert tensors.classes == ("electron", "photon")
    cells = tensors.read_views("mc", slice(0, 30))["x"][:, 0]
    energy = tensors.column("mc", "energy")
    assert (cells.sum((1, 2)) / energy).mean() == pytest.approx(0.98, abs=0.03)
    assert cells[cells > 0].min() >= THRESHOLD


def test_the_command_says_how_they_are_converted(tmp_path):
    result = CliRunner().invoke(command, ["simulate", "showers", "-o", str(tmp_path / "s"),
                                          "--events", "20"])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "--config showers" in result.stdout
