"""New data convert without the MC, into the columns of an existing tensor file."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from hepdann.config import Config, parse_config
from hepdann.errors import ConfigError, ReadError, SchemaError
from hepdann.readers import convert_files
from hepdann.tensors import open_tensors, seal

SETTINGS = """
convert:
  features:
    - {name: pt, missing: -999, indicator: true, unit: GeV, title: p_T}
    - {name: sum, expression: pt + eta, missing: -999, impute: 7}
    - hits
    - njets
  spectators: [eta]
  label: isb
  weight: weight
  data_weight: 2 * weight
  weights: {up: weight * 1.1}
  cut: njets < 7
  split: {seed: 3}
"""
SAME = ("features", "spectators", "weight", "sample", "event_id", "split")


@pytest.fixture(name="files")
def files_fixture(write, sample):
    def columns(seed):
        made = sample(400, seed=seed, hits=np.arange(800, dtype=np.float32).reshape(400, 2))
        made["pt"][::7] = -999
        return made

    mc, data = columns(1), columns(2)
    del data["isb"]
    return str(write("mc.root", mc)), str(write("data.root", data))


@pytest.fixture(name="tensors")
def tensors_fixture(files, tmp_path):
    path = tmp_path / "tensors.h5"
    convert_files(files[:1], files[1:], output=path, config=parse_config(SETTINGS))
    return path


def test_the_same_data_become_the_same_rows(files, tensors, tmp_path):
    new = tmp_path / "new.h5"
    summary = convert_files(data=files[1:], like=tensors, output=new)
    old, made = open_tensors(tensors), open_tensors(new)
    assert made.domains == ("data",)
    assert (made.features, made.units, made.spectators) == (
        old.features,
        old.units,
        old.spectators,
    )
    assert made.features == ("pt", "pt_missing", "sum", "hits_0", "hits_1", "njets")
    assert np.array_equal(made.impute, old.impute)
    assert made.split_config == old.split_config
    with h5py.File(tensors) as left, h5py.File(new) as right:
        for name in SAME:
            assert left["data"][name][...].tobytes() == right["data"][name][...].tobytes()
    assert made.provenance["like"]["path"] == str(tensors)
    assert summary.classes == ()
    assert summary.passed("data") == old.rows("data")
    assert made.verify() == []


def test_new_data_may_follow_new_data(files, tensors, tmp_path):
    first, second = tmp_path / "1.h5", tmp_path / "2.h5"
    convert_files(data=files[1:], like=tensors, output=first)
    convert_files(data=files[1:], like=first, output=second)
    with h5py.File(first) as left, h5py.File(second) as right:
        assert left["data/features"][...].tobytes() == right["data/features"][...].tobytes()
    assert open_tensors(second).provenance["settings"]["label"] == "isb"


def test_a_tensor_file_of_mc_alone_takes_data_too(files, tmp_path):
    mc, new = tmp_path / "mc.h5", tmp_path / "new.h5"
    convert_files(files[:1], output=mc, config=parse_config(SETTINGS))
    convert_files(data=files[1:], like=mc, output=new)
    assert open_tensors(new).features == open_tensors(mc).features
    assert open_tensors(new).rows("data") > 0


def test_nothing_that_the_file_decides_can_be_set(files, tensors, tmp_path):
    out = tmp_path / "new.h5"

    def refused(error, match, mc=(), data=files[1:], like=tensors, **settings):
        with pytest.raises(error, match=match):
            convert_files(mc, data, like=like, output=out, config=Config.model_validate(settings))
        assert not out.exists()

    refused(ConfigError, "it takes data and no MC", mc=files[:1])
    refused(ConfigError, "no data is given", data=())
    for key, value in (("cut", "pt > 1"), ("features", ["pt"]), ("split", {"seed": 1})):
        refused(ConfigError, rf"convert\.{key}: cannot be combined", convert={key: value})
    refused(SchemaError, "no such file", like=tmp_path / "none.h5")
    convert_files(
        data=files[1:], like=tensors, output=out, config=Config(convert={"tree": "events"})
    )


def test_data_without_a_branch_are_refused(tensors, write, sample, tmp_path):
    path = write("short.root", sample(hits=None, isb=None))
    with pytest.raises(ConfigError, match=r"short\.root:events: no branch 'hits_0'"):
        convert_files(data=[str(path)], like=tensors, output=tmp_path / "new.h5")
    path = write("noid.root", sample(hits=np.zeros((200, 2)), event=None))
    with pytest.raises(ReadError, match="no scalar branch 'event'"):
        convert_files(data=[str(path)], like=tensors, output=tmp_path / "new.h5")


def test_a_file_that_does_not_tell_how_it_was_made(files, tensors, tmp_path):
    with h5py.File(tensors, "r+") as file:
        file.attrs["provenance"] = json.dumps({"settings": {}})
    seal(tensors)
    with pytest.raises(SchemaError, match="does not tell how it was made"):
        convert_files(data=files[1:], like=tensors, output=tmp_path / "new.h5")


def test_data_cut_in_several_ways_are_no_model(files, tmp_path):
    path = tmp_path / "tensors.h5"
    mc, data = files
    config = parse_config(
        f"samples: [{{name: mc, files: {mc}}}, {{name: a, files: {data}, role: data, cut: pt<9}},"
        f" {{name: b, files: {data}, role: data, cut: pt>9}}]\n"
        "convert: {features: [eta], label: isb}"
    )
    convert_files(output=path, config=config)
    with pytest.raises(SchemaError, match=r"its data \(a, b\) have several cuts"):
        convert_files(data=[data], like=path, output=tmp_path / "new.h5")
