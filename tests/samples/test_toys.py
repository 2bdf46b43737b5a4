"""Small toys: what is known of them in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepdann.samples import TOYS, write
from hepdann.samples.toys import draw
from hepdann.stats import auc, kolmogorov


@pytest.mark.parametrize("name", sorted(TOYS))
def test_files_hold_the_same_columns_and_data_no_label(name, tmp_path):
    mc, data, truth = write(name, tmp_path, 500, 3, truth=True)
    tree, label = TOYS[name].tree, TOYS[name].label
    columns = [uproot.open(path)[tree].arrays(library="np") for path in (mc, data, truth)]
    assert label in columns[0]
    assert label not in columns[1]
    assert set(TOYS[name].spectators) < set(columns[1])
    assert set(columns[2]) == set(columns[0])
    longer = draw(name, 900, 3, "data")
    assert all(np.allclose(columns[1][key], longer[key][:500]) for key in columns[1])


def test_a_nuisance_moves_the_signal_alone():
    toy = draw("pivot", 60_000)
    signal = toy["label"] == 1
    assert np.cov(toy["x1"][~signal], toy["x2"][~signal])[0, 1] == pytest.approx(-0.5, abs=0.02)
    assert np.polyfit(toy["z"][signal], toy["x2"][signal], 1) == pytest.approx([1, 1], abs=0.02)
    assert kolmogorov(toy["z"][signal], toy["z"][~signal])[0] < 0.02


def test_the_mixtures_have_their_fractions_and_the_best_auc():
    toy = draw("mixtures", 50_000, domain="data")
    for mixture, fraction in ((1, 0.8), (0, 0.2)):
        assert toy["label"][toy["mixture"] == mixture].mean() == pytest.approx(fraction, abs=0.01)
    assert auc(toy["x"], toy["label"]).value == pytest.approx(0.9214, abs=0.003)


def test_no_feature_of_the_bags_has_a_mean_that_tells_the_classes():
    toy = draw("proportions", 50_000, domain="data")
    for bag, fraction in ((1, 0.7), (0, 0.4)):
        assert toy["label"][toy["bag"] == bag].mean() == pytest.approx(fraction, abs=0.01)
    for name in ("x1", "x2", "x3"):
        assert auc(toy[name], toy["label"]).value == pytest.approx(0.5, abs=0.01)
