"""Figures that judge scores: their artists say what the numbers say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hepdann import evaluation, plotting, stats
from hepdann.config import PlotConfig
from hepdann.plotting import plot_run
from hepdann.plotting.run import DEFAULT_KINDS, figure_names
from hepdann.registry import FIGURES

PNG = PlotConfig(formats=["png"])


def test_a_confusion_matrix_prints_per_cent_of_each_true_class():
    rng = np.random.default_rng(1)
    score, label = rng.random(500), rng.integers(2, size=500)
    numbers = stats.confusion(score, label)
    ax = plotting.confusion(numbers, ["uds", "b"], title="toy")
    shown = np.array([float(text.get_text()) for text in ax.texts]).reshape(2, 2)
    np.testing.assert_allclose(shown.sum(axis=0), 100, atol=0.11)
    np.testing.assert_allclose(shown, 100 * numbers.efficiency, atol=0.051)
    purity = plotting.confusion(numbers, ["uds", "b"], normalise="purity")
    shown = np.array([float(text.get_text()) for text in purity.texts]).reshape(2, 2)
    np.testing.assert_allclose(shown.sum(axis=1), 100, atol=0.11)
    assert (ax.get_ylabel(), ax.get_xlabel().split("\n")[0]) == ("Predicted class", "True class")
    words = {"what": "segment", "given": "reconstructed"}
    other = plotting.confusion(numbers, ["uds", "b"], normalise="purity", **words)
    assert other.get_ylabel() == "Reconstructed segment"
    assert other.get_xlabel().split("\n") == [
        "True segment", "share of each reconstructed segment [%]"
    ]  # fmt: skip


def test_an_empty_class_leaves_its_cells_empty():
    numbers = stats.confusion(np.array([0.2, 0.8]), np.array([0, 0]))
    for kind in ("efficiency", "log"):
        texts = [t.get_text() for t in plotting.confusion(numbers, "ab", normalise=kind).texts]
        assert len(texts) == 2


def test_large_matrices_have_a_bar_instead_of_numbers():
    names = [f"x{i}" for i in range(20)]
    ax = plotting.correlation(np.eye(20), names)
    assert not ax.texts
    assert len(ax.child_axes) == 1


def test_importance_has_a_bar_a_feature_and_question():
    one = [evaluation.Importance(n, loss, 0.01) for n, loss in (("a", 0.3), ("b", 0.1))]
    ax = plotting.importance(one, one[::-1])
    assert sorted(round(p.get_width(), 3) for p in ax.patches) == [0.1, 0.1, 0.3, 0.3]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]


def test_default_and_on_demand(run_folder, tmp_path):
    kinds = figure_names(run_folder)
    # this run has no model, no images and no nuisance
    absent = {"importance", "misclassified", "nuisance", "segments"}
    assert set(kinds.values()) == set(FIGURES) - absent
    wanted = ["calibration", "correlation", "confusion_target_dann", "efficiency_multip"]
    made = plot_run(run_folder, PNG, wanted, output=tmp_path)
    stems = list(dict.fromkeys(file.stem for file in made))
    assert stems == [
        "calibration_mc", "calibration_target", "confusion_target_dann", "correlation_mc",
        "correlation_target", "correlation_difference", "efficiency_multip",
    ]  # fmt: skip
    assert "confusion" not in DEFAULT_KINDS


def test_numbers_stand_beside_each_figure(run_folder, tmp_path):
    plot_run(
        run_folder,
        PNG,
        ["roc", "calibration_mc", "data_mc_multip", "correlation_mc"],
        output=tmp_path,
    )
    roc = json.loads((tmp_path / "roc_target.json").read_text())
    assert roc["dann"]["thresholds"][0] is None  # infinity
    found = evaluation.curves.run_roc(evaluation.open_scores(run_folder), "target", "dann")
    assert roc["dann"]["auc"]["value"] == found.auc.value
    compared = json.loads((tmp_path / "data_mc_multip.json").read_text())["shown"]
    assert len(compared["data"]["edges"]) == len(compared["data"]["sumw"]) + 1
    assert "quantile" not in json.loads((tmp_path / "roc_mc.json").read_text())
    matrix = json.loads((tmp_path / "correlation_mc.json").read_text())
    assert len(matrix["features"]) == len(matrix["correlation"]) == 6
    calibration = json.loads((tmp_path / "calibration_mc.json").read_text())
    assert "quantile" not in calibration, "on MC its networks are those of source-only"
    assert 0 < calibration["dann"]["expected"]["value"] < 1


def test_no_probability_has_an_axis_beyond_one(run_folder):
    """Not even for a legend of many methods, which shrinks instead."""
    edges = np.linspace(0, 1, 9)
    names = ("source-only", "quantile", "affine+quantile", "dann", "guard", "oracle")
    profile = evaluation.EfficiencyProfile(edges, np.linspace(0.5, 0.99, 8), 0.02 * np.ones(8))
    for log in (False, True):
        ax = plotting.efficiency(dict.fromkeys(names, profile), "x", log=log, title="MC, 70%")
        assert ax.get_ylim()[1] == 1.0
    rng = np.random.default_rng(2)
    score = rng.random(4000)
    one = stats.calibration_curve(score, rng.random(4000) < score)
    ax = plotting.calibration(dict.fromkeys(names, one), title="Pseudo-data, sine t = 3")
    assert ax.get_ylim() == (0.0, 1.0)
    legend = ax.get_legend().get_window_extent()
    points = ax.transData.transform(np.column_stack([one.score, one.signal]))
    assert not any(legend.contains(*point) for point in points)


@pytest.mark.parametrize("log", [False, True])
def test_an_efficiency_keeps_its_legend_off_the_points(log):
    edges = np.linspace(0, 1, 9)
    value = np.linspace(0.02, 0.9, 8)
    profile = evaluation.EfficiencyProfile(edges, value, 0.02 * np.ones(8))
    ax = plotting.efficiency({"dann": profile}, "x", log=log, title="70%")
    box = ax.get_legend().get_window_extent()
    points = ax.transData.transform(np.column_stack([0.5 * (edges[1:] + edges[:-1]), value]))
    assert not any(box.contains(*point) for point in points)


def test_the_bars_of_many_methods_span_their_bin_however_narrow():
    edges = np.array([0.0, 1.0, 1.01, 1.02, 50.0])
    profile = evaluation.EfficiencyProfile(edges, np.full(4, 0.5), np.full(4, 0.01))
    ax = plotting.efficiency(dict.fromkeys("abcdef", profile), "x")
    spans = [s for c in ax.collections for s in c.get_segments() if s[0][1] == s[1][1]]
    assert len(spans) == 6 * 4
    for span in spans:
        assert np.abs(edges - span[0][0]).min() < 1e-9
        assert np.abs(edges - span[1][0]).min() < 1e-9


def test_misclassified_pictures_are_titled_with_both_classes():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
    true, given = np.array([0, 1, 2, 0, 1]), np.array([1, 0, 1, 2, 2])
    score = np.linspace(0.95, 0.55, 5)
    numbers = plotting.Misclassified(images, true, given, score, wrong=9, events=200)
    names = ["circle", "square", "triangle"]
    ax = plotting.misclassified(numbers, names, title="dann, MC")
    panels = ax.child_axes
    for panel, image in zip(panels, images, strict=True):
        np.testing.assert_array_equal(panel.images[0].get_array(), image)
    assert panels[0].get_title().replace(r"$\to$", "to") == "circle to square, 95 %"
    assert panels[4].get_title().replace(r"$\to$", "to") == "square to triangle, 55 %"
    assert ax.get_xlabel().startswith("dann, MC: 9 of 200 wrong")
