"""Objects: padding against ``ak.pad_none``, the transformer against a plain torch loop.

    python benchmarks/speed/objects.py [--events 200000] [--rounds 5] [--steps 20]

Padding makes (N, 48, 4) of Poisson(21) objects in memory. The plain loop trains the same layers on
batches that are padded to 48 objects with a mask. Processor seconds, the two in turn, medians and
their ratio.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import awkward as ak
import numpy as np
import torch
from torch import nn

from hepdann import methods
from hepdann.domains import Scaling, resident_images
from hepdann.networks import NetworkShape
from hepdann.networks.objects import Packed
from hepdann.tensors import Collection, Jagged, Objects, Source, Target
from hepdann.training import Member, Settings, StackTrainer

MOST, FEATURES, BATCH = 48, 4, 256
TRACKS = Collection("tracks", tuple("abcd"), MOST)


def jagged(events: int) -> Jagged:
    rng = np.random.default_rng(0)
    counts = rng.poisson(21, events).clip(0, MOST)
    return Jagged.of(rng.normal(size=(counts.sum(), FEATURES)).astype(np.float32), counts)


def seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def compare(what: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> None:
    """Run both in turn and print the medians."""
    times = [(seconds(ours), seconds(peer)) for _ in range(rounds + 1)][1:]
    own_time, other = (median(column) for column in zip(*times, strict=True))
    ratio = median(b / a for a, b in times)
    print(f"{what}: {own_time:.3f} s, {other:.3f} s, ratio {ratio:.2f}", flush=True)


def padding(events: int, rounds: int) -> None:
    part = jagged(events)
    arrays = [ak.unflatten(part.values[:, k], part.counts) for k in range(FEATURES)]

    def ours() -> Any:
        out = np.zeros((events, MOST, FEATURES), np.float32)
        part.pad(out)
        return out

    def peer() -> Any:
        padded = (ak.fill_none(ak.pad_none(a, MOST, clip=True), 0, axis=None) for a in arrays)
        return np.stack([ak.to_numpy(a) for a in padded], axis=2)

    assert np.array_equal(ours(), peer())
    compare(f"padding {events:,} events, offsets and ak.pad_none", ours, peer, rounds)


class Plain(nn.Module):
    """The transformer and its label head on padded objects."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 64))
        block = nn.TransformerEncoderLayer(
            64, 4, 128, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, 3, enable_nested_tensor=False)
        self.after, self.gate, self.values = nn.LayerNorm(64), nn.Linear(64, 4), nn.Linear(64, 64)
        self.head = nn.Sequential(
            nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
            nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = self.after(self.blocks(self.embed(x), src_key_padding_mask=~mask))
        gate = self.gate(y).masked_fill(~mask.unsqueeze(2), -torch.inf).softmax(1).unsqueeze(3)
        values = self.values(y).masked_fill(~mask.unsqueeze(2), 0)
        pooled = (gate * values.unflatten(2, (4, -1))).sum(1).flatten(1)
        return self.head(torch.cat([pooled, values.sum(1)], 1)).squeeze(1)


def training(steps: int, rounds: int) -> None:
    events = steps * BATCH
    part, label = jagged(events), np.arange(events) % 2
    objects = Objects(np.empty((events, 0), np.float32), (part,), (TRACKS,))
    split = np.zeros(events, np.uint8)
    split[-200:-100], split[-100:] = 1, 2
    columns = {"features": objects.features, "weight": np.ones(events, np.float32),
               "event_id": np.arange(events, dtype=np.uint64), "split": split}  # fmt: skip
    source = Source(**columns, label=label.astype(np.int32), classes=("background", "signal"))
    empty = np.empty(0)
    scaling = Scaling(empty, empty, empty).with_objects(objects, source.weight)
    sides = [resident_images(one, objects, device="cpu", scaling=scaling)
             for one in (source, Target(**columns))]  # fmt: skip
    kind = methods.unwatched(methods.get("source-only"))
    shape = NetworkShape(objects.width, 2, network="transformer", normalisation="none",
                         objects=((TRACKS.name, MOST, FEATURES),))  # fmt: skip
    few, rows = steps - 1, torch.from_numpy(objects[:BATCH])
    print(f"attention has {Packed.of(rows, MOST).padded:.2f} places for each object of a batch")

    def ours() -> None:
        settings = Settings(epochs=1, batch_size=BATCH, steps=few)
        StackTrainer([Member(kind, 0.0, seed=0)], shape, sides[:1], sides[1:], settings).run()

    table = np.zeros((events, MOST, FEATURES), np.float32)
    mask = torch.from_numpy(np.arange(MOST) < part.pad(table)[:, None])
    x, y = torch.from_numpy(table), torch.from_numpy(label).float()

    def peer() -> None:
        network = Plain()
        optimiser = torch.optim.Adam(network.parameters(), 2e-3)
        order = torch.randperm(events)
        for step in range(few):
            rows = order[step * BATCH : (step + 1) * BATCH]
            loss = nn.functional.binary_cross_entropy_with_logits(
                network(x[rows], mask[rows]), y[rows]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    compare(f"{few} steps of the transformer, hepdann and plain torch", ours, peer, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    padding(given.events, given.rounds)
    training(given.steps, given.rounds)


if __name__ == "__main__":
    main()
