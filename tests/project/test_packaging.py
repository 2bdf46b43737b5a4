"""What is built is whole: the sdist can be tested, and its wheel works without the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def files_below(folder: str, pattern: str = "*.py") -> set[str]:
    found = (ROOT / folder).rglob(pattern)
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def dist(project_files, tmp_path_factory) -> Path:
    """A folder with an sdist, and a wheel made from that sdist, of a copy of the tree."""
    copy = tmp_path_factory.mktemp("dist") / "tree"
    for file in project_files:
        target = copy / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."]
    environment = os.environ | {"CC": "false"}  # a machine without a compiler, and quicker
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "dist"


@pytest.fixture(scope="module")
def unpacked(dist, tmp_path_factory) -> Path:
    """The wheel as pip would lay it out."""
    (wheel,) = dist.glob("*.whl")
    folder = tmp_path_factory.mktemp("wheel")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.mark.slow
def test_the_sdist_holds_the_project(dist):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {
        ".ci/run", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "constraints.txt",
        "data/README.md", "pyproject.toml", "hepdann/py.typed",
    }  # fmt: skip
    for folder in ("hepdann", "cli", "tests", "benchmarks"):
        expected |= files_below(folder)
    expected |= files_below("hepdann", "*.c") | files_below("hepdann", "*.h")
    expected |= files_below("configs", "*.yaml") | files_below("docs", "*.md")
    assert not expected - names
    assert not [name for name in names if name.endswith((".pyc", ".h5"))]


@pytest.mark.slow
def test_the_wheel_holds_the_packages_alone(unpacked):
    found = {
        str(path.relative_to(unpacked))
        for path in unpacked.rglob("*")
        if path.is_file() and ".dist-info" not in str(path)
    }
    compiled = "hepdann/_compiled."  # optional
    found -= {name for name in found if name.startswith(compiled)}
    expected = files_below("hepdann") | {"hepdann/py.typed"}
    # pages, templates, settings and tables of samples, what is compiled
    for pattern in ("*.css", "*.js", "*.j2", "*.json", "*.yaml", "*.c", "*.h"):
        expected |= files_below("hepdann", pattern)
    expected |= {name.replace("cli/", "hepdann_cli/", 1) for name in files_below("cli")}
    shipped = files_below("configs", "*.yaml") | files_below("configs")
    expected |= {name.replace("configs/", "hepdann_configs/", 1) for name in shipped}
    assert found == expected
    (info,) = unpacked.glob("*.dist-info")
    assert (info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "hepdann = hepdann_cli.main:main" in (info / "entry_points.txt").read_text()
    assert "Requires-Dist: torch" in (info / "METADATA").read_text()


@pytest.mark.slow
def test_the_wheel_works_without_the_tree(unpacked, tmp_path):
    code = (
        "import pathlib, sys, hepdann, hepdann_configs, hepdann_cli.main\n"
        "print(hepdann.__file__, hepdann_configs.__file__, hepdann_cli.main.__file__, sep='\\n')\n"
        "sys.argv = ['hepdann', '--version']; hepdann_cli.main.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *places, version = done.stdout.splitlines()
    assert all(place.startswith(str(unpacked)) for place in places)
    (info,) = unpacked.glob("*.dist-info")
    assert version == f"hepdann {info.name.split('-')[1].removesuffix('.dist')}"
