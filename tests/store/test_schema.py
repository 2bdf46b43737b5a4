"""The schemas of the files that a run leaves are printed by a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hepdann.errors import RunError
from hepdann.inputs import check
from hepdann.store.content import ScanSummary
from hepdann.store.working_points import STORED, file_schema
from hepdann_cli import config


def test_the_command_knows_every_file():
    assert ("config", *STORED) == config._SCHEMAS


@pytest.mark.parametrize("name", STORED)
def test_the_command_prints_the_schema_of_a_file(typed, name):
    done = typed("config", "schema", "--of", name)
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == file_schema(name)
    assert json.loads(done.stdout)["properties"]


def test_a_scan_whose_table_names_what_was_not_chosen_is_damaged():
    place = {"method": "dann", "lambda": 1.0, "shift": "sine", "t": 3.0}
    spread = {"mean": 0.9, "std": 0.1}
    figures = dict.fromkeys(("target_accuracy", "target_auc", "consistency"), spread)
    group = {
        **place, "majority": 0.5, "last_epoch": figures, "gap_closed": {"accuracy": 1, "auc": 1},
        "peeked": {"target_accuracy": spread},
    }  # fmt: skip
    summary = {"format_version": 1, "classes": ["b", "s"], "groups": [group], "choices": [place]}
    path = Path("scan.json")
    assert check(summary, ScanSummary, path).choices[0].method == "dann"
    summary["choices"] = [{**place, "t": 8.0}]
    with pytest.raises(RunError, match="no λ is chosen for dann at sine t = 3"):
        check(summary, ScanSummary, path)
