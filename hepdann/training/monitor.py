"""Checks of every member after some epochs: does its adversary work, has its training a fault?"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import RunError
from ..inputs import read_json
from ..methods import AdversaryWeight
from ..outputs import write_run_file
from ..records import Look
from .faults import MemberState, Verdict, find_faults
from .health_figures import FIGURES, examine, head_weights, trains_head
from .probes import Probe, probe_of

if TYPE_CHECKING:
    from .settings import Settings
    from .trainer import StackTrainer

_COST = 16_000  # training events of a member that a look costs about as much time as
_SHARE = 0.03  # of the training's time that the looks may cost
_FEWEST, _MOST = 2, 8

Entry = dict[str, Any]


def health_epochs(settings: Settings) -> tuple[int, ...]:
    """After which epochs, counted from 1, a stack is looked at; the last is always among them.

    Between two and eight, evenly spread, as many as cost about 3 % of the training.
    """
    trained = settings.epochs * settings.steps * settings.batch_size
    looks = min(_MOST, max(_FEWEST, int(_SHARE * trained / _COST)), settings.epochs)
    return tuple(-(-settings.epochs * (k + 1) // looks) for k in range(looks))


class Health:
    """Watches a stack; it changes nothing of the training, not one bit.

    Make it before the training begins or a checkpoint is loaded: it remembers the first weights.

    Attributes:
        entries: one a look and member: ``method``, ``member``, ``seed``, ``lambda``, ``grl``,
            ``epoch``, the keys of :data:`~hepdann.training.FIGURES` (``None`` where
            there is no such figure), ``dead_layers`` and ``verdicts``.
    """

    def __init__(self, trainer: StackTrainer, notes: Path | None = None) -> None:
        self._trainer, self._notes = trainer, notes
        self.members = len(trainer.members)
        self._start = head_weights(trainer.network)
        self._epochs = frozenset(health_epochs(trainer.settings))
        self.entries: list[Entry] = []

    def remember(self) -> None:
        """Take up the notes of a training that is resumed, up to the epoch that it stands at."""
        if self._notes is not None and self._notes.is_file():
            try:
                kept = read_json(self._notes, list[Look])
                self.entries = [entry for entry in kept if entry["epoch"] <= self._trainer.epoch]
            except RunError:
                self.entries = []  # they are seen again at the next look

    @cached_property
    def _probe(self) -> Probe | None:
        return probe_of(self._trainer.slots, self._trainer.network.shape.classes)

    def look(self) -> list[Entry]:
        """Look at the members, if this is an epoch to do so.

        Returns:
            The entries of members with a fault that they did not have at the last look.
        """
        epoch = self._trainer.epoch
        if self._trainer.position:  # within an epoch
            return []
        due = epoch in self._epochs or self._trainer.finished  # all may have stopped before
        examined = any(entry["epoch"] == epoch for entry in self.entries)
        if not due or examined or self._probe is None:
            return []
        before = {entry["member"]: entry["verdicts"] for entry in self.entries}  # the last look's
        entries = self._entries(self._probe)
        self._keep(entries)
        return [
            entry
            for entry in entries
            if {v["name"] for v in entry["verdicts"]}
            - {v["name"] for v in before.get(entry["member"], [])}
        ]

    def fail(self) -> list[Entry]:
        """Note the members whose loss is not finite; the training ends with them."""
        trainer = self._trainer
        finite = torch.isfinite(trainer.sums).all(0).tolist()
        verdict = Verdict(
            "not-finite",
            "error",
            "its loss is not finite",
            "lower --learning-rate or --lambda, and look at the features' range",
        )
        nothing: Entry = dict.fromkeys(FIGURES) | {"dead_layers": {}}
        entries = [
            self._about(k, trainer.epoch + 1)
            | {"grl": None}
            | nothing
            | {"verdicts": [asdict(verdict)]}
            for k, fine in enumerate(finite)
            if not fine
        ]
        if entries:
            self._keep(entries)
        return entries

    def _entries(self, probe: Probe) -> list[Entry]:
        trainer = self._trainer
        settings = trainer.settings
        grl = {row["member"]: row["grl"] for row in trainer.history}  # of each member's last epoch
        lambda_ = trainer.lambda_.new_tensor([grl.get(k, 0.0) for k in range(self.members)])
        decorrelates = trainer.members[0].method.decorrelates
        if decorrelates and not trains_head(trainer.phases):
            lambda_ = torch.zeros_like(lambda_)  # acts on a nuisance, which no figure here is of
        adversary = AdversaryWeight(lambda_, settings.domain_weight)
        figures = examine(trainer.network, trainer.phases, probe, adversary, self._start)
        entries = []
        for k, member_figures in enumerate(figures):
            state = MemberState(
                lambda_=float(trainer.lambda_[k]),
                lambda_now=float(adversary.lambda_[k]),
                late=2 * trainer.epoch >= settings.epochs or k not in trainer.running,
                one_optimiser=len(trainer.phases) == 1,
                decorrelates=decorrelates,
            )
            verdicts = [asdict(verdict) for verdict in find_faults(member_figures, state)]
            about = self._about(k, trainer.epoch) | {"grl": state.lambda_now}
            entries.append(about | _plain(member_figures) | {"verdicts": verdicts})
        return entries

    def _about(self, k: int, epoch: int) -> Entry:
        member = self._trainer.members[k]
        return {
            "method": member.label,
            "member": k,
            "seed": member.seed,
            "lambda": float(self._trainer.lambda_[k]),
            "epoch": epoch,
        }

    def _keep(self, entries: list[Entry]) -> None:
        self.entries += entries
        if self._notes is not None:
            self._notes.parent.mkdir(parents=True, exist_ok=True)
            write_run_file(self._notes, json.dumps(self.entries, allow_nan=False).encode())


def _plain(figures: Entry) -> Entry:
    """JSON has no NaN and no infinity."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in figures.items()
    }
