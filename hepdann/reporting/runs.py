"""The runs that a table or a page shows, each under a name of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..runs import Run, open_run

__all__ = ["named_runs"]


def named_runs(folders: Iterable[str | Path]) -> dict[str, Run]:
    """Open runs, in the order given and each once.

    Args:
        folders: of the runs.

    Returns:
        The runs by the name of their folder; where two folders share it, by as many of the
        folders above it as tell them apart.

    Raises:
        RunError: one is not a finished run.
    """
    # not resolve(), which raises RuntimeError on a loop of links
    paths = list(dict.fromkeys(Path(os.path.realpath(folder)) for folder in folders))
    depth = 1
    while len({_tail(path, depth) for path in paths}) < len(paths):
        depth += 1
    return {_tail(path, depth): open_run(path) for path in paths}


def _tail(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])
