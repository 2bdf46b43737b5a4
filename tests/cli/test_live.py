"""What a training shows: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hepdann.training import Progress
from hepdann.training.settings import MethodProgress

DANN = MethodProgress("dann", 5, 0.7616, 0.25, 0.65, 0.6)
QUIET = MethodProgress("source-only", 5, 0.0, 0.21, 0.3, 0.9)
STEP = Progress(3, 400, 800, 0.23, 0.5, 0.7, 250_000.0, (QUIET, DANN))


@pytest.fixture
def shown():
    def show(terminal, *reports):
        from hepdann.live import Live

        out = io.StringIO()
        with Live(Console(file=out, force_terminal=terminal, width=120)) as live:
            for report in reports:
                live.report(*report)
        return out.getvalue()

    return show


def test_a_terminal_shows_a_row_for_each_method(shown):
    text = shown(True, ("10 networks", STEP))
    assert "50 %" in text
    assert "250k events/s" in text
    for cell in ("source-only", "dann", "0.762", "0.650", "0.600"):
        assert cell in text


def test_a_network_without_a_domain_head_has_no_domain_loss(shown):
    pivot = MethodProgress("pivot", 2, 1.0, 0.21, 0.0, 0.0)
    step = Progress(7, 800, 800, 0.23, 0.0, 0.0, 250_000.0, (pivot,))
    line = shown(False, ("2 networks", step))
    assert line.splitlines()[0].endswith("loss 0.230")
    assert "0.000" not in shown(True, ("2 networks", step)) + line


def test_lines_elsewhere_have_no_control_codes(shown):
    done = Progress(7, 800, 800, 0.23, 0.5, 0.7, 250_000.0, (QUIET, DANN))
    text = shown(False, ("10 networks", done), ("health: [dann] is ill", None))
    assert "\x1b" not in text
    first, second = text.splitlines()
    assert first.startswith("10 networks: step 800/800  epoch 8  250k events/s  loss 0.230")
    assert second == "health: [dann] is ill"
