"""What ``hepdann.train`` takes: composed shifts, settings with types, progress."""

from __future__ import annotations

import types
import typing
from pathlib import Path

import pytest
import yaml

import hepdann
from hepdann import shifts
from hepdann.config import NetworkSettings, ScanConfig, ScanSettings, TrainConfig, TrainSettings
from hepdann.errors import ConfigError
from hepdann.runs import resume

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {
    "seeds": 1, "epochs": 1, "batch_size": 128, "alignments": [], "diagnose": False,
    "oracle": False,
}  # fmt: skip


def test_a_composition_of_several_strengths_trains_and_resumes(toy, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    both = shifts.compose(shifts.sine(3), shifts.gaussian(8))
    left = iter(range(4))
    stopped = hepdann.train(
        str(toy / "tensors.h5"), shift=both, stop=lambda: next(left, None) is None, **FAST
    )
    assert stopped.folder == Path("runs/sine+gaussian-t3+8-1")
    stored = yaml.safe_load((stopped.folder / "config.yaml").read_text())["train"]["shift"]
    assert stored == {"name": "sine+gaussian", "t": [3, 8], "quantile": 1}
    assert capfd.readouterr() == ("", "")
    run = resume(stopped.folder, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "step 5/5" in err
    assert run.metrics["target"]["shift"] == stored
    whole = hepdann.train(toy / "tensors.h5", shift=both, output="runs/whole", **FAST)
    for name in ("model.safetensors", "scores.h5"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert "sine+gaussian t = 3+8" in repr(run)


ARGUMENTS = {"methods", "shift", "auxiliary_shifts", "network"}  # of `train`, by other names


def plain(kind):
    """A type of a setting as a set of words: literal values, and the names of classes."""
    if typing.get_origin(kind) is typing.Literal:
        return set(typing.get_args(kind))
    if typing.get_origin(kind) is typing.Annotated:
        return plain(typing.get_args(kind)[0])
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(plain, typing.get_args(kind)))
    name = (origin or kind).__name__
    return {{"Sequence": "list"}.get(name, name)}


def test_the_typed_settings_are_those_of_the_configuration():
    fields = TrainConfig.model_fields
    train, scan = (typing.get_type_hints(kind) for kind in (TrainSettings, ScanSettings))
    assert set(train) == set(fields) - ARGUMENTS
    assert set(typing.get_type_hints(NetworkSettings)) < set(train)
    assert set(scan) == set(fields) - {
        "methods", "shift", "lambda_", "alignments", "folds", "calibration"
    } | {"stack"}  # fmt: skip
    given = {
        "Mapping",
        "AugmentConfig",
        "CalibrationConfig",
        "RateSchedule",
        "LambdaSchedule",
    }
    hints = typing.get_type_hints(TrainConfig, include_extras=True)
    for name, kind in train.items():
        wanted = plain(hints[name]) | ({"str"} if name == "alignments" else set())
        assert plain(kind) - given == wanted - given, name
    assert plain(scan["stack"]) == plain(typing.get_type_hints(ScanConfig)["stack"])


def test_a_misspelt_setting_is_refused_by_its_name(toy):
    with pytest.raises(ConfigError, match=r"train\.epoch: unknown key; did you mean 'epochs'"):
        hepdann.train(toy / "tensors.h5", epoch=3)
