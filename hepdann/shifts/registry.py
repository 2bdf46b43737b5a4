"""Shifts by name: the ones that come with hepdann, and those that a user registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import ConfigError
from ..registry import SHIFTS
from . import maps

# (x, t, generator), and (x, t, generator, sigma) for raw maps: see `register`.
Map = Callable[..., maps.Array]
PixelMap = Callable[[maps.PixelHits, float, maps.Draws], maps.Reals]
ObjectMap = Callable[[maps.ObjectRows, float, maps.Draws], maps.Shifted]
_AnyMap = TypeVar("_AnyMap", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """What a shift does to features, to images and to objects.

    Attributes:
        map: of features, those of objects too; ``None`` where it has no meaning for them.
        raw: whether it acts on x itself, and not on x̂ = x / s.
        pixels: of the hits of images.
        images: whether it has a meaning for images.
        objects: of objects, which it may lose.
    """

    map: Map | None
    raw: bool = False
    pixels: PixelMap | None = None
    images: bool = False
    objects: ObjectMap | None = None


IDENTITY = Entry(maps.identity, images=True)
SINE = Entry(maps.sine)
SINE_THIRD = Entry(maps.sine_third)
SINE_CUBED = Entry(maps.sine_cubed)
SINE_FIFTH = Entry(maps.sine_fifth)
COSINE = Entry(maps.cosine)
GAUSSIAN = Entry(maps.gaussian, raw=True)
ENERGY_SCALE = Entry(None, pixels=maps.energy_scale, images=True)
ENERGY_SMEAR = Entry(None, pixels=maps.energy_smear, images=True)
DEAD_CHANNELS = Entry(None, pixels=maps.dead_channels, images=True)
MISSING_OBJECTS = Entry(None, objects=maps.missing_objects)
PT_SCALE = Entry(None, objects=maps.pt_scale)
DEAD_REGION = Entry(None, objects=maps.dead_region)


def names() -> tuple[str, ...]:
    """The names that :func:`hepdann.shifts.get` knows: hepdann's own first, then the user's."""
    return tuple(SHIFTS)


def lookup(name: str) -> Entry:
    """The map of that name.

    Raises:
        ConfigError: there is none; the nearest name is given.
    """
    entry: Entry = SHIFTS[name]
    return entry


def as_entry(
    name: str, thing: object, *, raw: bool = False, pixels: bool = False, objects: bool = False
) -> Entry:
    """What a function does to features, to images or to objects.

    Raises:
        ConfigError: it is no function.
    """
    if isinstance(thing, Entry):
        return thing
    if not callable(thing):
        raise ConfigError(f"the shift {name!r} is no function: {thing!r}", where="train.shift")
    if pixels:
        return Entry(None, pixels=thing, images=True)
    return Entry(None, objects=thing) if objects else Entry(thing, raw=raw)


def register(
    name: str, *, raw: bool = False, pixels: bool = False, objects: bool = False
) -> Callable[[_AnyMap], _AnyMap]:
    """Register a shift of your own: ``@register("stretch")`` above its function.

    The function must be pure and return an array of the shape of its first argument::

        @hepdann.register.shift("stretch")
        def stretch(x, t, generator):
            return x * (1 + 1 / t)

    Registering a name of your own again replaces the function, as re-run notebook cells need.
    Missing entries reach the function as 0, and pass unshifted whatever it returns for them.

    Args:
        name: the name, plain and not one of hepdann's own.
        raw: False: the function is called as ``f(x̂, t, generator)`` with each feature in units of
            its scale s, and returns the same units. True: as ``f(x, t, generator, sigma)`` with
            the features as they are stored and their (F,) standard deviations.
        pixels: the function acts on images: as ``f(hits, t, draws)`` with
            :class:`hepdann.shifts.PixelHits` and :class:`hepdann.shifts.Draws`, it returns the
            energies of the hits; 0 is no hit any more.
        objects: the function acts on objects: as ``f(objects, t, draws)`` with
            :class:`hepdann.shifts.ObjectRows`, it returns their values (n, F), and (n,) which of
            them are seen.

    Returns:
        A decorator that gives the function back.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    return SHIFTS.decorator(name, raw=raw, pixels=pixels, objects=objects)
