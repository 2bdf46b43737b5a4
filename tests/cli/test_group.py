"""Errors that click takes for something else."""

from __future__ import annotations

import click
import pytest

from hepdann_cli import group


def test_a_file_that_ends_early_is_no_interrupt():
    commands = group._LazyGroup("hepdann")

    @click.command()
    def end():
        raise EOFError("no more bytes")

    commands.get_command = lambda *_: end
    with pytest.raises(RuntimeError, match="a file ends early: no more bytes"):
        commands.main(["end"], standalone_mode=False)
