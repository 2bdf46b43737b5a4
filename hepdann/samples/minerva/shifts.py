"""In what a simulated sample may differ: each switch alone, and no other draws a number for it."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from .settings import settings

__all__ = ["Conditions", "nominal", "target"]


@dataclass(frozen=True)
class Conditions:
    """Physics and detector under which events are simulated.

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
        spectra = tuple(settings().interactions.flux)
        if self.flux not in spectra:
            raise ConfigError(
                f"there is no flux {self.flux!r}",
                where="flux",
                mend=f"there is {' and '.join(spectra)}",
            )
        if self.model not in ("nominal", "tuned"):
            raise ConfigError(
                f"there is no model {self.model!r}",
                where="model",
                mend="there is nominal and tuned",
            )
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
