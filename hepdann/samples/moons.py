"""Two moons, and the same turned about their centre: what the DANN paper draws first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import DOMAINS, Domain, check_request, new_tree, sample_paths, write_files

ROTATION = 35.0  # degrees, of the target in Ganin et al., JMLR 17 (2016) 59, section 5.1.1
_NOISE = 0.05
_Columns = dict[str, NDArray[Any]]
_BRANCHES = {"x": np.float32, "y": np.float32, "moon": np.int32}


def moons(
    events: int, rotation: float, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Points of two half circles that reach into each other, about the centre of both.

    Args:
        events: number of points.
        rotation: of all of them, in degrees.
        generator: of the points.

    Returns:
        (N, 2) points and (N,) which moon, 0 or 1.
    """
    label = generator.integers(0, 2, events).astype(np.int32)
    angle = generator.uniform(0, np.pi, events)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    points = np.where(label[:, None] == 0, upper, lower)
    points += generator.normal(0, _NOISE, points.shape)
    points = 2 * (points - (0.5, 0.25))
    turn = np.radians(rotation)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (points @ matrix).astype(np.float32), label


def write_moons(
    folder: str | Path,
    events: int,
    seed: int,
    truth: bool,
    *,
    rotation: float = ROTATION,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write moons as MC and turned moons as data: trees ``moons`` of x, y and, in MC, moon.

    Args:
        folder: for ``mc.root``, ``data.root`` and, if wanted, ``truth.root``.
        events: points in each file.
        seed: of the points; those of MC and data are different ones.
        truth: whether to write the moon of the data's points too.
        rotation: of the data, in degrees.
        progress: called with the points done and the points in all.

    Returns:
        The files.

    Raises:
        ConfigError: no events, a negative seed, or a truth of an earlier sample.
        OSError: a file cannot be written.
    """
    check_request(events, seed)

    def blocks(domain: Domain) -> Iterator[tuple[_Columns, int]]:
        words = np.random.SeedSequence(seed, spawn_key=(DOMAINS.index(domain),))
        turn = rotation if domain == "data" else 0.0
        points, label = moons(events, turn, np.random.default_rng(words))
        yield {"x": points[:, 0], "y": points[:, 1], "moon": label}, events

    @contextmanager
    def new_file(kind: str, path: Path) -> Iterator[Callable[[_Columns], None]]:
        names = [name for name in _BRANCHES if kind != "data" or name != "moon"]
        with new_tree(path, "moons", {name: _BRANCHES[name] for name in names}) as tree:
            yield lambda block: tree.extend({name: block[name] for name in names})

    paths = sample_paths(folder, "root", truth)
    return write_files(paths, blocks, new_file, progress, 2 * events)
