"""What a training sees: source, target, pseudo-data, copies, class fractions; never a label of it.

Tables, images or objects, in memory or in blocks; as arrays, and as tensors for batches.
"""

from .augment import Augment
from .event_stream import BatchRows, Blocks, StreamReader, auto_batch_size, epoch_order
from .events import Domains, in_folds
from .image_stream import resident_images
from .images import Images, object_shapes, view_shapes
from .memory import choose_memory, describe_memory
from .nuisances import Mixtures, Nuisances, Wanted
from .reading import prepare
from .resident import DomainEvents, resident, watched_rows
from .scaling import Scaling
from .sources import ChangedBlocks, ResampledBlocks, auxiliary_sources, resampled

__all__ = [
    "Augment", "BatchRows", "Blocks", "ChangedBlocks", "DomainEvents", "Domains", "Images",
    "Mixtures", "Nuisances", "ResampledBlocks", "Scaling", "StreamReader", "Wanted",
    "auto_batch_size", "auxiliary_sources", "choose_memory", "describe_memory", "epoch_order",
    "in_folds", "object_shapes", "prepare", "resampled", "resident", "resident_images",
    "view_shapes", "watched_rows",
]  # fmt: skip
