"""The detector: its settings, ``detector.yaml``, the conditions of a sample, and its planes.

The detector is a pile of slabs along the beam: planes, passive targets and air. x and y are across
the beam, z along it, all in mm. Depths are cumulated at the slabs' borders, so that a particle's
way through the detector is one table look-up: in g/cm² of scintillator that take the same energy
(``depth``), and in radiation lengths (``radiation``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ...errors import ConfigError

VIEWS = ("x", "u", "v")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_BORDERS = np.array([9, 10, 18, 19, 27, 28, 44, 45, 49, 50])


class DetectorSettings(dict[Any, Any]):
    """A mapping of ``detector.yaml``, which also says what each value is; keys are attributes."""

    def __init__(self, values: dict[Any, Any]) -> None:
        super().__init__({key: _nested(value) for key, value in values.items()})

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError as error:
            raise AttributeError(key) from error


def _nested(value: Any) -> Any:
    if isinstance(value, dict):
        return DetectorSettings(value)
    return tuple(map(_nested, value)) if isinstance(value, list) else value


@cache
def settings() -> DetectorSettings:
    """The settings that come with the package, read once; nothing changes them."""
    text = files(__package__).joinpath("detector.yaml").read_text(encoding="utf-8")
    return DetectorSettings(yaml.safe_load(text))


@dataclass(frozen=True)
class Conditions:
    """Physics and detector under which events are simulated; no switch draws a number for another.

    Attributes:
        fsi: whether hadrons interact on their way out of the nucleus.
        flux: ``ME`` or ``LE``, the configuration of the neutrino beam.
        model: ``nominal``, or ``tuned``: resonances at low Q² and non-resonant production at low W
            are suppressed, as published (``detector.yaml``).
        energy_scale: factor on every recorded energy.
        smearing: relative Gaussian width by which recorded energies are smeared further.
        dead: share of the strips that are dead beyond those that always are.
    """

    fsi: bool = True
    flux: str = "ME"
    model: str = "nominal"
    energy_scale: float = 1.0
    smearing: float = 0.0
    dead: float = 0.0

    def __post_init__(self) -> None:
        known = {"flux": tuple(settings().interactions.flux), "model": ("nominal", "tuned")}
        for key, names in known.items():
            if (name := getattr(self, key)) not in names:
                mend = f"there is {' and '.join(names)}"
                raise ConfigError(f"there is no {key} {name!r}", where=key, mend=mend)
        if not 0 < self.energy_scale < float("inf"):
            raise ConfigError("a scale is greater than 0", where="energy_scale")
        if not 0 <= self.smearing < float("inf"):
            raise ConfigError("a smearing is not negative", where="smearing")
        if not 0 <= self.dead < 1:
            raise ConfigError("a share of dead strips is at least 0 and below 1", where="dead")


def nominal() -> Conditions:
    """What the MC is simulated with."""
    return Conditions()


def target() -> Conditions:
    """What the target is simulated with unless something else is asked for: ``detector.yaml``."""
    frozen = settings().shifts
    return Conditions(fsi=frozen.fsi == "on", flux=frozen.flux)


def segment_of(codes: NDArray[np.integer]) -> Ints:
    """Segments 0 to 10 of plane codes: before, in and after each of the five passive targets.

    Returns:
        Segments, of the same shape; odd ones are targets. The tracker is 10.
    """
    return np.searchsorted(_BORDERS, codes, side="right").astype(np.int64)


@dataclass(frozen=True, eq=False)
class Sections:
    """The sections of the targets, in a row; scintillator is section 0.

    Attributes:
        target: slab of each.
        mass: areal mass, g/cm².
        depth: the same as scintillator of equal energy loss.
        radiation: radiation lengths.
        a: mass number of the nucleus.
        z: its charge.
    """

    target: Ints
    mass: Floats
    depth: Floats
    radiation: Floats
    a: Ints
    z: Ints


@dataclass(frozen=True, eq=False)
class Geometry:
    """The detector as far as one image size reaches.

    Attributes:
        image: ``127x50`` or ``127x94``.
        modules: image columns of the X view; the U and V views have half of them.
        codes: plane codes that a vertex may have: 1 to ``codes``.
        edges: z of the slabs' borders (S + 1).
        depth: scintillator-equivalent g/cm² before each border (S + 1).
        radiation: radiation lengths before each border (S + 1).
        plane: plane number of each slab, -1 where there is none (S).
        code: plane code of each slab, 0 where there is none (S).
        active: share of a plane's depth that scintillates (P).
        view: 0 X, 1 U, 2 V of each plane (P).
        column: index of each plane inside its view's image (P).
        middle: z of each plane's middle (P).
        cosine: cos of each view's angle, in the order of :data:`VIEWS`.
        sine: sin of it.
        sections: what the targets are made of.
    """

    image: str
    modules: int
    codes: int
    edges: Floats
    depth: Floats
    radiation: Floats
    plane: Ints
    code: Ints
    active: Floats
    view: Ints
    column: Ints
    middle: Floats
    cosine: Floats
    sine: Floats
    sections: Sections

    @property
    def planes(self) -> int:
        """Planes in the images."""
        return len(self.view)

    def slab_of_code(self) -> Ints:
        """Slab of each plane code; entry 0 belongs to no plane and is -1."""
        slabs = np.full(self.code.max() + 1, -1)
        slabs[self.code[self.code > 0]] = np.flatnonzero(self.code > 0)
        return slabs

    def column_at(self, view: str, z: float) -> float:
        """Where along the image of a view a depth z, mm, lies, in columns; 0 is the first."""
        middle = self.middle[self.view == VIEWS.index(view)]
        index = int(np.clip(np.searchsorted(middle, z), 1, len(middle) - 1))
        step = middle[index] - middle[index - 1]
        return float(index - 1 + (z - middle[index - 1]) / step)

    def image_shape(self, view: int) -> tuple[int, int]:
        """Strips and columns of the image of a view."""
        return settings().geometry.strips, self.modules // (1 if view == 0 else 2)


def in_hexagon(x: Floats, y: Floats, apothem: float) -> NDArray[np.bool_]:
    """Whether points lie in the hexagon whose flat sides face x (and ± 60° of it)."""
    half, tall = 0.5 * np.abs(x), np.sqrt(0.75) * np.abs(y)
    return np.asarray((np.abs(x) <= apothem) & (half + tall <= apothem))


def fiducial_grid(points: int) -> tuple[Floats, Floats]:
    """X and y, mm, of a square grid of so many points a side, inside the fiducial hexagon."""
    apothem = settings().geometry.fiducial
    line = np.linspace(-1.16, 1.16, points) * apothem
    x, y = (axis.ravel() for axis in np.meshgrid(line, line))
    inside = in_hexagon(x, y, apothem)
    return x[inside], y[inside]


def section_at(target: DetectorSettings, x: Floats, y: Floats) -> Ints:
    """Which of a target's sections is at each point: the last one that claims it."""
    chosen = np.zeros(x.shape, dtype=np.int64)
    angle = np.radians(target.angle)
    along = x * np.cos(angle) + y * np.sin(angle)
    azimuth = np.degrees(np.arctan2(y, x)) % 360
    for index, section in enumerate(target.sections):
        if "beyond" in section:
            chosen[along > section.beyond] = index
        if "sector" in section:
            low, high = section.sector
            chosen[(azimuth >= low) & (azimuth < high)] = index
    return chosen


@cache
def geometry(image: str = "127x50") -> Geometry:
    """The geometry for an image size.

    Raises:
        ConfigError: there is no such image size.
    """
    frozen = settings()
    if image not in frozen.geometry.images:
        mend = f"there is {' and '.join(frozen.geometry.images)}"
        raise ConfigError(f"there is no image size {image!r}", where="image", mend=mend)
    size = frozen.geometry.images[image]
    return _build(frozen, image, size.modules, size.codes)


@dataclass(frozen=True)
class _Slab:
    start: float
    end: float
    depth: float
    radiation: float
    active: float = 0.0
    plane: int = -1
    code: int = 0


def _build(frozen: DetectorSettings, image: str, modules: int, codes: int) -> Geometry:
    geo = frozen.geometry
    slabs = _planes(frozen, 2 * modules) + _targets(frozen)
    slabs.sort(key=lambda slab: slab.start)
    slabs = _with_air(slabs)
    view = np.array([VIEWS.index(geo.order[i % len(geo.order)]) for i in range(2 * modules)])
    column = np.empty_like(view)
    for number in range(len(VIEWS)):
        column[view == number] = np.arange(np.sum(view == number))
    planes = [slab for slab in slabs if slab.plane >= 0]
    angles = np.radians([geo.views[name] for name in VIEWS])
    return Geometry(
        image=image,
        modules=modules,
        codes=codes,
        edges=np.array([slabs[0].start] + [slab.end for slab in slabs]),
        depth=np.cumsum([0.0] + [slab.depth for slab in slabs]),
        radiation=np.cumsum([0.0] + [slab.radiation for slab in slabs]),
        plane=np.array([slab.plane for slab in slabs]),
        code=np.array([slab.code for slab in slabs]),
        active=np.array([slab.active for slab in planes]),
        view=view,
        column=column,
        middle=np.array([(slab.start + slab.end) / 2 for slab in planes]),
        cosine=np.cos(angles),
        sine=np.sin(angles),
        sections=_sections(frozen, np.array([slab.code for slab in slabs])),
    )


def _planes(frozen: DetectorSettings, count: int) -> list[_Slab]:
    geo, plastic, lead = frozen.geometry, frozen.materials["scintillator"], frozen.materials["lead"]
    targets = np.array([target.code for target in geo.targets])
    slabs: list[_Slab] = []
    for block in geo.blocks:
        sheet = block.get("lead", 0.0) / 10 * lead.density
        depth = geo.plane_mass + sheet * lead.loss
        radiation = geo.plane_mass / plastic.radiation_length + sheet / lead.radiation_length
        for number in range(min(block.planes, count - len(slabs))):
            start = block.start + number * geo.plane_pitch
            code = len(slabs) + 1
            for target in targets:  # each takes a code of its own
                code += code >= target
            slab = _Slab(
                start,
                start + geo.plane_pitch,
                depth,
                radiation,
                active=geo.active * geo.plane_mass / depth,
                plane=len(slabs),
                code=int(code),
            )
            slabs.append(slab)
    return slabs


def _amounts(frozen: DetectorSettings, section: DetectorSettings) -> tuple[float, float, float]:
    """Areal mass, scintillator-equivalent depth and radiation lengths of a section."""
    material = frozen.materials[section.material]
    mass = section.thickness / 10 * material.density
    return mass, mass * material.loss, mass / material.radiation_length


def _targets(frozen: DetectorSettings) -> list[_Slab]:
    """The targets as slabs of their mean matter; a vertex inside one knows its section."""
    slabs = []
    for target in frozen.geometry.targets:
        # the share of the fiducial hexagon that each section covers
        chosen = section_at(target, *fiducial_grid(1161))
        share = np.bincount(chosen, minlength=len(target.sections)) / len(chosen)
        amounts = np.array([_amounts(frozen, section) for section in target.sections])
        _, depth, radiation = share @ amounts
        thick = max(section.thickness for section in target.sections)
        start, end = target.z - thick / 2, target.z + thick / 2
        slabs.append(_Slab(start, end, float(depth), float(radiation), code=target.code))
    return slabs


def _with_air(slabs: list[_Slab]) -> list[_Slab]:
    filled = [slabs[0]]
    for slab in slabs[1:]:
        if slab.start > filled[-1].end:
            filled.append(_Slab(filled[-1].end, slab.start, 1e-6, 1e-8))
        filled.append(slab)
    return filled


def _sections(frozen: DetectorSettings, codes: Ints) -> Sections:
    plastic = frozen.materials["scintillator"]
    mass = frozen.geometry.plane_mass
    rows: list[tuple[float, ...]] = [
        (-1, mass, mass, mass / plastic.radiation_length, plastic.a, plastic.z)
    ]
    for target in frozen.geometry.targets:
        slab = int(np.flatnonzero(codes == target.code)[0])
        for section in target.sections:
            material = frozen.materials[section.material]
            rows.append((slab, *_amounts(frozen, section), material.a, material.z))
    table = np.array(rows).T
    return Sections(
        target=table[0].astype(np.int64),
        mass=table[1],
        depth=table[2],
        radiation=table[3],
        a=table[4].astype(np.int64),
        z=table[5].astype(np.int64),
    )
