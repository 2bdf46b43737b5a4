"""Draws the figures of a run in several processes, each of which opens the run itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from ..errors import RunError
from ..parallel import start_method

MANY = 16  # figures from which the start of a process, two seconds, is worth it

Result = TypeVar("Result")
_draw: Callable[[str], Any] | None = None


def usable(figures: int, wanted: int | None) -> int:
    """How many processes to draw in: those wanted, at most one a figure.

    ``None`` is one for few figures, otherwise as many as there are processors, up to four.
    """
    if wanted is not None:
        return max(1, min(wanted, figures))
    if figures < MANY:
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count()
    return min(processors or 1, 4)


def shared(
    opening: Callable[..., Callable[[str], Result]],
    settings: tuple[Any, ...],
    names: Sequence[str],
    workers: int,
    progress: Callable[[int, int], None] | None,
    where: Path,
) -> list[Result]:
    """What ``opening(*settings)(name)`` gives for each name, computed in processes.

    Args:
        opening: a function of a module; called once a process, its arguments pickled.
        settings: its arguments.
        names: of the figures.
        workers: number of processes.
        progress: called with the number done and that of all.
        where: names the run in an error.

    Returns:
        One result a name, in the order of the names.

    Raises:
        RunError: a process died.
    """
    pool = ProcessPoolExecutor(
        workers, mp_context=start_method(), initializer=_open, initargs=(opening, settings)
    )
    results: dict[int, Result] = {}
    try:
        waiting = {pool.submit(_one, name): index for index, name in enumerate(names)}
        for future in as_completed(waiting):
            results[waiting[future]] = future.result()
            if progress is not None:
                progress(len(results), len(names))
    except BrokenProcessPool as error:
        raise RunError(
            "a process that draws was killed, for want of memory perhaps",
            where=where,
            mend="draw with one worker, or fewer figures at a time with --only",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [results[index] for index in range(len(names))]


def _open(opening: Callable[..., Callable[[str], Any]], settings: tuple[Any, ...]) -> None:
    global _draw
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked deals with it
    _draw = opening(*settings)


def _one(name: str) -> Any:
    assert _draw is not None
    return _draw(name)
