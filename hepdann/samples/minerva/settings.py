"""Settings of the simulator, ``detector.yaml``, and the conditions in which samples may differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from ...errors import ConfigError

__all__ = ["Conditions", "Settings", "nominal", "settings", "target"]

Name = Literal["x", "u", "v"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Block(_Part):
    """Contiguous planes; ``lead`` is the thickness of the sheet before each, mm."""

    planes: int
    start: float
    lead: float = 0.0


class Section(_Part):
    """One material of a target and where it lies; without a place, all that is left over."""

    material: str
    thickness: float
    beyond: float | None = None
    sector: tuple[float, float] | None = None


class PassiveTarget(_Part):
    """A passive target: plane code, centre along the beam, orientation, sections."""

    code: int
    z: float
    angle: float
    sections: tuple[Section, ...]


class Image(_Part):
    """Size of the images: modules along the beam, and the plane codes a vertex may have."""

    modules: int
    codes: int


class GeometrySettings(_Part):
    """Planes, targets and images."""

    views: dict[Name, float]
    order: tuple[Name, ...]
    strips: int
    strip_pitch: float
    strip_height: float
    plane_pitch: float
    plane_mass: float
    active: float
    hexagon: float
    fiducial: float
    blocks: tuple[Block, ...]
    targets: tuple[PassiveTarget, ...]
    images: dict[str, Image]


class Material(_Part):
    """What a particle meets in a material."""

    density: float
    loss: float
    radiation_length: float
    a: int
    z: int


class Light(_Part):
    """From energy to photo-electrons, hits and their times."""

    photoelectrons: float
    birks: float
    landau: float
    gain_spread: float
    strip_spread: float
    crosstalk: float
    crosstalk_offset: int
    threshold: int
    noise: float
    dead: float
    time_resolution: float
    bucket: float


class LogNormal(_Part):
    """A part of a neutrino spectrum."""

    median: float
    width: float
    share: float


class Resonance(_Part):
    """A Breit-Wigner curve."""

    mass: float
    width: float
    share: float


class Line(_Part):
    """``offset + slope x``."""

    offset: float
    slope: float


class AxialMass(_Part):
    """Of the dipole form factors, GeV."""

    quasi_elastic: float
    resonant: float


class MuonCuts(_Part):
    """Least energy, GeV, and largest angle to the beam, degrees."""

    energy: float
    angle: float


class Interactions(_Part):
    """Neutrino spectra, cross-sections and final states at the nucleon."""

    flux: dict[str, tuple[LogNormal, ...]]
    energy: tuple[float, float]
    beam_slope: float
    quasi_elastic: float
    resonant: float
    deep_inelastic: Line
    two_nucleons: float
    axial_mass: AxialMass
    resonances: tuple[Resonance, ...]
    resonant_w: tuple[float, float]
    deep_w: float
    multiplicity: Line
    transverse: float
    fermi: float
    hydrogen: float
    muon: MuonCuts


class Transparency(_Part):
    """Chance, by mass number, that a hadron leaves its nucleus untouched."""

    nucleon: dict[int, float]
    pion: dict[int, float]


class FinalState(_Part):
    """What happens to hadrons inside the nucleus."""

    transparency: Transparency
    absorbed: float
    charge_exchange: float
    knocked_out: dict[int, float]
    knocked_energy: float
    forward: float


class Transport(_Part):
    """What happens to particles in the detector."""

    interaction_length: float
    spot: float
    critical: float
    cone: tuple[float, float]
    smallest: float


class LowQ2(_Part):
    """``norm / (1 + exp(1 - sqrt(Q2) / scale))``."""

    norm: float
    scale: float


class NonResonant(_Part):
    """Factor on deep inelastic events below ``w``."""

    w: float
    factor: float


class DetectorShift(_Part):
    """Factor on energies, and share of strips that are dead in the data alone."""

    energy_scale: float
    dead: float


class ShiftSettings(_Part):
    """In what the target differs from the MC unless something else is asked for."""

    fsi: Literal["on", "off"]
    flux: str
    low_q2: LowQ2
    non_resonant: NonResonant
    detector: DetectorShift


class Settings(_Part):
    """All of ``detector.yaml``; units as there."""

    version: int
    geometry: GeometrySettings
    materials: dict[str, Material]
    light: Light
    interactions: Interactions
    fsi: FinalState
    transport: Transport
    shifts: ShiftSettings


@cache
def settings() -> Settings:
    """The settings that come with the package, read once."""
    text = files(__package__).joinpath("detector.yaml").read_text(encoding="utf-8")
    return Settings.model_validate(yaml.safe_load(text))


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
