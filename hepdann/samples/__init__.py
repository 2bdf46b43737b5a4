"""Toy samples with known truth, as arrays and as real input files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..registry import nearest
from .jets import INPUTS, MISMODELLING, Mismodelling, ToySample, bjets, write_bjets
from .minerva import write_minerva
from .toys import TOYS, write_toy

__all__ = [
    "INPUTS",
    "MISMODELLING",
    "TOYS",
    "Mismodelling",
    "ToySample",
    "bjets",
    "names",
    "write",
    "write_bjets",
    "write_minerva",
    "write_toy",
]

_WRITERS: dict[str, Callable[..., list[Path]]] = {
    "bjets": write_bjets,
    "minerva": write_minerva,
    **{name: partial(write_toy, name) for name in TOYS},
}


def names() -> tuple[str, ...]:
    """The samples that :func:`write` knows."""
    return tuple(_WRITERS)


def write(
    name: str,
    folder: str | Path,
    events: int = 40_000,
    seed: int = 0,
    truth: bool = False,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Write the sample of that name as input files.

    See :func:`write_bjets`, :func:`.write_toy`, and :func:`.write_minerva`, which takes further
    options.

    Raises:
        ConfigError: there is no such sample, or its settings are impossible.
        OSError: the folder or a file cannot be written.
    """
    if name not in _WRITERS:
        near = nearest(name, names())
        mend = f"did you mean {near!r}?" if near else f"there is {', '.join(names())}"
        raise ConfigError(f"there is no sample {name!r}", where="simulate", mend=mend)
    return _WRITERS[name](folder, events, seed, truth, progress=progress, **options)
