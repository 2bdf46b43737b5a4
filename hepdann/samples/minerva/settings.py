"""Settings of the simulator, ``detector.yaml``, and the conditions in which samples may differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ...errors import ConfigError


class Settings(dict[Any, Any]):
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
        return Settings(value)
    return tuple(map(_nested, value)) if isinstance(value, list) else value


@cache
def settings() -> Settings:
    """The settings that come with the package, read once; nothing changes them."""
    text = files(__package__).joinpath("detector.yaml").read_text(encoding="utf-8")
    return Settings(yaml.safe_load(text))


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
