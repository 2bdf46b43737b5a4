"""What a training sees: source, target, pseudo-data, copies, class fractions; never a label of it.

Tables, images or objects, in memory or in blocks; as arrays, and as tensors for batches.
"""

from typing import TYPE_CHECKING

from ..lazy import getter

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
    from .events import Domains, Scaling, in_folds
    from .image_stream import Augment, Jitter, resident_images
    from .images import Images, choose_memory, describe_memory, object_shapes, view_shapes
    from .nuisances import Mixtures, Nuisances, Wanted
    from .reading import ChangedBlocks, ResampledBlocks, auxiliary_sources, prepare, resampled

__all__ = [
    "Augment", "BatchRows", "Blocks", "ChangedBlocks", "DomainEvents", "Domains", "Images",
    "Jitter", "Mixtures", "Nuisances", "ResampledBlocks", "Scaling", "StreamReader", "Wanted",
    "auto_batch_size", "auxiliary_sources", "choose_memory", "describe_memory", "epoch_order",
    "in_folds", "object_shapes", "prepare", "resampled", "resident", "resident_images",
    "view_shapes", "watched_rows",
]  # fmt: skip

# Batches need torch, and who only scores needs the scaling alone.
__getattr__ = getter(__name__)
