"""The calibrations of a run: maps of the MC whose images networks are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..calibration import (
    Calibration,
    CalibrationReport,
    ObjectSource,
    ObjectTarget,
    calibrate,
    object_families,
    same_families,
    shift_families,
)  # fmt: skip
from ..config import TrainConfig
from ..domains import Domains
from ..errors import ConfigError
from ..registry import PARAMETRISED
from ..store.content import Calibrations, StoredCalibration
from ..store.paths import RunPaths
from ..store.reading import read_versioned, write_json
from ..tensors import Objects, Source, Target
from .aligned import outside_test
from .stacks.plan import calibrated_on

KNOWN = "calibrated-known"
KNOWING = (KNOWN, PARAMETRISED)  # in a study the family that made the target


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration, and what certifies it.

    Attributes:
        verdict: ``closed``, ``partly closed`` or ``not closed``.
    """

    calibration: Calibration
    verdict: str
    sentence: str

    @classmethod
    def of(cls, report: CalibrationReport) -> Self:
        """What was measured."""
        return cls(report.applied, report.verdict, report.sentence)

    @classmethod
    def read(cls, stored: StoredCalibration) -> Self:
        """What :meth:`to_dict` described."""
        return cls(Calibration.from_dict(stored.map), stored.verdict, stored.sentence)

    def to_dict(self) -> dict[str, Any]:
        """As :class:`hepdann.store.calibrations.StoredCalibration` has it."""
        known = {"verdict": self.verdict, "sentence": self.sentence}
        return {"family": self.calibration.name, "map": self.calibration.to_dict()} | known


def families_of(train: TrainConfig, name: str, objects: Objects | None = None) -> list[str] | None:
    """The families that a calibration is chosen from; ``None`` are all.

    In a study the family that made the pseudo-data is not among those of ``calibrated``: the
    shift of data is none that anybody registered. It is among those of ``calibrated-known``, and of
    ``parametrised``, which a study trains to see what knowing the family is worth.

    Args:
        train: the settings.
        name: of the calibration.
        objects: of MC, which have families of their own.

    Raises:
        ConfigError: the family that made the pseudo-data is named for ``calibrated``; or data,
            whose family nobody knows, are to be calibrated by it.
    """
    named, shift = train.calibration.families, train.shift
    if shift is None:
        if name == KNOWN:
            raise ConfigError(
                f"{KNOWN} is a row of studies, and nobody knows the family of data",
                where="train.methods",
                mend="write calibrated, which tries all families on data",
            )
        return named
    if name in KNOWING:
        return named
    own = same_families(shift.name)
    for text in named or ():
        if set(text.split("+")) & set(own):
            raise ConfigError(
                f"{text} is the family that made the target: it would show the answer",
                where="train.calibration.families",
                mend=f"leave it out, or train {KNOWN}",
            )
    known = shift_families() if objects is None else object_families(objects)
    return named or [*(f for f in known if not set(f.split("+")) & set(own)), "free"]


def settle(train: TrainConfig) -> None:
    """Refuse what no calibration can be fitted for, before anything is done."""
    for name in calibrated_on(train):
        families_of(train, name)


def fit_calibrations(
    domains: Domains, train: TrainConfig, tell: Callable[[str], None]
) -> dict[str, Calibrated]:
    """Fit the calibrations that networks train behind; no event of the test split takes part."""
    source, target = (outside_test(events) for events in events_of(domains))
    assert isinstance(source, Source)
    objects = source.objects if isinstance(source, ObjectSource) else None
    done: dict[str, Calibrated] = {}
    fitted: dict[object, CalibrationReport] = {}  # methods may share one
    for name in calibrated_on(train):
        families = families_of(train, name, objects)
        knows = train.shift is not None and name in KNOWING
        key = knows, families and tuple(families)
        if key not in fitted:
            fitted[key] = calibrate(
                source,
                target,
                domains.tensors.features,
                families=families,
                hold_fractions=train.calibration.hold_fractions,
                reference=_all_mc(domains) if knows else None,
                seed=train.seed,
            )
        tell(f"{name}: {fitted[key].sentence}")
        done[name] = Calibrated.of(fitted[key])
    return done


def events_of(domains: Domains) -> tuple[Source, Target]:
    """Source and target as a calibration takes them: with their objects, if they have any."""
    source, target = domains.source, domains.target
    if domains.objects is None:
        return source, target
    of_source, of_target = domains.objects
    return ObjectSource.of(source, of_source), ObjectTarget.of(target, of_target)


def _all_mc(domains: Domains) -> NDArray[np.float32] | None:
    """Features of the MC that fixed the scales of pseudo-data, where they are in memory."""
    if domains.blocks is not None or domains.images is not None:
        return None
    return domains.tensors.source().part("train").features


def write_calibrations(folder: Path, folds: Sequence[Mapping[str, Calibrated]]) -> None:
    """Write ``calibrations.json``, from which a resume and the workers take them."""
    content = [{name: one.to_dict() for name, one in fold.items()} for fold in folds]
    path = RunPaths(folder).calibration
    write_json(path, Calibrations, {"format_version": 1, "folds": content})


def read_calibrations(folder: Path) -> list[dict[str, Calibrated]] | None:
    """What :func:`write_calibrations` wrote, of each fold; ``None`` where there is nothing.

    Raises:
        RunError: it is damaged.
    """
    path = RunPaths(folder).calibration
    if not path.exists():
        return None
    stored = read_versioned(path, Calibrations)
    return [{name: Calibrated.read(one) for name, one in fold.items()} for fold in stored.folds]
