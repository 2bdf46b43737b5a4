"""The figures of a run: which there are, that they are whole, and what they say."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import hepdann
from hepdann import plotting
from hepdann.config import PlotConfig
from hepdann.config.plots import DataMCFigure
from hepdann.errors import ConfigError, RunError
from hepdann.evaluation.latent import Embedding
from hepdann.plotting.axes.frame import drawing_on, new_figure
from hepdann.plotting.axes.label import label_as
from hepdann.plotting.axes.styles import COLOURS
from hepdann.plotting.configured import compare_stages
from hepdann.plotting.jobs import distinct_names, file_name, jobs_of
from hepdann.plotting.quantities import Quantities
from hepdann.plotting.run import plot_run

CANDIDATES = ("source-only", "quantile", "dann")
PNG = PlotConfig(formats=["png"])


def names_of(files):
    return [file.name for file in files]


def test_all_figures_of_a_run_on_pseudo_data(make_run, tmp_path):
    """Every feature before and after the map, every method's score, both ROC curves, the loss.

    The oracle's score of MC is no comparison: it was trained on the target.
    """
    features = ("prob_b", "spheri")
    folder = make_run(tmp_path / "run", n=2000, features=features)
    made = plot_run(folder)
    stems = {file.stem for file in made}
    assert stems == {
        "loss", "roc_mc", "roc_target",
        *(f"scores_{m}" for m in CANDIDATES), *(f"data_mc_score_{m}" for m in CANDIDATES),
        *(f"data_mc_{f}" for f in features), *(f"data_mc_{f}_after_quantile" for f in features),
        "calibration_mc", "calibration_target",
        *(f"correlation_{which}" for which in ("mc", "target", "difference")),
    }  # fmt: skip
    assert {file.name for file in (folder / "plots").iterdir()} == {
        f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "json")
    }
    for file in made:
        start, end = file.read_bytes()[:4], file.read_bytes()[-6:]
        assert start == (b"%PDF" if file.suffix == ".pdf" else b"\x89PNG")
        assert file.suffix != ".pdf" or b"%%EOF" in end
    text = (folder / "plots" / "loss.pdf").read_bytes()
    assert b"/Type3" not in text
    assert b"CreationDate" not in text


def test_by_default_only_the_most_shifted_of_many_features_are_drawn(make_run, tmp_path, typed):
    folder = make_run(tmp_path / "run", n=300)
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "plots: {formats: [png], figures: [default]}\n")
    features = [f"x{i}" for i in range(20)]
    with h5py.File(folder / "scores.h5", "r+") as file:
        file.attrs["features"] = json.dumps(features)
        for name in ("mc/features", "target/features", "target/aligned/quantile"):
            values = np.tile(file[name][...], 4)[:, :20]
            del file[name]
            file[name] = values
    shift = {"ks": 0.1, "wasserstein": 0.1, "mean_shift": 0.1, "differs": True}
    ranked = [{"name": name, **shift} for name in reversed(features)]
    (folder / "diagnosis.json").write_text(json.dumps({"features": ranked}))
    done = typed("plot", folder)
    assert f"the 8 features that differ less are not drawn: hepdann plot {folder}" in done.stdout
    made = {path.stem for path in (folder / "plots").glob("*.png")}
    drawn = {f"data_mc_{f}{after}" for f in features[8:] for after in ("", "_after_quantile")}
    assert {name for name in made if name.startswith("data_mc_x")} == drawn
    done = typed("plot", folder, "--only", "data_mc", "-o", tmp_path / "all")
    assert "less" not in done.stdout
    assert len(list((tmp_path / "all").glob("data_mc_x*.png"))) == 40


def test_the_default_place_and_a_second_drawing_are_the_same(run_folder):
    (first,) = plot_run(run_folder, PNG, ["loss"])
    assert first == run_folder / "plots" / "loss.png"
    before = first.read_bytes()
    plot_run(run_folder, PNG, ["loss"])
    assert first.read_bytes() == before
    assert sorted(names_of(first.parent.iterdir())) == ["loss.json", "loss.png"]


def test_data_have_no_roc_curve_of_their_own(data_run, tmp_path):
    made = plot_run(data_run, PNG, ["roc", "scores"], output=tmp_path)
    assert {file.stem for file in made} == {
        "roc_mc", "scores_source-only", "scores_quantile", "scores_dann"
    }  # fmt: skip


def test_single_figures_by_name(run_folder, tmp_path):
    made = plot_run(run_folder, PNG, ["data_mc_multip", "roc_mc"], output=tmp_path)
    assert names_of(made) == ["roc_mc.png", "data_mc_multip.png"]
    with pytest.raises(ConfigError, match="data_mc_multip"):
        plot_run(run_folder, PNG, ["data_mc_multi"], output=tmp_path)


def test_each_class_of_several_has_its_figures(make_run, tmp_path):
    folder = make_run(tmp_path / "run", classes=3, n=1500)
    wanted = ["roc_target_c", "scores_dann_b", "data_mc_score_dann_uds"]
    assert [file.stem for file in plot_run(folder, PNG, wanted)] == wanted
    with pytest.raises(ConfigError, match="roc_target"):
        plot_run(folder, PNG, ["roc_target"])


def test_progress_counts_the_figures(run_folder, tmp_path):
    seen = []
    plot_run(
        run_folder, PNG, ["loss", "roc_mc"], output=tmp_path, progress=lambda *n: seen.append(n)
    )
    assert seen == [(1, 2), (2, 2)]


def test_a_failed_drawing_leaves_the_earlier_figures(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=1500)
    plot_run(folder, PNG, ["loss"])
    before = (folder / "plots" / "loss.png").read_bytes()
    with h5py.File(folder / "scores.h5", "a") as file:
        del file["target/score/dann"]
    with pytest.raises(RunError, match="score/dann"):
        plot_run(folder, PNG, ["loss", "scores"])
    assert sorted(names_of((folder / "plots").iterdir())) == ["loss.json", "loss.png"]
    assert (folder / "plots" / "loss.png").read_bytes() == before


def test_an_interrupt_leaves_nothing_behind(run_folder, tmp_path):
    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plot_run(run_folder, PNG, ["roc"], output=tmp_path, progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("broken", ["scores.h5", "history.csv"])
def test_damaged_files_are_named(run_folder, tmp_path, broken):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    (folder / broken).write_text("method,epoch\ndann,one\n")
    with pytest.raises(RunError, match=broken):
        plot_run(folder, PNG, ["loss", "roc"])


def test_target_and_axes_are_named(run_folder, data_run):
    pseudo, data = Quantities.open(run_folder), Quantities.open(data_run)
    assert pseudo.target_name == "Pseudo-data, sine t = 3"
    assert data.target_name == "Data"
    assert pseudo.is_simulation
    assert not data.is_simulation
    assert pseudo.title("spheri") == ("spheri", "")


def test_titles_units_and_colours_come_with_the_scores(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=500)
    (folder / "config.yaml").unlink()
    with h5py.File(folder / "scores.h5", "a") as file:
        file.attrs["units"] = '["", "", "GeV", "", "", "GeV"]'
        file.attrs["titles"] = '["", "", "", "", "", "lepton $p_T^{rel}$"]'
        sample = file["mc/sample"].attrs
        names = [str(name) for name in sample["names"]]
        sample["titles"] = json.dumps(["$t\\bar{t}$"] + [""] * (len(names) - 1))
        sample["colors"] = json.dumps(["#123456"] + [""] * (len(names) - 1))
    run = Quantities.open(folder)
    assert run.title("pt2rel") == ("pt2rel", "GeV")
    assert run.title("ptlrel") == ("lepton $p_T^{rel}$", "GeV")
    assert run.colours == {"$t\\bar{t}$": "#123456"}
    assert run.target_name == "Pseudo-data"


def feature(run, index, aligned=None):
    """Data and MC in a feature, as the figure of every run shows them."""
    name = run.scores.features[index]
    return compare_stages(
        run, DataMCFigure.model_construct(variable=name, alignment=aligned), False
    )


def test_processes_are_stacked_if_there_are_several(run_folder, data_run):
    shown = feature(Quantities.open(run_folder), 0).shown
    assert shown.names == ("background", "signal")
    numbers = feature(Quantities.open(data_run), 0).shown
    assert set(numbers.names) == {"Z to ll", "W+jets", "ttbar"}
    content = [part.total.value for part in numbers.stack]
    assert content == sorted(content)  # the largest on top
    assert sum(content) == pytest.approx(numbers.mc.total.value)


def test_many_processes_become_nine_and_the_rest(make_run, tmp_path):
    samples = tuple(f"process {i}" for i in range(14))
    run = Quantities.open(make_run(tmp_path / "run", n=3000, samples=samples))
    numbers = feature(run, 3).shown
    assert len(numbers.names) == 10
    assert numbers.names[0] == "other"
    assert sum(p.total.value for p in numbers.stack) == pytest.approx(numbers.mc.total.value)


def test_what_is_outside_the_bins_is_folded_into_the_last(run_folder):
    run = Quantities.open(run_folder)
    numbers = feature(run, 2).shown
    assert feature(run, 2).folded
    assert numbers.data.sumw.sum() == len(run.scores.column("target", "weight"))
    assert numbers.data.overflow == (0.0, 0.0)


def test_before_and_after_have_the_same_bins_and_mc(run_folder):
    run = Quantities.open(run_folder)
    before, after = feature(run, 4).shown, feature(run, 4, "quantile").shown
    np.testing.assert_array_equal(before.edges, after.edges)
    np.testing.assert_array_equal(before.mc.sumw, after.mc.sumw)
    assert after.chi2 < before.chi2


def test_mc_is_absolute_unless_asked(data_run):
    assert feature(Quantities.open(data_run), 0).shown.scale == 1.0
    scaled = feature(Quantities.open(data_run, scale_mc=True), 0).shown
    assert scaled.yield_ratio.value == pytest.approx(1.0)


def test_scores_are_those_of_the_test_split(run_folder):
    run = Quantities.open(run_folder)
    numbers = run.score("dann", 1, by="class")
    assert numbers.data.total.value == np.sum(run.scores.column("target", "split") == 2)


@pytest.mark.parametrize("name", ["roc", "roc_target", "scores_dann", "loss"])
def test_a_figure_is_drawn_on_axes_of_ones_own(run_folder, name):
    """It stays within its place, ratio panel included; of a kind it is that of the target."""
    figure = Figure(figsize=(12, 5))
    left, right = figure.subplots(1, 2)
    run = hepdann.Run(run_folder, {"methods": {}})
    before = right.get_position().bounds
    assert run.plot(name, ax=left) is left
    figure.draw_without_rendering()
    assert left.get_children()
    assert not right.has_data()
    assert right.get_position().bounds == before
    panels = [ax for ax in figure.axes if ax is not right]
    assert len(panels) == 2 or name == "loss"
    place = right.get_position()
    for ax in panels:
        drawn = ax.get_position()
        assert place.y0 - 1e-6 <= drawn.y0 < drawn.y1 <= place.y1 + 1e-6
        assert drawn.x1 < place.x0


def test_what_cannot_be_one_figure_on_axes_says_so(run_folder):
    ax, run = Figure().subplots(), hepdann.Run(run_folder, {"methods": {}})
    with pytest.raises(ConfigError, match="several figures 'scores'; name one: scores_source-only"):
        run.plot("scores", ax=ax)
    with drawing_on(ax), pytest.raises(ConfigError, match="figure of several axes"):
        new_figure(6.0)
    with pytest.raises(ConfigError, match="no figure 'rok' in this run"):
        run.plot("rok", ax=ax)


def test_hopeless_features_and_names_still_give_figures(make_run, tmp_path):
    """A constant, a feature without a value, infinities, names that are no file names."""
    names = ("const", "never", "a/b $x$ [GeV]", "a b $x$ [GeV]")
    folder = make_run(tmp_path / "run", n=600, features=names)
    with h5py.File(folder / "scores.h5", "a") as file:
        for data in (file["mc/features"], file["target/features"], file["target/aligned/quantile"]):
            data[:, 0] = 3.0
            data[:, 1] = np.nan
            data[0, 2] = np.inf
        file.attrs["classes"] = '["$bad{$", "_signal"]'
    made = plot_run(folder, PNG, ["data_mc", "scores_dann"])
    assert {"data_mc_const.png", "data_mc_never.png", "data_mc_a_b_x_GeV.png"} <= set(
        names_of(made)
    )
    assert len(set(made)) == len(made) == 4 * 2 + 3 + 1


@pytest.mark.parametrize("name", ["{}/thesis", "../thesis", "..", ".hidden", "mass/pt"])
def test_no_name_leads_out_of_the_folder_of_the_figures(run_folder, tmp_path, name):
    """Checked where it is written too: ``model_construct`` stands for whatever slipped through."""
    thesis = tmp_path / "thesis.pdf"
    thesis.write_text("years of work")
    figure = DataMCFigure.model_construct(
        **dict(DataMCFigure(variable="prob_b")) | {"name": name.format(tmp_path)}
    )
    look = PlotConfig.model_construct(**dict(PlotConfig()) | {"figures": [figure]})
    with pytest.raises(ConfigError, match="the name"):
        plot_run(run_folder, look, output=tmp_path / "plots")
    assert thesis.read_text() == "years of work"
    assert not list((tmp_path / "plots").iterdir())


def test_long_names_are_cut_and_do_not_collide():
    names = [file_name("data_mc", 200 * "x" + end) for end in ("a", "b")] + [
        file_name("data_mc", 200 * "\u4e2d")
    ]
    assert len(set(names)) == 3
    assert all(len(name.encode()) <= 90 for name in names)
    assert names[0].startswith("data_mc_xxx")
    assert file_name("data_mc", "pt") == "data_mc_pt"
    assert distinct_names(["a", "a", "a_2", "a"]) == ["a", "a_3", "a_2", "a_4"]


def drawn(run, name):
    (job,) = [job for job in jobs_of(run) if job.name == name]
    return job.draw(job.numbers()), job


def test_scores_of_all_methods_share_their_axes(run_folder):
    """Of unlike heights: the legends, too, must leave the axis alone."""
    run = Quantities.open(run_folder)
    for kind in ("scores", "data_mc_score"):
        axes = [drawn(run, f"{kind}_{method}")[0] for method in CANDIDATES]
        assert len({(ax.get_yscale(), *ax.get_ylim()) for ax in axes}) == 1
        assert len({ax.figure.axes[1].get_ylim() for ax in axes}) == 1
        assert {ax.figure.axes[1].get_ylabel() for ax in axes} == {"Pseudo-data\n/ MC"}


def test_no_luminosity_where_no_data_are(run_folder, data_run):
    look = PlotConfig(experiment="ALEPH", lumi=4.4, com=0.2)
    for folder, name, has_data in (
        (run_folder, "scores_dann", False),
        (data_run, "scores_dann", True),
        (data_run, "roc_mc", False),
        (data_run, "loss", True),  # the domain error is measured on the data
    ):
        ax, job = drawn(Quantities.open(folder), name)
        label_as(ax, look, simulation=job.simulation)
        words = " ".join(text.get_text() for text in ax.texts)
        assert ("4.4" in words) == has_data, name
        assert ("Simulation" in words) != has_data, name
        assert "TeV" in words


def test_a_class_has_one_colour_and_one_title_in_every_figure(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=800)
    with h5py.File(folder / "scores.h5", "a") as file:
        file["mc/label"].attrs["titles"] = '["light", "$b$ jets"]'
        file["mc/label"].attrs["colors"] = '["", "#123456"]'
    run = Quantities.open(folder)
    assert run.palette == {"light": COLOURS[0], "$b$ jets": "#123456"}
    points = np.random.default_rng(0).normal(size=(60, 2)).astype("f4")
    half = np.arange(60) % 2
    plane = plotting.latent(
        {"dann": Embedding("pca", points, half, half, (0.5, 0.2))}, classes=run.palette
    )
    below = plane.figure.axes[1].collections
    seen = {to_hex(colour) for marks in below for colour in marks.get_facecolors()[:, :3]}
    assert seen == {COLOURS[0], "#123456"}
    assert {text.get_text() for text in plane.figure.legends[1].get_texts()} >= set(run.palette)
    ax, _ = drawn(run, "data_mc_score_dann")
    filled = {to_hex(p.get_facecolor()) for p in ax.patches if p.get_fill() and not p.get_hatch()}
    assert filled == seen
    assert "$b$ jets" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_sentinel_has_no_axis_but_a_share(make_run, tmp_path):
    folder = make_run(tmp_path / "run", n=2000)
    with h5py.File(folder / "scores.h5", "a") as file:
        file["mc/features"][:20, 1] = -1.0
        file["target/features"][:10, 1] = -1.0
    ax, _ = drawn(Quantities.open(folder), "data_mc_spheri")
    assert ax.get_xlim()[0] >= 0
    assert "missing (-1): MC 1%, pseudo-data 0.5%" in ax.get_legend().get_title().get_text()


def test_classes_that_are_no_places_have_no_figures_of_segments(make_run, tmp_path):
    """As of objects, whose spectators are kept beside the scores as those of images are."""
    folder, place = (make_run(tmp_path / name, features=["prob_b"]) for name in ("a", "b"))
    for run, column in ((folder, "npv"), (place, "planecode")):
        with h5py.File(run / "scores.h5", "r+") as file:
            for domain in ("mc", "target"):
                file[f"{domain}/spectators/{column}"] = np.zeros(12_000, "f4")
    kinds = [{job.kind for job in jobs_of(Quantities.open(run))} for run in (folder, place)]
    assert ["segments" in kind for kind in kinds] == [False, True]
    assert not any("correlation" in kind for kind in kinds)  # of a single feature
