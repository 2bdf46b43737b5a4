"""Training on calibrated MC: what the networks see, what is stored, and what is recommended."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

import hepdann
from hepdann.calibration import Calibration
from hepdann.config import TrainConfig
from hepdann.criteria import Residual, recommend, teacher
from hepdann.deploy import export
from hepdann.domains import ChangedBlocks
from hepdann.errors import ConfigError, HepdannError, Interrupted, RunError
from hepdann.evaluation import open_scores
from hepdann.evaluation.curves import run_roc
from hepdann.inference import load_model
from hepdann.plotting.figures.panels import VARIED_NAME
from hepdann.plotting.figures.roc import roc
from hepdann.plotting.figures.stacks import scores
from hepdann.plotting.quantities import Quantities
from hepdann.runs.maps import Aligned, families_of
from hepdann.runs.stacks.worker_tasks import Workplace, _prepared, _stacks_of, write_aligned
from hepdann.store.paths import RunPaths
from hepdann.store.training_record import StartRecord
from hepdann.tensors import open_tensors

FAST = {"epochs": 2, "seeds": 1, "diagnose": False, "alignments": []}
KNOWN = {
    "method": "calibrated-known",
    "shift": hepdann.shifts.cosine(t=3),
    "calibration": {"families": ["cosine"]},
}
METHODS = ["calibrated-known", "calibrated-known+dann", "parametrised"]


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    """Pseudo-data of a cosine shift, the MC calibrated by that family."""
    return hepdann.train(
        toy / "tensors.h5",
        method=METHODS,
        shift=hepdann.shifts.cosine(t=3),
        calibration={"families": ["cosine"]},
        output=tmp_path_factory.mktemp("calibrated") / "run",
        **FAST,
    )


def test_networks_see_mapped_mc_and_the_target_as_it_is(run, toy):
    model = load_model(RunPaths(run.folder).model)
    mc = open_tensors(toy / "tensors.h5").source()
    mapped = model.calibrations["calibrated-known"].apply(mc.features)
    assert not np.allclose(mapped, mc.features, equal_nan=True)
    for method in METHODS[:2]:
        steps = model.steps(method, "source")
        plain = model.steps(method, "target")
        assert plain.mapped is None
        statistics = plain.statistics  # an adapting network has two
        if statistics == steps.statistics:
            expected = plain.score(mapped).mean
            np.testing.assert_array_equal(model.score(mc.features, method, "source").mean, expected)


def test_the_run_keeps_the_calibration_and_says_it(run):
    stored = json.loads(RunPaths(run.folder).calibration.read_text())
    (fold,) = stored["folds"]
    assert fold["calibrated-known"]["family"] == "cosine"
    sentence = fold["calibrated-known"]["sentence"]
    assert run.metrics["calibrations"]["calibrated-known"]["sentence"] == sentence
    known = Calibration.from_dict(fold["calibrated-known"]["map"])
    assert known.parameters()["t"].value == pytest.approx(3.0, abs=0.3)
    from hepdann_cli import evaluate, inspect

    for command in (evaluate.command, inspect.command):
        shown = CliRunner().invoke(command, [str(run.folder)])
        assert shown.exit_code == 0
        assert "calibrated-known: cosine" in shown.output


def test_a_calibrated_network_recovers_what_a_fold_destroys(run):
    reached = {name: block["target"]["auc"] for name, block in run.metrics["methods"].items()}
    assert reached["calibrated-known"] > reached["source-only"] + 0.05


def test_a_family_that_is_known_is_never_recommended(run):
    assert not run.metrics["recommended"].startswith(("calibrated-known", "parametrised"))


def test_a_parametrised_network_knows_the_parameters_of_the_map(run):
    """Of data it is told them: at t ± σ it scores otherwise, and MC passes the map at t ± σ."""
    model, scores = load_model(RunPaths(run.folder).model), open_scores(run.folder)
    features = scores.column("target", "features")
    assert model.parts["parametrised"].shape.inputs == features.shape[1] + 1
    up, down = scores.varied("parametrised", "target")
    assert np.abs(up - down).max() > 1e-5
    again = run.predict(features, method="parametrised")
    np.testing.assert_allclose(again, scores.score("target", "parametrised"), atol=1e-6)
    assert scores.varied("calibrated-known", "target") is None
    assert scores.varied("parametrised") is not None
    one, other = (model.calibrations[name] for name in ("parametrised", "calibrated-known"))
    assert one.parameters() == other.parameters()


def test_a_parametrised_network_is_exported_at_the_best_parameters(run, tmp_path):
    exported = export(run.folder, tmp_path / "model.onnx", method="parametrised")
    assert exported.agreement.largest < 1e-6  # from the scores of the run's events


def test_each_event_of_a_parametrised_network_has_parameters_of_its_own(run, toy):
    calibration = load_model(RunPaths(run.folder).model).calibrations["parametrised"]
    mc = open_tensors(toy / "tensors.h5").source()
    drawn = calibration.parametrised(mc).features
    assert np.abs(drawn[:, -1]).max() == pytest.approx(1.0)
    rows = np.flatnonzero(drawn[:, -1] == drawn[0, -1])
    varied = calibration.varied(3.0 * float(drawn[0, -1]))
    assert varied.fit.theta != calibration.fit.theta
    known = np.isfinite(drawn[rows, :-1])
    largest = np.abs(drawn[rows, :-1] - varied.apply(mc.features[rows]))[known].max()
    apart = np.abs(drawn[rows, :-1] - mc.features[rows])[known].max()
    assert largest < 0.2 * apart  # but for the noise of the map


def test_scores_of_data_need_no_calibration(run):
    scores = open_scores(run.folder)
    features = scores.column("target", "features")
    again = run.predict(features, method="calibrated-known")
    np.testing.assert_allclose(again, scores.score("target", "calibrated-known"), atol=1e-6)


def test_a_resumed_training_takes_the_calibration_that_it_began_with(toy, tmp_path, monkeypatch):
    arguments = {"method": "calibrated", "calibration": {"families": ["offset"]}} | FAST
    whole = hepdann.train(toy / "tensors.h5", output=tmp_path / "whole", **arguments)
    steps = iter(range(10**6))
    with pytest.raises(Interrupted):
        hepdann.train(
            toy / "tensors.h5",
            output=tmp_path / "half",
            stop=lambda: next(steps) > 2,
            partial=lambda: False,
            **arguments,
        )
    assert RunPaths(tmp_path / "half").calibration.is_file()
    monkeypatch.setattr("hepdann.runs.job.fit_calibrations", None)
    half = hepdann.runs.resume(tmp_path / "half")
    np.testing.assert_array_equal(
        open_scores(half.folder).score("target", "calibrated"),
        open_scores(whole.folder).score("target", "calibrated"),
    )


def test_a_fold_has_a_calibration_that_did_not_see_its_part(toy, tmp_path):
    given = KNOWN | FAST | {"epochs": 1, "folds": 2}
    run = hepdann.train(toy / "tensors.h5", output=tmp_path / "run", **given)
    folds = json.loads(RunPaths(run.folder).calibration.read_text())["folds"]
    maps = [Calibration.from_dict(fold["calibrated-known"]["map"]) for fold in folds]
    assert maps[0].fit.theta != maps[1].fit.theta
    scores, model = open_scores(run.folder), load_model(RunPaths(run.folder).model)
    features, fold, ids = (scores.column("mc", name) for name in ("features", "fold", "event_id"))
    for number, one in enumerate(maps):
        rows = np.flatnonzero(fold == number)
        plain = model.folds[number].steps("calibrated-known", "target")
        expected = plain.score(one.apply(features[rows], event_id=ids[rows])).mean
        np.testing.assert_allclose(
            scores.score("mc", "calibrated-known")[rows], expected, atol=1e-6
        )


def test_blocks_and_workers_train_on_calibrated_mc(toy, tmp_path):
    """What a worker trains on follows from the run's folder: the map is read, not fitted anew."""
    methods = ["calibrated-known", "parametrised"]
    given = KNOWN | FAST | {"epochs": 1, "memory": "blocks", "method": methods}
    run = hepdann.train(toy / "tensors.h5", output=tmp_path / "run", **given)
    origin = StartRecord.read(run.folder)
    files = [open_tensors(toy / "tensors.h5")]
    place = Workplace.of(origin, origin.config.train, run.folder, files)
    origin, domains, _ = _prepared(place)
    one = load_model(RunPaths(run.folder).model).calibrations["calibrated-known"]
    block = domains.blocks[0].train(0)
    mapped = ChangedBlocks(domains.blocks[0], one.calibrated).train(0)
    np.testing.assert_array_equal(mapped.features, one.apply(block.features, 0))
    write_aligned(run.folder, Aligned({}, None), ())
    stacks, _ = _stacks_of(place, None, 1)
    x = domains.scaling.apply(one.calibrated(domains.source).part("train").features)
    np.testing.assert_array_equal(stacks.sources[-1].x.numpy(), x)
    assert stacks.sources[-1].stream is not None
    (aware,) = (s for s in stacks.shards if s.methods == ("parametrised",))
    read = stacks.trainer(aware)
    for events in (*read.sources, *read.targets):
        assert events.stream is not None
        assert events.x.shape[1] == block.features.shape[1] + 1


def test_the_family_of_the_target_is_not_among_those_tried():
    def asked(**settings):
        return TrainConfig.model_validate({"methods": ["calibrated"]} | settings)

    sine = {"shift": {"name": "sine+gaussian", "t": 3.0}}
    tried = families_of(asked(**sine), "calibrated")
    assert not {"sine", "sine-third", "gaussian"} & set(tried)
    assert "free" in tried
    assert families_of(asked(**sine), "calibrated-known") is None
    assert families_of(asked(), "calibrated") is None
    with pytest.raises(ConfigError, match="made the target"):
        families_of(asked(**sine, calibration={"families": ["sine"]}), "calibrated")
    with pytest.raises(ConfigError, match="nobody knows the family of data"):
        families_of(asked(), "calibrated-known")


@pytest.mark.parametrize(
    "method", ["calibrated+hybrid-dann", "calibrated+quantile+dann", "calibrated+calibrated"]
)
def test_what_cannot_be_trained_on_calibrated_mc(toy, tmp_path, method):
    with pytest.raises(HepdannError):
        hepdann.train(
            toy / "tensors.h5",
            method=method,
            shift=hepdann.shifts.sine(t=3),
            output=tmp_path / "run",
            **FAST,
        )
    assert not (tmp_path / "run").exists()


def test_a_scan_fits_a_calibration_to_each_target(toy, tmp_path, run):
    methods = ["calibrated-known", "calibrated-known+dann"]
    grid = {"shift": "cosine", "t": [3.0], "lambda_": [1.0], "alignments": []}
    done = hepdann.scan(
        toy / "tensors.h5",
        methods=methods,
        calibration={"families": ["cosine"]},
        output=tmp_path / "scan",
        epochs=2,
        seeds=1,
        **grid,
    )
    (stored,) = (tmp_path / "scan").rglob("*maps.json")
    kept = json.loads(RunPaths(run.folder).calibration.read_text())["folds"]
    fitted = json.loads(stored.read_text())["calibrations"]["calibrated-known"]
    assert fitted["map"]["theta"] == kept[0]["calibrated-known"]["map"]["theta"]
    groups = {group["method"]: group["ensemble"] for group in done.summary["groups"]}
    assert groups["calibrated-known"]["target_auc"] > groups["source-only"]["target_auc"] + 0.05
    reached = run.metrics["methods"]["calibrated-known"]["mc"]["auc"]
    assert groups["calibrated-known"]["mc_auc"] == pytest.approx(reached, abs=0.02)
    with pytest.raises(ConfigError, match="a scan does not compare"):
        hepdann.scan(toy / "tensors.h5", methods=["parametrised"], output=tmp_path / "other")


def test_a_closed_calibration_comes_before_maps_of_data_that_close_alike():
    left = {"source-only": Residual(0.9, 0.01), "quantile": Residual(0.51, 0.01)}
    assert teacher(left | {"calibrated": Residual(0.52, 0.01)}, shift=True) == "calibrated"
    assert teacher(left | {"calibrated": Residual(0.58, 0.01)}, shift=True) == "quantile"
    assert teacher({"source-only": Residual(0.9, 0.01)}, shift=True) == "source-only"
    advice = recommend(left | {"calibrated": Residual(0.52, 0.01)}, {}, shift=False)
    assert advice.method == "source-only"


def test_mc_behind_a_calibration_is_not_exported(run):
    with pytest.raises(RunError, match="MC passes a calibration"):
        export(run.folder, "model.onnx", method="calibrated-known", domain="source")


def test_an_error_of_the_calibration_moves_the_scores_of_mc(run):
    model, scores = load_model(RunPaths(run.folder).model), open_scores(run.folder)
    varied = scores.varied("calibrated-known")
    assert scores.varied("source-only") is None
    features, event_id = (scores.column("mc", name) for name in ("features", "event_id"))
    score = partial(model.score, features, "calibrated-known", "source", event_id=event_id)
    for errors, kept in zip((1.0, -1.0), varied, strict=True):
        again = score(errors=errors).mean
        np.testing.assert_allclose(kept, again, atol=1e-6)
        assert np.abs(kept - scores.score("mc", "calibrated-known")).max() > 1e-5
    theta = [model.calibrations["calibrated-known"].varied(e).fit.theta[0] for e in (-1, 0, 1)]
    error = model.calibrations["calibrated-known"].fit.error[0]
    np.testing.assert_allclose(np.diff(theta), error, rtol=1e-6)


def test_figures_show_the_error_of_the_calibration_beside_that_of_statistics(run):
    shown = Quantities.open(run.folder).score("calibrated-known", 1, by="class", scale=True)
    np.testing.assert_allclose(shown.varied.sum(axis=1), shown.mc.sumw.sum(), rtol=1e-6)
    curve = run_roc(open_scores(run.folder), "mc", "calibrated-known")
    for ax, moved in (
        (scores(shown), shown.varied - shown.mc.sumw),
        (roc({"calibrated-known": curve}), curve.varied - curve.background_efficiency),
    ):
        assert np.abs(moved).max() > 0
        assert ax.get_legend_handles_labels()[1].count(VARIED_NAME) == 1
    assert run_roc(open_scores(run.folder), "mc", "source-only").varied is None


def test_templates_move_with_the_calibration(run):
    from hepdann.deploy.templates import pyhf_workspace
    from hepdann.evaluation import TemplateSettings, fill_templates

    filled = fill_templates(
        run.folder, TemplateSettings(method="calibrated-known", bins=100, asimov=True)
    )
    assert set(filled.mc["all", "signal"]) == {"nominal", "calibration_up", "calibration_down"}
    modifiers = pyhf_workspace(filled)["channels"][0]["samples"][0]["modifiers"]
    assert "calibration" in {one["name"] for one in modifiers}
    plain = fill_templates(run.folder, TemplateSettings(method="source-only", bins=5))
    assert set(plain.mc["all", "signal"]) == {"nominal"}


def test_predict_repeats_the_scores_of_mc_whatever_the_blocks(run, toy, tmp_path):
    """The shift smears: the noise of an event is its own."""
    import uproot

    done = hepdann.predict(
        run, toy / "mc.root", output=tmp_path, method="calibrated-known", block=999
    )
    with uproot.open(done.outputs[0]) as file:
        (tree,) = file.keys(filter_classname="TTree")
        predicted = file[tree]["score_signal"].array(library="np")
    scores = open_scores(run.folder)
    rows = scores.column("mc", "row")
    stored = scores.score("mc", "calibrated-known")[:, 1]
    np.testing.assert_allclose(predicted[rows], stored, atol=1e-6)


def test_predict_writes_both_sides(run, toy, tmp_path):
    import uproot

    for name, moves in (("mc", True), ("data", False)):
        done = hepdann.predict(
            run, toy / f"{name}.root", output=tmp_path / name, method="calibrated-known"
        )
        with uproot.open(done.outputs[0]) as file:
            (tree,) = file.keys(filter_classname="TTree") or file.keys()
            columns = file[tree].arrays(library="np")
        up, down = (columns[f"score_signal_{side}"] for side in ("up", "down"))
        assert np.array_equal(up, down) != moves


def test_the_gap_to_the_oracle_is_split_into_steps(run):
    from hepdann.evaluation.summary import explain_gap

    gap = run.metrics["gap"]
    whole = gap["oracle"]["accuracy"] - gap["source-only"]["accuracy"]
    assert sum(step["accuracy"] for step in gap["steps"]) == pytest.approx(whole)
    names = [step["name"] for step in gap["steps"]]
    assert (names[0], names[-1]) == ("threshold", "not recovered")
    assert not any(step["method"].startswith("calibrated-known") for step in gap["steps"])
    assert explain_gap({n: b for n, b in run.metrics["methods"].items() if n != "oracle"}) is None
    from hepdann_cli import evaluate

    shown = CliRunner().invoke(evaluate.command, [str(run.folder)])
    assert gap["sentence"].split(":")[0] in " ".join(shown.output.split())
