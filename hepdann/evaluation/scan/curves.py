"""What the figures of a scan show: figures against t and λ, losses, ROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError
from ...inputs import check, read_json
from ...stats.ranking import Roc
from ...store.content import ScanSummary, StoredRocs
from ...store.paths import ScanPaths
from ..curves import LearningCurves, curves_of, history_rows

FORMAT_VERSION = 1
ORACLE = "oracle"
_ANEW = "scan anew"

Floats = NDArray[np.float64]
Place = tuple[str | None, float | None]


@dataclass(frozen=True, eq=False)
class Sweep:
    """A figure along a scan: (P,) rising t or λ, mean over a method's networks and their deviation.

    The mean is NaN where it does not exist; the standard deviation 0 for one network.
    """

    x: Floats
    mean: Floats
    std: Floats


@dataclass(frozen=True, eq=False)
class ScanCurves:
    """The numbers of a scan's folder, in the order of its methods; ``summary`` is ``scan.json``."""

    folder: Path
    summary: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> ScanCurves:
        """Open a scan.

        Raises:
            RunError: no scan, a damaged one, or one of another version.
        """
        return cls(Path(folder), _read(ScanPaths(Path(folder)).summary, ScanSummary))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index."""
        return tuple(self.summary["classes"])

    @property
    def class_titles(self) -> tuple[str, ...]:
        """What figures call the classes: the configuration's titles, or the names."""
        titles = self.summary.get("class_titles") or [""] * len(self.classes)
        return tuple(t or name for t, name in zip(titles, self.classes, strict=True))

    @property
    def shifts(self) -> tuple[str, ...]:
        """The shifts; empty where the target is the data."""
        names = dict.fromkeys(group["shift"] for group in self._groups)
        return tuple(name for name in names if name is not None)

    @property
    def targets(self) -> tuple[Place, ...]:
        """(shift, t) of each target; (None, None) is the data."""
        return tuple(dict.fromkeys((g["shift"], g["t"]) for g in self._groups))

    @property
    def _groups(self) -> Sequence[Mapping[str, Any]]:
        groups: Sequence[Mapping[str, Any]] = self.summary["groups"]
        return groups

    @cached_property
    def _chosen(self) -> dict[tuple[Any, ...], float | None]:
        return {(c["method"], c["shift"], c["t"]): c["lambda"] for c in self.summary["choices"]}

    def _is_chosen(self, entry: Mapping[str, Any]) -> bool:
        place = entry["method"], entry["shift"], entry["t"]
        return place in self._chosen and entry["lambda"] == self._chosen[place]

    def against_t(self, shift: str, figure: str) -> dict[str, Sweep]:
        """A figure of each method at its chosen λ, last epoch, against t; the spread is over seeds.

        ``figure`` is "target_accuracy", "target_auc" or "consistency".
        """
        groups = [g for g in self._groups if g["shift"] == shift and self._is_chosen(g)]
        return _sweeps(groups, "t", lambda g: g["last_epoch"][figure])

    def gap_closed(self, shift: str, figure: str) -> dict[str, Sweep]:
        """Share of the gap from source-only to the oracle that an ensemble closes, against t.

        ``figure`` is "accuracy" or "auc".
        """
        groups = [
            g
            for g in self._groups
            if g["shift"] == shift
            and g["method"] not in ("source-only", ORACLE)
            and self._is_chosen(g)
        ]
        return _sweeps(groups, "t", lambda g: {"mean": g["gap_closed"][figure], "std": None})

    def against_lambda(self, place: Place, figure: str) -> dict[str, Sweep]:
        """A figure of each method at one target against λ, last epoch.

        Methods without λ have one point, at NaN: they are drawn as a level.
        """
        groups = [g for g in self._groups if (g["shift"], g["t"]) == place]
        return _sweeps(groups, "lambda", lambda g: g["last_epoch"][figure])

    def chosen_lambda(self, place: Place) -> dict[str, float]:
        """The λ of each method that has one, chosen at one target without labels."""
        return {
            method: lambda_
            for (method, *where), lambda_ in self._chosen.items()
            if tuple(where) == place and lambda_ is not None
        }

    def majority(self, place: Place) -> float | None:
        """Target accuracy of the most frequent class."""
        accuracy: float | None = next(
            g["majority"] for g in self._groups if (g["shift"], g["t"]) == place
        )
        return accuracy

    def losses(self, place: Place) -> dict[str, LearningCurves]:
        """Learning curves of each trained method at one target, at its chosen λ."""
        path = ScanPaths(self.folder).history
        chosen = []
        for row in history_rows(path, ("shift", "t", "lambda")):
            at: dict[str, Any] = {
                "method": row["method"],
                "shift": row["shift"] or None,
                "t": float(row["t"]) if row["t"] else None,
                "lambda": float(row["lambda"]) if row["lambda"] else None,
            }
            everywhere = row["method"] == "source-only"
            if everywhere or ((at["shift"], at["t"]) == place and self._is_chosen(at)):
                chosen.append(row)
        return curves_of(chosen, path)

    @cached_property
    def _rocs(self) -> Sequence[Mapping[str, Any]]:
        rocs: Sequence[Mapping[str, Any]] = _read(ScanPaths(self.folder).rocs, StoredRocs)["rocs"]
        return rocs

    def rocs(self, place: Place) -> dict[str, Roc]:
        """ROC curve of each ensemble at one target, at its chosen λ; empty without truth."""
        return {
            entry["method"]: Roc.from_dict(entry["roc"])
            for entry in self._rocs
            if (entry["shift"], entry["t"]) == place and self._is_chosen(entry)
        }


def below(sweeps: Mapping[str, Sweep], reference: str = ORACLE) -> dict[str, Sweep]:
    """Each method less the mean of the reference, where both were scanned; empty without it."""
    if reference not in sweeps:
        return {}
    other = sweeps[reference]
    return {
        name: Sweep(sweep.x, sweep.mean - np.interp(sweep.x, other.x, other.mean), sweep.std)
        for name, sweep in sweeps.items()
    }


def _sweeps(groups: Sequence[Mapping[str, Any]], along: str, value: Any) -> dict[str, Sweep]:
    sweeps = {}
    methods = dict.fromkeys(group["method"] for group in groups)
    for method in sorted(methods, key=lambda name: name == ORACLE):  # the ceiling comes last
        points = [group for group in groups if group["method"] == method]
        x = np.array([_number(group[along]) for group in points])
        blocks = [value(group) for group in points]
        mean = np.array([_number(block["mean"]) for block in blocks])
        std = np.array([_number(block["std"], 0.0) for block in blocks])
        if np.isfinite(mean).any():
            order = np.argsort(x, kind="stable")
            sweeps[method] = Sweep(x[order], mean[order], std[order])
    return sweeps


def _number(value: float | None, missing: float = np.nan) -> float:
    return missing if value is None else float(value)


def _read(path: Path, kind: Any) -> Mapping[str, Any]:
    content = read_json(path, Any, mend=_ANEW)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(f"scan of format version {version}", where=path, mend=_ANEW)
    check(content, kind, path, mend=_ANEW)
    return dict(content)
