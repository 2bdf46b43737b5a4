"""Shifts by name: what they do to features, hits and objects; those of users too."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..registry import SHIFTS
from ..tensors import Jagged, Objects, Transform, View
from .noise import Draws, EventSeed, Keys, Reals, noise, seed_of_table

if TYPE_CHECKING:
    from .fitting import Step

Array = NDArray[np.float64]
Shifted = tuple[NDArray[np.float32], NDArray[np.bool_]]  # values, and which objects are seen


def detector(shifted: Array, x: Array, t: float, generator: np.random.Generator) -> Array:
    """The detector term common to the sine family: y (1 + 1/t) + N(0, |x̂|/(25 t)).

    The features y after a map, and what is returned, have the same units; x̂ before it sets the
    width of the smearing.
    """
    noise = generator.standard_normal(x.shape)
    return shifted * (1 + 1 / t) + noise * (np.abs(x) / (25 * t))


def identity(x: Array, t: float, generator: np.random.Generator) -> Array:  # noqa: ARG001
    """f₄: nothing happens, for every t and without a detector term."""
    return x


def sine(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₁: x̂ + (1/t) sin(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) / t, x, t, generator)


def sine_third(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₂: x̂ + (1/3t) sin(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) / (3 * t), x, t, generator)


def sine_cubed(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₃ as the original study drew it: x̂ + (1/t) sin³(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) ** 3 / t, x, t, generator)


def sine_fifth(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₃ as the original study coded it: x̂ + (1/t) sin⁵(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) ** 5 / t, x, t, generator)


def cosine(x: Array, t: float, generator: np.random.Generator) -> Array:
    """x̂ + (1/t) cos(2πx̂), then the detector term; it folds the inputs for t below 2π."""
    return detector(x + np.cos(2 * np.pi * x) / t, x, t, generator)


def gaussian(x: Array, t: float, generator: np.random.Generator, sigma: Array) -> Array:
    """(1 + U(0,1)/t) x + N(0, σ_x/t), on x itself, in its units; one draw an entry.

    σ_x is the (F,) standard deviation of each feature over the MC training split.
    """
    scaled = x * (1 + generator.random(x.shape) / t)
    return scaled + generator.standard_normal(x.shape) * (sigma / t)


@dataclass(frozen=True, eq=False)
class PixelHits:
    """The pixels of some events that are not 0, as one row each.

    Attributes:
        energy: (n,) in the units that were converted, whatever was done to them afterwards.
        event: (n,) identity of the event.
        place: (n,) identity of the strip in its plane and view.
    """

    energy: Reals
    event: Keys
    place: Keys


def energy_scale(hits: PixelHits, t: float, draws: Draws) -> Reals:  # noqa: ARG001
    """Every energy × (1 + 1/t): the calibration is off."""
    return hits.energy * (1 + 1 / t)


def energy_smear(hits: PixelHits, t: float, draws: Draws) -> Reals:
    """Every energy × (1 + N(0, 1)/t), one draw a hit; what would be negative is no hit."""
    factor = 1 + draws.normal(hits.event, hits.place) / t
    return np.asarray(hits.energy * np.maximum(factor, 0))


def dead_channels(hits: PixelHits, t: float, draws: Draws) -> Reals:
    """A share 1/t of all strips sees nothing, in no event."""
    return np.where(draws.uniform(hits.place) < 1 / t, 0.0, hits.energy)


@dataclass(frozen=True, eq=False)
class ObjectRows:
    """The objects of some events, one collection of them, a row each.

    Attributes:
        name: of the collection.
        features: what the columns are.
        values: (n, F) float32; NaN is missing.
        event: (n,) identity of the event.
        number: (n,) of the object in its event, from 0.
    """

    name: str
    features: tuple[str, ...]
    values: NDArray[np.float32]
    event: Keys
    number: Keys

    def named(self, ending: str) -> list[int]:
        """Columns whose names end so, ``log(jet_pt)`` and ``log_pt`` as ``pt``; one at least.

        Raises:
            ConfigError: there is none.
        """
        plain = [feature.rstrip(")").lower() for feature in self.features]
        columns = [number for number, feature in enumerate(plain) if feature.endswith(ending)]
        if not columns:
            raise ConfigError(
                f"no feature of {self.name} ends in '{ending}'",
                where="train.shift",
                mend=f"convert with one; there are {', '.join(self.features)}",
            )
        return columns


def missing_objects(objects: ObjectRows, t: float, draws: Draws) -> Shifted:
    """A share 1/t of the objects is lost, wherever they are."""
    return objects.values, draws.uniform(objects.event, objects.number) >= 1 / t


def pt_scale(objects: ObjectRows, t: float, draws: Draws) -> Shifted:  # noqa: ARG001
    """Every p_T × (1 + 1/t): features that end in pt, and logarithms of such."""
    values = objects.values.copy()
    for column in objects.named("pt"):
        log = objects.features[column].lower().startswith("log")
        values[:, column] = (
            values[:, column] + np.log1p(1 / t) if log else (values[:, column] * (1 + 1 / t))
        )
    return values, np.ones(len(values), np.bool_)


def dead_region(objects: ObjectRows, t: float, draws: Draws) -> Shifted:  # noqa: ARG001
    """In a share 1/t of the circle in φ none is seen; it begins at φ = 0."""
    phi = objects.values[:, objects.named("phi")[0]]
    return objects.values, ~(np.remainder(phi, 2 * np.pi) < 2 * np.pi / t)


def shift_objects(
    steps: Sequence[tuple[Step, Entry]], objects: Objects, event_id: Keys, seed: int
) -> Objects:
    """Shift objects of N events, and by maps of features the features of their events as well.

    The steps act in their order; the (N,) identities and the seed give the random numbers.
    """
    for index, (step, entry) in enumerate(steps):
        key = zlib.crc32(f"{seed} {index} {step.name}".encode())
        if entry.objects is None:
            objects = _mapped(step, objects, EventSeed(seed, event_id), key)
            continue
        parts, draws = [], Draws(key | seed << 32)
        for part, one in zip(objects.parts, objects.collections, strict=True):
            event = np.repeat(np.arange(len(part)), part.counts)
            number = (np.arange(len(event)) - part.start[event]).astype(np.uint64)
            rows = ObjectRows(one.name, one.features, part.values, event_id[event], number)
            shifted, kept = entry.objects(rows, step.t, draws)
            counts = np.bincount(event[kept], minlength=len(part))
            numbers = {name: values[kept] for name, values in part.numbers.items()}
            parts.append(Jagged.of(np.asarray(shifted, np.float32)[kept], counts, numbers))
        objects = replace(objects, parts=tuple(parts))
    return objects


def _mapped(step: Step, objects: Objects, seed: EventSeed, word: int) -> Objects:
    """Events and objects under a map of features."""
    spans = list(pairwise(accumulate((t.shape[1] for t in objects.tables), initial=0)))

    def change(number: int, table: NDArray[np.float32]) -> NDArray[np.float32]:
        generator = noise(seed_of_table(seed, objects, number), word)
        return step.columns(*spans[number]).apply(table, generator)

    return objects.mapped(change)


_BITS = np.uint64(20)  # strips and planes of a view are counted below 2^20


def shift_images(
    steps: Sequence[tuple[str, Entry, float]],
    views: Sequence[View],
    images: Mapping[str, NDArray[np.float32]],
    event_id: NDArray[np.uint64],
    seed: int,
) -> None:
    """Shift images (n, C, H, W) of each view in place.

    The steps are name, map and t, in the order in which they act; the (n,) identities of the events
    and the seed give the random numbers. Energies are taken back to their units for the shift.

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


# (x, t, generator), and (x, t, generator, sigma) for raw maps: see `register`.
Map = Callable[..., Array]
PixelMap = Callable[[PixelHits, float, Draws], Reals]
ObjectMap = Callable[[ObjectRows, float, Draws], Shifted]
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


IDENTITY = Entry(identity, images=True)
SINE = Entry(sine)
SINE_THIRD = Entry(sine_third)
SINE_CUBED = Entry(sine_cubed)
SINE_FIFTH = Entry(sine_fifth)
COSINE = Entry(cosine)
GAUSSIAN = Entry(gaussian, raw=True)
ENERGY_SCALE = Entry(None, pixels=energy_scale, images=True)
ENERGY_SMEAR = Entry(None, pixels=energy_smear, images=True)
DEAD_CHANNELS = Entry(None, pixels=dead_channels, images=True)
MISSING_OBJECTS = Entry(None, objects=missing_objects)
PT_SCALE = Entry(None, objects=pt_scale)
DEAD_REGION = Entry(None, objects=dead_region)


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
