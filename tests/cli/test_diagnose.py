"""`hepdann diagnose` as it is typed: the sentence, the ranking, JSON, refusals."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from hepdann.config.samples import SplitConfig
from hepdann.tensors import Block, Layout, TensorWriter
from hepdann_cli.main import hepdann


def invoke(*arguments):
    """What the command prints, in this process."""
    done = CliRunner().invoke(hepdann, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0
    assert not done.stderr
    return done.stdout


@pytest.fixture
def refuse(typed):
    """The one line with which a command refuses its input, as it is typed."""

    def line(*arguments):
        done = typed(*arguments)
        assert (done.code, done.stdout) == (2, "")
        assert done.stderr.startswith("hepdann: error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    return line


def write(path, moved=0.0, n=2000, data=True, features=("pt", "eta"), provenance=None):
    generator = np.random.default_rng(3)
    domains = ["mc", "data"] if data else ["mc"]
    layout = Layout(
        features=tuple(features),
        units=("GeV", ""),
        classes=("background", "signal"),
        samples=dict.fromkeys(domains, ("toy",)),
    )
    capacity = dict.fromkeys(domains, n)
    with TensorWriter(path, layout, capacity=capacity, split=SplitConfig()) as writer:
        for domain in domains:
            x = generator.normal(size=(n, 2)).astype(np.float32)
            x[:, 1] += moved * (domain == "data")
            block = Block(
                features=x,
                spectators=np.empty((n, 0), np.float32),
                weight=np.ones(n, np.float32),
                sample=np.zeros(n, np.uint16),
                event_id=generator.integers(0, 2**63, n).astype(np.uint64),
                label=np.arange(n, dtype=np.int32) % 2 if domain == "mc" else None,
            )
            writer.append(domain, block)
        writer.finish(provenance or {})
    return path


def test_without_a_shift_it_says_that_adapting_can_only_cost(tmp_path, monkeypatch):
    write(tmp_path / "tensors.h5")
    monkeypatch.chdir(tmp_path)
    printed = invoke("diagnose")  # tensors.h5 is the default
    assert "No shift found" in printed
    assert "adapting can only cost you" in printed


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    return write(tmp_path_factory.mktemp("diagnose") / "moved.h5", moved=0.5)


def test_the_feature_that_moved_comes_first(moved):
    printed = invoke("diagnose", moved)
    assert "MC and data differ" in printed
    assert "most in eta" in printed
    assert printed.index("\n  eta") < printed.index("\n  pt")


def test_the_name_of_a_feature_is_text_and_no_markup(tmp_path):
    file = write(tmp_path / "lv.h5", moved=0.5, features=("pt", "W[/lv]"))
    printed = invoke("diagnose", file, "--max-events", "500")
    assert "\n  W[/lv] " in printed
    assert "most in W[/lv]" in printed


def test_figures_name_the_classes_as_the_configuration_does(tmp_path, monkeypatch):
    classes = ["background", {"name": "signal", "title": "$b$ jets"}]
    provenance = {"settings": {"convert": {"classes": classes}}}
    file = write(tmp_path / "titled.h5", moved=0.5, provenance=provenance)
    drawn = {}
    monkeypatch.setattr(
        "hepdann.plotting.plot_diagnosis",
        lambda features, comparisons, folder, **look: drawn.update(comparisons) or [],
    )
    invoke("diagnose", file, "--max-events", "500", "--plots", tmp_path / "plots")
    numbers, _ = drawn["eta"]
    assert tuple(numbers.names) == ("background", "$b$ jets")


def test_json(moved):
    found = json.loads(invoke("diagnose", moved, "--json", "--max-events", "1000"))
    assert found["shift"] is True
    assert found["p_value"] < 0.01
    assert found["n_mc"] == found["n_target"] == 1000
    assert [feature["name"] for feature in found["features"]] == ["eta", "pt"]
    assert found["features"][0]["mean_shift"] == pytest.approx(0.5, abs=0.1)


def test_a_file_without_data_or_with_too_little_is_refused(tmp_path, refuse):
    alone = write(tmp_path / "alone.h5", data=False)
    few = write(tmp_path / "few.h5", n=20)
    assert "no detector events" in refuse("diagnose", alone)
    assert "too few events" in refuse("diagnose", few)
    assert "no such file" in refuse("diagnose", tmp_path / "none.h5")
