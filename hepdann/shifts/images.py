"""A shift at work on images: the energies of hits out, shifted, and back in."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..tensors import Transform, View
from .maps import Draws, PixelHits
from .registry import Entry

_BITS = np.uint64(20)  # strips and planes of a view are counted below 2^20


def shift_images(
    steps: Sequence[tuple[str, Entry, float]],
    views: Sequence[View],
    images: Mapping[str, NDArray[np.float32]],
    event_id: NDArray[np.uint64],
    seed: int,
) -> None:
    """Shift images in place.

    Args:
        steps: name, map and t of each shift, in the order in which they act.
        views: what the images are; energies are taken back to their units for the shift.
        images: by view, (n, C, H, W).
        event_id: (n,) identity of each event.
        seed: of the random numbers.

    Raises:
        ConfigError: a view has no energies, or a shift returns another number of hits.
    """
    steps = [step for step in steps if step[1].pixels is not None and np.isfinite(step[2])]
    for number, view in enumerate(views if steps else ()):
        channel = _energies(view)
        transform = view.transforms[channel] if view.transforms else Transform()
        pixels = images[view.name]
        row, strip, plane = np.nonzero(pixels[:, channel] != 0)
        energy = before = transform.inverse(pixels[row, channel, strip, plane].astype(np.float64))
        place = (np.full(len(row), number, np.uint64) << _BITS) | strip.astype(np.uint64)
        place = (place << _BITS) | plane.astype(np.uint64)
        for index, (name, entry, t) in enumerate(steps):
            assert entry.pixels is not None
            draws = Draws(zlib.crc32(f"{seed} {index} {name}".encode()) | seed << 32)
            hits = PixelHits(energy, event_id[row], place)
            energy = np.asarray(entry.pixels(hits, t, draws), np.float64)
            if energy.shape != row.shape:
                raise ConfigError(
                    f"the shift {name!r} turned {len(row)} hits into {energy.shape}",
                    where="shift",
                    mend="a shift returns one energy for each hit",
                )
        moved, lost = energy != before, energy == 0
        at = row[moved], channel, strip[moved], plane[moved]
        pixels[at] = transform.forward(energy[moved])
        pixels[row[lost], :, strip[lost], plane[lost]] = 0  # without energy there is no time


def _energies(view: View) -> int:
    """Which channel holds energies: the one of that name, or the first where none has a name."""
    if not view.channel_names:
        return 0
    if "energy" not in view.channel_names:
        raise ConfigError(
            f"view {view.name} holds {' and '.join(view.channel_names)} and no energies to shift",
            where="shift",
            mend="convert with energies (convert.images.channels)",
        )
    return view.channel_names.index("energy")
