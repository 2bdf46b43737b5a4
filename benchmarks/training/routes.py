"""The DANN of the training benchmark by hepdann, by a lean torch loop and by a DataLoader loop.

Every route is a class made with (sample, batch, members, threads); ``epoch()`` trains one epoch
and returns the seconds that it took.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import torch
from peers import layers
from sample import DOMAIN_HEAD, EXTRACTOR, FEATURES, LABEL_HEAD, LEARNING_RATE, Sample
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

HELD = 5_000  # validation events of each domain that hepdann looks at after every epoch


class Hepdann:
    """A stack as ``hepdann train`` runs it: weights, clipping, averaged weights, schedules.

    The epoch holds the shuffle of every member, the validation and the history.
    """

    engine = "torch"

    def __init__(self, sample: Sample, batch: int, members: int, threads: int) -> None:
        from hepdann import methods
        from hepdann.domains import resident
        from hepdann.networks import NetworkShape
        from hepdann.training import Member, Settings, StackTrainer

        scaling, source, target = domains(sample)
        settings: dict[str, Any] = {
            "epochs": 1_000_000,
            "batch_size": batch,
            "steps": len(sample.x_source) // batch,
            "learning_rate": LEARNING_RATE,
            "threads": threads,
        }
        if self.engine != "torch":
            settings["engine"] = self.engine
        dann = methods.get("dann")
        self.trainer = StackTrainer(
            [Member(dann, 1.0, seed) for seed in range(members)],
            NetworkShape(FEATURES, 2, EXTRACTOR, LABEL_HEAD, DOMAIN_HEAD, "none"),
            [resident(source, scaling, device="cpu")],
            [resident(target, scaling, device="cpu")],
            Settings(**settings),
        )

    def epoch(self) -> float:
        trainer, start = self.trainer, time.perf_counter()
        trainer.settings = dataclasses.replace(trainer.settings, epochs=trainer.epoch + 1)
        trainer.run()
        return time.perf_counter() - start


class Fused(Hepdann):
    """The same through the fused engine."""

    engine = "fused"


def domains(sample: Sample) -> tuple[Any, Any, Any]:
    """Scaling, source and target of hepdann, with events held out for validation."""
    from hepdann.domains import Scaling
    from hepdann.tensors import Source, Target

    n = len(sample.x_source)
    held = np.arange(n) % (n // min(n, HELD))
    rows = np.concatenate([np.arange(n), np.flatnonzero(held == 0)])  # held out: copies will do
    split = np.repeat(np.array([0, 1], "u1"), [n, len(rows) - n])
    ids = np.arange(len(rows), dtype="u8")
    source = Source(
        sample.x_source[rows],
        sample.w_source[rows],
        ids,
        split,
        sample.y_source[rows].astype("i4"),
        ("background", "signal"),
    )
    target = Target(sample.x_target[rows], sample.w_target[rows], ids + np.uint64(len(rows)), split)
    return Scaling.fit(source, np.zeros(FEATURES)), source, target


class Reverse(torch.autograd.Function):
    """Gradient reversal, factor 1."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def network() -> nn.ModuleDict:
    torch.manual_seed(1)
    return nn.ModuleDict(
        {
            "features": nn.Sequential(*layers((FEATURES, *EXTRACTOR), last_relu=True)),
            "label": nn.Sequential(*layers((EXTRACTOR[-1], *LABEL_HEAD, 1), last_relu=False)),
            "domain": nn.Sequential(*layers((EXTRACTOR[-1], *DOMAIN_HEAD, 1), last_relu=False)),
        }
    )


class Lean:
    """What one who knows torch writes: nothing but the step, and the step without detours.

    Resident tensors, one permutation an epoch and slices of it, one concatenated forward of
    source and target, fused Adam, no ``.item()``. No weights, no validation, no history.
    """

    def __init__(self, sample: Sample, batch: int, members: int, threads: int) -> None:
        assert members == 1
        torch.set_num_threads(threads)
        self.batch = batch
        self.x_source, self.x_target = (torch.tensor(x) for x in (sample.x_source, sample.x_target))
        self.y = torch.tensor(sample.y_source, dtype=torch.float32)
        self.domain = torch.repeat_interleave(torch.tensor([0.0, 1.0]), batch)
        self.network = network()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, fused=True)

    def epoch(self) -> float:
        start, batch = time.perf_counter(), self.batch
        loss_of = functional.binary_cross_entropy_with_logits
        features, label, domain = (self.network[k] for k in ("features", "label", "domain"))
        n = len(self.y)
        order = torch.randperm(n)
        x_source, y = self.x_source[order], self.y[order]
        x_target = self.x_target[torch.randperm(n)]
        for first in range(0, n - batch + 1, batch):
            cut = slice(first, first + batch)
            z = features(torch.cat([x_source[cut], x_target[cut]]))
            loss = loss_of(label(z[:batch]).squeeze(1), y[cut])
            loss = loss + loss_of(domain(Reverse.apply(z)).squeeze(1), self.domain)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        return time.perf_counter() - start


class Loader:
    """What everyone writes: two DataLoaders, a forward each, ``.item()`` for the printout."""

    def __init__(self, sample: Sample, batch: int, members: int, threads: int) -> None:
        assert members == 1
        torch.set_num_threads(threads)
        y = torch.tensor(sample.y_source, dtype=torch.float32)
        source = TensorDataset(torch.tensor(sample.x_source), y)
        target = TensorDataset(torch.tensor(sample.x_target))
        self.source = DataLoader(source, batch_size=batch, shuffle=True, drop_last=True)
        self.target = DataLoader(target, batch_size=batch, shuffle=True, drop_last=True)
        self.network = network()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)

    def epoch(self) -> float:
        start, loss_of = time.perf_counter(), nn.BCEWithLogitsLoss()
        features, label, domain = (self.network[k] for k in ("features", "label", "domain"))
        running = 0.0
        for (x_source, y), (x_target,) in zip(self.source, self.target, strict=True):
            f_source, f_target = features(x_source), features(x_target)
            loss = loss_of(label(f_source).squeeze(1), y)
            d_source = domain(Reverse.apply(f_source)).squeeze(1)
            d_target = domain(Reverse.apply(f_target)).squeeze(1)
            loss = loss + 0.5 * (
                loss_of(d_source, torch.zeros_like(d_source))
                + loss_of(d_target, torch.ones_like(d_target))
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            running += loss.item()
        return time.perf_counter() - start


ROUTES = {"hepdann": Hepdann, "hepdann fused": Fused, "lean": Lean, "DataLoader": Loader}
