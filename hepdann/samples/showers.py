"""Electromagnetic showers in a toy of a sampling calorimeter, as pictures of layers and strips.

Parametrised as in Grindhammer & Peters, "The Parameterized Simulation of Electromagnetic Showers in
Homogeneous and Sampling Calorimeters", hep-ex/0001020: a gamma distribution along the depth whose
two parameters fluctuate together, and a core and a tail across it. That of a photon begins where it
converts, 9/7 radiation lengths deep in the mean. Each cell then sees its mean energy through a
gamma process, so that the whole has a resolution of ``STOCHASTIC`` / sqrt(E).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import Domain, check_request, new_tree, write_files

Floats = NDArray[np.floating]
Showers = tuple[dict[str, NDArray[np.generic]], Floats]

TREE = "showers"
ENERGIES = (10.0, 100.0)  # GeV, of the particle
LAYERS, STRIPS = 16, 15
THRESHOLD = 0.005  # GeV: a cell with less is read as 0
STOCHASTIC = 0.12  # square root of GeV
_DEPTH = 1.5  # radiation lengths of a layer
_WIDTH = 0.4  # Molière radii of a strip
_CRITICAL, _Z = 0.010, 74.0  # GeV, and charge of the nuclei: tungsten with little else
_BLOCK = 10_000  # showers that are drawn together
_STREAM = 0x5407
_HITS = "{view: int32, plane: int32, strip: int32, energy: float32}"


def draw_showers(
    energy: Floats, photon: NDArray[np.integer], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a shower for each particle, which enters anywhere in the middle strip.

    Energies (n,) are in GeV; ``photon`` is 1 of a photon, 0 of an electron.

    Returns:
        (n, strips, layers) energies of the cells, GeV, calibrated to the energy of the particle.
    """
    from scipy.special import gammainc

    energy = np.asarray(energy, np.float64)
    y = np.log(energy / _CRITICAL)
    noise = generator.standard_normal((2, len(energy)))
    correlation = 0.784 - 0.023 * y
    other = correlation * noise[0] + np.sqrt(1 - correlation**2) * noise[1]
    top = np.exp(np.log(1.007 * y - 1.396) + noise[0] / (1.245 * y - 2.506))  # depth of the maximum
    alpha = np.exp(np.log(0.540 * y - 0.043) + other / (0.790 * y - 0.82))
    alpha = np.maximum(alpha, 1.05)
    begin = np.where(photon, generator.exponential(9 / 7, len(energy)), 0.0)
    edges = np.maximum(_DEPTH * np.arange(LAYERS + 1) - begin[:, None], 0.0)
    along = np.diff(gammainc(alpha[:, None], ((alpha - 1) / top)[:, None] * edges))
    tau = (edges[:, :-1] + edges[:, 1:]) / 2 / top[:, None]
    log = np.log(energy)[:, None]
    core = 0.0251 + 0.00319 * log + (0.1162 - 0.000381 * _Z) * tau
    tail = np.exp(-2.59 * (tau - 0.645)) + np.exp((0.3585 + 0.0421 * log) * (tau - 0.645))
    tail = (0.659 - 0.00309 * _Z) * np.minimum(tail, 50.0)
    place = (0.401 + 0.00187 * _Z - tau) / (1.313 - 0.0686 * log)
    share = np.clip((2.632 - 0.00094 * _Z) * np.exp(place - np.exp(place)), 0.0, 1.0)
    middle = generator.uniform(-0.5, 0.5, (len(energy), 1))
    sides = (_WIDTH * (np.arange(STRIPS + 1) - STRIPS / 2 - middle))[:, :, None]
    parts = (w[:, None] * sides / np.hypot(sides, r[:, None])
             for w, r in ((share, core), (1 - share, tail)))  # fmt: skip
    across = np.diff(sum(parts, np.zeros(())), axis=1) / 2
    mean = energy[:, None, None] * across * along[:, None, :]
    cells = STOCHASTIC**2 * generator.standard_gamma(mean / STOCHASTIC**2)
    return np.where(cells < THRESHOLD, 0.0, cells).astype(np.float32)


@contextmanager
def shower_tree(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Showers], None]]:
    """Create a ROOT file of showers, a tree of hits that ``convert`` reads as images.

    ``columns`` are names of numbers that an event has beside ``event`` and ``particle``.

    Yields:
        What appends the columns (n,) by name and (n, strips, layers) energies of the cells.
    """
    import awkward as ak

    types = {"event": "i8", "particle": "i4"} | dict.fromkeys(columns, "f4")
    with new_tree(path, TREE, types, {"hit": _HITS}) as tree:
        written = 0

        def append(block: Showers) -> None:
            nonlocal written
            known, cells = block
            known = known | {"event": written + np.arange(len(cells))}
            event, strip, layer = np.nonzero(cells)
            places = {"view": 0 * strip, "plane": layer, "strip": strip}
            hits = {name: values.astype("i4") for name, values in places.items()}
            hits["energy"] = cells[event, strip, layer].astype("f4")
            counts = np.bincount(event, minlength=len(cells))
            scalars = {name: known[name].astype(kind) for name, kind in types.items()}
            tree.extend(scalars | {"hit": ak.unflatten(ak.zip(hits), counts)})
            written += len(cells)

        yield append


def write_showers(
    folder: str | Path,
    events: int,
    seed: int,
    truth: bool,  # noqa: ARG001
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write showers of electrons and photons as MC alone; see :func:`hepdann.samples.write`."""
    check_request(events, seed)

    def blocks(domain: Domain) -> Iterator[tuple[Showers, int]]:
        for start in range(0, events, _BLOCK) if domain == "mc" else ():
            words = np.random.SeedSequence([seed, _STREAM, start])
            generator = np.random.default_rng(words)
            energy = generator.uniform(*ENERGIES, min(_BLOCK, events - start)).astype(np.float32)
            particle = generator.integers(0, 2, len(energy))
            cells = draw_showers(energy, particle, generator)
            yield ({"energy": energy, "particle": particle}, cells), len(energy)

    paths = {"mc": Path(folder) / "mc.root"}
    return write_files(
        paths, blocks, lambda _, path: shower_tree(path, ["energy"]), progress, events
    )
