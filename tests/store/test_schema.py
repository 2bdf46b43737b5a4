"""The schemas of the files that a run leaves are printed by a command."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hepdann.store.schema import STORED, file_schema
from hepdann_cli import config


def test_the_command_knows_every_file():
    assert ("config", *STORED) == config._SCHEMAS


@pytest.mark.parametrize("name", STORED)
def test_the_command_prints_the_schema_of_a_file(name):
    result = CliRunner().invoke(config.command, ["schema", "--of", name])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == file_schema(name)
    assert json.loads(result.output)["properties"]
