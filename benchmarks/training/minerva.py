"""Images a second of a training step: hepdann's against a plain torch loop of the same network.

Both train the same DANN on the same images, in turn, in one process with one thread, and are
compared by processor time: the plain loop draws dense float32 images from a ``DataLoader``, passes
source and target one after the other in torch's default layout, and steps ``torch.optim.SGD``.

    python benchmarks/training/minerva.py [--network minerva-small] [--steps 10] [--augment]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from hepdann import methods
from hepdann.config.schedules import RateSchedule
from hepdann.domains import Augment
from hepdann.domains.image_stream import resident_images
from hepdann.networks import NetworkShape, ViewShape, get
from hepdann.networks.layers import reverse_gradient
from hepdann.tensors import Hits, Source, Target
from hepdann.training import Member, Settings, StackTrainer

VIEWS: tuple[ViewShape, ...] = (("x", 1, 127, 50), ("u", 1, 127, 25), ("v", 1, 127, 25))
PIXELS, EVENTS, BATCH, HITS = 12_700, 1_500, 50, 250


def images(seed: int) -> np.ndarray:
    """As many hits an event as the simulation has, anywhere."""
    generator = np.random.default_rng(seed)
    rows = np.zeros((EVENTS, PIXELS), np.float32)
    place = generator.integers(0, PIXELS, (EVENTS, HITS))
    np.put_along_axis(rows, place, generator.exponential(1, place.shape).astype(np.float32), 1)
    return rows


def tower(part: nn.Module, y: torch.Tensor) -> torch.Tensor:
    """A tower of the presets, in the order in which it was published."""
    for convolution in part.convolutions:
        y = functional.max_pool2d(functional.relu(convolution(y)), (2, 1), ceil_mode=True)
    return part.dropout(functional.relu(part.linear(y.flatten(1))))


def planes(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A view of minerva-small."""
    y = functional.max_pool2d(part.first(x), (part.pool, 1), ceil_mode=True)
    y = functional.relu(part.norms[1](part.second(functional.relu(part.norms[0](y)))))
    seen = [0.1 * x.sum(2), 0.1 * (x != 0).to(x.dtype).sum(2), x.amax(2)]
    return torch.cat([y.amax(2), *seen], dim=1)


class Plain:
    """What one would write: dense tensors, two forwards, torch's layout and optimiser."""

    def __init__(self, network: str, sides: list[np.ndarray], label: np.ndarray) -> None:
        made = get(network)(NetworkShape(PIXELS, 11, network=network, views=VIEWS))
        self.parts = nn.ModuleList([made.extractor, made.label_head, made.domain_head])
        self.optimiser = torch.optim.SGD(self.parts.parameters(), lr=1e-3, momentum=0.9)
        source = TensorDataset(torch.from_numpy(sides[0]), torch.from_numpy(label).long())
        target = TensorDataset(torch.from_numpy(sides[1]))
        self.loaders = [
            DataLoader(d, BATCH, shuffle=True, drop_last=True) for d in (source, target)
        ]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The extractor's layers, one after the other, in the default layout."""
        extractor, seen, first = self.parts[0], [], 0
        small = hasattr(extractor, "steps")
        parts = extractor.parts if small else extractor.towers
        for part, (_, channels, height, width) in zip(parts, VIEWS, strict=True):
            size = channels * height * width
            image = x[:, first : first + size].reshape(-1, channels, height, width)
            first += size
            if small:
                y = planes(part, torch.asinh(image))
                y = y.view(*y.shape[:2], extractor.steps, -1).transpose(2, 3)
                seen.append(y.reshape(len(y), -1, extractor.steps))
            else:
                seen.append(tower(part, image))
        if small:
            return extractor.last(extractor.along(torch.cat(seen, 1)).flatten(1))
        return extractor.trunk(torch.cat(seen, 1))

    def steps(self) -> Iterator[None]:
        """A step each time."""
        while True:
            for (x, label), (other,) in zip(*self.loaders, strict=False):
                self.optimiser.zero_grad()
                source, target = self.features(x), self.features(other)
                loss = functional.cross_entropy(self.parts[1](source), label)
                for part, side in ((source, 0.0), (target, 1.0)):
                    logit = self.parts[2](reverse_gradient(part, torch.ones(1, 1))).squeeze(1)
                    aim = torch.full_like(logit, side)
                    loss = loss + 0.05 * functional.binary_cross_entropy_with_logits(logit, aim)
                loss.backward()
                self.optimiser.step()
                loss.item()
                yield


def ours(
    network: str,
    sides: list[np.ndarray],
    label: np.ndarray,
    autocast: str = "none",
    augment: Augment | None = None,
) -> StackTrainer:
    """Hepdann's training of the same."""
    split, one = np.zeros(EVENTS, np.uint8), np.ones(EVENTS, np.float32)
    split[-300:-150], split[-150:] = 1, 2
    ids, nothing = np.arange(EVENTS, dtype=np.uint64), np.zeros((EVENTS, 1), np.float32)
    source = Source(nothing, one, ids, split, label, tuple(map(str, range(11))))
    target = Target(nothing, one, ids, split)
    events = [
        resident_images(side, Hits.of([rows]), device="cpu", augment=augment)
        for side, rows in zip((source, target), sides, strict=True)
    ]
    shape = NetworkShape(PIXELS, 11, network=network, views=VIEWS, autocast=autocast)
    settings = Settings(
        epochs=1, batch_size=BATCH, steps=10**6, optimiser="sgd", learning_rate=1e-3,
        domain_weight=0.1, schedule=RateSchedule(name="constant"),
    )  # fmt: skip
    return StackTrainer(
        [Member(methods.get("dann"), 1.0, 0)], shape, events[:1], events[1:], settings
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="minerva-small")
    parser.add_argument("--steps", type=int, default=10, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="measure it too")
    parser.add_argument("--augment", action="store_true", help="measure it too")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sides = [images(0), images(1)]
    label = np.random.default_rng(2).integers(0, 11, EVENTS).astype(np.int32)
    runs: dict[str, Iterator[None]] = {"plain": Plain(given.network, sides, label).steps()}
    runs["float32"] = stepping(ours(given.network, sides, label))
    if given.bf16:
        runs["bf16"] = stepping(ours(given.network, sides, label, "bf16"))
    if given.augment:
        moved = Augment(VIEWS, rotate=True, shift=10)
        runs["augmented"] = stepping(ours(given.network, sides, label, augment=moved))
    found = measure(runs, given.rounds, given.steps, 2 * BATCH)
    out = {
        "cpu": cpu(),
        "network": given.network,
        "images_per_cpu_second": found,
        "ratio": {name: found[name] / found["plain"] for name in found},
    }
    print(json.dumps(out, indent=1))
    if given.json:
        given.json.write_text(json.dumps(out, indent=1))


def measure(
    runs: dict[str, Iterator[None]], rounds: int, steps: int, images: int
) -> dict[str, float]:
    """Images a second of the processor of each run, with so many a step: medians of rounds."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        next(run)
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.process_time()
            for _ in range(steps):
                next(run)
            rates[name].append(steps * images / (time.process_time() - begun))
    return {name: statistics.median(values) for name, values in rates.items()}


def stepping(trainer: StackTrainer) -> Iterator[None]:
    """The trainer's own steps, one each time."""
    from hepdann.training.engine import engine_for

    trainer.network.train()
    engine = engine_for(trainer.stack, trainer.settings)
    for step, batch, _ in trainer._batches():
        engine.step(batch, trainer.schedules.values(step))
        yield


def cpu() -> str:
    """Its name, and whether it multiplies bfloat16."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
    flags = next((x for x in lines if x.startswith("flags")), "")
    has = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
    return f"{name or platform.machine()}, bf16: {', '.join(has) or 'none in hardware'}"


if __name__ == "__main__":
    main()
