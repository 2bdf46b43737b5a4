"""Training events on the device for the whole training, or in blocks that memory holds.

Of a stream an epoch goes through the blocks of a domain in random order. Some of them at a time are
a window, held in memory, and each member goes through the events of a window in an order of its
own. All of it is a function of (seed, epoch), so that a resumed training sees what an uninterrupted
one sees.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import RunError
from ..tensors import SPLITS, Source, Split, Target
from .events import Scaling
from .nuisances import Nuisances

_WINDOW = 16 << 20  # bytes of events shuffled together; two such are held
_BLOCKS, _ROWS, _DRAWN = 0xB10C, 0x20E5, 0xD2A3  # keep the two shuffles and what is drawn apart
Drawn = NDArray[Any]
BatchRows = tuple[Tensor, Tensor | None, Tensor, Tensor | None]
FEW_IMAGES = 2_048  # of these two samples, where an event is an image
_LARGEST_SAMPLE = 8_192  # events for normalisation statistics and for an observer
_LARGEST_VALIDATION = 4_096  # events for the figures of an epoch


class Blocks(Protocol):
    """Where events come from; see :class:`hepdann.tensors.EventBlocks`, and ``ViewBlocks``."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) training events of each block."""

    @property
    def weight(self) -> float:
        """Their mean weight."""

    @property
    def train(self) -> Callable[[int], Any]:
        """The training events of a block, a ``Source`` if they are labelled; of images a tuple."""


def _generator(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


class Picked(Protocol):
    """The events of a window, held until the next one is there."""

    @property
    def device(self) -> torch.device:
        """Where it wants the rows that are picked."""
        ...

    def pick(self, rows: Tensor, drawn: Drawn | None) -> BatchRows:
        """Features (n, F), labels (n,) or ``None``, weights (n,), and no nuisances of some rows."""
        ...


@dataclass(frozen=True, eq=False)
class Window:
    """Some blocks of an epoch: in which round of it, which of the round, how much was seen."""

    round: int
    number: int
    first: int
    size: int
    blocks: NDArray[np.int64]


class Stream:
    """The training events of a domain, window after window."""

    blocks: Blocks

    @property
    def n_train(self) -> int:
        """Number of training events."""
        return int(self.blocks.counts.sum())

    def draw(self, generator: np.random.Generator, events: int) -> Drawn | None:
        """Draw what is done to each of some events, (n, …); by default nothing is."""
        del generator, events
        return None

    def windows(self, epoch: int, stream: int, first: int) -> Iterator[tuple[Window, Picked]]:
        """Windows of an epoch without end: when all events were seen, they are shuffled anew."""
        plan = self._plan(epoch, stream, first)
        with ThreadPoolExecutor(1) as reader:
            now = next(plan)
            coming = reader.submit(self._load, now)
            for after in plan:
                rows = coming.result()
                coming = reader.submit(self._load, after)
                yield now, rows
                now = after

    def _plan(self, epoch: int, stream: int, first: int) -> Iterator[Window]:
        counts = self.blocks.counts
        most = max(int(counts.max()), self._most())
        skipped, first = divmod(first, self.n_train)
        for round_ in itertools.count(skipped):
            order = _generator(epoch, stream, round_, _BLOCKS).permutation(np.flatnonzero(counts))
            number, begin = 0, 0
            while begin < len(order):
                upto = np.cumsum(counts[order[begin:]])
                end = begin + max(1, int(np.searchsorted(upto, most, side="right")))
                size = int(upto[end - begin - 1])
                if first < size:
                    yield Window(round_, number, first, size, order[begin:end])
                first = max(0, first - size)
                number, begin = number + 1, end

    def _most(self) -> int:
        """Events that a window may hold."""
        raise NotImplementedError

    def _load(self, window: Window) -> Picked:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class _Rows:
    """The events of a window as a table."""

    x: Tensor
    label: Tensor | None
    weight: Tensor

    @property
    def device(self) -> torch.device:
        return self.x.device

    def pick(self, rows: Tensor, drawn: Drawn | None) -> BatchRows:
        del drawn
        label = None if self.label is None else self.label[rows].long()
        return self.x[rows], label, self.weight[rows], None


@dataclass(frozen=True, eq=False)
class EventStream(Stream):
    """The training events of a domain, scaled as they are read.

    Attributes:
        window: bytes of events that are shuffled together, at least one block; the next such are
            read while these are used.
    """

    blocks: Blocks
    scaling: Scaling
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    window: int = field(default_factory=lambda: _WINDOW)

    def _most(self) -> int:
        return self.window // (4 * len(self.scaling.mean) + 8)

    def _load(self, window: Window) -> Picked:
        size = window.size
        x = np.empty((size, len(self.scaling.mean)), np.float32)
        weight, label = np.empty(size, np.float32), np.empty(size, np.int32)
        at, labelled = 0, False
        for block in window.blocks:
            events = self.blocks.train(int(block))
            rows = slice(at, at + len(events))
            x[rows] = self.scaling.apply(events.features)
            weight[rows] = events.weight
            if isinstance(events, Source):
                label[rows], labelled = events.label, True
            at += len(events)
        weight /= self.blocks.weight
        put = torch.from_numpy(x).to(self.device, self.dtype)
        labels = torch.from_numpy(label).to(self.device) if labelled else None
        return _Rows(put, labels, torch.from_numpy(weight).to(self.device, self.dtype))


class StreamReader:
    """Reads a stream for some members side by side, each in its own order within a window."""

    def __init__(
        self, stream: Stream, seeds: Sequence[int], *, epoch: int, number: int, first: int
    ) -> None:
        self._stream, self._windows = stream, stream.windows(epoch, number, first)
        self._seeds, self._epoch, self._number = seeds, epoch, number
        self._orders: list[Tensor] = []
        self._drawn: list[Drawn | None] = []
        self._at = self._size = 0
        self._window_events: Picked | None = None

    def take(self, n: int, share: slice = slice(None)) -> list[BatchRows]:
        """The next ``n`` events of each member, or a share of these; the others are passed over."""
        first, last, _ = share.indices(n)
        parts: list[list[BatchRows]] = [[] for _ in self._seeds]
        done = 0
        while done < n:
            if self._at == self._size:
                self._next()
            assert self._window_events is not None
            count = min(self._size - self._at, n - done)
            begin, end = (min(max(edge - done, 0), count) for edge in (first, last))
            if begin < end:
                now = slice(self._at + begin, self._at + end)
                for batch_rows, order, drawn in zip(parts, self._orders, self._drawn, strict=True):
                    batch_rows.append(
                        self._window_events.pick(order[now], None if drawn is None else drawn[now])
                    )
            done, self._at = done + count, self._at + count
        return [rows[0] if len(rows) == 1 else _joined(rows) for rows in parts]

    def _next(self) -> None:
        self._window_events = None  # let it go before the one after the next is read
        window, self._window_events = next(self._windows)
        self._at, self._size = window.first, window.size
        words = (self._epoch, self._number, window.round, window.number)
        self._orders = [
            torch.from_numpy(_generator(seed, *words, _ROWS).permutation(window.size)).to(
                self._window_events.device
            )
            for seed in self._seeds
        ]
        self._drawn = [
            self._stream.draw(_generator(seed, *words, _DRAWN), window.size) for seed in self._seeds
        ]


def _joined(parts: Sequence[BatchRows]) -> BatchRows:
    x, label, weight, _ = zip(*parts, strict=True)
    labels = [part for part in label if part is not None]
    return torch.cat(x), torch.cat(labels) if labels else None, torch.cat(weight), None


SOURCE, TARGET, STATISTICS, AUXILIARY = 0, 1, 2, 3  # auxiliaries: 3, 4, …


def epoch_order(n: int, length: int, *, seed: int, epoch: int, stream: int) -> NDArray[np.int64]:
    """Event indices of one epoch: random permutations of ``n`` events, up to ``length``.

    ``stream`` separates what is drawn for source, target and statistics.
    """
    generator = _generator(seed, epoch, stream, 0x5A3)
    order = np.concatenate([generator.permutation(n) for _ in range(-(-length // n))])
    return order[:length].astype(np.int64, copy=False)


def auto_batch_size(n_source: int) -> int:
    """A power of two from 128 to 4096 that gives about 100 steps an epoch."""
    size = 128
    while size < 4096 and n_source // size > 150:
        size *= 2
    return max(1, min(size, n_source))


@dataclass(frozen=True, eq=False)
class DomainEvents:
    """Tensors of one domain; a target has no labels.

    Attributes:
        x: (n_train, F) scaled features of the training split.
        weight: (n_train,) event weight over the mean of the training split, negative ones included:
            the mean is 1.
        label: (n_train,) class index, or the value that a regression estimates; ``None`` for a
            target.
        held: gives ``x_validation``, (F, n) scaled features of the validation split, a sample of it
            if large; images are dense only while they are looked at.
        x_statistics: (F, m) training events that fix the normalisation statistics; of every
            domain equally many, a small one several times over.
        weight_statistics: (m,) weights of these.
        watched: gives ``x_watched``, (F, k) the events of :func:`watched_rows`, whose scores an
            observer is shown.
        images: whether an event is a row of pixels, or of objects.
        nuisance: (n_train, 1 + M) of labelled events: the weight that each has where a score is
            made independent of nuisances, and these; ``None`` unless a method needs them.
        weighted: whether sizes of weights are other than 1.
    """

    x: Tensor
    weight: Tensor
    label: Tensor | None
    held: Callable[[], Tensor]
    weight_validation: Tensor
    label_validation: Tensor | None
    x_statistics: Tensor
    weight_statistics: Tensor
    watched: Callable[[], Tensor]
    stream: Stream | None = None
    images: bool = False
    nuisance: Tensor | None = None
    weighted: bool = False

    @property
    def x_validation(self) -> Tensor:
        """(F, n) scaled features of the validation split, or of a sample of it."""
        return self.held()

    @property
    def x_watched(self) -> Tensor:
        """(F, k) scaled features of the events whose scores an observer is shown."""
        return self.watched()

    @property
    def n_train(self) -> int:
        """Events to train on, those of the stream apart."""
        return len(self.x)


def resident(
    events: Source | Target,
    scaling: Scaling,
    *,
    device: str,
    dtype: torch.dtype = torch.float32,
    blocks: Blocks | None = None,
    nuisances: Nuisances | None = None,
) -> DomainEvents:
    """Scale the events of a domain and put them on the device.

    Raises:
        RunError: the weights of the training split do not add up to more than 0.
    """
    stream = None if blocks is None else EventStream(blocks, scaling, device, dtype)
    train, held = events.part("train"), events.take(validation_rows(events))
    mean = mean_weight(events, float(np.mean(train.weight)) if blocks is None else blocks.weight)

    def put(array: NDArray[np.generic], kind: torch.dtype) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device, kind)

    def kind_of(source: Source) -> torch.dtype:
        return dtype if source.label.dtype.kind == "f" else torch.int64

    x_validation = put(scaling.apply(held.features).T, dtype)
    x_watched = put(scaling.apply(events.features[watched_rows(events)]).T, dtype)
    keep = epoch_order(len(train), _LARGEST_SAMPLE, seed=0, epoch=0, stream=STATISTICS)
    x, weight = put(scaling.apply(train.features), dtype), put(train.weight / mean, dtype)
    rows = torch.from_numpy(keep).to(device)
    nuisance = None
    if isinstance(train, Source) and train.nuisances is not None:
        nuisance = put(train.nuisances if nuisances is None else nuisances.apply(train), dtype)
    return DomainEvents(
        x=x,
        weight=weight,
        label=put(train.label, kind_of(train)) if isinstance(train, Source) else None,
        held=lambda: x_validation,
        weight_validation=put(held.weight / mean, dtype),
        label_validation=put(held.label, kind_of(held)) if isinstance(held, Source) else None,
        watched=lambda: x_watched,
        x_statistics=x[rows].T.contiguous(),
        weight_statistics=weight[rows],
        stream=stream,
        nuisance=nuisance,
        weighted=not np.allclose(np.abs(train.weight), mean),
    )


def mean_weight(events: Source | Target, mean: float) -> float:
    """The mean weight of the training events, if there can be a weighted mean of anything.

    Raises:
        RunError: it is not above 0.
    """
    if mean > 0:
        return mean
    raise RunError(
        f"the event weights of the {'MC' if isinstance(events, Source) else 'target'}'s training "
        "split do not add up to more than 0",
        mend="a loss with such weights has no minimum: check weights and scales, or convert "
        "without weights",
    )


def validation_rows(events: Source | Target, *, images: bool = False) -> NDArray[np.intp]:
    """Rows that each epoch's validation looks at: the validation split, a sample if large."""
    return _some_rows(events, "validation", FEW_IMAGES if images else _LARGEST_VALIDATION)


def watched_rows(events: Source | Target, *, images: bool = False) -> NDArray[np.intp]:
    """Rows whose scores an observer is shown after each epoch: the test split, likewise."""
    return _some_rows(events, "test", FEW_IMAGES if images else _LARGEST_SAMPLE)


def _some_rows(events: Source | Target, split: Split, most: int) -> NDArray[np.intp]:
    rows = np.flatnonzero(events.split == SPLITS.index(split))
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(len(rows)).choice(len(rows), most, replace=False))]
