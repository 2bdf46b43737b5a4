"""The figures of a scan and of the feature layer show the numbers that they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hepdann import plotting
from hepdann.errors import ConfigError
from hepdann.evaluation import open_scores
from hepdann.evaluation.curves import ScanCurves, Sweep, gap_to
from hepdann.evaluation.latent import Embedding, embed
from hepdann.plotting.scan import _at_targets


def line(x, mean, std=0.01):
    x, mean = np.asarray(x, float), np.asarray(mean, float)
    return Sweep(x, mean, np.full(len(mean), std))


SWEEPS = {
    "source-only": line([1, 3, 8], [0.3, 0.5, 0.8]),
    "dann": line([1, 3, 8], [0.6, 0.88, 0.89]),
    "oracle": line([1, 3, 8], [0.89, 0.895, 0.9]),
}


def test_a_line_and_a_band_a_method():
    with plotting.style("CMS"):
        ax = plotting.sweep(SWEEPS, "Target accuracy", "t", below=gap_to(SWEEPS))
    drawn = {entry.get_label(): entry for entry in ax.lines}
    assert list(drawn) == ["source only", "DANN", "oracle"]
    assert np.allclose(drawn["DANN"].get_xydata(), [[1, 0.6], [3, 0.88], [8, 0.89]])
    assert len(ax.collections) == 3
    lower = ax.figure.axes[1]
    assert np.allclose(lower.lines[-2].get_ydata(), [-0.29, -0.015, -0.01])
    assert list(lower.get_xticks()) == [1, 3, 8]
    assert "smaller shift" in lower.get_xlabel()


def test_what_has_no_lambda_is_a_level_across_all_lambda():
    sweeps = {"quantile": line([np.nan], [0.89]), "dann": line([0.1, 0.3, 3], [0.8, 0.85, 0.88])}
    with plotting.style():
        ax = plotting.sweep(sweeps, "Target accuracy", "lambda")
    level, curve = ax.lines
    assert ax.get_xlabel() == r"$\lambda$"
    assert ax.get_xscale() == "log"
    assert tuple(level.get_xdata()) == pytest.approx(ax.get_xlim())
    assert set(level.get_ydata()) == {0.89}
    assert list(curve.get_xdata()) == [0.1, 0.3, 3]


def test_a_lambda_of_zero_has_its_place():
    with plotting.style():
        ax = plotting.sweep({"dann": line([0, 0.1, 1], [0.8, 0.85, 0.88])}, "AUC", "lambda")
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] <= 0


def test_curves_of_a_scan_name_the_classes_as_the_configuration_does():
    group = {"shift": "sine", "t": 3.0, "method": "dann", "lambda": 1.0}
    summary = {"classes": ["background", "signal"], "groups": [group], "choices": []}
    titled = {**summary, "class_titles": ["", "$b$ jets"]}
    for content, names in (
        (summary, ("background", "signal")),
        (titled, ("background", "$b$ jets")),
    ):
        jobs = _at_targets(ScanCurves(Path(), content))
        (draw,) = [job.draw for job in jobs if job.kind == "roc"]
        assert (draw.keywords["background"], draw.keywords["signal"]) == names


def test_without_an_oracle_nothing_is_below_it():
    assert gap_to({"dann": SWEEPS["dann"]}) == {}
    assert np.allclose(gap_to(SWEEPS)["oracle"].mean, 0)


def embedding(kind="tsne", known=True, n=300, seed=1):
    rng = np.random.default_rng(seed)
    domain = np.repeat([0, 1], n // 2)
    label = rng.integers(2, size=n)
    points = rng.normal(size=(n, 2)).astype("f4")
    return Embedding(kind, points, domain, np.where(known | (domain == 0), label, -1), None)


def test_every_event_is_a_mark_and_colours_are_those_of_its_group():
    found = {"source-only": embedding(), "dann": embedding(seed=2)}
    with plotting.style():
        ax = plotting.latent(found, classes=("udsc", "b"), data_name="Pseudo-data")
    panels = ax.figure.axes
    assert len(panels) == 4
    for panel in panels:
        assert sum(len(marks.get_offsets()) for marks in panel.collections) == 300
        colours = {tuple(c) for marks in panel.collections for c in marks.get_facecolors()}
        assert len(colours) == 2
    texts = [text.get_text() for legend in ax.figure.legends for text in legend.get_texts()]
    assert texts == ["MC", "Pseudo-data", "udsc", "b", "MC", "Pseudo-data"]


def test_the_legend_of_ten_classes_stays_within_the_figure():
    with plotting.style():
        ax = plotting.latent({"dann": embedding()}, classes=tuple("0123456789"), data_name="Data")
        figure = ax.figure
        figure.canvas.draw()
    box = figure.legends[1].get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1


def test_data_of_unknown_class_are_said_to_be():
    found = {"source-only": embedding(known=False), "dann": embedding(known=False)}
    with plotting.style():
        ax = plotting.latent(found, classes=("udsc", "b"), data_name="Data")
    texts = [text.get_text() for legend in ax.figure.legends for text in legend.get_texts()]
    assert texts[-1] == "Data (class not known)"


@pytest.fixture
def with_latent(make_run, tmp_path):
    import h5py

    folder = make_run(tmp_path / "run", n=1500)
    rng = np.random.default_rng(0)
    with h5py.File(folder / "scores.h5", "r+") as file:
        for domain, at in (("mc", 0.0), ("target", 3.0)):
            split = file[f"{domain}/split"][...]
            n = int(np.count_nonzero(split == 2))
            for method in ("source-only", "dann"):
                moved = at if method == "source-only" else 0.0
                layer = rng.normal(moved, 1.0, size=(n, 4)).astype("f4")
                file[f"{domain}/latent/{method}"] = layer
    return folder


def test_a_plane_keeps_domains_apart_that_are_apart(with_latent):
    scores = open_scores(with_latent)
    for kind in ("pca", "tsne"):
        before, after = (embed(scores, m, kind, events=300) for m in ("source-only", "dann"))
        assert np.array_equal(embed(scores, "dann", kind, events=300).points, after.points)
        gaps = []
        for found in (before, after):
            assert len(found.points) == len(found.domain) == len(found.label) == 300
            centres = [found.points[found.domain == d].mean(axis=0) for d in (0, 1)]
            gaps.append(np.linalg.norm(centres[0] - centres[1]) / found.points.std())
        assert gaps[0] > 3 * gaps[1]
    assert set(before.label) == {0, 1}
    assert embed(scores, "oracle", "pca") is None


def test_the_feature_layer_is_drawn_where_it_is_asked_for(with_latent):
    assert plotting.figure_names(with_latent)["latent_pca_dann"] == "latent"
    made = plotting.plot_run(with_latent, only=["latent_pca_dann"])
    assert [path.name for path in made] == ["latent_pca_dann.pdf", "latent_pca_dann.png"]
    with pytest.raises(ConfigError, match="latent_pca_dann"):
        plotting.plot_run(with_latent, only=["latent_pca_dan"])
