"""Toy samples with known truth, as arrays and as real input files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..registry import suggestion
from .constituents import constituent_jets, log_likelihood_ratio, write_jets
from .jets import INPUTS, MISMODELLING, Mismodelling, ToySample, bjets, write_bjets
from .minerva import write_minerva
from .pictures import write_mnist_m, write_numbers, write_shapes, write_signs
from .showers import write_showers
from .toys import TOYS, write_toy

__all__ = [
    "INPUTS", "MISMODELLING", "TOYS", "Mismodelling", "ToySample", "bjets", "constituent_jets",
    "default_events", "log_likelihood_ratio", "names", "write", "write_bjets", "write_jets",
    "write_minerva", "write_mnist_m", "write_numbers", "write_shapes", "write_showers",
    "write_signs", "write_toy",
]  # fmt: skip

_WRITERS: dict[str, Callable[..., list[Path]]] = {
    "bjets": write_bjets,
    "jets": write_jets,
    "minerva": write_minerva,
    **{name: partial(write_toy, name) for name in TOYS},
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
    """Write a sample as input files ``mc``, ``data`` (where there are any) and ``truth``.

    They are written in constant memory and appear together when all are whole; earlier ones of
    these names are replaced then.

    Args:
        name: of :func:`names`.
        folder: for the files; made if it is not there.
        events: in each file; jets of "bjets", of which two share an event number.
        seed: the same seed writes the same values, and of most samples any prefix of a longer one.
        truth: whether to write what is true of the data too.
        progress: called with the events written and to be written.
        **options: of the sample: :func:`.write_jets`, :func:`.write_minerva`,
            :func:`.write_mnist_m` and :func:`.write_toy` take some.

    Returns:
        The files.

    Raises:
        ConfigError: there is no such sample, its settings are impossible, or the folder holds the
            truth of an earlier sample that would no longer belong to the data.
        OSError: the folder or a file cannot be written.
    """
    if name not in _WRITERS:
        mend = suggestion(name, names(), "there is", quoted=True)
        raise ConfigError(f"there is no sample {name!r}", where="simulate", mend=mend)
    count = default_events(name) if events is None else events
    return _WRITERS[name](folder, count, seed, truth, progress=progress, **options)


def default_events(name: str) -> int | None:
    """How many events a sample has by default; ``None`` where its input decides."""
    return _EVENTS.get(name, 40_000)
