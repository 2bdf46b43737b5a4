"""The installed command answers for itself, quickly and on every shell."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import hepdann as package
from hepdann_cli.main import COMMANDS

# What costs more than a help page may: `hepdann --help` must feel instant.
HEAVY = {
    "awkward", "h5py", "matplotlib", "mplhep", "numpy", "pydantic", "rich", "scipy", "sklearn",
    "torch", "uproot", "yaml",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after ``code``."""
    show = "import sys as _s; print(*_s.modules, sep='\\n', file=_s.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_version(hepdann):
    done = hepdann("--version")
    assert (done.code, done.stdout, done.stderr) == (0, f"hepdann {package.__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(typed, flag):
    done = typed(flag)
    assert (done.code, done.stderr) == (0, "")
    for name, line in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert line in done.stdout


def test_every_command_in_cli_is_listed(root):
    """A command is a file of its name that binds ``command``; other files there only help."""
    files = {file.stem: file.read_text(encoding="utf-8") for file in (root / "cli").glob("*.py")}
    commands = {name for name, text in files.items() if re.search(r"^(def )?command\b", text, re.M)}
    assert commands == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(typed, name):
    done = typed(name, "-h")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: hepdann {name}")
    assert done.stdout == typed(name, "--help").stdout


def test_help_of_no_command_loads_torch():
    """One process asks all of them: a start costs more than its answer."""
    code = (
        "import contextlib, io, sys; from hepdann_cli.main import hepdann\n"
        f"for name in {list(COMMANDS)}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        hepdann([name, '-h'], standalone_mode=False)"
    )
    assert not loaded(code) & {"torch", "mplhep", "matplotlib", "uproot", "sklearn", "scipy"}


def test_unknown_command_is_the_users_error(typed):
    done = typed("trian")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("hepdann: error: ")
    assert "trian" in done.stderr
    assert done.stderr.count("\n") == 1


def test_importing_hepdann_costs_nothing():
    new = loaded("import hepdann") - loaded("pass")
    assert not {name.partition(".")[0] for name in new} & HEAVY
    assert {name for name in new if name.startswith("hepdann")} == {
        "hepdann", "hepdann._version", "hepdann.lazy",
    }  # fmt: skip


def test_help_loads_click_and_little_else():
    """A count, for a time depends on the machine; benchmarks/speed/startup.py measures that."""
    code = (
        "import contextlib, io, sys; sys.argv[1:] = ['--help']\n"
        "from hepdann_cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()"
    )
    new = loaded(code) - loaded("import click, contextlib, io")
    assert not {name.partition(".")[0] for name in new} & HEAVY
    assert "importlib.metadata" not in new
    assert len(new) < 30, sorted(new)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(typed, shell):
    """The script for the shell's start-up file, and the answers that it asks for."""
    script = typed(env={"_HEPDANN_COMPLETE": f"{shell}_source"})
    assert script.code == 0
    assert "_HEPDANN_COMPLETE" in script.stdout
    asked = {"_HEPDANN_COMPLETE": f"{shell}_complete", "COMP_WORDS": "hepdann con"}
    asked["COMP_CWORD"] = "con" if shell == "fish" else "1"
    answer = typed(env=asked)
    assert answer.code == 0
    assert {name for name in COMMANDS if name in answer.stdout} == {"convert", "config"}
    assert answer.stderr == ""


def test_what_messages_tell_to_type_is_quoted_for_the_shell(typed, tmp_path, root):
    (tmp_path / "my scan").mkdir()
    (tmp_path / "my scan" / "scan.json").write_text("{}")
    assert "hepdann plot 'my scan'" in typed("workingpoints", "my scan").stderr
    by_hand = re.compile(rf"(?<!by )hepdann ({'|'.join(COMMANDS)}) (\w+ )?(-[\w-]+ )*\{{")
    for path in [*root.glob("hepdann/**/*.py"), *root.glob("cli/*.py")]:
        assert not by_hand.search(path.read_text()), f"{path}: write it with command_line"
