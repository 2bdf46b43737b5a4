"""The maps of a run: alignments of the target, and calibrations of the MC that is trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import alignment
from ..alignment import Alignment, FractionEstimate, ObjectMap
from ..calibration import (
    Calibration,
    CalibrationReport,
    ObjectSource,
    ObjectTarget,
    calibrate,
    object_families,
    same_families,
    shift_families,
)
from ..config import TrainConfig
from ..criteria import Residual
from ..domains import Domains
from ..errors import ConfigError, HepdannError
from ..evaluation import diagnose
from ..methods import calibration_of, method_of
from ..registry import PARAMETRISED
from ..stats.threads import one_thread
from ..store.content import Calibrations, StoredCalibration
from ..store.paths import RunPaths
from ..store.reading import read_versioned, write_json
from ..tensors import SPLITS, Objects, Source, Target
from ..tensors.source_and_target import Events


@dataclass(frozen=True, eq=False)
class Aligned:
    """Fitted maps.

    Attributes:
        correction: (C,) logarithm of the target's over the source's fraction of each class, to be
            added to the log probabilities of aligned events; ``None`` where the source's hold.
        residuals: what each map leaves, where that was measured already.
    """

    maps: dict[str, Alignment]
    correction: tuple[float, ...] | None
    residuals: Mapping[str, Residual] = field(default_factory=dict)


def outside_test(events: Events, most: int | None = None) -> Events:
    """Events of the training and validation splits, at most so many."""
    return events.take(np.flatnonzero(events.split != SPLITS.index("test"))[:most])


def calibrated_on(train: TrainConfig) -> tuple[str, ...]:
    """Calibrations whose MC is trained on: further sources of the stacks."""
    return tuple(dict.fromkeys(filter(None, map(calibration_of, train.methods))))


def wanted_maps(train: TrainConfig) -> tuple[str, ...]:
    """Names of the alignments of a run: those listed, and those that a method trains on."""
    needed = [method_of(name)[0] for name in train.methods]
    return tuple(dict.fromkeys([*train.alignments, *filter(None, needed)]))


def fold_estimate(domains: Domains, estimate: FractionEstimate | None) -> FractionEstimate | None:
    """The target's class fractions, estimated anew without the part that a fold does not see.

    Returns:
        The fold's estimate, where those of the run differ; ``None`` where they do not.
    """
    if estimate is None or not estimate.shift:
        return None
    source, target = outside_test(domains.source), outside_test(domains.target)
    again = None
    with suppress(HepdannError):  # too few events
        again = diagnose(source, target, domains.tensors.features).fractions
    if again is None:
        fractions = alignment.source_fractions(source)
        return replace(estimate, value=fractions, source=fractions)
    return replace(again, shift=True)


def fit_alignments(
    domains: Domains, names: Sequence[str], *, estimate: FractionEstimate | None, seed: int
) -> Aligned:
    """Fit maps on the training splits, to a source with the target's class fractions.

    Without an estimate the source keeps its own. Maps of objects are fitted table by table.
    """
    source, target = domains.source.part("train"), domains.target.part("train")
    correction = None
    if estimate is not None and estimate.shift:
        source = alignment.at_fractions(source, estimate.value)
        correction = tuple(float(v) for v in np.log(estimate.value / estimate.source))
    pairs = [(target, source)]
    if (objects := domains.objects) is not None:
        train = SPLITS.index("train")
        sides = zip(reversed(objects), (domains.target, domains.source), strict=True)
        of_target, of_source = (one.take(events.split == train) for one, events in sides)
        tables = of_target.as_events(target), of_source.as_events(source)
        pairs = list(zip(*tables, strict=True))
    maps: dict[str, Alignment] = {}
    with one_thread():  # more would give other bits, as many as the process happens to have
        for name in names:
            fitted = [alignment.get(name).fit(*pair, seed=seed) for pair in pairs]
            maps[name] = fitted[0] if objects is None else ObjectMap(tuple(fitted))
    return Aligned(maps, correction)


def aligned_target(
    domains: Domains, one: Alignment | None, rows: NDArray[Any] | slice = slice(None)
) -> Target:
    """Target events at some rows as a map leaves them; with their objects, if they have any."""
    events = domains.target.take(rows)
    if domains.objects is None:
        return events if one is None else events.with_features(one.apply(events.features))
    objects = domains.objects[1].take(rows)
    if one is not None:
        objects = one.apply(objects)
        events = events.with_features(objects.summed)
    return ObjectTarget(**vars(events), objects=objects)


def reweighted_source(source: Source, correction: Sequence[float] | None) -> Source:
    """The source with the class fractions that aligned events are compared at."""
    if correction is None:
        return source
    weight = source.weight * np.exp(correction)[source.label]
    return replace(source, weight=weight.astype(np.float32))


CALIBRATED_KNOWN = "calibrated-known"
FAMILY_KNOWN = (CALIBRATED_KNOWN, PARAMETRISED)  # in a study the family that made the target


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
    ``parametrised``, which a study trains to see what knowing the family is worth. Objects of MC
    have families of their own.

    Raises:
        ConfigError: the family that made the pseudo-data is named for ``calibrated``; or data,
            whose family nobody knows, are to be calibrated by it.
    """
    named, shift = train.calibration.families, train.shift
    if shift is None:
        if name == CALIBRATED_KNOWN:
            raise ConfigError(
                f"{CALIBRATED_KNOWN} is a row of studies, and nobody knows the family of data",
                where="train.methods",
                mend="write calibrated, which tries all families on data",
            )
        return named
    if name in FAMILY_KNOWN:
        return named
    same = same_families(shift.name)
    for text in named or ():
        if set(text.split("+")) & set(same):
            raise ConfigError(
                f"{text} is the family that made the target: it would show the answer",
                where="train.calibration.families",
                mend=f"leave it out, or train {CALIBRATED_KNOWN}",
            )
    known = shift_families() if objects is None else object_families(objects)
    return named or [*(f for f in known if not set(f.split("+")) & set(same)), "free"]


def check_calibrations(train: TrainConfig) -> None:
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
        knows = train.shift is not None and name in FAMILY_KNOWN
        key = knows, families and tuple(families)
        if key not in fitted:
            scaled_by = None  # the MC that fixed the scales of pseudo-data, if it is in memory
            if knows and domains.blocks is None and domains.images is None:
                scaled_by = domains.tensors.source().part("train").features
            fitted[key] = calibrate(
                source,
                target,
                domains.tensors.features,
                families=families,
                hold_fractions=train.calibration.hold_fractions,
                reference=scaled_by,
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
