"""Runs whose methods need columns besides the features: nuisances of the MC."""

from __future__ import annotations

import json

import numpy as np
import pytest

import hepdann
from hepdann.domains import Wanted, in_folds, prepare
from hepdann.errors import ConfigError, HepdannError, SchemaError
from hepdann.evaluation import open_scores
from hepdann.evaluation.nuisances import BEST, PER_BIN, nuisances_of
from hepdann.methods.decorrelation import planed
from hepdann.runs import resume

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {
    "seeds": 1, "epochs": 2, "batch_size": 256, "alignments": [], "diagnose": False,
    "oracle": False, "nuisance": ["energy", "isb_like"],
}  # fmt: skip
METHODS = ["pivot", "pivot-alternating", "dann-pivot", "disco", "planing"]


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    """Signal at larger z, and a category that says which half; a tenth of the weights negative."""
    rng = np.random.default_rng(0)
    n = 3000
    label = rng.integers(0, 2, n)
    z = rng.normal(label, 1.0)
    table = {"x": rng.normal(label + 0.5 * z), "energy": z, "isb_like": rng.integers(0, 3, n)}
    return hepdann.Tensors.from_arrays(
        table, label, np.where(rng.random(n) < 0.1, -1.0, 1.0), data=table,
        event_id=np.arange(n), data_event_id=np.arange(n),
        output=tmp_path_factory.mktemp("tensors") / "t.h5",
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tensors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return hepdann.train(tensors, method=METHODS, output=folder, **FAST)


def test_every_method_is_judged_by_what_its_score_tells(run):
    figures = run.metrics["nuisances"]["energy"]
    assert set(figures) == {"source-only", *METHODS, BEST, PER_BIN}
    for block in figures.values():
        assert 0 <= block["ks"] < 1.5  # negative weights may take it above 1
        assert [cut["efficiency"] for cut in block["cuts"]] == [0.3, 0.5, 0.7, 0.9]
        assert all(0 <= cut["jsd"] <= 1 and cut["rejection"] >= 1 for cut in block["cuts"])
    for name in (BEST, PER_BIN):
        assert figures[name]["cuts"][1]["jsd"] < figures["source-only"]["cuts"][1]["jsd"] / 3
    rejections = [figures[n]["cuts"][1]["rejection"] for n in ("source-only", BEST, PER_BIN)]
    assert rejections == sorted(rejections, reverse=True)
    rows = (run.folder / "history.csv").read_text().splitlines()
    names = rows[0].split(",")
    losses = {r.split(",")[0]: r.split(",")[names.index("loss_nuisance")] for r in rows[1:]}
    assert losses["source-only"] == losses["disco"] == ""
    assert float(losses["pivot"]) > 1


def test_a_run_with_nuisances_that_was_killed_resumes_to_the_same_bits(
    run, tensors, tmp_path, killed
):
    killed(
        lambda stop: hepdann.train(
            tensors, method=METHODS, output=tmp_path / "run", stop=stop, **FAST
        ),
        30,
    )
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert list((tmp_path / "run" / "checkpoint").glob("stack-*.safetensors"))
    again = resume(tmp_path / "run")
    for name in ("model.safetensors", "history.csv", "scores.h5"):
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes(), name


def test_a_scan_trains_methods_with_nuisances_and_judges_them(tensors, tmp_path, capsys):
    settings = FAST | {"epochs": 1, "nuisance": ["energy"]}
    scan = hepdann.scan(
        tensors, methods=["pivot", "planing"], lambda_=[1.0], output=tmp_path / "scan", **settings
    )
    groups = {group["method"]: group for group in scan.summary["groups"]}
    assert {"pivot", "planing", "source-only"} <= set(groups)
    inverse = {name: group["ensemble"]["nuisance_inverse_jsd"] for name, group in groups.items()}
    assert all(value > 1 for value in inverse.values())
    assert all(group["ensemble"]["nuisance_rejection"] > 1 for group in groups.values())
    assert "nuisance_rejection,nuisance_inverse_jsd" in (scan.folder / "scan.csv").read_text()
    from hepdann_cli.scan import show

    show(scan)
    assert "1/JSD" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"nuisance": ["m_vis"]}, SchemaError, "no column 'm_vis'"),
        ({"nuisance": None}, ConfigError, "--nuisance m_vis"),
        ({"nuisance_classes": ["beauty"]}, ConfigError, "classes are background, signal"),
        ({"nuisance": ["energy * 0"]}, ConfigError, "nothing to make the score independent"),
        ({"nuisance": ["log(energy)"]}, ConfigError, "is missing in"),
        ({"memory": "blocks"}, ConfigError, "needs features in memory"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tensors, tmp_path, changes, error, message):
    with pytest.raises(error) as caught:
        hepdann.train(tensors, method="pivot", output=tmp_path / "run", **(FAST | changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_planing_gives_the_classes_one_distribution(tensors):
    domains = prepare(tensors, None, None, 0, wanted=Wanted(("energy",)))
    source = planed(domains)
    train = source.part("train")
    z = domains.source.part("train").nuisances[:, 0]
    edges = np.quantile(z, [0.05, 0.25, 0.5, 0.75, 0.95])
    shares = []
    for label in (0, 1):
        rows = train.label == label
        content = np.histogram(z[rows], edges, weights=train.weight[rows])[0]
        shares.append(content / content.sum())
    assert np.allclose(*shares, atol=0.02)


def test_categories_are_recognised_and_columns_standardised(tensors):
    domains = prepare(
        tensors, None, None, 0, wanted=Wanted(("energy", "isb_like"), classes=("background",))
    )
    assert domains.nuisances.widths == (0, 3)
    table = domains.nuisances.apply(domains.source)
    counts = domains.source.label == 0
    train = counts & (domains.source.split == 0)
    assert abs(table[train, 1].mean()) < 1e-3
    assert abs(table[train, 1].std() - 1) < 1e-3
    assert set(table[counts, 2]) == {0.0, 1.0, 2.0}
    assert not table[~counts].any()
    assert table[domains.source.split == 0, 0].mean() == pytest.approx(1, abs=1e-3)


def test_a_run_without_its_tensor_file_has_no_such_figures(run, tensors, tmp_path, monkeypatch):
    scores = open_scores(run.folder)
    (one, _) = nuisances_of(scores)
    assert set(one.shapes("pivot")) == {"edges", "before", "after"}
    assert json.dumps(run.metrics)
    moved = tensors.path.with_name("moved.h5")
    tensors.path.rename(moved)
    try:
        with pytest.raises(HepdannError):
            nuisances_of(open_scores(run.folder))
    finally:
        moved.rename(tensors.path)


def test_the_columns_follow_the_events_into_pseudo_data_and_folds(tensors):
    """The source of pseudo-data is half of the MC, and so are its nuisances; mixtures the other."""
    shift = hepdann.shifts.gaussian(t=8)
    wanted = Wanted(("energy",), mixtures=("energy > 0", "energy <= 0"))
    domains = prepare(tensors, None, shift, 0, wanted=wanted)
    whole = dict(
        zip(tensors.column("mc", "event_id").tolist(), tensors.column("mc", "energy"), strict=True)
    )
    source, target = domains.source, domains.target
    assert [whole[i] for i in source.event_id.tolist()] == source.nuisances[:, 0].tolist()
    side = np.array([whole[i] for i in target.event_id.tolist()])
    assert np.array_equal(domains.mixtures.number, np.where(side > 0, 0, 1))
    for fold in in_folds(domains, 2):
        assert fold.source.nuisances is source.nuisances
        assert fold.mixtures is domains.mixtures
        assert fold.nuisances.mean != pytest.approx(domains.nuisances.mean, abs=1e-9)
