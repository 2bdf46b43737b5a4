"""One way from tensor files to what a training sees, with sources, targets and pseudo-data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import shifts
from ..config import ShiftConfig
from ..tensors import EventBlocks, Source, Target, Tensors, column_at, is_pseudo
from .events import Domains, data_holder, fit_domains
from .images import prepare_images
from .nuisances import NOTHING, Wanted, with_columns

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

SAMPLE = 300_000  # events of each domain that everything but the training's batches sees
_SHIFT_STREAM = 0x5417
_BLOCK_STREAM = 0x5417B
_COPY_STREAM = 0xF7AD
_ROW_STREAM = 0xF7AC


def prepare(
    tensors: Tensors,
    data: Tensors | None,
    shift: Shift | Composition | None,
    seed: int,
    memory: str = "resident",
    wanted: Wanted = NOTHING,
) -> Domains:
    """Take source and target out of the tensor files; of images and objects what sums them up too.

    ``data`` is the file with the data, if it is another one; a shift makes pseudo-data of half of
    the MC. ``memory`` is "resident", or "blocks", which never holds a domain.

    Raises:
        SchemaError: no MC, no data where it is needed, other features in the second file, or a
            column that is not there.
    """
    if not tensors.tabular:
        domains = prepare_images(tensors, data, shift, seed, memory)
    elif memory == "blocks":
        domains = _prepare_blocks(tensors, data, shift, seed)
    else:
        domains = _prepare_resident(tensors, data, shift, seed)
    return with_columns(domains, tensors, wanted)


def _prepare_resident(
    tensors: Tensors, data: Tensors | None, shift: Shift | Composition | None, seed: int
) -> Domains:
    process = tensors.column("mc", "sample") if tensors.rows("mc") else np.empty(0, np.uint16)
    if shift is not None:
        everything = tensors.source()
        fitted = shift.fit(everything.part("train").features)
        source, target = tensors.source(half=True), tensors.pseudo_target()
        process = process[~is_pseudo(everything.event_id, tensors.split_config.seed)]
        generator = np.random.Generator(np.random.Philox([seed, _SHIFT_STREAM]))
        target = target.with_features(fitted.apply(target.features, generator))
        holder = tensors
    else:
        holder = data_holder(tensors, data)
        fitted, source, target = None, tensors.source(), holder.target()
    return fit_domains(tensors, source, target, fitted, holder, None, process)


def _prepare_blocks(
    tensors: Tensors, data: Tensors | None, shift: Shift | Composition | None, seed: int
) -> Domains:
    """As :func:`prepare`, without ever holding a domain.

    Scales, maps, validation, scores and figures follow from a sample of each domain; the batches
    of the training from all of it. Pseudo-data is shifted block by block, each block with a
    generator of its own, so that an event looks the same whenever it is read.
    """
    fitted, holder = None, tensors
    if shift is None:
        holder = data_holder(tensors, data)
        source_blocks = EventBlocks(tensors, "mc", labelled=True)
        target_blocks = EventBlocks(holder, "data")
    else:
        whole, _ = EventBlocks(tensors, "mc").sample(SAMPLE)
        fitted = shift.fit(whole.part("train").features)

        def change(features: NDArray[np.float32], block: int, train: bool) -> NDArray[np.float32]:
            words = np.random.SeedSequence([seed, _BLOCK_STREAM, block, train])
            return fitted.apply(features, np.random.Generator(np.random.Philox(words)))

        source_blocks = EventBlocks(tensors, "mc", pseudo=False, labelled=True)
        target_blocks = EventBlocks(tensors, "mc", pseudo=True, change=change)
    source, source_rows = source_blocks.sample(SAMPLE)
    target, rows = target_blocks.sample(SAMPLE)
    assert isinstance(source, Source)
    blocks = (source_blocks, target_blocks)
    process = column_at(tensors, "mc", "sample", source_rows)
    return fit_domains(tensors, source, target, fitted, holder, rows, process, blocks)


def auxiliary_sources(
    source: Source, wanted: Sequence[ShiftConfig], seed: int
) -> tuple[Source, ...]:
    """The source under each of the shifts; labels, weights and splits are its own.

    The shifts take their scales from its training split; each has a random stream of its own.
    """
    copies = []
    for number, entry in enumerate(wanted):
        shift = shifts.get(entry.name, entry.t, quantile=entry.quantile)
        generator = np.random.Generator(np.random.Philox([seed, _COPY_STREAM + number]))
        fitted = shift.fit(source.part("train").features)
        copies.append(source.with_features(fitted.apply(source.features, generator)))
    return tuple(copies)


class ChangedBlocks:
    """Events that are changed block by block, given its number; their mean weight stays."""

    def __init__(self, blocks: EventBlocks, change: Callable[[Any, int], Target]) -> None:
        self._blocks, self._change = blocks, change
        self.counts, self.weight = blocks.counts, blocks.weight

    def train(self, block: int) -> Target:
        """The training events of a block, a ``Source`` if they are labelled."""
        return self._change(self._blocks.train(block), block)


_COPIES = 4  # of an event, where its class keeps its fraction: so few are lost of one that loses
_MANY = 1_000_000  # events from which one must do


def resampled(source: Source, correction: Sequence[float], seed: int) -> Source:
    """The source with the class fractions of the target in its rows, not in its weights.

    A network that normalises each domain by itself compares the domains' statistics, and takes
    other class fractions for a shift. Statistics are those of rows, so the rows must change.
    ``correction`` is (C,), the logarithm of the wanted over the present fraction of each class.

    Returns:
        Each event about four times as often as its class asks for, once in large samples.
    """
    times = _times(source.label, correction, len(source), seed)
    return source.take(np.repeat(np.arange(len(source)), times))


def _times(
    label: NDArray[np.integer], correction: Sequence[float], among: int, *words: int
) -> NDArray[np.intp]:
    """How often each event is taken, one of ``among``."""
    copies = _COPIES if among < _MANY else 1
    wanted = copies * np.exp(np.asarray(correction, dtype=np.float64))[label]
    generator = np.random.Generator(np.random.Philox([*words, _ROW_STREAM]))
    times: NDArray[np.intp] = np.floor(wanted + generator.random(len(label))).astype(np.intp)
    return times


class ResampledBlocks:
    """Likewise of events that are read in blocks; each block is rounded by itself."""

    def __init__(self, blocks: EventBlocks, correction: Sequence[float], seed: int) -> None:
        self._blocks, self._correction, self._seed = blocks, tuple(correction), seed

    def train(self, block: int) -> Source:
        """The training events of a block, each as often as it is taken."""
        events = self._blocks.train(block)
        assert isinstance(events, Source)
        times = _times(events.label, self._correction, self._blocks.n_train, self._seed, block)
        return events.take(np.repeat(np.arange(len(events)), times))

    @cached_property
    def _seen(self) -> tuple[NDArray[np.int64], float]:
        counts, weight = np.zeros(len(self._blocks), np.int64), 0.0
        for block in np.flatnonzero(self._blocks.counts):
            weights = self.train(int(block)).weight.astype(np.float64)
            counts[block] = len(weights)
            weight += weights.sum()
        return counts, weight / max(1, int(counts.sum()))

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) training events of each block, as often as they are taken."""
        return self._seen[0]

    @property
    def weight(self) -> float:
        """Their mean weight."""
        return self._seen[1]
