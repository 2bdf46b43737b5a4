"""What the tests of the command line share."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True)
def signals_fixture():
    """``main`` in this process leaves the session's signals as they were."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.fixture(autouse=True)
def busy_fixture(monkeypatch):
    """On a busy machine too, nothing takes ten seconds, after which a line would say so."""
    monkeypatch.setattr("hepdann_cli.tables._LINE_EVERY", float("inf"))


@pytest.fixture(name="run")
def run_fixture(typed):
    """``main`` in this process, for the many cases: exit code, stdout, stderr."""

    def run(*arguments):
        done = typed(*arguments)
        return done.code, done.stdout, done.stderr

    return run
