"""Memory that is used again: fresh pages from the system cost more than what is put into them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNMENT = 64


class Empty(Protocol):
    """What gives an array that is not filled: ``numpy.empty`` or a :class:`Scratch`."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array of this shape and type."""


class Scratch:
    """Hands out arrays side by side in one piece of memory, until they are all given back.

    It grows to the largest need that it has seen, and never shrinks.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._used = 0

    def __call__(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array that is valid until :meth:`clear`."""
        size = prod(shape) * np.dtype(dtype).itemsize
        start = self._used
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        if self._used > len(self._memory):
            return np.empty(shape, dtype)
        return self._memory[start : start + size].view(dtype).reshape(shape)

    def clear(self) -> None:
        """Take all arrays back; who still holds one will see it overwritten."""
        if self._used > len(self._memory):
            self._memory = np.empty(self._used, np.uint8)
        self._used = 0
