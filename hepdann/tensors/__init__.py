"""The tensor file: what readers write and everything after them reads."""

from __future__ import annotations

from .block import Block
from .blocks import BLOCK_ROWS, EventBlocks, column_at
from .description import open_tensors
from .domains import SPLITS, Source, Split, Target
from .hashing import event_ids, is_pseudo, mix64, split_of
from .hits import Hits
from .layout import View
from .opening import h5_format
from .reader import Tensors
from .sealing import is_sealed, seal
from .summary import ColumnSummary, Count, DomainSummary, count_of, summarise, yield_ratio
from .transform import Transform
from .view_blocks import ChangeImages, ViewBlocks, read_hits
from .view_figures import VIEW_FIGURES, view_figures
from .view_summary import ChannelSummary, ViewCounter
from .views import ViewReader
from .writer import PreparedRows, TensorWriter

__all__ = [
    "BLOCK_ROWS",
    "SPLITS",
    "VIEW_FIGURES",
    "Block",
    "ChangeImages",
    "ChannelSummary",
    "ColumnSummary",
    "Count",
    "DomainSummary",
    "EventBlocks",
    "Hits",
    "PreparedRows",
    "Source",
    "Split",
    "Target",
    "TensorWriter",
    "Tensors",
    "Transform",
    "View",
    "ViewBlocks",
    "ViewCounter",
    "ViewReader",
    "column_at",
    "count_of",
    "event_ids",
    "h5_format",
    "is_pseudo",
    "is_sealed",
    "mix64",
    "open_tensors",
    "read_hits",
    "seal",
    "split_of",
    "summarise",
    "view_figures",
    "yield_ratio",
]
