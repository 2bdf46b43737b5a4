"""Three classes, an event weight of both signs, missing values: from ROOT files to figures."""

from __future__ import annotations

import json

import awkward
import numpy as np
import pytest
import uproot

import hepdann
from hepdann.config import Config
from hepdann.errors import RunError
from hepdann.readers import convert_files

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    rng = np.random.default_rng(3)
    for name, n, scale in (("mc", 3000, 1.0), ("data", 2000, 1.2)):
        kind = rng.integers(0, 3, n).astype(np.int32)
        pt = (rng.exponential(20, n) * (1 + 0.3 * kind) * scale + 20).astype(np.float32)
        eta = (rng.normal(0, 1, n) + 0.8 * (kind == 2)).astype(np.float32)
        iso = np.where(rng.random(n) < 0.2, -999, rng.normal(kind, 0.7, n)).astype(np.float32)
        columns = {
            "pt": pt,
            "eta": eta,
            "iso": iso,
            "event": np.arange(n, dtype=np.int64),
            "run": np.full(n, 1 if name == "mc" else 2, np.int32),
        }
        if name == "mc":
            columns |= {"kind": kind, "w": np.where(rng.random(n) < 0.1, -1.0, 1.0)}
        with uproot.recreate(folder / f"{name}.root") as file:
            file.mktree("events", {k: v.dtype for k, v in columns.items()}).extend(columns)
    config = Config.model_validate(
        {
            "convert": {
                "features": [
                    {"name": "pt", "unit": "GeV"},
                    "eta",
                    {"name": "iso", "missing": -999, "indicator": True},
                ],
                "label": "kind",
                "classes": ["qcd", "w", "top"],
                "weight": "w",
            }
        }
    )
    output = folder / "tensors.h5"
    convert_files(
        [str(folder / "mc.root")], [str(folder / "data.root")], output=output, config=config
    )
    return output


@pytest.fixture(scope="module")
def run(tensors):
    return hepdann.train(
        tensors,
        shift=hepdann.shifts.gaussian(t=5),
        output=tensors.parent / "run",
        seeds=2,
        alignments=["quantile"],
        diagnose=False,
        epochs=3,
        batch_size=128,
    )


def test_from_root_files_to_figures(run):
    block = run.metrics["methods"]["dann"]
    assert block["mc"]["accuracy"] > 0.45  # a third by chance
    assert block["target"]["auc"] > 0.6
    scores = run.predict(np.array([[50, 0, np.nan, 1]], np.float32))
    assert scores.shape == (1, 3)
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    json.dumps(run.metrics, allow_nan=False)
    look = Config(plots={"formats": ["png"]}).plots
    only = ["roc_mc_qcd", "roc_target_top", "scores_dann_w", "confusion_mc_dann", "data_mc_iso"]
    only += ["calibration_target_w"]
    files = hepdann.plotting.plot_run(run.folder, look, only)
    assert sorted(path.name for path in files) == sorted(f"{name}.png" for name in only)


def test_what_marks_a_missing_value_is_one_for_predict(run):
    again = hepdann.open_run(run.folder)
    missing = again.predict(np.array([[50, 0, np.nan, 1]]))
    for value in (-999, np.nan, np.inf, -np.inf, 1e300):
        assert np.array_equal(again.predict([[50, 0, value, 0]]), missing), value
    assert not np.allclose(again.predict([[50, 0, 1.0, 0]]), missing)
    assert np.array_equal(again.predict([[50, -np.inf, 1, 0]]), again.predict([[50, np.nan, 1, 0]]))


class Frame:
    """What a DataFrame is to predict: names of columns, and a column by its name."""

    def __init__(self, table):
        self._table = table

    @property
    def columns(self):
        return np.array(list(self._table), object)

    def __getitem__(self, name):
        return self._table[name]


def test_columns_are_taken_by_name(run):
    columns = {
        "iso": np.array([1.0, -999, 0.5]),
        "run": np.arange(3),
        "eta": np.array([0.1, -0.4, 2.0]),
        "pt": np.array([30, 60, 90]),
    }
    rows = [[30, 0.1, 1, 0], [60, -0.4, np.nan, 1], [90, 2, 0.5, 0]]
    expected = run.predict(np.array(rows))
    records = np.rec.fromarrays(list(columns.values()), names=list(columns))
    masked = dict(columns, iso=np.ma.masked_values(columns["iso"], -999))
    optional = awkward.Array({**columns, "iso": [1.0, None, 0.5]})
    kinds = [columns, records, Frame(columns), awkward.Array(columns), masked, optional]
    assert all(np.array_equal(run.predict(events), expected) for events in kinds)
    kept = run.predict({**columns, "iso": [1.0] * 3, "iso_missing": [1] * 3})
    assert np.array_equal(kept, run.predict([[30, 0.1, 1, 1], [60, -0.4, 1, 1], [90, 2, 1, 1]]))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({"pt": [1.0], "Eta": [0.0], "iso": [1.0]}, r"no eta; beside the features they have Eta"),
        ({"pt": [1.0]}, "no eta, iso"),
        ({"pt": [1.0], "eta": [0.0, 1.0], "iso": [1.0]}, r"column 'eta' has shape \(2,\)"),
        ({"pt": 1.0, "eta": 0.0, "iso": 1.0}, r"column 'pt' has shape \(\)"),
        ({"pt": ["high"], "eta": [0.0], "iso": [1.0]}, "column 'pt' cannot be read as numbers"),
        (np.zeros((2, 3)), r"features of shape \(2, 3\), expected \(N, 4\)"),
        (np.zeros(4), r"features of shape \(4,\)"),
    ],
)
def test_events_that_do_not_fit_are_refused_by_name(run, events, message):
    with pytest.raises(RunError, match=message):
        run.predict(events)


def test_a_domain_that_is_none_is_refused(run):
    with pytest.raises(RunError, match=r"no domain 'mc'; .source. scores MC"):
        run.predict(np.zeros((1, 4)), domain="mc")
    with pytest.raises(RunError, match="no domain 'mc'"):
        run.model.latent(np.zeros((1, 4), np.float32), "dann", "mc")
