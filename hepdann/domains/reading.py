"""One way from tensor files to what a training sees, whatever its events are, in memory or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..tensors import EventBlocks, Source, Tensors, column_at, is_pseudo
from .events import Domains, data_holder, fit_domains
from .images import prepare_images
from .nuisances import NOTHING, Wanted, with_columns

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

SAMPLE = 300_000  # events of each domain that everything but the training's batches sees
_SHIFT_STREAM = 0x5417
_BLOCK_STREAM = 0x5417B


def prepare(
    tensors: Tensors,
    data: Tensors | None,
    shift: Shift | Composition | None,
    seed: int,
    memory: str = "resident",
    wanted: Wanted = NOTHING,
) -> Domains:
    """Take source and target out of the tensor files; of images and objects what sums them up too.

    Args:
        tensors: holds the MC.
        data: holds the data, if not ``tensors`` itself.
        shift: makes pseudo-data of half of the MC; ``None`` takes the data domain.
        seed: of the shift's random part.
        memory: "resident", or "blocks", which never holds a domain.
        wanted: columns that methods need besides the features.

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
