"""``hepdann.convert`` as a script calls it."""

from __future__ import annotations

import inspect

import pytest

import hepdann
from hepdann import samples
from hepdann.config import load_config
from hepdann.errors import ConfigError
from hepdann_cli.convert import command


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    samples.write_bjets(folder, 300, 4, True)
    return folder


@pytest.mark.parametrize(
    "kind",
    [
        str,
        lambda path: path,
        lambda path: [
            path,
        ],
    ],
)
def test_convert_takes_texts_paths_and_lists(files, tmp_path, kind):
    mc, data = kind(files / "mc.root"), kind(files / "data.root")
    tensors = hepdann.convert(mc, data, output=str(tmp_path / "t.h5"), weight="weight")
    assert isinstance(tensors, hepdann.Tensors)
    assert tensors.path == tmp_path / "t.h5"
    assert tensors.summary.passed("mc") == tensors.rows("mc")
    assert repr(tensors).startswith(f"<Converted {tmp_path / 't.h5'}: ")
    assert tensors.source().features.shape[1] == len(tensors.features)


def test_the_arguments_are_settings(files, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("convert: {features: [prob_b, spheri], cut: prob_b > 0.1}\n")
    given = {"output": tmp_path / "t.h5", "truth": files / "truth.root"}
    tensors = hepdann.convert(
        files / "mc.root", files / "data.root", config=config, split_seed=3, **given
    )
    assert tensors.features == tuple(load_config(config).convert.features)
    assert (tensors.split_config.seed, tensors.has_truth) == (3, True)
    new = hepdann.convert(data=files / "data.root", like=tensors.path, output=tmp_path / "n.h5")
    assert new.domains == ("data",)
    with pytest.raises(ConfigError, match=r"convert\.compress"):
        hepdann.convert(files / "mc.root", compress="lzma", output=tmp_path / "x.h5")


def test_every_option_of_the_command_is_an_argument():
    options = {parameter.name for parameter in command.params} - {"config_file"}
    options -= {"cluster", "workers"}  # hepdann.cluster.on_cluster has them
    options -= {"object_labels"}  # settings of objects
    assert options <= set(inspect.signature(hepdann.convert).parameters)
