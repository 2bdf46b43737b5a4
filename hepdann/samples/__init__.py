"""Toy samples with known truth, as arrays and as real input files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..registry import nearest
from .constituents import constituent_jets, log_likelihood_ratio, write_jets
from .jets import INPUTS, MISMODELLING, Mismodelling, ToySample, bjets, write_bjets
from .minerva import write_minerva
from .mnist_m import write_mnist_m
from .moons import write_moons
from .numbers import write_numbers
from .shapes import write_shapes
from .showers import write_showers
from .signs import write_signs
from .toys import TOYS, write_toy

__all__ = [
    "INPUTS",
    "MISMODELLING",
    "TOYS",
    "Mismodelling",
    "ToySample",
    "bjets",
    "constituent_jets",
    "default_events",
    "log_likelihood_ratio",
    "names",
    "write",
    "write_bjets",
    "write_jets",
    "write_minerva",
    "write_mnist_m",
    "write_moons",
    "write_numbers",
    "write_shapes",
    "write_showers",
    "write_signs",
    "write_toy",
]

_WRITERS: dict[str, Callable[..., list[Path]]] = {
    "bjets": write_bjets,
    "jets": write_jets,
    "minerva": write_minerva,
    **{name: partial(write_toy, name) for name in TOYS},
    "moons": write_moons,
    "mnist-m": write_mnist_m,
    "numbers": write_numbers,
    "shapes": write_shapes,
    "showers": write_showers,
    "signs": write_signs,
}
_EVENTS: dict[str, int | None] = {"moons": 2_000, "mnist-m": None, "numbers": 20_000,
                                  "shapes": 10_000, "showers": 60_000, "signs": 20_000}  # fmt: skip


def names() -> tuple[str, ...]:
    """The samples that :func:`write` knows."""
    return tuple(_WRITERS)


def write(
    name: str,
    folder: str | Path,
    events: int | None = None,
    seed: int = 0,
    truth: bool = False,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Write the sample of that name as input files.

    See :func:`write_bjets`, :func:`.write_jets`, :func:`.write_minerva`, :func:`.write_moons`,
    :func:`.write_mnist_m`, :func:`.write_numbers`, :func:`.write_shapes`, :func:`.write_showers`,
    :func:`.write_signs` and
    :func:`.write_toy`, of which some take further options.

    Raises:
        ConfigError: there is no such sample, or its settings are impossible.
        OSError: the folder or a file cannot be written.
    """
    if name not in _WRITERS:
        near = nearest(name, names())
        mend = f"did you mean {near!r}?" if near else f"there is {', '.join(names())}"
        raise ConfigError(f"there is no sample {name!r}", where="simulate", mend=mend)
    count = default_events(name) if events is None else events
    return _WRITERS[name](folder, count, seed, truth, progress=progress, **options)


def default_events(name: str) -> int | None:
    """How many events a sample has by default; ``None`` where its input decides."""
    return _EVENTS.get(name, 40_000)
