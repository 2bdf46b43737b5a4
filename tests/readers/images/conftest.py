"""Files of hits, written by a script that knows nothing of hepdann."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def hits():
    """The module that writes them."""
    path = Path(__file__).with_name("write_hits.py")
    spec = importlib.util.spec_from_file_location("write_hits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = {"x": (13, 8), "u": (13, 4), "v": (13, 4)}


@pytest.fixture(scope="session")
def events(hits):
    """MC and data: ``events["mc"]``; images are small, but for their shape like the real ones."""
    return {
        "mc": hits.make_events(300, 1, TINY),
        "data": hits.make_events(90, 2, TINY, first_run=4000),
    }
