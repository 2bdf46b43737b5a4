"""Whether a training shows how far it has come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..training import Progress
    from .job import Report

__all__ = ["shown", "silent"]


def silent(stage: str, progress: object) -> None:
    """A report that says nothing."""
    del stage, progress


@contextmanager
def shown(wanted: bool, report: Report) -> Iterator[Report]:
    """What a training reports to.

    Args:
        wanted: whether stderr shows a bar and a table on a terminal, and plain lines elsewhere.
        report: called in any case.
    """
    if not wanted:
        yield report
        return
    from ..live import Live

    with Live() as live:

        def both(stage: str, progress: Progress | None) -> None:
            live.report(stage, progress)
            report(stage, progress)

        yield both
