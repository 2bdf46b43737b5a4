"""A training step in compiled loops (needs Numba: ``pip install "hepdann[fast]"``).

``loops`` has the arithmetic of a block of events, ``layers`` one layer of a network on its blocks,
``gradients`` a whole network, ``step`` the step of all members; ``layout`` says what they are told,
``engine`` stands between them and a stack.
"""

from .engine import FusedEngine

__all__ = ["FusedEngine"]
