"""Shifts by name: the ones that come with hepdann, and those that a user registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..config.names import nearest
from ..errors import ConfigError
from . import maps, pixels

__all__ = ["Entry", "lookup", "names", "register", "registered", "restore"]

# (x, t, generator), and (x, t, generator, sigma) for raw maps: see `register`.
Map = Callable[..., maps.Array]
PixelMap = Callable[[pixels.PixelHits, float, pixels.Draws], pixels.Reals]
_AnyMap = TypeVar("_AnyMap", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """What a shift does to features, and what to images.

    Attributes:
        map: of features; ``None`` where it has no meaning for them.
        raw: whether it acts on x itself, and not on x̂ = x / s.
        pixels: of the hits of images.
        images: whether it has a meaning for images.
    """

    map: Map | None
    raw: bool = False
    pixels: PixelMap | None = None
    images: bool = False


_BUILT_IN = {
    "identity": Entry(maps.identity, images=True),
    "sine": Entry(maps.sine),
    "sine-third": Entry(maps.sine_third),
    "sine-cubed": Entry(maps.sine_cubed),
    "sine-fifth": Entry(maps.sine_fifth),
    "cosine": Entry(maps.cosine),
    "gaussian": Entry(maps.gaussian, raw=True),
    "energy-scale": Entry(None, pixels=pixels.energy_scale, images=True),
    "energy-smear": Entry(None, pixels=pixels.energy_smear, images=True),
    "dead-channels": Entry(None, pixels=pixels.dead_channels, images=True),
}
_registered: dict[str, Entry] = {}


def names() -> tuple[str, ...]:
    """The names that :func:`hepdann.shifts.get` knows: hepdann's own first, then the user's."""
    return (*_BUILT_IN, *_registered)


def registered() -> dict[str, Entry]:
    """The user's own, by name."""
    return dict(_registered)


def restore(entries: Mapping[str, Entry]) -> None:
    """Know again what :func:`registered` gave in another process."""
    _registered.update(entries)


def lookup(name: str) -> Entry:
    """The map of that name.

    Raises:
        ConfigError: there is none; the nearest name is given.
    """
    entry = _BUILT_IN.get(name) or _registered.get(name)
    if entry is None:
        near = nearest(name, names())
        mend = f"did you mean {near!r}?" if near else f"there are {', '.join(names())}"
        raise ConfigError(f"there is no shift {name!r}", where="shift", mend=mend)
    return entry


def register(name: str, *, raw: bool = False, pixels: bool = False) -> Callable[[_AnyMap], _AnyMap]:
    """Register a shift of one's own: ``@register("stretch")`` above its function.

    The function must be pure and return an array of the shape of its first argument::

        @hepdann.shifts.register("stretch")
        def stretch(x, t, generator):
            return x * (1 + 1 / t)

    Registering a name of one's own again replaces the function, as re-run notebook cells need.
    Missing entries reach the function as 0, and pass unshifted whatever it returns for them.

    Args:
        name: the name, without ``+``, not one of hepdann's own.
        raw: False: the function is called as ``f(x̂, t, generator)`` with each feature in units of
            its scale s, and returns the same units. True: as ``f(x, t, generator, sigma)`` with
            the features as they are stored and their (F,) standard deviations.
        pixels: the function acts on images: as ``f(hits, t, draws)`` with
            :class:`hepdann.shifts.PixelHits` and :class:`hepdann.shifts.Draws`, it returns the
            energies of the hits; 0 is no hit any more.

    Returns:
        A decorator that gives the function back.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    if name in _BUILT_IN:
        raise ConfigError(
            f"{name!r} is one of hepdann's own shifts", where="shift", mend="take another name"
        )
    if not name or "+" in name or name != name.strip():
        raise ConfigError(f"{name!r} cannot name a shift", where="shift", mend="take a plain name")

    def decorate(function: _AnyMap) -> _AnyMap:
        if pixels:
            _registered[name] = Entry(None, pixels=function, images=True)
        else:
            _registered[name] = Entry(function, raw=raw)
        return function

    return decorate
