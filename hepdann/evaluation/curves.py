"""What figures show along an axis: learning curves and ROC curves of a run, and those of a scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..inputs import read_rows
from ..registry import ORACLE, SOURCE_ONLY
from ..stats.ranking import Roc, roc
from ..store.content import StoredRocs
from ..store.paths import ScanPaths
from ..store.reading import open_scan, read_versioned
from ..store.scores_reader import RunScores

Floats = NDArray[np.float64]
Place = tuple[str | None, float | None]


@dataclass(frozen=True, eq=False)
class Band:
    """A curve (E,) over the members that have a value, NaN where none has, and their spread."""

    mean: Floats
    spread: Floats


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """One method's training, epoch by epoch.

    Attributes:
        epoch: (E,) rising epoch numbers.
        train: label loss on the training split, and ``validation`` on the other.
        domain_error: 1 - accuracy of the domain classifier, on the validation split where it was
            measured there; 0.5 means that it cannot distinguish MC from target.
        grl: (E,) mean factor of the reversed gradient, λ·λ_p; NaN where there is none.
    """

    epoch: NDArray[np.intp]
    train: Band
    validation: Band
    domain_error: Band
    grl: Floats


def learning_curves(history: str | Path) -> dict[str, LearningCurves]:
    """Summarise ``history.csv`` over the members of each method, in the order of the file.

    An empty cell is a value that was not measured.

    Raises:
        RunError: no such file, or a column is missing or is not numeric.
    """
    path = Path(history)
    return _curves_of(history_rows(path), path)


def _curves_of(rows: Sequence[dict[str, str]], path: Path) -> dict[str, LearningCurves]:
    """:func:`learning_curves` of some rows of a history; ``path`` is for the error."""
    methods = dict.fromkeys(row.get("method") or "" for row in rows)
    if not methods:
        raise RunError("holds no epoch", where=path, mend="train again")
    try:
        return {name: _curves([r for r in rows if r["method"] == name]) for name in methods}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"is not the history of a run ({error})", where=path) from error


def history_rows(path: Path, more: Iterable[str] = ()) -> list[dict[str, str]]:
    """The rows of ``history.csv``, as text; ``more`` names columns that it must have.

    Raises:
        RunError: it cannot be read, or is not such a table.
    """
    required = ("method", "member", "epoch", *more)
    return read_rows(path, required, ("method", "shift", "chosen"))


def _curves(rows: Sequence[dict[str, str]]) -> LearningCurves:
    epoch, place = np.unique([int(row["epoch"]) for row in rows], return_inverse=True)

    def band(*columns: str, minus_from: float | None = None) -> Band:
        for name in columns:  # the first that was measured
            values = np.array([float(row[name] or "nan") for row in rows])
            if np.isfinite(values).any():
                break
        if minus_from is not None:
            values = minus_from - values
        parts = [values[(place == e) & np.isfinite(values)] for e in range(len(epoch))]
        return Band(
            np.array([p.mean() if len(p) else np.nan for p in parts]),
            np.array([p.std(ddof=1) if len(p) > 1 else 0.0 for p in parts]),
        )

    return LearningCurves(
        epoch=epoch,
        train=band("loss_label"),
        validation=band("validation_loss"),
        domain_error=band("validation_domain_accuracy", "domain_accuracy", minus_from=1.0),
        grl=band("grl").mean,
    )


def run_roc(
    scores: RunScores,
    domain: Literal["mc", "target"],
    method: str,
    *,
    signal: int = 1,
    other: NDArray[np.floating] | None = None,
    cut: NDArray[np.bool_] | None = None,
) -> Roc | None:
    """The ROC curve of a method's prediction on the test split.

    The target needs a known truth. ``other`` is an (N,) score of all events, larger for signal, in
    place of the method's, of which events without one (NaN) do not count; ``cut`` (N,) says which
    count.

    Returns:
        The curve; ``None`` where it cannot exist: no truth, or a class without events.
    """
    label = scores.label(domain)
    if label is None:
        return None
    test = scores.rows(domain, "test")
    if cut is not None:
        test &= cut
    if other is None:
        column = scores.score(domain, method)[:, signal]
    else:
        column, test = other, test & np.isfinite(other)
    positive = (label[test] == signal).astype(np.intp)
    weight = scores.column(domain, "weight")[test]
    varied = None if other is not None else scores.varied(method, domain)
    try:
        curve = roc(column[test], positive, weight)
        if varied is None:
            return curve
        sides = [roc(side[test, signal], positive, weight) for side in varied]
    except ValueError:
        return None
    at = curve.signal_efficiency
    moved = [np.interp(at, s.signal_efficiency, s.background_efficiency) for s in sides]
    return replace(curve, varied=np.stack(moved))


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
        return cls(Path(folder), open_scan(folder).summary)

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
            and g["method"] not in (SOURCE_ONLY, ORACLE)
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
            everywhere = row["method"] == SOURCE_ONLY
            if everywhere or ((at["shift"], at["t"]) == place and self._is_chosen(at)):
                chosen.append(row)
        return _curves_of(chosen, path)

    @cached_property
    def _rocs(self) -> Sequence[Mapping[str, Any]]:
        stored = read_versioned(ScanPaths(self.folder).rocs, StoredRocs)
        rocs: Sequence[Mapping[str, Any]] = stored.to_json()["rocs"]
        return rocs

    def rocs(self, place: Place) -> dict[str, Roc]:
        """ROC curve of each ensemble at one target, at its chosen λ; empty without truth."""
        return {
            entry["method"]: Roc.from_dict(entry["roc"])
            for entry in self._rocs
            if (entry["shift"], entry["t"]) == place and self._is_chosen(entry)
        }


def gap_to(sweeps: Mapping[str, Sweep], reference: str = ORACLE) -> dict[str, Sweep]:
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
