"""What users add is found by its name, from Python and from installed packages alike."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hepdann
from hepdann import samples
from hepdann.config import Config, load_config
from hepdann.errors import ConfigError
from hepdann.readers import convert_files
from hepdann.registry import (
    ALIGNMENTS,
    CRITERIA,
    FIGURES,
    METHODS,
    NETWORKS,
    SHIFTS,
    UnknownNameError,
)

PLUGIN = Path(__file__).parent / "plugin"
ALL = (ALIGNMENTS, CRITERIA, FIGURES, METHODS, NETWORKS, SHIFTS)
EACH = pytest.mark.parametrize("names", ALL, ids=lambda names: names.kind)


@pytest.fixture(autouse=True)
def clean_fixture(monkeypatch):
    """What a test registers is gone after it."""
    for names in ALL:
        monkeypatch.setattr(names, "_registered", dict(names._registered))
        monkeypatch.setattr(names, "_loaded", {})


def installed(folder, name, entries, code=""):
    """Write a package with entry points, as pip would install it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    (folder / f"{name}.py").write_text(code)


@EACH
def test_everything_of_hepdann_is_what_its_name_says(names):
    for name in names.own:
        assert getattr(names[name], "name", name) == name
        assert names[name] is names[name]


@EACH
def test_names_follow_one_rule(names):
    own = next(iter(names.own))
    with pytest.raises(ConfigError, match=f"'{own}' is one of hepdann's own"):
        names.decorator(own)
    for name in ("", " a", "a+b", "a/b", "a,b", "a:b"):
        with pytest.raises(ConfigError, match=f"cannot name a {names.kind}"):
            names.decorator(name)
    with pytest.raises(UnknownNameError, match=f"unknown {names.kind} '{own}x'; did you mean"):
        names[f"{own}x"]
    assert names.get("qqqqqq") is None


def test_a_name_is_registered_again_as_in_a_notebook():
    hepdann.register.shift("again")(lambda x, t, generator: x)
    second = hepdann.register.shift("again", raw=True)(lambda x, t, generator, sigma: x)
    assert SHIFTS["again"].map is second
    assert list(SHIFTS).count("again") == 1


def test_every_decorator_is_that_of_its_room():
    assert hepdann.register.shift is hepdann.shifts.register
    assert sorted(dir(hepdann.register)) == sorted(names.kind for names in ALL)
    for kind in dir(hepdann.register):
        assert callable(getattr(hepdann.register, kind))
    with pytest.raises(AttributeError, match="metod"):
        _ = hepdann.register.metod


def test_a_thing_of_another_kind_is_refused():
    for names in ALL:
        with pytest.raises(ConfigError, match="'mine'"):
            names.add("mine", 3)


def test_a_name_that_packages_share_is_refused(tmp_path, monkeypatch):
    installed(tmp_path, "first", "[hepdann.shifts]\ntwice = first:f\nsine = first:f\n", "f = len")
    installed(tmp_path, "second", "[hepdann.shifts]\ntwice = second:f\n", "f = len")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="'twice' is claimed by the package first and the pack"):
        SHIFTS["twice"]
    with pytest.raises(ConfigError, match="'sine' is claimed by hepdann and the package first"):
        SHIFTS["sine"]
    hepdann.register.shift("twice")(lambda x, t, generator: x)  # the user has the last word
    assert SHIFTS["twice"].raw is False


def test_a_package_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    entries = "[hepdann.methods]\nbroken = broken:method\nabsent = absent_module:method\n"
    installed(tmp_path, "broken", entries, "raise ValueError('no such luck')")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"broken", "absent"} <= set(METHODS)  # names import nothing
    assert METHODS["dann"].name == "dann"
    with pytest.raises(ConfigError, match=r"package broken cannot .* ValueError: no such luck"):
        METHODS["broken"]
    with pytest.raises(ConfigError, match=r"ModuleNotFoundError: .*uninstall it"):
        METHODS["absent"]


def test_no_text_is_taken_for_a_module():
    for name in ("methods.dann:DANN", "os:system", "hepdann_plugin:network"):
        assert name not in NETWORKS
        with pytest.raises(UnknownNameError):
            NETWORKS[name]


def test_help_knows_a_package_and_does_not_import_it():
    code = (
        f"import sys; sys.path.insert(0, {str(PLUGIN)!r}); from hepdann_cli.main import hepdann\n"
        "for name in sys.argv[1:]: hepdann([*name.split(), '-h'], standalone_mode=False)\n"
        "assert 'hepdann_plugin' not in sys.modules and 'torch' not in sys.modules"
    )
    words = ["", "train", "plot"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    printed = re.sub(r"-\s+", "-", done.stdout)  # names are broken at hyphens
    for kind in ("stretch", "centre", "method", "network", "means"):
        assert f"plugin-{kind}" in printed


@pytest.fixture(name="plugin")
def plugin_fixture(monkeypatch):
    monkeypatch.syspath_prepend(PLUGIN)
    yield
    sys.modules.pop("hepdann_plugin", None)


def test_a_package_of_forty_lines_adds_one_of_each(plugin, tmp_path, typed, monkeypatch):
    samples.write_bjets(tmp_path, 600, 4)
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))  # of the workers
    config = Config.model_validate({"convert": {"features": list(samples.INPUTS)}})
    convert_files([str(tmp_path / "mc.root")], output=tmp_path / "tensors.h5", config=config)
    done = typed(
        *("train", "--shift", "plugin-stretch", "--t", "2", "--alignment", "plugin-centre"),
        *("--method", "plugin-centre+plugin-method", "--network", "plugin-network"),
        *("--seeds", "1", "--epochs", "1", "--batch-size", "32", "--no-diagnose", "--no-oracle"),
        *("--workers", "2", "-o", "run"),  # each of which imports the package
    )
    assert done.code == 0, done.stderr
    run = hepdann.open_run(tmp_path / "run")
    assert {"plugin-centre", "plugin-centre+plugin-method"} <= set(run.metrics["methods"])
    assert 0 < run.metrics["methods"]["plugin-centre"]["criteria"]["plugin-margin"] < 0.5
    assert run.metrics["criteria"]["ranking"]["auc"]["plugin-margin"]["n"] > 0
    assert load_config(tmp_path / "run" / "config.yaml").train.shift.name == "plugin-stretch"
    done = typed("plot", "run", "--only", "plugin-means", "--formats", "png")
    assert done.code == 0, done.stderr
    shown = json.loads((tmp_path / "run" / "plots" / "plugin-means.json").read_text())
    assert set(shown) == set(run.metrics["methods"])
