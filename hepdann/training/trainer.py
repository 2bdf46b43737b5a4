"""Trains one stack: K members whose methods share the phases of a step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from ..domains.resident import DomainEvents
from ..domains.sampler import AUXILIARY, SOURCE, TARGET
from ..errors import RunError
from ..methods import Batch, Phase
from ..networks import AdversarialNetwork, NetworkShape
from .batches import Slot, epoch_batches
from .best_epoch import Best
from .determinism import deterministic
from .history import MemberHistory, monitored
from .schedules import average_decay, lambda_schedule, rate_schedule
from .settings import Member, Progress, Settings, method_progress, threads
from .step.engine import Engine, StepValues, engine_for
from .step.parameter_buffer import ParameterBuffer
from .step.stack import Stack
from .validation import validate, watched_scores

__all__ = ["Member", "Progress", "Settings", "StackTrainer"]

# rows of StackTrainer.sums
_SUMMED = ("label_loss", "domain_loss", "domain_accuracy", "nuisance_loss")
_SAVE_EVERY = 120.0  # seconds of a long epoch, after which it is worth a checkpoint


HistoryRow = dict[str, object]
Watcher = Callable[[int, list[NDArray[np.float32] | None]], None]


class StackTrainer:
    """A stack of members in training; :meth:`run` trains it, epoch by epoch.

    Args:
        members: all with the same phases and equally many auxiliaries.
        shape: of every network.
        sources: labelled events, scaled; a member names one by index.
        targets: unlabelled events, scaled, likewise.
        settings: of the training.
    """

    def __init__(
        self,
        members: Sequence[Member],
        shape: NetworkShape,
        sources: Sequence[DomainEvents],
        targets: Sequence[DomainEvents],
        settings: Settings,
    ) -> None:
        self.members = tuple(members)
        self.sources, self.targets, self.settings = tuple(sources), tuple(targets), settings
        device, dtype = settings.device, settings.dtype
        self.stack = Stack(shape, [m.seed for m in members], members[0].method.phases, settings)
        self.lambda_ = torch.tensor(
            [m.lambda_ if m.method.adversarial else 0.0 for m in members],
            device=device,
            dtype=dtype,
        )
        self.epoch = 0
        self.position = 0  # steps of this epoch that are done
        self.sums = torch.zeros(
            len(_SUMMED), len(self.members), device=device, dtype=dtype
        )  # of its figures
        self.best = Best(self.parts, len(self.members))
        self.history: list[HistoryRow] = []
        self.running = tuple(range(len(self.members)))  # members that have not stopped
        self._working = self.stack
        self.look_back()

    @property
    def network(self) -> AdversarialNetwork:
        """The networks of all members."""
        return self.stack.network

    @property
    def parts(self) -> dict[str, ParameterBuffer]:
        """Their parameters and averages, by part of the network."""
        return self.stack.parts

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The updates of a step."""
        return self.stack.phases

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The domains of a batch, of all members."""
        return _slots(self.members, self.sources, self.targets)

    @property
    def _running_slots(self) -> tuple[Slot, ...]:
        return _slots([self.members[k] for k in self.running], self.sources, self.targets)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, or all members have stopped."""
        return self.epoch >= self.settings.epochs or not self.running

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.settings.epochs * self.settings.steps

    def run(
        self,
        *,
        progress: Callable[[Progress], None] | None = None,
        save: Callable[[StackTrainer], None] | None = None,
        watch: Watcher | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train the epochs that are left.

        Args:
            progress: called a few times an epoch.
            save: called for a checkpoint: when an epoch is whole, every two minutes within one,
                and when the training is stopped.
            watch: given the epoch and each member's (n, C) scores of the target's test
                events, ``None`` of one that has stopped; returns nothing, so that what it knows
                of them cannot come back.
            stop: asked before each step. A training that is stopped has no figures of the epoch
                that it is in, unless :meth:`record` is called.

        Returns:
            Whether the training came to its end.

        Raises:
            RunError: a loss is not finite.
        """
        with threads(self.settings.threads), deterministic(self.settings.deterministic):
            self.look_back()
            engine = engine_for(self._working, self.settings)
            while not self.finished:
                if not self._epoch(engine, progress, stop, save):
                    return False
                self.record(watch)
                self.stack.clock.lap("validation")
                self.epoch, self.position = self.epoch + 1, 0
                self.sums.zero_()
                if self.look_back() and self.running:
                    engine = engine_for(self._working, self.settings)
                if save is not None:
                    save(self)
                    self.stack.clock.lap("checkpoint")
        return True

    def look_back(self) -> bool:
        """Before an epoch: who has stopped, and where schedules that look back stand.

        All of it follows from the history, so that a resume finds the same.

        Returns:
            Whether fewer members go on than before.
        """
        settings, members = self.settings, len(self.members)
        past = MemberHistory(self.history, members)
        running = past.running(settings.monitor, settings.patience)
        rate, ramp = rate_schedule(settings.schedule), lambda_schedule(settings.lambda_schedule)
        losses = past.losses() if rate.name == "plateau" else [[]] * members
        errors = past.domain_errors() if ramp.name == "adaptive" else [[]] * members
        self._rates = [
            (settings.learning_rate if m.learning_rate is None else m.learning_rate)
            * rate.after(own)
            for m, own in zip(self.members, losses, strict=True)
        ]
        self._ramps = [ramp.after(own) for own in errors]
        fewer = running != self.running
        self.running = running
        if fewer and running:
            self._working = self.stack.select(running)
        factors = self.lambda_.new_tensor(self._ramps)
        self._rows = torch.tensor(running, dtype=torch.int64, device=self.settings.device)
        self._lambda = (self.lambda_ * factors)[self._rows]
        return fewer

    def _flush(self, engine: Engine) -> None:
        """Bring the state of all members into ``stack``."""
        engine.flush()
        if self._working is not self.stack:
            self.stack.put(self._working, self.running)

    def _epoch(
        self,
        engine: Engine,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
        save: Callable[[StackTrainer], None] | None,
    ) -> bool:
        """The steps of this epoch that are left; whether it came to its end."""
        self._working.network.train()
        first, start = self.position, time.perf_counter()
        saved, clock = start, self.stack.clock
        for step, batch, chunk_end in self._batches():
            clock.step(step)
            clock.lap("data")
            stopped = self.settings.processes.any(stop())
            if stopped or time.perf_counter() - saved > _SAVE_EVERY:
                self._flush(engine)
                if save is not None:
                    save(self)
                    clock.lap("checkpoint")
                saved = time.perf_counter()
            if stopped:
                return False
            seen = engine.step(batch, self._values(self.epoch * self.settings.steps + step))
            for row, figure in enumerate(_SUMMED):
                if figure not in seen:
                    continue
                if self._working is self.stack:
                    self.sums[row] += seen[figure]
                else:
                    self.sums[row, self._rows] += seen[figure]
            self.position = step + 1
            clock.lap("step")
            if progress is not None and self.position == chunk_end:
                progress(self._progress(self.position - first, time.perf_counter() - start))
        self._flush(engine)
        return True

    def _progress(self, steps: int, seconds: float) -> Progress:
        means = (self.sums[:, list(self.running)] / self.position).cpu()
        label, domain, accuracy, _ = means.mean(1).tolist()
        rate = steps * self.settings.batch_size * len(self.running) / max(seconds, 1e-9)
        at = self.epoch * self.settings.steps + self.position
        names = [self.members[k].label for k in self.running]
        methods = method_progress(names, means[:3], self._values(at).lambda_.cpu())
        return Progress(self.epoch, at, self.total_steps, label, domain, accuracy, rate, methods)

    def _batches(self) -> Iterator[tuple[int, Batch, int]]:
        """Every step of an epoch: (step, batch, end of the chunk that it was gathered with)."""
        return epoch_batches(
            self._running_slots,
            [self.members[k].seed for k in self.running],
            epoch=self.epoch,
            size=self.settings.batch_size,
            steps=self.settings.steps,
            first=self.position,
            processes=self.settings.processes,
        )

    def _values(self, at: int) -> StepValues:
        settings = self.settings
        rate = rate_schedule(settings.schedule).at(at, self.total_steps)
        ramp = lambda_schedule(settings.lambda_schedule).at(at, self.total_steps)
        return StepValues(
            step=at,
            rates=tuple(self._rates[k] * rate for k in self.running),
            lambda_=self._lambda * ramp,
            domain_weight=settings.domain_weight,
            nuisance_weight=settings.nuisance_weight,
            adversary_steps=settings.adversary_steps,
            clip=settings.clip,
            average_decay=average_decay(settings.ema, at) if settings.ema else 0.0,
        )

    def averaged(self) -> AbstractContextManager[AdversarialNetwork]:
        """The network with its averaged weights and with statistics that belong to them."""
        return self.stack.averaged(self.slots)

    @contextmanager
    def chosen(self) -> Iterator[AdversarialNetwork]:
        """Likewise, with the weights of the epoch that each member's settings choose."""
        last = {name: part.average for name, part in self.parts.items()}
        if self.settings.choose == "best":
            for name, part in self.parts.items():
                part.average = self.best.of(name, part)
        try:
            with self.averaged() as network:
                yield network
        finally:
            for name, part in self.parts.items():
                part.average = last[name]

    @property
    def chosen_epochs(self) -> tuple[int, ...]:
        """(K,) epoch of each member whose weights :meth:`chosen` gives, counted from 1."""
        last = {int(str(row["member"])): int(str(row["epoch"])) for row in self.history}
        if self.settings.choose == "best":
            last |= {k: epoch + 1 for k, epoch in enumerate(self.best.epoch) if epoch >= 0}
        return tuple(last.get(k, 0) for k in range(len(self.members)))

    def record(self, watch: Watcher | None = None) -> None:
        """Add the figures of this epoch to the history, also where it was stopped within.

        Args:
            watch: as in :meth:`run`.

        Raises:
            RunError: a loss is not finite.
        """
        if not self.position:
            return
        figures = (self.sums / self.position).cpu().double().numpy()
        self._refuse_non_finite(figures)
        members = [self.members[k] for k in self.running]
        scores: list[NDArray[np.float32] | None] = [None] * len(self.members)
        with self._working.averaged(self._running_slots) as network:
            validation = validate(network, members, self.sources, self.targets)
            if watch is not None:
                seen = watched_scores(network, members, self.targets)
                for k, own in zip(self.running, seen, strict=True):
                    scores[k] = own
                watch(self.epoch, scores)
        at = self.epoch * self.settings.steps + self.position
        decisive = [math.nan] * len(self.members)
        for k, row in zip(self.running, validation, strict=True):
            decisive[k] = monitored(row, self.settings.monitor)
            self.history.append(self._row(k, figures[:, k], row, at))
        self.best.update(self.parts, self.epoch, decisive)

    def _refuse_non_finite(self, figures: NDArray[np.float64]) -> None:
        for member, column in zip(self.members, figures.T, strict=True):
            if not np.isfinite(column).all():
                raise RunError(
                    f"the loss of {member.label} (seed {member.seed}) is not finite in epoch "
                    f"{self.epoch + 1}",
                    mend="lower --learning-rate or --lambda, and look at the features' range",
                )

    def _row(
        self, index: int, figures: NDArray[np.float64], validation: dict[str, float], at: int
    ) -> HistoryRow:
        member, settings = self.members[index], self.settings
        rate = rate_schedule(settings.schedule).at(at, self.total_steps)
        ramp = lambda_schedule(settings.lambda_schedule).at(at, self.total_steps)
        return {
            "method": member.label,
            "member": index,
            "seed": member.seed,
            "lambda": float(self.lambda_[index]),
            "epoch": self.epoch + 1,
            "step": at,
            "learning_rate": self._rates[index] * rate,
            "grl": float(self.lambda_[index]) * self._ramps[index] * ramp,
            "loss_label": float(figures[0]),
            "loss_domain": float(figures[1]),
            "domain_accuracy": float(figures[2]),
            **({"loss_nuisance": float(figures[3])} if member.method.nuisance_head else {}),
            **validation,
        }


def _slots(
    members: Sequence[Member], sources: Sequence[DomainEvents], targets: Sequence[DomainEvents]
) -> tuple[Slot, ...]:
    """The domains of a batch: source, auxiliaries, target."""
    auxiliaries = zip(*(m.auxiliaries for m in members), strict=True)
    return (
        Slot(SOURCE, sources, tuple(m.source for m in members)),
        *(Slot(AUXILIARY + i, sources, chosen) for i, chosen in enumerate(auxiliaries)),
        Slot(TARGET, targets, tuple(m.target for m in members)),
    )
