"""The history of each member: its rows, early stopping, and the figures that schedules need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunError
from .settings import Member

HistoryRow = dict[str, object]

# Label-free figures of the history by which an epoch may be chosen, and the sign that makes less
# of it better. Those of the target are figures of the domain head; no target label enters any.
MONITORS: dict[str, float] = {
    "validation_loss": 1.0,
    "validation_accuracy": -1.0,
    "validation_domain_accuracy": 1.0,
    "validation_loss_domain": -1.0,
}


def monitored(row: Mapping[str, object], monitor: str) -> float:
    """The figure of a row of the history that decides between epochs; less is better.

    Raises:
        ConfigError: it is none of ``MONITORS``.
    """
    if monitor not in MONITORS:
        raise ConfigError(
            f"no epoch can be chosen by {monitor!r}",
            where="train.monitor",
            mend=f"known are {', '.join(MONITORS)}",
        )
    return MONITORS[monitor] * float(str(row[monitor]))


def refuse_non_finite(members: Sequence[Member], figures: NDArray[np.float64], epoch: int) -> None:
    """Refuse an epoch with a loss that is not finite.

    Args:
        figures: (4, K) of the epoch.

    Raises:
        RunError: there is one; it names the first member.
    """
    for member, column in zip(members, figures.T, strict=True):
        if not np.isfinite(column).all():
            raise RunError(
                f"the loss of {member.label} (seed {member.seed}) is not finite in epoch "
                f"{epoch + 1}",
                mend="lower --learning-rate or --lambda, and look at the features' range",
            )


def history_row(
    place: Mapping[str, object],
    figures: NDArray[np.float64],
    validation: Mapping[str, float],
    *,
    nuisance: bool,
) -> HistoryRow:
    """One epoch of one member.

    Args:
        figures: of the epoch: loss of label and domain head, accuracy of the latter, and loss of
            the nuisance head.
    """
    label, domain, accuracy, of_nuisance = map(float, figures)
    losses = {"loss_label": label, "loss_domain": domain, "domain_accuracy": accuracy}
    if nuisance:
        losses["loss_nuisance"] = of_nuisance
    return {**place, **losses, **validation}


class MemberHistory:
    """The rows of a history, by member."""

    def __init__(self, history: Sequence[Mapping[str, object]], members: int) -> None:
        self._rows: list[list[Mapping[str, object]]] = [[] for _ in range(members)]
        for row in history:
            self._rows[int(str(row["member"]))].append(row)

    def losses(self, monitor: str = "validation_loss") -> list[list[float]]:
        """The monitored figure of each epoch, member by member; less is better."""
        return [[monitored(row, monitor) for row in rows] for rows in self._rows]

    def domain_errors(self) -> list[list[float]]:
        """How often the domain head was wrong in each epoch's training, member by member."""
        return [[1 - float(str(row["domain_accuracy"])) for row in rows] for rows in self._rows]

    def running(self, monitor: str, patience: int) -> tuple[int, ...]:
        """Members that train further: whose best epoch is not yet ``patience`` epochs ago."""
        losses = self.losses(monitor) if patience else [[]] * len(self._rows)
        return tuple(k for k, row in enumerate(losses) if not _exhausted(row, patience))


def _exhausted(losses: Sequence[float], patience: int) -> bool:
    best, waited = math.inf, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
    return 0 < patience <= waited
