"""The tensor file: what readers write and everything after them reads."""

from __future__ import annotations

from .blocks import BLOCK_ROWS, ChangeImages, EventBlocks, ViewBlocks, column_at, read_images
from .copying import merge, read_tile, reweight, slice_rows
from .hdf5.checksums import is_sealed, seal
from .hdf5.chunks import h5_format
from .hits import Hits
from .layout import Block, Collection, Layout, Transform, View
from .objects import Jagged, ObjectCounter, Objects, ObjectSummary, object_figures
from .reader import Tensors, open_tensors
from .source_and_target import (
    SPLITS,
    Source,
    Split,
    Target,
    empty_split,
    event_ids,
    fold_of,
    is_pseudo,
    mix64,
    split_of,
)
from .summary import (
    ChannelSummary,
    Count,
    ViewCounter,
    count_of,
    summarise_domain,
    yield_ratio,
)
from .views import EventImages, Pixels, image_figures
from .writer import PreparedRows, TensorWriter

__all__ = [
    "BLOCK_ROWS", "SPLITS", "Block", "ChangeImages", "ChannelSummary", "Collection", "Count",
    "EventBlocks", "EventImages", "Hits", "Jagged", "Layout", "ObjectCounter", "ObjectSummary",
    "Objects", "Pixels", "PreparedRows", "Source", "Split", "Target", "TensorWriter", "Tensors",
    "Transform", "View", "ViewBlocks", "ViewCounter", "column_at", "count_of", "empty_split",
    "event_ids", "fold_of", "h5_format", "image_figures", "is_pseudo", "is_sealed", "merge",
    "mix64", "object_figures", "open_tensors", "read_images", "read_tile", "reweight", "seal",
    "slice_rows", "split_of", "summarise_domain", "yield_ratio",
]  # fmt: skip
