"""What a run's figures show along an axis: learning curves and ROC curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..inputs import read_rows
from ..stats.ranking import Roc, roc
from ..store.scores.reader import RunScores

Floats = NDArray[np.float64]


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
    return curves_of(history_rows(path), path)


def curves_of(rows: Sequence[dict[str, str]], path: Path) -> dict[str, LearningCurves]:
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

    Args:
        scores: of the run.
        domain: "target" needs a target whose truth is known.
        method: one of ``scores.methods``.
        signal: the class that counts as signal.
        other: (N,) another score of all events, larger for signal, in place of the method's; events
            without one (NaN) do not count.
        cut: (N,) events that count; by default all.

    Returns:
        The curve; ``None`` where it cannot exist: no truth, or a class without events.
    """
    label = scores.column("mc", "label") if domain == "mc" else scores.truth()
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
