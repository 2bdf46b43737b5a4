"""What every test shares: one thread, no display, a home of its own, and the real command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

# Set before numpy, torch or matplotlib is imported anywhere: they read it once. Workers of
# pytest-xdist inherit it, so that one session makes one home and one font cache.
_THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:
    _home = Path(tempfile.mkdtemp(prefix="hepdann-tests-"))
    (_home / "matplotlib").mkdir()
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in _THREADS})
    os.environ.update(
        HOME=str(_home), MPLCONFIGDIR=str(_home / "matplotlib"), MPLBACKEND="Agg", COLUMNS="100"
    )
    for name in ("HEPDANN_DATA", "PYTHONPATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "FORCE_COLOR"):
        os.environ.pop(name, None)

settings.register_profile(
    "hepdann",
    deadline=None,  # a busy machine is no failure
    derandomize=True,  # the same examples everywhere: a red test can be repeated
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hepdann")


def pytest_unconfigure() -> None:
    """Remove the session's home."""
    if not _IS_WORKER:
        shutil.rmtree(_home, ignore_errors=True)


@dataclass(frozen=True)
class Outcome:
    """What a finished command left: its exit code and what it said."""

    code: int
    stdout: str
    stderr: str


class Command(Protocol):
    """Runs ``hepdann`` with the given arguments."""

    def __call__(
        self,
        *args: str | os.PathLike[str],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 300,
    ) -> Outcome: ...


@pytest.fixture(scope="session")
def executable() -> Path:
    """The installed ``hepdann`` script of this environment."""
    path = Path(sysconfig.get_path("scripts")) / "hepdann"
    if not path.is_file():
        pytest.fail(
            f"hepdann is not installed beside {path}; run `make test`, or `pip install -e .`"
        )
    return path


@pytest.fixture
def hepdann(executable: Path, tmp_path: Path) -> Command:
    """The real command in a process of its own: ``hepdann("train", "--help").stdout``.

    It runs in ``tmp_path`` unless ``cwd`` is given; ``env`` adds to the environment.
    """

    def run(
        *args: str | os.PathLike[str],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 300,
    ) -> Outcome:
        done = subprocess.run(
            [executable, *args],
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project's tree."""
    return Path(__file__).parents[1]
