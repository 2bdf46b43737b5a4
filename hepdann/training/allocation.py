"""Memory that a step gives back and the next one takes again, kept in the process meanwhile."""

from __future__ import annotations

import ctypes
import os
from functools import cache

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEPT = 256 << 20  # bytes of freed memory that stay at most
_LARGEST = 32 << 20  # of an allocation that is kept so; glibc allows no more
_SAID = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Have glibc keep what a step of a training frees, for the whole process.

    Otherwise it gives the activations of a stack back to the system after every step, which has to
    fill hundreds of pages with zeros when the next step asks for them again: a third of the time of
    a stack of eight small networks. What is computed is the same. Nothing is done under another C
    library, or where the environment says how glibc shall do it.

    Returns:
        Whether it will.
    """
    if any(name in os.environ for name in _SAID):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = set_option(ctypes.c_int(_TRIM_THRESHOLD), ctypes.c_int(_KEPT))
    return bool(set_option(ctypes.c_int(_MMAP_THRESHOLD), ctypes.c_int(_LARGEST)) and kept)
