"""The alignments of one target of a scan: fitted once, and read by every process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...alignment import from_dict
from ...calibration import Calibration
from ...config import TrainConfig
from ...domains import Domains
from ...errors import RunError
from ...inference import PRIOR
from ...store.content import PointMaps, StoredCalibration
from ...tensors import Target
from ..advice import diagnose_first
from ..aligned import Aligned, aligned_target, fit_alignments, wanted_maps
from ..calibrated import Calibrated, fit_calibrations
from .files import AGAIN, read_target, target_path, write_target
from .grid import SOURCE_ONLY, Point


@dataclass(eq=False)
class TargetMaps:
    """The alignments of a target."""

    point: Point
    domains: Domains
    train: TrainConfig
    folder: Path
    number: int
    fingerprint: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the alignments, also of those that only a method trains on."""
        return wanted_maps(self.train)

    @cached_property
    def fitted(self) -> Aligned:
        """The alignments, from the folder if they were fitted before."""
        path, train = target_path(self.folder, self.number, "maps"), self.train
        if path.exists():
            return self._stored(path)
        # pseudo-data are a random half of the MC, and have its class fractions
        asked = (
            self.domains.tensors.features if train.diagnose and self.point.shift is None else None
        )
        diagnosis = diagnose_first(
            self.domains, asked, target_path(self.folder, self.number, "diagnosis")
        )
        estimate = None if diagnosis is None else diagnosis.fractions
        fitted = fit_alignments(self.domains, self.names, estimate=estimate, seed=train.seed)
        stored = {name: one.to_dict() for name, one in fitted.maps.items()}
        classes = self.domains.source.classes
        sentences = {
            "diagnosis": None if diagnosis is None else diagnosis.sentence,
            "fractions": None if estimate is None else estimate.sentence(classes),
        }
        content = {"maps": stored, "correction": fitted.correction} | sentences
        calibrated = fit_calibrations(self.domains, train, lambda _: None)
        content["calibrations"] = {name: one.to_dict() for name, one in calibrated.items()}
        write_target(path, content | {"fingerprint": self.fingerprint})
        return fitted

    def _stored(self, path: Path) -> Aligned:
        known = read_target(path, PointMaps, self.fingerprint)
        event: Any = self.domains.target.features[:1]
        if self.domains.objects is not None:
            event = self.domains.objects[1].take(slice(0, 1))
        try:
            maps = {name: from_dict(known["maps"][name]) for name in self.names}
            if any(one.apply(event).shape != event.shape for one in maps.values()):
                raise ValueError("a map of another number of features")
        except Exception as error:  # a map is its own code's to read
            raise RunError(f"is damaged: {error}", where=path, mend=AGAIN) from error
        correction = known.get("correction")
        return Aligned(maps, None, None if correction is None else tuple(correction))

    @cached_property
    def calibrations(self) -> dict[str, Calibration]:
        """The calibrations of the MC that methods train on."""
        path = target_path(self.folder, self.number, "maps")
        known = read_target(path, PointMaps, self.fingerprint)["calibrations"]
        try:
            stored = {n: StoredCalibration.model_validate(one) for n, one in known.items()}
            return {n: Calibrated.read(one).calibration for n, one in stored.items()}
        except Exception as error:
            raise RunError(f"is damaged: {error}", where=path, mend=AGAIN) from error

    @property
    def scored(self) -> tuple[str, ...]:
        """Names of what source-only's networks score, the simplest first."""
        corrected_too = () if self.fitted.correction is None else (PRIOR,)
        return (SOURCE_ONLY, *corrected_too, *self.names)

    def apply(self, name: str, rows: NDArray[np.bool_]) -> Target:
        """Target events at some rows as a baseline scores them, with their objects if any."""
        one = None if name in (SOURCE_ONLY, PRIOR) else self.fitted.maps[name]
        return aligned_target(self.domains, one, rows)
