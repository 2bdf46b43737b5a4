"""What every test shares: one thread, no display, a home of its own, and the real command."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
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

gc.set_threshold(10_000)  # as the command does: what libraries and tests make stays for long
os.fsync = lambda _: None  # no test cuts the power, and a run waits for the disk thirty times

# A shell that starts us in the background has us ignore SIGINT, and so would every command here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "hepdann",
    deadline=None,  # a busy machine is no failure
    max_examples=40,
    derandomize=True,  # the same examples everywhere: a red test can be repeated
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hepdann")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported and collected, which stays."""
    gc.freeze()


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


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """The same as ``hepdann`` in this process, which has torch in memory already.

    For the many cases of what a command says; not for signals, streams or what it imports.
    """
    from hepdann_cli import main

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def run(
        *args: str | os.PathLike[str],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 300,
    ) -> Outcome:
        assert not stdin
        del timeout
        monkeypatch.chdir(cwd or tmp_path)
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["hepdann", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capfd.readouterr()
        return Outcome(int(caught.value.code or 0), out, err)

    yield run
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project's tree."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def killed() -> Callable[[Callable[[Callable[[], bool]], object], int], None]:
    """``killed(work, n)``: ``work(stop)`` in a child, SIGKILL when it asks ``stop`` once more."""

    def run(work: Callable[[Callable[[], bool]], object], times: int) -> None:
        left = iter(range(times))

        def stop() -> bool:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return False

        with warnings.catch_warnings():  # torch may have threads, none of which the child needs
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            try:
                work(stop)
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL

    return run


@pytest.fixture(scope="module")
def few_trees():
    """Where nothing asks how well trees distinguish, five do for forty: a third of a run's time."""
    import sklearn.ensemble

    trees = sklearn.ensemble.HistGradientBoostingClassifier
    with pytest.MonkeyPatch.context() as patch:
        few = lambda **given: trees(**given | {"max_iter": 5})  # noqa: E731
        patch.setattr(sklearn.ensemble, "HistGradientBoostingClassifier", few)
        yield trees


@pytest.fixture(scope="session")
def bootstrap():
    import numpy as np  # after the number of threads is set

    def resampled_error(estimate, *arrays, n):
        """Standard error of ``estimate(*arrays)`` by resampling events (Efron, 1979)."""
        generator, events = np.random.default_rng(0), len(arrays[0])
        draws = (generator.integers(0, events, events) for _ in range(n))
        return np.std([estimate(*(array[rows] for array in arrays)) for rows in draws], ddof=1)

    return resampled_error
