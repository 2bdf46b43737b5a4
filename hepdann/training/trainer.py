"""Trains one stack: K members whose methods share the phases of a step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..methods import Batch
from .batches import Slot, epoch_batches
from .member_schedules import monitored
from .settings import Member, Progress, Settings, deterministic, method_progress, threads
from .stack_state import SUMMED, StackState, slots_of
from .step.engine import Engine, engine_for
from .validation import validate, watched_scores

__all__ = ["Member", "Progress", "Settings", "StackTrainer"]

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
            seen = engine.step(
                batch, self.schedules.values(self.epoch * self.settings.steps + step)
            )
            for row, figure in enumerate(SUMMED):
                if figure not in seen:
                    continue
                if self._working is self.stack:
                    self.sums[row] += seen[figure]
                else:
                    self.sums[row, list(self.running)] += seen[figure]
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
        methods = method_progress(names, means[:3], self.schedules.values(at).lambda_.cpu())
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
                seen = watched_scores(network, members, self.targets)
                for k, own in zip(self.running, seen, strict=True):
                    scores[k] = own
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
