"""A bump in the data of a run, behind cuts on a score that saw no label."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import hepdann
from hepdann import samples
from hepdann.errors import ConfigError
from hepdann.evaluation.bump_search import search
from hepdann_cli.main import hepdann as command

HUNT = [{"cut": "m > 2.9 and m < 3.1"}, {"cut": "m > 2.6 and m < 3.4"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bump")
    mc, data, truth = samples.write("bump", folder, 4_000, 1, truth=True, signal=0.03)
    tensors = hepdann.convert(
        mc, data, truth=truth, spectators=["m"], features=["x1", "x2", "x3"],
        output=folder / "t.h5",
    )  # fmt: skip
    return hepdann.train(
        tensors, method="cwola", mixtures=HUNT, check_mixtures=False, folds=2, seeds=1, epochs=4,
        batch_size=64, alignments=[], diagnose=False, oracle=False, output=folder / "run",
    )  # fmt: skip


def test_a_cut_on_the_score_raises_the_significance(run):
    every, few = search(run.folder, "m", (2.9, 3.1), (2, 4), efficiencies=[1, 0.05])
    assert every.events == 4_000
    assert few.bump.significance > every.bump.significance
    assert few.bump.significance > 5
    outside = search(run.folder, "m", (3.3, 3.5), (2, 4), efficiencies=[0.05])
    assert abs(outside[0].bump.significance) < 4


def test_the_command_prints_a_line_a_cut(run):
    wanted = [
        "search",
        str(run.folder),
        "--variable",
        "m",
        "--region",
        "2.9,3.1",
        "--window",
        "2,4",
    ]
    said = CliRunner().invoke(command, [*wanted, "--efficiencies", "1,0.1"])
    assert said.exit_code == 0
    assert said.output.count("σ") == 2
    bad = CliRunner().invoke(command, [*wanted[:-1], "2;4"])
    assert bad.exit_code == 2
    with pytest.raises(ConfigError, match="did you mean cwola"):
        search(run.folder, "m", (2.9, 3.1), (2, 4), method="cwolla")
