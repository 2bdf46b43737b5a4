"""What a training sees: source, target, pseudo-data, copies, class fractions; never a label of it.

Tables, images or objects, in memory or in blocks; as arrays, and as tensors for batches.
"""

from typing import TYPE_CHECKING

from ..lazy import getter
from .events import Domains, Scaling, in_folds
from .images import Images, choose_memory, describe_memory, object_shapes, view_shapes
from .nuisances import Mixtures, Nuisances, Wanted
from .reading import ChangedBlocks, ResampledBlocks, auxiliary_sources, prepare, resampled

if TYPE_CHECKING:
    from .event_stream import (
        BatchRows,
        Blocks,
        DomainEvents,
        StreamReader,
        auto_batch_size,
        epoch_order,
        resident,
        watched_rows,
    )
    from .image_stream import Augment, resident_images

__all__ = [
    "Augment", "BatchRows", "Blocks", "ChangedBlocks", "DomainEvents", "Domains", "Images",
    "Mixtures", "Nuisances", "ResampledBlocks", "Scaling", "StreamReader", "Wanted",
    "auto_batch_size", "auxiliary_sources", "choose_memory", "describe_memory", "epoch_order",
    "in_folds", "object_shapes", "prepare", "resampled", "resident", "resident_images",
    "view_shapes", "watched_rows",
]  # fmt: skip

# Tensors, and torch with them, are for those who train.
_TENSORS = {
    **dict.fromkeys(__all__, "event_stream"),
    **dict.fromkeys(("Augment", "resident_images"), "image_stream"),
}
__getattr__ = getter(__name__, _TENSORS)
