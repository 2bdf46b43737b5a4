"""Trains one stack, K members whose methods share the phases of a step, and validates its epochs.

Also finds which learning rate a stack can take, by a short training with a rate that rises.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..domains.event_stream import DomainEvents
from ..errors import RunError
from ..methods import Batch
from ..networks import AdversarialNetwork
from ..stats import expected_accuracy
from .batches import Slot, epoch_batches
from .engine import Engine, engine_for
from .schedules import StepValues, monitored
from .settings import Member, Progress, deterministic, method_progress, threads
from .stack import SUMMED, StackState, slots_of

_SAVE_EVERY = 120.0  # seconds of a long epoch, after which it is worth a checkpoint


Watcher = Callable[[int, list[NDArray[np.float32] | None]], None]


class StackTrainer(StackState):
    """Trains a stack; :meth:`run` does it epoch by epoch."""

    @property
    def _running_slots(self) -> tuple[Slot, ...]:
        return slots_of([self.members[k] for k in self.running], self.sources, self.targets)

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

    def _put_back(self) -> None:
        """Bring the state of the members that train into ``stack``."""
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
        saved, clock, sums = start, self.stack.clock, self.sums.unbind()
        for step, batch, chunk_end in self._batches():
            clock.step(step)
            clock.lap("data")
            stopped = self.settings.processes.any(stop())
            if stopped or time.perf_counter() - saved > _SAVE_EVERY:
                self._put_back()
                if save is not None:
                    save(self)
                    clock.lap("checkpoint")
                saved = time.perf_counter()
            if stopped:
                return False
            figures = engine.step(
                batch, self.schedules.values(self.epoch * self.settings.steps + step)
            )
            for figure, of_all in zip(SUMMED, sums, strict=True):
                if figure not in figures:
                    continue
                if self._working is self.stack:
                    of_all.add_(figures[figure])
                else:
                    of_all[list(self.running)] += figures[figure]
            self.position = step + 1
            clock.lap("step")
            if progress is not None and self.position == chunk_end:
                progress(self._progress(self.position - first, time.perf_counter() - start))
        self._put_back()
        return True

    def _progress(self, steps: int, seconds: float) -> Progress:
        means = (self.sums[:, list(self.running)] / self.position).cpu()
        label, domain, accuracy, _ = means.mean(1).tolist()
        rate = steps * self.settings.batch_size * len(self.running) / max(seconds, 1e-9)
        at = self.epoch * self.settings.steps + self.position
        names = [self.members[k].label for k in self.running]
        methods = method_progress(names, means[:3], self.schedules.values(at).lambda_.cpu())
        return Progress(
            self.epoch, at, self.settings.total_steps, label, domain, accuracy, rate, methods
        )

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

    def record(self, watch: Watcher | None = None) -> None:
        """Add the figures of this epoch to the history, also where it was stopped within.

        Raises:
            RunError: a loss is not finite.
        """
        if not self.position:
            return
        figures = (self.sums / self.position).cpu().double().numpy()
        for member, column in zip(self.members, figures.T, strict=True):
            if not np.isfinite(column).all():
                raise RunError(
                    f"the loss of {member.label} (seed {member.seed}) is not finite in epoch "
                    f"{self.epoch + 1}",
                    mend="lower --learning-rate or --lambda, and look at the features' range",
                )
        members = [self.members[k] for k in self.running]
        scores: list[NDArray[np.float32] | None] = [None] * len(self.members)
        with self._working.averaged(self._running_slots) as network:
            validation = validate(network, members, self.sources, self.targets)
            if watch is not None:
                watched = watched_scores(network, members, self.targets)
                for k, member_scores in zip(self.running, watched, strict=True):
                    scores[k] = member_scores
                watch(self.epoch, scores)
        at = self.epoch * self.settings.steps + self.position
        decisive = [math.nan] * len(self.members)
        for k, row in zip(self.running, validation, strict=True):
            decisive[k] = monitored(row, self.settings.monitor)
            names = ("loss_label", "loss_domain", "domain_accuracy", "loss_nuisance")
            known = 4 if self.members[k].method.nuisance_head else 3
            losses = dict(zip(names[:known], figures[:known, k].tolist(), strict=True))
            self.history.append({**self.schedules.row(k, self.epoch, at), **losses, **row})
        self.best.update(self.parts, self.epoch, decisive)


_SMOOTH = 0.9  # weight of what came before in the smoothed loss
_DIVERGED = 2.0  # times the loss at the start


@dataclass(frozen=True, eq=False)
class RateRange:
    """What a stack's loss did while the learning rate rose.

    Attributes:
        losses: (n, K) smoothed label loss of each member.
        steepest: (K,) rate at which each member's loss fell fastest.
        lowest: (K,) rate at which it was lowest; beyond it the training begins to diverge.
        suggestion: a tenth of the smallest of ``lowest``, for all members.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    steepest: NDArray[np.float64]
    lowest: NDArray[np.float64]
    suggestion: float


def find_learning_rate(
    trainer: StackTrainer, *, start: float = 1e-5, end: float = 1.0, steps: int = 100
) -> RateRange:
    """Train a copy of a stack with a rate that grows from step to step, until its loss explodes.

    Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), section 3.3, with a rate
    that grows exponentially. λ acts in full, so that an adversary's unrest is in it.
    """
    rates, members = np.geomspace(start, end, steps), len(trainer.members)
    settings = trainer.settings
    with threads(settings.threads):
        stack = trainer.stack.select(range(members))
        stack.network.train()
        engine = engine_for(stack, settings)
        smooth: list[NDArray[np.float64]] = []
        batches = epoch_batches(
            trainer.slots,
            [m.seed for m in trainer.members],
            epoch=0,
            size=settings.batch_size,
            steps=len(rates),
        )
        for step, batch, _ in batches:
            values = StepValues(
                step=step,
                rates=(float(rates[step]),) * members,
                lambda_=trainer.lambda_,
                domain_weight=settings.domain_weight,
                clip=settings.clip,
                average_decay=0.0,
            )
            loss = engine.step(batch, values)["label_loss"].cpu().double().numpy()
            before = smooth[-1] if smooth else loss
            smooth.append(_SMOOTH * before + (1 - _SMOOTH) * loss)
            if not (smooth[-1] < _DIVERGED * smooth[0]).any():
                break
    rates, losses = rates[: len(smooth)], np.array(smooth)
    filled = np.where(np.isfinite(losses), losses, np.inf)
    lowest = filled.argmin(0)
    steepest = np.zeros_like(lowest)
    for k, last in enumerate(lowest):
        fall = np.diff(filled[: last + 1, k])
        steepest[k] = fall.argmin() if len(fall) else 0
    suggestion = float(rates[lowest].min()) / 10
    return RateRange(rates, losses, rates[steepest], rates[lowest], suggestion)


_TINY = 1e-7


def _mean(values: Tensor, weight: Tensor) -> float:
    """``Σ w v / Σ w``; NaN where the weights do not add up to more than 0."""
    total = weight.sum()
    return float((values * weight).sum() / total) if float(total) > 0 else float("nan")


def validate(
    network: AdversarialNetwork,
    members: Sequence[Member],
    sources: Sequence[DomainEvents],
    targets: Sequence[DomainEvents],
) -> list[dict[str, float]]:
    """Figures of the validation splits; the source's labels are used, the target has none.

    Returns:
        One dictionary a member: validation_loss, validation_accuracy, validation_loss_domain,
        validation_domain_accuracy; of images target_expected_accuracy.
    """
    on_source = {
        i: network.predict(sources[i].x_validation.unsqueeze(0), 0)
        for i in dict.fromkeys(m.source for m in members)
    }
    on_target = [network.predict(t.x_validation.unsqueeze(0), 1) for t in targets]
    rows = []
    for k, member in enumerate(members):
        source, target = sources[member.source], targets[member.target]
        p, d_source = (tensor[k] for tensor in on_source[member.source])
        d_target = on_target[member.target][1][k]
        assert source.label_validation is not None
        weight = source.weight_validation
        loss, hit = _label_figures(p, source.label_validation)
        domain_loss = 0.5 * (
            _mean(-torch.log((1 - d_source).clamp(min=_TINY)), weight)
            + _mean(-torch.log(d_target.clamp(min=_TINY)), target.weight_validation)
        )
        recognised = 0.5 * (
            float((d_source <= 0.5).to(p.dtype).mean()) + float((d_target > 0.5).to(p.dtype).mean())
        )
        rows.append(
            {
                "validation_loss": _mean(loss, weight),
                "validation_accuracy": _mean(hit, weight),
                "validation_loss_domain": domain_loss,
                "validation_domain_accuracy": recognised,
            }
        )
        if source.images and p.shape[1] > 1:
            scores, label = on_target[member.target][0][k].cpu(), source.label_validation.cpu()
            rows[-1]["target_expected_accuracy"] = expected_accuracy(scores, p.cpu(), label).value
    return rows


def _label_figures(scores: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of each event, and whether it is classified rightly; NaN in a regression."""
    if scores.shape[1] == 1:
        error = scores[:, 0] - label
        return error.square(), torch.full_like(error, torch.nan)
    right = scores.gather(1, label.unsqueeze(1)).squeeze(1)
    two = scores.shape[1] == 2  # argmax of columns takes fifty times as long
    predicted = (scores[:, 1] > scores[:, 0]).long() if two else scores.argmax(1)
    return -torch.log(right.clamp(min=_TINY)), (predicted == label).to(scores.dtype)


def watched_scores(
    network: AdversarialNetwork, members: Sequence[Member], targets: Sequence[DomainEvents]
) -> list[NDArray[np.float32]]:
    """Each member's (n, C) scores of the target events that an observer is shown."""
    statistics = torch.tensor([m.method.target_domain for m in members])
    scores = [
        network.classify(t.x_watched.unsqueeze(0), statistics).float().cpu().numpy()
        for t in targets
    ]
    return [scores[member.target][k] for k, member in enumerate(members)]
