"""What the tests of the command line share."""

from __future__ import annotations

import signal
import sys

import pytest


@pytest.fixture(autouse=True)
def signals_fixture():
    """``main`` in this process leaves the session's signals as they were."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.fixture(name="run")
def run_fixture(tmp_path, monkeypatch, capfd):
    """``main`` in this process, for the many cases: exit code, stdout, stderr."""
    from hepdann_cli import main

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["hepdann", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        out, err = capfd.readouterr()
        return caught.value.code, out, err

    return run
