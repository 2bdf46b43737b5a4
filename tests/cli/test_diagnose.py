"""`hepdann diagnose` as it is typed: the sentence, the ranking, JSON, refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hepdann.config.models import SplitConfig
from hepdann.tensors import Block, TensorWriter


def hepdann(*arguments, cwd=None):
    command = [sys.executable, "-m", "hepdann_cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def write(path, moved=0.0, n=2000, data=True):
    generator = np.random.default_rng(3)
    domains = ["mc", "data"] if data else ["mc"]
    with TensorWriter(
        path,
        features=["pt", "eta"],
        units=["GeV", ""],
        spectators=[],
        classes=["background", "signal"],
        samples={domain: ["toy"] for domain in domains},
        capacity=dict.fromkeys(domains, n),
        split=SplitConfig(),
    ) as writer:
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
        writer.finish({})
    return path


def test_without_a_shift_it_says_that_adapting_can_only_cost(tmp_path):
    write(tmp_path / "tensors.h5")
    done = hepdann("diagnose", cwd=tmp_path)  # tensors.h5 is the default
    assert done.returncode == 0
    assert not done.stderr
    assert "No shift found" in done.stdout
    assert "adapting can only cost you" in done.stdout


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    return write(tmp_path_factory.mktemp("diagnose") / "moved.h5", moved=0.5)


def test_the_feature_that_moved_comes_first(moved):
    done = hepdann("diagnose", moved)
    assert "MC and data differ" in done.stdout
    assert "most in eta" in done.stdout
    assert done.stdout.index("\n  eta") < done.stdout.index("\n  pt")


def test_json(moved):
    found = json.loads(hepdann("diagnose", moved, "--json", "--max-events", "1000").stdout)
    assert found["shift"] is True
    assert found["p_value"] < 0.01
    assert found["n_mc"] == found["n_target"] == 1000
    assert [feature["name"] for feature in found["features"]] == ["eta", "pt"]
    assert found["features"][0]["mean_shift"] == pytest.approx(0.5, abs=0.1)


def test_a_file_without_data_or_with_too_little_is_refused(tmp_path):
    alone = write(tmp_path / "alone.h5", data=False)
    few = write(tmp_path / "few.h5", n=20)
    for path, reason in (
        (alone, "no detector events"),
        (few, "too few events"),
        (tmp_path / "none.h5", "no such file"),
    ):
        done = hepdann("diagnose", path)
        assert done.returncode == 2
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1
