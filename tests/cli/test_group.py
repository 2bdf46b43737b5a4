"""Errors that click takes for something else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import hepdann_cli
from hepdann_cli import group


def test_a_file_that_ends_early_is_no_interrupt():
    commands = group._LazyGroup("hepdann")

    @click.command()
    def end():
        raise EOFError("no more bytes")

    commands.get_command = lambda *_: end
    with pytest.raises(RuntimeError, match="a file ends early: no more bytes"):
        commands.main(["end"], standalone_mode=False)


def test_a_misspelt_command_names_the_nearest(run):
    code, out, err = run("convrt", "mc.root")
    assert (code, out) == (2, "")
    assert err.startswith("hepdann: error: No such command 'convrt'; did you mean 'convert'?")
    assert "did you mean" not in run("xyzzy")[2]


def command_names():
    """Every command, and every command of a group, as it is typed after `hepdann`."""
    for name in group.COMMANDS:
        command = group.hepdann.get_command(click.Context(group.hepdann), name)
        yield name
        if isinstance(command, click.Group):
            yield from (f"{name} {part}" for part in command.commands)


def named_commands(path):
    """What comes after `hepdann` where a text shows a line to be typed."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", text, re.DOTALL | re.M))
    return re.findall(r"(?:[`$]|: |^) ?hepdann ([a-z]+)(?: ([a-z]+))?", text, re.MULTILINE)


def test_every_command_that_a_text_names_exists():
    root = Path(hepdann_cli.__file__).parent.parent
    folders = [root / "cli", root / "hepdann", root / "docs", root / "configs"]
    kinds = (".py", ".md", ".yaml", ".j2")
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in kinds]
    known = set(command_names())
    named = [
        (path, *pair) for path in (*texts, root / "README.md") for pair in named_commands(path)
    ]
    assert len(named) > 100
    groups = {name.split()[0] for name in known if " " in name}
    unknown = {
        (path.name, first, second)
        for path, first, second in named
        if (f"{first} {second}" if first in groups and second else first) not in known
    }
    assert not unknown
    assert "describe" not in group.COMMANDS["config"]


def test_what_is_refused_or_read_from_json_imports_no_library_that_computes(tmp_path):
    script = (
        "import sys\n"
        "from hepdann_cli.group import hepdann\n"
        "for line in sys.argv[1:]:\n"
        "    try:\n"
        "        hepdann.main(line.split(), standalone_mode=False)\n"
        "    except Exception as error:\n"
        "        print(error)\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib', 'awkward', 'uproot'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    lines = {
        "train --shift gaussian --t 0": "must be more than 0",
        "train --epochs 0": "must be at least 1",
        "scan --shift sine --t 3 --lambda -1": "must be at least 0",
        "diagnose none.h5": "no such file",
        "calibrate none.h5": "no such file",
        "plot none": "no such run folder",
        "report none": "no such run folder",
        "evaluate none": "no such run folder",
        "compare none none": "no such run folder",
        "histogram none": "no such run folder",
        "config check none.yaml": "none.yaml",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, *lines], cwd=tmp_path, capture_output=True, text=True
    )
    said = done.stdout.splitlines()
    assert said[-1] == "set()"
    for text, line in zip(lines.values(), said, strict=False):
        assert text in line
