"""The networks of a scan, trained for an epoch side by side or one after another."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
import torch
from training_routes import domains
from training_sample import DOMAIN_HEAD, EXTRACTOR, FEATURES, LABEL_HEAD, sample

from hepdann import methods
from hepdann.domains import resident
from hepdann.networks import NetworkShape
from hepdann.training import Member, Settings, StackTrainer


class Grid:
    """5 t × 4 λ × methods × 5 seeds; a target for each t.

    Args:
        events: of each domain.
        names: of the methods; one that is named twice trains twice.
    """

    def __init__(self, events: int, names: Sequence[str]) -> None:
        scaling, source, target = domains(sample(events))
        self.sources = [resident(source, scaling, device="cpu")]
        self.targets = []
        for t in (1.0, 2.0, 3.0, 5.0, 8.0):
            moved = target.features * np.float32(1 + 1 / t)
            self.targets.append(resident(target.with_features(moved), scaling, device="cpu"))
        self.members = [
            Member(methods.get(name), strength, seed, target=which)
            for which, strength, name, seed in itertools.product(
                range(5), (0.1, 0.3, 1.0, 3.0), names, range(5)
            )
        ]
        self.steps = events // 1_024

    def in_stacks(self, size: int, engine: str) -> float:
        """Seconds of an epoch in stacks of at most ``size`` members of the same phases."""
        groups: dict[int, list[Member]] = {}
        for member in self.members:
            groups.setdefault(id(member.method.phases), []).append(member)
        return sum(
            self._epoch(group[first : first + size], engine)
            for group in groups.values()
            for first in range(0, len(group), size)
        )

    def one_by_one(self, every: int, engine: str) -> float:
        """Seconds of an epoch of all members alone, from every ``every``-th of them."""
        some = self.members[::every]
        return sum(self._epoch([m], engine) for m in some) * len(self.members) / len(some)

    def _epoch(self, members: list[Member], engine: str) -> float:
        settings = Settings(epochs=1, batch_size=1_024, steps=self.steps, engine=engine)
        shape = NetworkShape(FEATURES, 2, EXTRACTOR, LABEL_HEAD, DOMAIN_HEAD, "none")
        torch.set_num_threads(1)
        start = time.perf_counter()
        StackTrainer(members, shape, self.sources, self.targets, settings).run()
        return time.perf_counter() - start
