"""Networks of objects: deep sets, and a transformer with attention pooling.

What acts on an object alone acts on the objects of a batch one after the other, so that nothing is
padded and normalisation sees real objects only. Attention alone is padded, among events of about
equally many objects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .pictures import InParts
from .registry import no_inputs
from .shape import NetworkShape, Normalisation

_WIDTH, _BLOCKS, _HEADS = 64, 3, 4  # of an object; of the transformer
_PADDING = 1.25  # padded over real objects in attention, at most


@dataclass(frozen=True, eq=False)
class Packed:
    """The objects of B events one after the other, events with many objects first.

    Attributes:
        values: (T, F) of all objects.
        event: (T,) which event each is of.
        slot: (T,) which object of its event each is.
        counts: (B,) objects of each event.
        buckets: events of about as many objects each: (b, L) where an event has an object, and how
            many objects they have together.
    """

    values: Tensor
    event: Tensor
    slot: Tensor
    counts: Tensor
    buckets: tuple[tuple[Tensor, int], ...]

    @classmethod
    def of(cls, rows: Tensor, most: int) -> Packed:
        """Take the objects out of padded rows (B, 1 + most · F), of so many places each.

        Of an event there is how many objects it has, and then their features.
        """
        counts = rows[:, 0].round().long().clamp(0, most)
        order = torch.argsort(counts, descending=True, stable=True)
        sizes = counts[order]
        inside = torch.arange(most, device=rows.device) < sizes.unsqueeze(1)
        values = rows[order, 1:].view(len(rows), most, -1)[inside]
        buckets, place = [], 0
        for stop, longest, count in _buckets(sizes):
            buckets.append((inside[place:stop, :longest], count))
            place = stop
        slot = inside.nonzero()[:, 1]
        return cls(values, order.repeat_interleave(sizes), slot, counts, tuple(buckets))

    def sum(self, values: Tensor) -> Tensor:
        """(B, …) sums over the objects of each event, of something of each object (T, …)."""
        zeros = values.new_zeros(len(self.counts), *values.shape[1:])
        return zeros.index_add(0, self.event, values)

    @property
    def padded(self) -> float:
        """Places of all buckets over the objects in them."""
        return sum(inside.numel() for inside, _ in self.buckets) / max(1, len(self.values))


def _buckets(sizes: Tensor) -> Iterator[tuple[int, int, int]]:
    """Cut decreasing sizes where padding would exceed its limit; those of 0 are left out.

    Yields:
        The end of a bucket, its largest size and the sum of its sizes.
    """
    counts = [size for size in sizes.tolist() if size]
    begin = held = 0
    for index, count in enumerate(counts):
        if counts[begin] * (index + 1 - begin) > _PADDING * (held + count):
            yield index, counts[begin], held
            begin, held = index, 0
        held += count
    if held:
        yield len(counts), counts[begin], held


class ObjectNorm(nn.BatchNorm1d):
    """Batch normalisation of objects; fewer than two have no variance and pass as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (T, F)."""
        return x if self.training and len(x) < 2 else super().forward(x)


def _norm(normalisation: Normalisation, width: int) -> nn.Module:
    if normalisation == "none":
        return nn.Identity()
    return nn.LayerNorm(width) if normalisation == "layer" else ObjectNorm(width)


def _layers(widths: Sequence[int], shape: NetworkShape) -> nn.Sequential:
    """Linear layers, each with normalisation, ReLU and dropout behind it."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), _norm(shape.normalisation, b), nn.ReLU()]
        parts += [nn.Dropout(shape.dropout)] if shape.dropout else []
    return nn.Sequential(*parts)


class DeepSet(nn.Module):
    """Every object by itself, then sum and mean over the objects of an event.

    Zaheer et al., "Deep Sets" (2017), as the energy flow networks of Komiske, Metodiev & Thaler
    (2019) use it for constituents.
    """

    summed = 0.1  # brings sums over the objects of an event to the size of their means

    def __init__(self, features: int, shape: NetworkShape) -> None:
        super().__init__()
        self.layers = _layers((features, _WIDTH, _WIDTH), shape)
        self.last = nn.Linear(_WIDTH, _WIDTH)
        self.width, self.each = 2 * _WIDTH, _WIDTH

    def forward(self, objects: Packed) -> tuple[Tensor, Tensor]:
        """Map the objects of B events to (B, width), and to (T, 64) of each object."""
        each = self.last(self.layers(objects.values))
        total = objects.sum(each)
        mean = total / objects.counts.clamp(min=1).unsqueeze(1)
        return torch.cat([self.summed * total, mean], dim=1), each


class _Block(nn.Module):
    """Self-attention and a layer of each object, both behind a normalisation and added."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.queries, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.alone = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor, objects: Packed) -> Tensor:
        """Map (T, width) to (T, width)."""
        x = x + self.out(self._attend(self.queries(self.before(x)), objects))
        y: Tensor = x + self.alone(x)
        return y

    def _attend(self, qkv: Tensor, objects: Packed) -> Tensor:
        attended, place = [], 0
        for inside, count in objects.buckets:
            padded = qkv.new_zeros(*inside.shape, qkv.shape[1])
            padded[inside] = qkv[place : place + count]
            q, k, v = padded.view(*inside.shape, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            out = functional.scaled_dot_product_attention(q, k, v, inside[:, None, None])
            attended.append(out.transpose(1, 2).flatten(2)[inside])
            place += count
        return torch.cat(attended) if attended else qkv[:, : qkv.shape[1] // 3]


class _Transformer(nn.Module):
    """Blocks of self-attention, then attention pooling.

    The size of a small GN2 (ATLAS) or particle transformer (Qu, Li & Qian, 2022), with layer
    normalisation before each part of a block (Xiong et al., 2020) and nothing pairwise. The pooled
    mean knows nothing of how many objects there are, which the sum beside it tells.
    """

    def __init__(self, features: int, shape: NetworkShape) -> None:
        super().__init__()
        self.embed = nn.Sequential(_layers((features, _WIDTH), shape), nn.Linear(_WIDTH, _WIDTH))
        self.blocks = nn.ModuleList(_Block(_WIDTH, _HEADS, shape.dropout) for _ in range(_BLOCKS))
        self.after = nn.LayerNorm(_WIDTH)
        self.gate, self.values = nn.Linear(_WIDTH, _HEADS), nn.Linear(_WIDTH, _WIDTH)
        self.width, self.each = 2 * _WIDTH, _WIDTH

    def forward(self, objects: Packed) -> tuple[Tensor, Tensor]:
        """Map the objects of B events to (B, width), and to (T, 64) of each object."""
        x = self.embed(objects.values)
        for block in self.blocks:
            x = block(x, objects)
        x = self.after(x)
        gate, values = self.gate(x), self.values(x)
        highest = gate.new_full((len(objects.counts), gate.shape[1]), -torch.inf)
        index = objects.event.unsqueeze(1).expand_as(gate)
        highest = highest.scatter_reduce(0, index, gate.detach(), "amax")
        weight = (gate - highest[objects.event]).exp().unsqueeze(2)
        by_head = objects.sum(weight * values.unflatten(1, (gate.shape[1], -1)))
        pooled = by_head / objects.sum(weight).clamp(min=torch.finfo(x.dtype).tiny)
        summed = DeepSet.summed * objects.sum(values)
        return torch.cat([pooled.flatten(1), summed], dim=1), x


class ObjectsNetwork(InParts):
    """One part for each collection, and layers of what they say beside the features of the event.

    Where objects have classes, their logits follow, (most, C) of each such collection: a head sees
    what the part made of an object beside the last layer of its event.

    Args:
        shape: of the network; the widths of ``extractor`` are those of the layers at the end.
        part: of a collection: ``DeepSet`` or ``_Transformer``.

    Raises:
        ConfigError: the events have no objects.
    """

    def __init__(self, shape: NetworkShape, part: type[DeepSet | _Transformer]) -> None:
        super().__init__()
        if not shape.objects:
            mend = "convert lists (hepdann convert --objects), or leave the network out"
            raise no_inputs(shape, "objects", mend)
        self.objects = shape.objects
        sizes = [1 + most * features for _, most, features in shape.objects]
        self.sizes = [shape.inputs - sum(sizes), *sizes]
        parts = [part(features, shape) for *_, features in shape.objects]
        self.parts = nn.ModuleList(parts)
        joined = self.sizes[0] + sum(one.width + 1 for one in parts)
        self.trunk = _layers((joined, *shape.extractor), shape)
        self.heads = nn.ModuleDict()
        for number, classes in enumerate(shape.object_classes):
            if classes:
                inputs = parts[number].each + (shape.extractor or (joined,))[-1]
                head = nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, classes))
                self.heads[str(number)] = head

    def _pass(self, x: Tensor) -> Tensor:
        flat, *rows = torch.split(x, self.sizes, dim=1)
        parts, packed = [flat], list[tuple[Packed, Tensor]]()
        for part, row, (_, most, _) in zip(self.parts, rows, self.objects, strict=True):
            objects = Packed.of(row, most)
            pooled, each = part(objects)
            parts += [torch.log1p(objects.counts.to(x.dtype)).unsqueeze(1), pooled]
            packed.append((objects, each))
        y: Tensor = self.trunk(torch.cat(parts, dim=1))
        columns = [y]
        for number, head in self.heads.items():
            objects, each = packed[int(number)]
            logits = head(torch.cat([each, y[objects.event]], dim=1))
            room = logits.new_zeros(len(x), self.objects[int(number)][1], logits.shape[1])
            columns.append(room.index_put((objects.event, objects.slot), logits).flatten(1))
        return torch.cat(columns, dim=1) if self.heads else y


def object_logits(features: Tensor, shape: NetworkShape) -> Iterator[Tensor]:
    """Of each collection whose objects have classes (K, most, C, n), from behind (K, H, n)."""
    sizes = [most * c for (_, most, _), c in zip(shape.objects, shape.object_classes, strict=True)]
    of_objects = torch.split(features[:, features.shape[1] - sum(sizes) :], sizes, dim=1)
    for logits, classes in zip(of_objects, shape.object_classes, strict=True):
        if classes:
            yield logits.reshape(len(features), -1, classes, features.shape[-1])


def deepsets(shape: NetworkShape) -> nn.Module:
    """64-64-64 for every object, sum and mean of them, then the widths of ``extractor``."""
    return ObjectsNetwork(shape, DeepSet)


def transformer(shape: NetworkShape) -> nn.Module:
    """Three blocks of width 64 with four heads, attention pooling, then those of ``extractor``."""
    return ObjectsNetwork(shape, _Transformer)
