"""Memory that is used again: fresh pages from the system cost more than what is put into them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Empty", "Pool", "Scratch"]

_ALIGNMENT = 64


class Empty(Protocol):
    """What gives an array that is not filled: ``numpy.empty`` or a :class:`Scratch`."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array of this shape and type."""


class Pool:
    """Lends pieces of memory to any thread, and lends again what was given back."""

    def __init__(self) -> None:
        self._spare: dict[int, list[NDArray[np.uint8]]] = {}

    def take(self, size: int) -> NDArray[np.uint8]:
        """(size,) bytes that are not filled."""
        room = 1 << max(size - 1, 0).bit_length()
        try:
            return self._spare[room].pop()[:size]
        except LookupError:
            return np.empty(room, np.uint8)[:size]

    def give(self, lent: NDArray[Any]) -> None:
        """Take back what :meth:`take` gave, or a view of it."""
        assert isinstance(lent.base, np.ndarray)  # numpy leads every view to the owner
        self._spare.setdefault(len(lent.base), []).append(lent.base)


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
