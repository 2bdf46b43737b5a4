"""Who may import whom: the way of the data has one direction, and the label wall holds."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepdann.store.paths import RunPaths, ScanPaths

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "hepdann").rglob("*.py"))
CLI = sorted((ROOT / "cli").glob("*.py"))

# Rooms whose code sees a target only as `Target`: no label can come to them from anywhere.
BEHIND_THE_WALL = ("alignment", "criteria", "domains", "methods", "networks", "shifts", "training")
WALLED_OFF = {
    "h5py", "hepdann.evaluation", "hepdann.plotting", "hepdann.readers", "hepdann.runs",
}  # fmt: skip
# From the ground up: a room imports from those before it.
ORDER = (
    "expressions", "config", "stats", "samples", "tensors", "readers", "shifts", "alignment",
    "calibration", "domains", "networks", "methods", "training", "criteria", "store", "inference",
    "evaluation", "generators", "runs", "experiments", "deploy", "plotting", "reporting", "sklearn",
)  # fmt: skip
TALKERS = {"click", "hepdann_cli", "rich"}
SHOWING = {"display.py", "live.py"}  # where a script asks for progress, and where commands show it

FORBIDDEN: dict[str, set[str]] = {
    **dict.fromkeys(BEHIND_THE_WALL, WALLED_OFF),
    "config": {"torch", "h5py", "uproot", "hepdann.runs", "hepdann.training", "hepdann.plotting"},
    "tensors": {
        "torch", "uproot", "hepdann.evaluation", "hepdann.methods", "hepdann.networks",
        "hepdann.plotting", "hepdann.readers", "hepdann.runs", "hepdann.training",
    },
    "readers": {
        "torch", "matplotlib", "mplhep", "hepdann.alignment", "hepdann.evaluation",
        "hepdann.methods", "hepdann.networks", "hepdann.plotting", "hepdann.runs",
        "hepdann.shifts", "hepdann.training",
    },
    "samples": {"torch", "hepdann.evaluation", "hepdann.runs", "hepdann.training"},
    "evaluation": {
        "matplotlib", "mplhep", "hepdann.methods", "hepdann.networks", "hepdann.plotting",
        "hepdann.readers", "hepdann.training",
    },
    # Whoever reads figures and scores of a run needs no network for it.
    "store": {"matplotlib", "mplhep", "hepdann.networks", "hepdann.training"},
    # Numbers come from evaluation: what could compute a statistic is out of reach of a figure.
    "plotting": {
        "boost_histogram", "scipy", "sklearn", "torch", "uproot", "hepdann.alignment",
        "hepdann.methods", "hepdann.networks", "hepdann.readers", "hepdann.training",
    },
}  # fmt: skip


@functools.cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imported(module: ast.Module, package: list[str]) -> Iterator[str]:
    """Every name that a module of ``package`` imports, anywhere in it, made absolute."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


@functools.cache
def imports(file: Path) -> frozenset[str]:
    """Every name that ``file`` imports."""
    package = list(file.relative_to(ROOT).parent.parts)
    package[0] = {"cli": "hepdann_cli"}.get(package[0], package[0])
    return frozenset(imported(tree(file), package))


def touches(name: str, forbidden: set[str]) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") for entry in forbidden)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_import_in_one_direction(room):
    found = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted((ROOT / "hepdann" / room).rglob("*.py"))
        for name in imports(file)
        if touches(name, FORBIDDEN[room])
    }
    assert not found


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_from_those_before_it(room):
    later = {f"hepdann.{name}" for name in ORDER[ORDER.index(room) + 1 :]}
    wrong = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted((ROOT / "hepdann" / room).rglob("*.py"))
        for name in imports(file)
        if touches(name, later)
    }
    assert not wrong


def test_statistics_know_arrays_and_errors_alone():
    """They stand on the ground floor: whoever trains, chooses or judges uses the same."""
    files = sorted((ROOT / "hepdann" / "stats").rglob("*.py"))
    assert files
    names = {name for file in files for name in imports(file)}
    rooms = {name for name in names if touches(name, {"hepdann"})}
    assert not {n for n in rooms if not touches(n, {"hepdann.errors", "hepdann.stats"})}
    assert not {n for n in names if touches(n, {"h5py", "matplotlib", "torch", "uproot"})}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from ..evaluation import open_truth", "hepdann.evaluation.open_truth"),
        ("from .. import evaluation", "hepdann.evaluation"),
        ("import hepdann.evaluation as e", "hepdann.evaluation"),
        ("def f():\n    from hepdann.evaluation.truth import x", "hepdann.evaluation.truth.x"),
    ],
)
def test_the_rule_sees_every_spelling_of_an_import(code, name):
    assert list(imported(ast.parse(code), ["hepdann", "training"])) == [name]
    assert touches(name, FORBIDDEN["training"])


def test_truth_is_named_only_where_it_is_written_or_opened():
    """The address of the truth in a file appears in no module that trains or aligns."""
    address = re.compile(r"^/?truth(/|$)")
    for file in LIBRARY:
        room = file.relative_to(ROOT / "hepdann").parts[0]
        if room in BEHIND_THE_WALL:
            strings = [n.value for n in ast.walk(tree(file)) if isinstance(n, ast.Constant)]
            assert not [s for s in strings if isinstance(s, str) and address.match(s)], file


def test_the_store_alone_names_the_files_of_a_run():
    """Whoever reads or writes one asks the store where it is."""
    names = {
        path.name
        for paths in (RunPaths(Path()), ScanPaths(Path()))
        for name in dir(paths)
        if isinstance(path := getattr(paths, name), Path)
    } - {"", "plots", "scan"}
    assert {"metrics.json", "scores.h5", "scan.json", "origin.json"} <= names
    for file in (*LIBRARY, *CLI):
        if file.relative_to(ROOT).parts[:2] != ("hepdann", "store"):
            parts = {  # of a path: what stands behind a slash
                node.right.value
                for node in ast.walk(tree(file))
                if isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Div)
                and isinstance(node.right, ast.Constant)
            }
            assert not parts & names, file


def test_the_library_never_talks_exits_or_runs_foreign_code():
    """It returns, or raises an error with a place and a mend; `cli/` does the talking."""
    names = {"breakpoint", "eval", "exec", "exit", "input", "print", "quit", "SystemExit"}
    calls = {
        "joblib.load", "logging.basicConfig", "os._exit", "os.system", "sys.exit", "torch.load",
        "torch.save", "yaml.unsafe_load",
    }  # fmt: skip
    for file in LIBRARY:
        shows = str(file.relative_to(ROOT / "hepdann")) in SHOWING
        foreign = TALKERS - ({"rich"} if shows else set()) | {"pickle", "dill"}
        assert not {name for name in imports(file) if touches(name, foreign)}, file
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Name):
                assert node.id not in names, f"{file}:{node.lineno}: {node.id}"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert f"{node.value.id}.{node.attr}" not in calls, f"{file}:{node.lineno}"


def test_commands_import_heavy_packages_when_they_run():
    heavy = {"h5py", "matplotlib", "mplhep", "numpy", "scipy", "sklearn", "torch", "uproot"}
    for file in CLI:
        top = ast.Module([n for n in tree(file).body if isinstance(n, ast.Import | ast.ImportFrom)])
        names = set(imported(top, ["hepdann_cli"]))
        assert not {name for name in names if touches(name, heavy)}, file
