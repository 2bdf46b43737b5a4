"""Only algorithms whose result depends on nothing but their input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["deterministic"]

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without it cuBLAS may sum in another order


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Have torch refuse algorithms that are not deterministic, and leave it as it was.

    On the CPU, training is deterministic anyway: members draw from generators of their own, and
    small networks train on one thread.

    Args:
        wanted: whether to; otherwise nothing happens.
    """
    if not wanted:
        yield
        return
    before, workspace = torch.are_deterministic_algorithms_enabled(), os.environ.get(_WORKSPACE)
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)
