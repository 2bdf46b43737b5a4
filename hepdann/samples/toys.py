"""Small toys of a few columns: moons, a nuisance, data that are mixtures of two classes.

Each column is drawn from closed formulae, so that what the best classifier reaches is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import Columns, Domain, block_generators, check_request, joined_columns, write_trees

ROTATION = 35.0  # degrees, of the moons in Ganin et al., JMLR 17 (2016) 59, section 5.1.1
_BLOCK = 50_000  # events


@dataclass(frozen=True)
class Toy:
    """A sample of MC with labels, and data.

    Attributes:
        draw: columns of n events of a domain, the label among them.
        spectators: columns that are no inputs.
        tree: name of the tree.
        label: name of the label.
    """

    draw: Callable[..., Columns]
    spectators: tuple[str, ...] = ()
    tree: str = "toy"
    label: str = "label"


def _pivot(generator: np.random.Generator, n: int, domain: Domain) -> Columns:
    """Two features, of which the signal's second is shifted by a nuisance z ~ N(0, 1).

    Louppe, Kagan & Cranmer, arXiv:1611.01046, section 5.1: label 0 is N(0, [[1, -½], [-½, 1]]), and
    label 1 is N((1, 1 + z), 1).
    """
    del domain
    label = generator.integers(0, 2, n)
    z = generator.standard_normal(n)
    x = generator.standard_normal((n, 2))
    background = np.stack([x[:, 0], -0.5 * x[:, 0] + np.sqrt(0.75) * x[:, 1]])
    signal = np.stack([1 + x[:, 0], 1 + z + x[:, 1]])
    first, second = np.where(label == 1, signal, background)
    return {"x1": first, "x2": second, "z": z, "label": label}


def _mixtures(generator: np.random.Generator, n: int, domain: Domain) -> Columns:
    """One feature, N(10, 5) of the signal and N(0, 5) of the background; two mixed samples.

    In data 80 % of mixture 1 and 20 % of mixture 0 are signal (Metodiev, Nachman & Thaler,
    arXiv:1708.02949, section 4.1); in MC half of either. The best AUC is Φ(√2) = 0.9214.
    """
    mixture = generator.integers(0, 2, n)
    fraction = np.where(mixture == 1, 0.8, 0.2) if domain == "data" else 0.5
    label = (generator.random(n) < fraction).astype(np.int64)
    return {"x": generator.normal(10.0 * label, 5.0), "mixture": mixture, "label": label}


def _proportions(generator: np.random.Generator, n: int, domain: Domain) -> Columns:
    """Three features with two modes each; two bags, whose signal fractions are 0.4 and 0.7.

    In the likeness of the toy of Dery, Nachman, Rubbo & Schwartzman, arXiv:1702.00414, section 3:
    each feature of an event is in either mode with probability ½, and no mean tells the classes.
    In MC half of the events are signal. The best AUC is 0.978.
    """
    bag = generator.integers(0, 2, n)
    fraction = np.where(bag == 1, 0.7, 0.4) if domain == "data" else 0.5
    label = (generator.random(n) < fraction).astype(np.int64)
    side = generator.integers(0, 2, (n, 3)) * 2 - 1
    centre = np.where(label == 1, 1.97, 1.0)[:, None] * side
    x = generator.normal(centre, np.where(label == 1, 0.7, 0.5)[:, None])
    return {"x1": x[:, 0], "x2": x[:, 1], "x3": x[:, 2], "bag": bag, "label": label}


def _bump(generator: np.random.Generator, n: int, domain: Domain, signal: float = 0.01) -> Columns:
    """A resonance of mass 3 and width 0.05 over a falling spectrum from 2 to 4, and three features.

    The features of the signal are N(1.5, 0.5), of the background N(0, 1), and know nothing of the
    mass. A share ``signal`` of the data is signal, and half of the MC.
    """
    share = signal if domain == "data" else 0.5
    label = (generator.random(n) < share).astype(np.int64)
    slope, width = 1.5, 2.0
    falling = 2 - np.log1p(-generator.random(n) * (1 - np.exp(-slope * width))) / slope
    mass = np.where(label == 1, generator.normal(3.0, 0.05, n), falling)
    x = generator.standard_normal((n, 3))
    x = np.where(label[:, None] == 1, 1.5 + 0.5 * x, x)
    return {"m": mass, "x1": x[:, 0], "x2": x[:, 1], "x3": x[:, 2], "label": label}


def moons(
    events: int, rotation: float, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Points of two half circles that reach into each other, about the centre of both.

    Half of the points are of each moon; all are turned by ``rotation`` degrees.

    Returns:
        (N, 2) points and (N,) which moon, 0 or 1.
    """
    from sklearn.datasets import make_moons

    points, label = make_moons(events, noise=0.05, random_state=int(generator.integers(2**32)))
    points = 2 * (points - (0.5, 0.25))
    turn = np.radians(rotation)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (points @ matrix).astype(np.float32), label.astype(np.int32)


def _moons(
    generator: np.random.Generator, n: int, domain: Domain, rotation: float = ROTATION
) -> Columns:
    """The data are turned by ``rotation`` degrees."""
    points, label = moons(n, rotation if domain == "data" else 0.0, generator)
    return {"x": points[:, 0], "y": points[:, 1], "moon": label}


TOYS = {
    "moons": Toy(_moons, tree="moons", label="moon"),
    "pivot": Toy(_pivot, ("z",)),
    "mixtures": Toy(_mixtures, ("mixture",)),
    "proportions": Toy(_proportions, ("bag",)),
    "bump": Toy(_bump, ("m",)),
}


def draw(name: str, events: int, seed: int = 0, domain: Domain = "mc") -> Columns:
    """The columns of a domain of a toy, as its file has them."""
    return joined_columns([block for block, _ in _blocks(TOYS[name], events, seed, domain)])


def write_toy(
    name: str,
    folder: str | Path,
    events: int = 40_000,
    seed: int = 0,
    truth: bool = False,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Write a toy of :data:`TOYS` as ROOT files of one tree; see :func:`hepdann.samples.write`.

    Options are ``signal``, the share of the data of "bump", and ``rotation`` of those of "moons".
    """
    check_request(events, seed)
    toy = TOYS[name]
    if options:
        toy = replace(toy, draw=partial(toy.draw, **options))

    example, _ = next(_blocks(toy, 1, seed, "mc"))
    types = {n: "f4" if values.dtype.kind == "f" else "i4" for n, values in example.items()}
    unlabelled = {name: type_ for name, type_ in types.items() if name != toy.label}
    branches = {"mc": types, "data": unlabelled, "truth": types}
    blocks = partial(_blocks, toy, events, seed)
    return write_trees(folder, toy.tree, branches, blocks, progress, events, truth=truth)


def _blocks(toy: Toy, events: int, seed: int, domain: Domain) -> Iterator[tuple[Columns, int]]:
    """Blocks of events with their number."""
    for _, rows, generator in block_generators(domain, events, seed, _BLOCK):
        block = toy.draw(generator, _BLOCK, domain)
        yield {name: column[:rows] for name, column in block.items()}, rows
