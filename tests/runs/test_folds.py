"""Cross-fitting: no event is scored by a network that saw it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import h5py
import numpy as np
import pytest

import hepdann
from hepdann import shifts
from hepdann.domains import in_folds, prepare
from hepdann.errors import ConfigError, Interrupted, RunError
from hepdann.evaluation import diagnose, open_scores
from hepdann.inference import NO_FOLD, open_predictor
from hepdann.runs import resume
from hepdann.runs.maps import fold_estimate
from hepdann.stats import auc
from hepdann.store.model_file import read_model
from hepdann.store.training_record import TrainingRecord
from hepdann.tensors import Tensors, fold_of, open_tensors
from hepdann_cli import evaluate

pytestmark = pytest.mark.usefixtures("few_trees")

ASKED = {
    "seeds": 1,
    "epochs": 2,
    "batch_size": 64,
    "alignments": ["quantile"],
    "diagnose": False,
    "method": ["dann", "quantile+dann", "self-training"],
}
SAME = ("model.safetensors", "history.csv", "scores.h5", "health.json")


def stop_after(steps):
    left = itertools.count()
    return lambda: next(left) >= steps


@pytest.fixture(scope="module")
def run(toy, few_trees, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "run"
    return hepdann.train(
        toy / "tensors.h5", shift=shifts.sine(t=3), folds=2, output=folder, **ASKED
    )


def noise(path, n=300):
    """Events whose class nothing tells: the AUC of every honest score is one half."""
    generator = np.random.default_rng(5)
    x, label = generator.normal(size=(n, 6)), generator.integers(0, 2, n)
    return Tensors.from_arrays(x, label, data=generator.normal(size=(n, 6)), output=path)


def overtrained(tensors, output, **options):
    return hepdann.train(
        tensors, output=output, seeds=1, epochs=40, batch_size=64, extractor=[128, 128], ema=0,
        alignments=["quantile"], normalisation="none", diagnose=False, **options,
    )  # fmt: skip


def test_scores_of_training_events_are_biased_and_with_folds_none_are(tmp_path):
    tensors = noise(tmp_path / "noise.h5")
    plain = open_scores(overtrained(tensors, tmp_path / "plain").folder)
    label = plain.column("mc", "label")
    score = plain.score("mc", "source-only")
    trained = plain.rows("mc", "train")
    assert auc(score[trained], label[trained]).value > 0.8
    assert auc(score[~trained], label[~trained]).value == pytest.approx(0.5, abs=0.15)

    run = overtrained(tensors, tmp_path / "folds", folds=2)
    folds = open_scores(run.folder)
    figure = auc(folds.score("mc", "source-only"), label)
    assert figure.value == pytest.approx(0.5, abs=0.1)
    assert run.metrics["methods"]["source-only"]["mc"]["auc"] == pytest.approx(figure.value)


def change(x, part):
    """Other features in one part of the events."""
    x = x.copy()
    x[part] = 3 * x[part] ** 2 - 1
    return x


def test_a_fold_sees_nothing_of_its_part(tmp_path):
    generator = np.random.default_rng(1)
    x, label = generator.normal(size=(900, 3)), generator.integers(0, 2, 900)
    x += label[:, None]
    y = generator.normal(0.5, 1.2, size=(700, 3))
    x[::17, 1] = y[::11, 1] = np.nan
    ids, data_ids = np.arange(900), np.arange(10_000, 10_700)
    models = []
    for name in ("as-it-is", "changed"):
        file = Tensors.from_arrays(
            x, label, data=y, event_id=ids, data_event_id=data_ids, output=tmp_path / f"{name}.h5"
        )
        run = hepdann.train(file, folds=2, output=tmp_path / name, **ASKED)
        models.append(read_model(run.folder / "model.safetensors"))
        parts = [fold_of(file.column(domain, "event_id"), 2, 0) == 0 for domain in ("mc", "data")]
        x, y = change(x, parts[0]), change(y, parts[1])
        label = np.where(parts[0], 1 - label, label)

    def contents(header, tensors, fold):
        weights = {k: v.tobytes() for k, v in tensors.items() if k.startswith(f"fold-{fold}/")}
        stored = header.folds[fold].model_dump(exclude={"mixtures"})
        return weights, stored

    one, other = (contents(*model, 0) for model in models)
    assert one == other
    one, other = (contents(*model, 1) for model in models)
    assert one[0].keys() == other[0].keys()
    assert one != other


def test_the_class_fractions_of_a_fold_come_from_the_others(tmp_path):
    generator = np.random.default_rng(2)
    label, hidden = generator.integers(0, 2, 1500), generator.random(1500) < 0.85
    x, y = (generator.normal(size=(1500, 2)) + 2.0 * c[:, None] for c in (label, hidden))
    file = Tensors.from_arrays(x, label, data=y, output=tmp_path / "shifted.h5")
    domains = prepare(file, None, None, 0)
    whole = diagnose(domains.source, domains.target, file.features).fractions
    assert whole is not None
    assert whole.shift
    fold = in_folds(domains, 2)[0]
    estimate = fold_estimate(fold, whole)
    np.testing.assert_allclose(estimate.value, [0.15, 0.85], atol=0.06)
    source, target = fold.source, fold.target
    parts = source.split == 2, target.split == 2
    other = replace(
        fold,
        source=replace(
            source,
            features=change(source.features, parts[0]),
            label=np.where(parts[0], 1 - source.label, source.label),
        ),
        target=target.with_features(change(target.features, parts[1])),
    )
    np.testing.assert_array_equal(fold_estimate(other, whole).value, estimate.value)
    assert fold_estimate(fold, replace(whole, shift=False)) is None


def test_every_event_is_scored_by_the_fold_that_did_not_see_it(run, toy):
    scores, salt = open_scores(run.folder), open_tensors(toy / "tensors.h5").split_config.seed
    assert scores.folds == 2
    for group, domain in (("mc", "source"), ("target", "target")):
        events, fold = scores.events(group), scores.column(group, "fold")
        np.testing.assert_array_equal(fold, fold_of(events.event_id, 2, salt))
        for method in run.methods:
            kept = scores.score(group, method)
            for number, model in enumerate(run.model.folds):
                rows = fold == number
                expected = model.score(events.features[rows], method, domain).mean
                np.testing.assert_allclose(kept[rows], expected, atol=1e-6)
    mapped = scores.column("target", "aligned/quantile")
    for number, model in enumerate(run.model.folds):
        rows = scores.column("target", "fold") == number
        raw = scores.column("target", "features")[rows]
        expected = model.alignments["quantile"].apply(raw)
        np.testing.assert_array_equal(mapped[rows], expected)


def test_figures_are_those_of_all_events(run):
    scores = open_scores(run.folder)
    weight = scores.column("mc", "weight").astype(np.float64)
    n_eff = weight.sum() ** 2 / (weight**2).sum()
    assert run.metrics["methods"]["dann"]["mc"]["n_eff"] == pytest.approx(n_eff)
    assert run.evaluate()["methods"] == run.metrics["methods"]
    assert set(run.history["fold"]) == {0, 1}
    latent = scores.latent("mc", "dann")
    rows = scores.latent_rows("mc", len(latent))
    assert (scores.column("mc", "fold")[rows] == 0).all()
    expected = run.model.folds[0].latent(scores.events("mc").features[rows], "dann", "source")
    np.testing.assert_allclose(latent, expected, atol=1e-5)


def test_a_predictor_knows_the_events_of_the_training_files(run):
    predictor, scores = open_predictor(run.folder, "dann", "source"), open_scores(run.folder)
    events = scores.events("mc")
    kept = scores.score("mc", "dann")
    got = predictor.score(events.features, events.event_id)
    np.testing.assert_allclose(got, kept, atol=1e-6)
    again = run.predict(events.features, "source", "dann", events.event_id)
    np.testing.assert_array_equal(again, got)
    strangers = events.event_id + np.uint64(1)
    assert (predictor.folds(strangers) == NO_FOLD).all()
    mean = np.mean([m.score(events.features, "dann", "source").mean for m in run.model.folds], 0)
    np.testing.assert_allclose(predictor.score(events.features, strangers), mean, atol=1e-6)
    np.testing.assert_allclose(run.predict(events.features, "source", "dann"), mean, atol=1e-6)
    np.testing.assert_allclose(predictor.steps.score(events.features).mean, mean, atol=1e-6)
    assert len(predictor.score(events.features[:0], events.event_id[:0])) == 0


def test_a_run_in_folds_ends_in_the_same_bits_after_an_interrupt(run, toy, tmp_path):
    folder = tmp_path / "again"
    with pytest.raises(Interrupted):  # in the second fold: the first alone is no run
        hepdann.train(
            toy / "tensors.h5", shift=shifts.sine(t=3), folds=2, output=folder,
            stop=stop_after(30), **ASKED,
        )  # fmt: skip
    assert not (folder / "metrics.json").exists()
    with pytest.raises(RunError, match=r"train\.folds is 3, the run began with 2"):
        resume(folder, given={"train.folds": 3})
    resume(folder)
    for name in SAME:
        assert (folder / name).read_bytes() == (run.folder / name).read_bytes(), name


@pytest.mark.slow
def test_workers_train_all_folds_to_the_same_bits(run, toy, tmp_path):
    again = hepdann.train(
        toy / "tensors.h5", shift=shifts.sine(t=3), folds=2, output=tmp_path / "run",
        workers=2, **ASKED,
    )  # fmt: skip
    for method in ("source-only", "dann", "oracle"):
        for domain in ("mc", "target"):
            one, other = (open_scores(r.folder).score(domain, method) for r in (run, again))
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_figures_say_that_they_are_out_of_fold(run, capsys):
    assert run.metrics["folds"] == 2
    assert open_scores(run.folder).judged == "out of fold"
    evaluate.show(run.folder, run.metrics, brief=True)
    assert "all events, out of fold" in " ".join(capsys.readouterr().out.split())


def test_working_points_say_that_they_are_out_of_fold(run, typed):
    said = typed("evaluate", run.folder, "--working-points", "0.7").stdout
    assert "Working points: all events, out of fold" in " ".join(said.split())
    assert "test split" not in said


def test_a_run_in_folds_knows_all_events_that_a_fold_was_trained_on(run, toy):
    """Those of the test split too; the validation split trains none."""
    tensors = open_tensors(toy / "tensors.h5")
    trained = np.isin(tensors.column("mc", "split"), (0, 2))
    record = TrainingRecord.read(run.folder)
    assert set(record.events) == set(tensors.column("mc", "event_id")[trained])
    name = tensors.features[0]
    values = tensors.column("mc", name)[trained]
    assert record.ranges[name] == (np.nanmin(values), np.nanmax(values))


def test_what_folds_cannot_do_is_refused(toy, tmp_path):
    path = toy / "tensors.h5"
    with pytest.raises(ConfigError, match=r"train\.folds"):
        hepdann.train(path, folds=1, output=tmp_path / "one")
    with pytest.raises(ConfigError, match=r"train\.folds: needs all events in memory"):
        hepdann.train(path, folds=2, memory="blocks", output=tmp_path / "blocks")
    config = hepdann.config.Config.model_validate({"train": {"folds": 2}})
    with pytest.raises(ConfigError, match=r"train\.folds: a scan"):
        hepdann.scan(path, shift="sine", t=[3.0], config=config, output=tmp_path / "scan")
    assert not list(tmp_path.iterdir())


def test_damaged_folds_are_refused(run, tmp_path):
    target = tmp_path / "scores.h5"
    target.write_bytes((run.folder / "scores.h5").read_bytes())
    with h5py.File(target, "a") as file:
        del file["mc/fold"]
    with pytest.raises(RunError, match="no dataset mc/fold"):
        open_scores(target)
