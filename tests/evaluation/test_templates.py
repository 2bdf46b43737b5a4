"""Templates hold what they say: sums, scales, blind bins, edges."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from hepdann.config import PlotConfig
from hepdann.errors import HepdannError, RunError
from hepdann.evaluation import RunColumns, TemplateSettings, fill_templates, open_scores
from hepdann.evaluation.templates import blind_windows
from hepdann.stats.histograms import equal_signal_edges, significance, significance_edges

from ..template_run import WEIGHTS, write_template_run

SETTINGS = TemplateSettings(method="dann", variations=True)


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
    return write_template_run(tmp_path_factory.mktemp("templates") / "run")


def columns_of(folder):
    scores = open_scores(folder)
    names = ("label", "sample", "split", "weight")
    return scores, {name: scores.column("mc", name) for name in names}


def test_a_template_is_the_weighted_sum_scaled_to_the_yield_of_all_events(folder):
    scores, mc = columns_of(folder)
    found = fill_templates(folder, SETTINGS)
    assert [s.name for s in found.samples] == ["top_background", "top_signal", "W_jets"]
    test = mc["split"] == 2
    score = scores.score("mc", "dann")[:, 1]
    tensors = scores.tensor_rows("mc").tensors
    for sample, (process, class_) in zip(found.samples, [(0, 0), (0, 1), (1, 0)], strict=True):
        group = (mc["sample"] == process) & (mc["label"] == class_)
        weights = {"nominal": mc["weight"]}
        weights |= {name: tensors.column("mc", f"weights/{name}") for name in WEIGHTS}
        for name, weight in weights.items():
            one, w = found.mc["all", sample.name][name], weight.astype(float)
            assert one.sumw.sum() == pytest.approx(w[group].sum(), rel=1e-6)
            scale = w[group].sum() / w[group & test].sum()
            kept = group & test & (score >= 0.3) & (score < 0.4)
            assert one.sumw[3] == pytest.approx(scale * w[kept].sum(), rel=1e-6)
            assert one.sumw2[3] == pytest.approx(scale**2 * (w[kept] ** 2).sum(), rel=1e-6)
    assert found.data["all"].sumw.sum() == len(scores.column("target", "weight"))


def test_regions_share_the_events_and_any_expression_can_be_filled(folder):
    regions = {"SR": "score > 0.5 && njets >= 1", "CR": "!(score > 0.5 && njets >= 1)"}
    settings = TemplateSettings(of="abs(x)", method="dann", bins=[0, 1, 9], regions=regions)
    parts, whole = fill_templates(folder, settings), fill_templates(
        folder, replace(settings, regions={})
    )  # fmt: skip
    for name in (s.name for s in whole.samples):
        both = sum(parts.mc[region, name]["nominal"].sumw for region in regions)
        np.testing.assert_allclose(both, whole.mc["all", name]["nominal"].sumw)
    both = sum(parts.data[region].sumw for region in regions)
    np.testing.assert_array_equal(both, whole.data["all"].sumw)


def test_events_that_trained_are_filled_only_if_asked_for(folder, tmp_path):
    whole = fill_templates(folder, replace(SETTINGS, include_training=True))
    test = fill_templates(folder, SETTINGS)
    assert all(s.scale == 1 for s in whole.samples)
    assert sum(s.events for s in whole.samples) == 4000
    assert sum(s.events for s in test.samples) < 700
    trained = write_template_run(tmp_path / "trained", n=300)
    with h5py.File(trained / "scores.h5", "r+") as file:
        file["mc/split"][...] = 0
    with pytest.raises(RunError, match=r"trained a network.*--include-training"):
        fill_templates(trained, SETTINGS)


def test_all_events_of_a_run_in_folds_are_filled(tmp_path):
    folded = write_template_run(tmp_path / "folded")
    with h5py.File(folded / "scores.h5", "r+") as file:
        file.attrs["folds"] = 2
        for domain in ("mc", "target"):
            file[f"{domain}/fold"] = (file[f"{domain}/event_id"][...] % 2).astype(np.uint8)
    found = fill_templates(folded, SETTINGS)
    assert sum(s.events for s in found.samples) == 4000
    assert all(s.scale == 1 for s in found.samples)


def test_blind_bins_hold_no_data_whatever_touches_them(folder):
    open_ = fill_templates(folder, SETTINGS)
    blind = fill_templates(folder, replace(SETTINGS, blind=[(0.45, 0.51), (0.95, 2.0)]))
    assert np.flatnonzero(blind.blind).tolist() == [4, 5, 9]
    for name in ("sumw", "sumw2"):
        values = getattr(blind.data["all"], name)
        assert not values[blind.blind].any()
        np.testing.assert_array_equal(
            values[~blind.blind], getattr(open_.data["all"], name)[~blind.blind]
        )
    for key, variations in open_.mc.items():
        np.testing.assert_array_equal(
            blind.mc[key]["nominal"].sumw, variations["nominal"].sumw
        )  # fmt: skip
    ends = fill_templates(folder, TemplateSettings(of="x", bins=[0, 1, 2], blind=[(1.5, 3)],
                                                   method="dann"))  # fmt: skip
    assert ends.data["all"].overflow == (0.0, 0.0)
    assert ends.data["all"].underflow[0] > 0


@pytest.mark.parametrize(
    ("figure", "blinds"),
    [
        ({"variable": "score.dann", "blind": [0.5, 1]}, True),
        ({"variable": "`score.dann.signal`", "blind": [0.5, 1]}, True),
        ({"variable": "score.`source-only`", "blind": [0.5, 1]}, None),
        ({"variable": "`score.source-only`", "blind": [0.5, 1]}, False),
        ({"kind": "scores", "blind": [0.5, 1]}, True),
        ({"kind": "scores", "methods": "source-only", "blind": [0.5, 1]}, False),
        ({"kind": "scores", "signal": "background", "blind": [0.5, 1]}, False),
        ({"variable": "x", "blind": [0.5, 1]}, False),
    ],
)
def test_a_figure_that_is_blind_in_the_quantity_blinds_the_template(folder, figure, blinds):
    columns = RunColumns(open_scores(folder), method="dann")
    plots = PlotConfig.model_validate({"figures": [figure]})
    if blinds is None:
        with pytest.raises(HepdannError):
            blind_windows(plots, columns, "score")
        return
    assert blind_windows(plots, columns, "score") == [(0.5, 1.0)] * blinds
    found = fill_templates(folder, SETTINGS, plots=plots)
    assert found.blind[5:].all() == blinds
    assert not fill_templates(folder, replace(SETTINGS, asimov=True), plots=plots).blind.any()


def test_the_figures_of_the_runs_own_configuration_are_respected(tmp_path):
    figures = [{"variable": "x  + 1", "blind": [1, 2]}]
    folder = write_template_run(tmp_path / "run", n=600, figures=figures)
    settings = TemplateSettings(of="x+1", method="dann", bins=[0, 1, 2, 3])
    assert fill_templates(folder, settings).blind.tolist() == [False, True, False]


def test_bins_hold_as_much_signal_each():
    rng = np.random.default_rng(3)
    x, w = rng.beta(4, 2, 20_000), rng.gamma(2.0, 1.0, 20_000)
    edges = equal_signal_edges(x, w, 5, (0.0, 1.0))
    content = np.histogram(x, edges, weights=w)[0]
    np.testing.assert_allclose(content / w.sum(), 0.2, atol=0.005)


def test_no_other_merging_of_fine_bins_is_more_significant():
    """Against every way to place two edges, by brute force."""
    rng = np.random.default_rng(4)
    signal = np.repeat([True, False], [500, 1500])
    x = np.concatenate([rng.beta(4, 2, 500), rng.beta(1, 3, 1500)])
    w = np.full(2000, 0.3)

    def total(edges):
        s, b = (np.histogram(x[rows], edges, weights=w[rows])[0] for rows in (signal, ~signal))
        events = np.histogram(x[~signal], edges)[0]
        return (significance(s, b) ** 2).sum() if (events >= 10).all() else -1.0

    edges = significance_edges(x, w, signal, 3, (0.0, 1.0))
    fine = np.linspace(0, 1, 101)
    ways = [[0, a, b, 1] for i, a in enumerate(fine[1:-1]) for b in fine[i + 2 : -1]]
    assert len(edges) == 4
    assert total(edges) == pytest.approx(max(map(total, ways)), rel=1e-9)
    assert significance_edges(x, w, np.ones(2000, bool), 3, (0.0, 1.0)) is None


@pytest.mark.parametrize("binning", ["equal-signal", "significance"])
def test_edges_are_chosen_by_other_events_than_are_filled(folder, binning, tmp_path):
    settings = replace(SETTINGS, binning=binning, bins=4)
    edges = fill_templates(folder, settings).edges
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    assert 3 <= len(edges) <= 5
    other = write_template_run(tmp_path / "other")
    with h5py.File(other / "scores.h5", "r+") as file:  # the test split of MC becomes another
        test = file["mc/split"][...] == 2
        score = file["mc/score/dann"][...]
        score[test] = score[test][:, ::-1]
        file["mc/score/dann"][...] = score
    np.testing.assert_array_equal(fill_templates(other, settings).edges, edges)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"of": "pt_3"}, "no column 'pt_3' in this run"),
        ({"of": "score.tau"}, "no score 'tau' in this run"),
        ({"method": "dan"}, "no method 'dan'; did you mean dann"),
        ({"signal": ("tops",)}, "no class or process 'tops'; did you mean top"),
        ({"regions": {"SR": "njet > 2"}}, "region SR: no column 'njet'.*did you mean njets"),
        ({"regions": {"SR": "njets > 9"}}, "is in region SR; loosen its cut: njets > 9"),
        ({"regions": {"S/R": "njets > 2"}}, "'S/R' is no name of a region"),
        ({"bins": 0}, "--bins: must be"),
        ({"bins": [0, 1, 1]}, "--bins: edges must be two or more that rise"),
        ({"bins": [0, 1], "binning": "significance"}, "--binning: edges are given"),
        ({"range": (1.0, 0.0)}, "--range: must be two numbers"),
        ({"bins": [0, 1], "range": (0.0, 1.0)}, "--range: edges are given"),
        ({"blind": [(5.0, 6.0)]}, "--blind: the window 5,6 touches no bin: they reach from 0 to 1"),
        ({"of": "log(-1)"}, r"--of log\(-1\): no MC event lies in the bins"),
        ({"signal": ("background", "signal"), "binning": "significance"}, "less than 10 effective"),
    ],
)
def test_what_the_run_does_not_have_is_refused(folder, change, says):
    with pytest.raises(HepdannError, match=says):
        fill_templates(folder, replace(SETTINGS, **change))


def test_variations_need_the_tensor_file_that_holds_them(tmp_path):
    folder = write_template_run(tmp_path / "run", n=300)
    (tmp_path / "run.h5").unlink()
    assert fill_templates(folder, replace(SETTINGS, variations=False)).samples
    with pytest.raises(RunError, match=r"no variations: .*run\.h5"):
        fill_templates(folder, SETTINGS)


def test_variations_of_features_move_features_and_scores_alike(tmp_path, monkeypatch):
    folder = write_template_run(tmp_path / "run", n=1000)
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        x = file["mc/features"][...] + np.float32(0.25)
        x[::7] = np.nan  # events that the variation does not have
        file["mc/variations/jes_up"] = x

    class Predictor:
        def score(self, features, event_id):
            assert len(event_id) == len(features)
            p = 1 / (1 + np.exp(-2 * (features[:, 0] - 0.75)))
            return np.stack([1 - p, p], axis=1)

    monkeypatch.setattr("hepdann.inference.open_predictor", lambda *_: Predictor())
    of_x = TemplateSettings(of="x", method="dann", bins=[-0.5, 0.5, 1.5], variations=True)
    of_score = TemplateSettings(of="score", method="dann", bins=2, variations=True)
    by_x, by_score = fill_templates(folder, of_x), fill_templates(folder, of_score)
    scores, mc = columns_of(folder)
    for sample, (process, class_) in zip(by_x.samples, [(0, 0), (0, 1), (1, 0)], strict=True):
        group = (mc["sample"] == process) & (mc["label"] == class_)
        test = group & (mc["split"] == 2)
        scale = mc["weight"][group].sum() / mc["weight"][test].sum()
        kept = test & (x[:, 0] >= 0.5) & (x[:, 0] < 1.5)
        found = by_x.mc["all", sample.name]["jes_up"]
        assert found.sumw[1] == pytest.approx(scale * mc["weight"][kept].sum(), rel=1e-5)
        kept = test & (x[:, 0] > 0.75)
        found = by_score.mc["all", sample.name]
        assert found["jes_up"].sumw[1] == pytest.approx(scale * mc["weight"][kept].sum(), rel=1e-5)
        assert len(found) == len(WEIGHTS) + 2
    assert scores.features == ("x",)
