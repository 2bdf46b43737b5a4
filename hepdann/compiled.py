"""The C functions that were compiled when hepdann was installed; without a compiler there are none.

They are called with ctypes, which lets other threads run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.ctypeslib import ndpointer
from numpy.typing import NDArray

_LINE = 64  # bytes of a line of the cache


@cache
def function(name: str, *types: type) -> Callable[..., None] | None:
    """A function ``hepdann_<name>`` of the library, or ``None`` where there is no library.

    ``types`` of its arguments are ``int``, or a NumPy type for an array of it. An array of another
    type, or with gaps, is then an error before it is one in memory.
    """
    library = _library()
    if library is None:
        return None
    made: Callable[..., None] = library[f"hepdann_{name}"]
    made.argtypes = [  # type: ignore[attr-defined]
        ctypes.c_int64 if kind is int else ndpointer(kind, flags="C_CONTIGUOUS") for kind in types
    ]
    made.restype = None  # type: ignore[attr-defined]
    return made


def aligned(size: int, dtype: Any) -> NDArray[Any]:
    """(size,) zeros that begin with a line of the cache."""
    width = np.dtype(dtype).itemsize
    memory = np.zeros(size + _LINE // width, dtype)
    first = -memory.ctypes.data % _LINE // width
    return memory[first : first + size]


@cache
def _library() -> Any:
    spec = find_spec("hepdann._compiled")
    if spec is None or spec.origin is None:
        return None
    try:
        return ctypes.CDLL(spec.origin)
    except OSError:  # of another machine
        return None
