"""`hepdann config`: one line and exit code 2 for a wrong file, a whole file or none."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot
from click.testing import CliRunner

from hepdann.config import Config, json_schema, load_config, override
from hepdann.errors import ConfigError, ReadError
from hepdann_cli.main import hepdann as command
from hepdann_cli.options import with_workers


def run(*arguments, code=0):
    result = CliRunner().invoke(command, ["config", *map(str, arguments)], catch_exceptions=False)
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == code
    return result.output


@pytest.fixture
def mc(tmp_path):
    rng = np.random.default_rng(1)
    columns = {"pt": rng.normal(size=50), "isb": rng.integers(0, 2, 50).astype("i4")}
    with uproot.recreate(tmp_path / "mc.root") as file:
        file.mktree("jets", {k: v.dtype for k, v in columns.items()}).extend(columns)
    return tmp_path / "mc.root"


def test_init_writes_what_check_accepts(mc, tmp_path):
    output = tmp_path / "my.yaml"
    assert run("init", mc, "-o", output) == f"wrote {output}\n"
    assert run("check", output) == f"{output}: valid\n"
    assert load_config(output).convert.label == "isb"
    assert output.read_text() == run("init", mc)


def test_init_never_replaces_a_file_unasked(mc, tmp_path):
    output = tmp_path / "my.yaml"
    output.write_text("train: {}\n")
    with pytest.raises(ConfigError, match="exists already; add --force"):
        run("init", mc, "-o", output)
    assert output.read_text() == "train: {}\n"
    run("init", mc, "-o", output, "--force")
    assert "label: isb" in output.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mc.root", "my.yaml"]


def test_init_takes_lists_and_data(mc, tmp_path):
    data = tmp_path / "data.root"
    with uproot.recreate(data) as file:
        file.mktree("jets", {"pt": "f8"}).extend({"pt": np.arange(9.0)})
    second = tmp_path / "more.root"
    second.write_bytes(mc.read_bytes())
    (tmp_path / "c.yaml").write_text(run("init", f"{mc}, {second}:jets", data))
    samples = load_config(tmp_path / "c.yaml").samples
    assert [s.role for s in samples] == ["mc", "data"]
    assert samples[0].files == [str(mc), f"{second}:jets"]


def test_schema_is_printed_as_json(tmp_path):
    assert json.loads(run("schema")) == json_schema()
    run("schema", "-o", tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == json_schema()


def test_check_notes_files_that_are_not_here(mc, tmp_path, monkeypatch):
    monkeypatch.delenv("HEPDANN_DATA", raising=False)
    said = run("check", "aleph")
    assert said.startswith("aleph: valid\nnote: sample Z->qq: ${HEPDANN_DATA}/aleph/aleph_mc.root:")
    assert "HEPDANN_DATA is not set" in said
    (tmp_path / "c.yaml").write_text(
        f"samples: [{{name: a, class: s, files: ['{mc}:jets', nowhere.root, 'root://x//y.root']}}]"
    )
    said = run("check", tmp_path / "c.yaml")
    assert "note: sample a: nowhere.root: no such file from here" in said
    assert said.count("note:") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "{}"], "{}:2: train.epoch: unknown key; did you mean 'epochs'?"),
        ([], "Missing command; see"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(typed, tmp_path, arguments, says):
    path = tmp_path / "c.yaml"
    path.write_text("train:\n  epoch: 3\n")
    done = typed("config", *(a.format(path) for a in arguments))
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hepdann: error: {says.format(path)}")
    assert len(done.stderr.splitlines()) == 1


def test_check_reads_cuts(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("convert: {cut: (pt > 20}\n")
    with pytest.raises(ConfigError, match=r"convert\.cut"):
        run("check", path)


@pytest.mark.parametrize(
    ("convert", "sample", "says"),
    [
        ("features: [pt, ptt], label: isb", "", r"no branch 'ptt', of convert.features\[1\] 'ptt'"),
        ("label: isc", "", "no branch 'isc', of convert.label"),
        ("label: isb, weight: 2*wgt", "", "no branch 'wgt', of convert.weight"),
        ("label: isb, cut: pt > 2 && eta < 1", "", "no branch 'eta', of convert.cut"),
        ("label: isb", ", cut: q > 1", r"no branch 'q', of .*samples\[0\].cut"),
        ("label: isb, spectators: [phi]", "", r"no branch 'phi', of convert.spectators\[0\]"),
    ],
)
def test_check_compares_with_the_branches_of_the_files(mc, tmp_path, convert, sample, says):
    path = tmp_path / "c.yaml"
    path.write_text(f"samples: [{{name: a, files: {mc}{sample}}}]\nconvert: {{{convert}}}\n")
    with pytest.raises(ConfigError, match=f"{mc}:jets: {says}"):
        run("check", path)


def test_check_opens_files_and_folders_of_pictures(tmp_path):
    digits = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "digits.npz", image=digits, label=np.arange(4))
    np.savez(tmp_path / "others.npz", x=np.zeros(4))
    (tmp_path / "none").mkdir()
    path = tmp_path / "c.yaml"
    for name, said in (
        ("digits.npz", None),
        ("others.npz", r"others\.npz: holds no pictures"),
        ("none", "none: "),
    ):
        path.write_text(f"samples: [{{name: a, class: c, files: ['{tmp_path / name}']}}]\n")
        if said is None:
            assert run("check", path) == f"{path}: valid\n"
        else:
            with pytest.raises(ReadError, match=said):
                run("check", path)


def test_check_accepts_what_convert_accepts(mc, tmp_path):
    data, path = tmp_path / "data.root", tmp_path / "c.yaml"
    with uproot.recreate(data) as file:
        file.mktree("jets", {"pt": "f8"}).extend({"pt": np.arange(9.0)})
    path.write_text(
        f"samples: [{{name: a, files: {mc}}}, {{name: d, role: data, files: {data}}}]\n"
        "convert: {label: isb, features: [pt], weight: 1 + isb, spectators: [isb]}\n"
    )
    assert run("check", path) == f"{path}: valid\n"


def test_commands_take_the_free_cores_whatever_else_is_given():
    given = {"train.epochs": 3, "train.workers": None}
    assert override(with_workers(Config()), given).train.workers == "auto"
    assert override(with_workers(Config()), {"train.workers": 1}).train.workers == 1
    said = Config.model_validate({"train": {"workers": 1}})
    assert override(with_workers(said), given).train.workers == 1
