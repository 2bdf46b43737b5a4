"""Threads for arrays: independent calls side by side, each without threads of its libraries."""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_MOST = 4


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def side_by_side(calls: Iterable[Callable[[], _Result]]) -> list[_Result]:
    """What independent calls give, in their order; the bits are those of one after the other.

    numpy, scikit-learn and scipy let other threads run while they compute, so that there is one
    thread for each core, four at most; in a worker process, which has one core, there is one. The
    first error, in the order of the calls, is raised behind the last call.
    """
    import sklearn.ensemble  # noqa: F401  its libraries of threads must be there to be limited

    calls = list(calls)
    most = min(1 if multiprocessing.parent_process() is not None else cores(), len(calls), _MOST)
    with one_thread():  # once for all: its end, in one of the threads, would give threads to others
        if most < 2:
            return [call() for call in calls]
        with ThreadPoolExecutor(most) as pool:
            return list(pool.map(_alone, calls))


def _alone(call: Callable[[], _Result]) -> _Result:
    with one_thread():  # OpenMP's number is one of each thread
        return call()


@contextmanager
def fitting() -> Iterator[None]:
    """Fit a model of scikit-learn, which sets the filters of warnings, common to all threads."""
    with _FITTING, one_thread():
        yield


_FITTING = threading.RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """A context, or decorator, without threads, which cost more than they bring at this size."""
    loaded = hasattr(sys.modules.get("sklearn.ensemble"), "HistGradientBoostingClassifier")
    with _thread_pools(loaded).limit(limits=1):
        yield


@functools.cache
def _thread_pools(trees_are_loaded: bool) -> Any:
    """Those of the libraries in memory; the search for them takes as long as a small tree."""
    del trees_are_loaded  # but with them comes a library of threads, for which to search anew
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
