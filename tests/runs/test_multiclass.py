"""Three classes, an event weight of both signs, missing values: from ROOT files to figures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

import hepdann
from hepdann.config import Config
from hepdann.readers import convert


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
    convert([str(folder / "mc.root")], [str(folder / "data.root")], output=output, config=config)
    return output


def test_from_root_files_to_figures(tensors, tmp_path):
    run = hepdann.train(
        tensors,
        shift=hepdann.shifts.gaussian(t=5),
        output=tmp_path / "run",
        seeds=2,
        alignments=["quantile"],
        diagnose=False,
        epochs=3,
        batch_size=128,
    )
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
