"""Figures that a configuration lists, on a run that was really trained: names, cuts, windows."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
import yaml

import hepdann
from hepdann import evaluation, samples
from hepdann.config import Config, PlotConfig, parse_config
from hepdann.errors import ConfigError
from hepdann.evaluation import RunColumns
from hepdann.plotting import plot_run
from hepdann.plotting.quantities import Quantities
from hepdann.plotting.run import wanted_jobs
from hepdann.readers import convert_files
from hepdann.tensors import is_pseudo, open_tensors

INPUTS = list(samples.INPUTS)
CLASSES = [
    {"name": "light", "cut": "isb < 0.5", "title": "$u,d,s,c$", "color": "#112233"},
    {"name": "b", "cut": "isb > 0.5", "title": "$b$ jets"},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configured")
    samples.write_bjets(folder, 2500, 1, True)
    settings = {
        "weight": "weight",
        "weights": {"up": "2 * weight"},
        "features": INPUTS[:3],
        "spectators": INPUTS[3:],
        "classes": CLASSES,
    }
    config = Config.model_validate({"convert": settings})
    convert_files([str(folder / "mc.root")], [str(folder / "data.root")],
            output=folder / "t.h5", config=config)  # fmt: skip
    hepdann.train(folder / "t.h5", shift=hepdann.shifts.sine(t=3), output=folder / "runs" / "one",
                  seeds=1, epochs=1, oracle=False, alignments=["quantile"],
                  diagnose=False)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run(home):
    return Quantities.open(home / "runs" / "one")


def test_spectators_come_row_for_row_from_the_tensor_file(home, run):
    tensors = open_tensors(home / "t.h5")
    other = tensors.column("mc", INPUTS[4])
    stands_in = is_pseudo(tensors.column("mc", "event_id"), 0)
    np.testing.assert_array_equal(run.columns.values("mc", INPUTS[4]), other[~stands_in])
    np.testing.assert_array_equal(run.columns.values("target", INPUTS[4]), other[stands_in])


def test_features_of_the_target_are_the_shifted_ones(home, run):
    """What the network saw, not what stands in the file."""
    tensors = open_tensors(home / "t.h5")
    stands_in = is_pseudo(tensors.column("mc", "event_id"), 0)
    stored = tensors.column("mc", INPUTS[0])[stands_in]
    seen = run.columns.values("target", INPUTS[0])
    assert not np.allclose(stored, seen)
    mapped = run.columns.values("target", INPUTS[0], "quantile")
    np.testing.assert_array_equal(mapped, run.scores.column("target", "aligned/quantile")[:, 0])


def test_scores_weights_and_expressions(run):
    score = run.columns.values("mc", "`score.source-only`")
    np.testing.assert_array_equal(score, run.scores.score("mc", "source-only")[:, 1])
    light = run.columns.values("mc", "score.dann.light + score.dann.b")
    np.testing.assert_allclose(light, 1, atol=1e-6)
    up = run.columns.values("mc", "weights.up / weight")
    np.testing.assert_allclose(up, 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("domain", "text", "said"),
    [
        ("mc", INPUTS[0][:-1], "did you mean"),
        ("mc", "isb", "no column 'isb'"),
        ("mc", "score.dannn", "methods are"),
        ("target", "weights.down", "no weight 'down' in target"),
        ("mc", "1 +", "variable '1 +'"),
    ],
)
def test_what_is_not_there_is_named(run, domain, text, said):
    with pytest.raises(ConfigError, match=said.replace("+", r"\+")):
        run.columns.values(domain, text)


def test_without_the_tensor_file_features_still_work(home, tmp_path):
    shutil.copytree(home / "runs" / "one", tmp_path / "one")
    columns = RunColumns(evaluation.open_scores(tmp_path / "one"))
    assert np.isfinite(columns.values("mc", f"log({INPUTS[0]} + 10)")).any()


def test_another_tensor_file_of_that_name_is_not_taken(home, tmp_path):
    folder = tmp_path / "one"
    shutil.copytree(home / "runs" / "one", folder)
    shutil.copy(home / "t.h5", tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file["mc/event_id"][...] = file["mc/event_id"][...][::-1]
    origin = json.loads((folder / "origin.json").read_text())
    (folder / "origin.json").write_text(json.dumps(origin | {"tensors": str(tmp_path / "t.h5")}))
    with pytest.raises(ConfigError, match="events of this run"):
        RunColumns(evaluation.open_scores(folder)).values("mc", INPUTS[4])


def test_one_definition_of_a_class_makes_labels_titles_and_colours(home, run):
    """The cut of each class is its label; the same entry names and colours it in figures."""
    with h5py.File(home / "t.h5") as file:
        label, names = file["mc/label"][...], list(file["mc"].attrs["classes"])
    assert names == ["light", "b"]
    assert set(label) == {0, 1}
    assert run.class_names == ("$u,d,s,c$", "$b$ jets")
    assert run.class_colours == {"$u,d,s,c$": "#112233"}


FIGURES = f"""
plots:
  formats: [png]
  figures:
    - {{variable: "{INPUTS[4]}", cut: "{INPUTS[0]} > 0", bins: 7, range: [0, 1], name: cut}}
    - {{variable: "{INPUTS[0]}", blind: [0.2, 0.5], range: [0, 1], bins: 10, flow: hide,
       split: test, name: blind}}
    - {{variable: "{INPUTS[0]}", alignment: quantile, weight: weights.up, name: both, by: class}}
    - {{kind: roc, domain: target, curves: ["{INPUTS[4]}"], name: curves}}
    - loss
"""


@pytest.fixture(scope="module")
def drawn(home, tmp_path_factory):
    """What the list draws, in two processes."""
    look = parse_config(FIGURES).plots
    folder = tmp_path_factory.mktemp("drawn")
    plot_run(home / "runs" / "one", look, output=folder, workers=2)
    return folder


def numbers(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def test_the_list_is_what_is_drawn(drawn):
    stems = {path.stem for path in drawn.glob("*.png")}
    assert stems == {"cut", "blind", "both", "curves", "loss"}
    assert {path.stem for path in drawn.glob("*.json")} == stems
    assert not list(drawn.glob(".*"))


def test_a_cut_selects_events(drawn, run):
    shown = numbers(drawn, "cut")["shown"]
    assert len(shown["data"]["sumw"]) == 7
    passing = run.columns.passing("target", f"{INPUTS[0]} > 0")
    total = run.columns.values("target", "weight")[passing].sum()
    assert shown["data_yield"]["value"] == pytest.approx(total)
    assert sum(shown["data"]["sumw"]) == pytest.approx(total)  # the ends hold what is outside


def test_a_blinded_window_is_nowhere_in_the_numbers(drawn, run):
    """Neither in the bins, nor in the sum that they would follow from."""
    shown = numbers(drawn, "blind")["shown"]
    content = np.array(shown["data"]["sumw"])
    low, high = shown["blind"]
    centre = np.linspace(0.05, 0.95, 10)
    hidden = (centre > low) & (centre < high)
    assert 3 <= hidden.sum() < 10
    assert not content[hidden].any()
    assert all(value is None for value in np.array(shown["ratio"])[hidden])
    values = run.columns.values("target", INPUTS[0])
    test = run.scores.column("target", "split") == 2
    seen = test & ~((values >= low) & (values < high))
    total = run.columns.values("target", "weight")[seen].sum()
    assert shown["data_yield"]["value"] == pytest.approx(total)


def test_before_and_after_are_in_the_same_bins(drawn):
    both = numbers(drawn, "both")
    before, after = both["before"], both["shown"]
    assert before["data"]["edges"] == after["data"]["edges"]
    assert before["data"]["sumw"] != after["data"]["sumw"]
    np.testing.assert_allclose(after["mc"]["sumw"], 2 * np.array(before["mc"]["sumw"]), rtol=1e-6)


def test_any_score_is_a_curve(drawn):
    """A spectator as a curve of reference, beside the methods."""
    curves = numbers(drawn, "curves")
    assert set(curves) == {"source-only", "quantile", "dann", "guard", INPUTS[4]} & set(curves)
    assert INPUTS[4] in curves


def test_names_of_figures(run):
    own = PlotConfig(figures=["default", {"variable": INPUTS[0], "bins": 4}])
    names = [job.name for job in wanted_jobs(run, own, None)]
    assert names.count(f"data_mc_{INPUTS[0]}") == 1, "it stands in for the one of the default"
    assert "roc_mc" in names
    assert [j.name for j in wanted_jobs(run, own, [f"data_mc_{INPUTS[0]}"])] == names[:1]
    with pytest.raises(ConfigError, match=r"plots\.figures: no figure 'rok'.*roc"):
        wanted_jobs(run, PlotConfig(figures=["rok"]), None)


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ({"variable": "x", "alignment": "moments"}, "no alignment 'moments'"),
        ({"kind": "roc", "methods": ["dan"]}, "did you mean dann"),
        ({"kind": "scores", "signal": "c"}, "no class 'c'"),
    ],
)
def test_what_a_run_does_not_have_is_refused(run, figure, said):
    look = PlotConfig.model_validate({"figures": [figure]})
    with pytest.raises(ConfigError, match=said):
        [job.numbers() for job in wanted_jobs(run, look, None)]


def test_a_configuration_survives_being_written(run):
    """The run's own config.yaml holds the list, every default written out."""
    config = parse_config(FIGURES)
    again = parse_config(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    assert again == config
