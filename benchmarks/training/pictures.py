"""Images a second of a training step of ganin-mnist: hepdann's against a plain torch loop.

Both train the same DANN on the same pictures, in turn, in one process with one thread, and are
compared by processor time: the plain loop draws float32 pictures from a ``DataLoader``, passes
source and target one after the other in torch's default layout, and steps ``torch.optim.SGD``;
"bf16" is the same under ``torch.autocast``.

    python benchmarks/training/pictures.py [--network ganin-mnist] [--steps 10] [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from minerva import cpu, measure, stepping
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from hepdann import methods
from hepdann.config.schedules import RateSchedule
from hepdann.domains.image_stream import resident_images
from hepdann.networks import NetworkShape, get
from hepdann.networks.layers import reverse_gradient
from hepdann.networks.shape import Autocast
from hepdann.tensors import Pixels, Source, Target
from hepdann.training import Member, Settings, StackTrainer

SIDES = {"ganin-mnist": 28, "ganin-svhn": 32, "ganin-gtsrb": 40}
EVENTS, BATCH, CLASSES = 2_000, 64, 10


def shape(network: str, autocast: Autocast = "none") -> NetworkShape:
    """Of a network of colour pictures."""
    side = SIDES[network]
    return NetworkShape(3 * side**2, CLASSES, normalisation="none", network=network,
                        autocast=autocast, views=(("image", 3, side, side),))  # fmt: skip


class Plain:
    """What one would write: dense float32, two forwards, torch's layout and optimiser."""

    def __init__(
        self, network: str, sides: list[np.ndarray], label: np.ndarray, half: bool
    ) -> None:
        self.half = half
        made = get(network)(shape(network))
        self.parts = nn.ModuleList([made.extractor, made.label_head, made.domain_head])
        self.optimiser = torch.optim.SGD(self.parts.parameters(), lr=1e-3, momentum=0.9)
        side = SIDES[network]
        pictures = [
            torch.from_numpy(s.reshape(-1, 3, side, side).astype(np.float32) / 255) for s in sides
        ]
        pictures = [x - x.mean((0, 2, 3), keepdim=True) for x in pictures]
        source = TensorDataset(pictures[0], torch.from_numpy(label).long())
        target = TensorDataset(pictures[1])
        self.loaders = [
            DataLoader(d, BATCH, shuffle=True, drop_last=True) for d in (source, target)
        ]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The extractor's layers, one after the other, in the order of the paper's figure."""
        extractor = self.parts[0]
        for convolution, (size, stride) in zip(
            extractor.convolutions, extractor.plan.pools, strict=True
        ):
            x = functional.relu(convolution(x))
            if size > 1:
                x = functional.max_pool2d(x, size, stride, ceil_mode=True)
        return x.flatten(1)

    def steps(self) -> Iterator[None]:
        """A step each time."""
        while True:
            for (x, label), (other,) in zip(*self.loaders, strict=False):
                self.optimiser.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                    source, target = self.features(x).float(), self.features(other).float()
                loss = functional.cross_entropy(self.parts[1](source), label)
                for part, side in ((source, 0.0), (target, 1.0)):
                    logit = self.parts[2](reverse_gradient(part, torch.ones(1, 1))).squeeze(1)
                    aim = torch.full_like(logit, side)
                    loss = loss + 0.5 * functional.binary_cross_entropy_with_logits(logit, aim)
                loss.backward()
                self.optimiser.step()
                loss.item()
                yield


def ours(
    network: str, sides: list[np.ndarray], label: np.ndarray, autocast: Autocast
) -> StackTrainer:
    """Hepdann's training of the same."""
    split, one = np.zeros(EVENTS, np.uint8), np.ones(EVENTS, np.float32)
    split[-400:-200], split[-200:] = 1, 2
    ids, nothing = np.arange(EVENTS, dtype=np.uint64), np.zeros((EVENTS, 1), np.float32)
    source = Source(nothing, one, ids, split, label, tuple(map(str, range(CLASSES))))
    target = Target(nothing, one, ids, split)
    events = [
        resident_images(domain, Pixels.of([rows]), device="cpu")
        for domain, rows in zip((source, target), sides, strict=True)
    ]
    settings = Settings(
        epochs=1, batch_size=BATCH, steps=10**6, optimiser="sgd", learning_rate=1e-3,
        schedule=RateSchedule(name="constant"), ema=0.0, clip=1e6,
    )  # fmt: skip
    members = [Member(methods.get("dann"), 1.0, 0)]
    return StackTrainer(members, shape(network, autocast), events[:1], events[1:], settings)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="ganin-mnist", choices=list(SIDES))
    parser.add_argument("--steps", type=int, default=10, help="a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    pixels = 3 * SIDES[given.network] ** 2
    sides = [generator.integers(0, 256, (EVENTS, pixels), np.uint8) for _ in range(2)]
    label = generator.integers(0, CLASSES, EVENTS).astype(np.int32)
    runs = {
        "plain": Plain(given.network, sides, label, False).steps(),
        "plain bf16": Plain(given.network, sides, label, True).steps(),
        "hepdann": stepping(ours(given.network, sides, label, "none")),
        "hepdann bf16": stepping(ours(given.network, sides, label, "bf16")),
    }
    median = measure(runs, given.rounds, given.steps, 2 * BATCH)
    out = {
        "cpu": cpu(),
        "network": given.network,
        "images_per_cpu_second": median,
        "ratio": {
            name: median[f"hepdann{name}"] / median[f"plain{name}"] for name in ("", " bf16")
        },
    }
    print(json.dumps(out, indent=1))
    if given.json:
        given.json.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
