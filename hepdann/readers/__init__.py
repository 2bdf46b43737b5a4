"""ROOT files to blocks of events, and these to a tensor file."""

from __future__ import annotations

from ..expressions import Expression, parse
from .blocks import BlockReader, RawBlock, read_blocks
from .check import check_sample
from .convert import convert
from .files import FileRef, resolve
from .scan import Branch, FileScan, scan
from .summary import ClassCount, ConversionSummary, FeatureStats, FileCount
from .zero_config import looks_like

__all__ = [
    "BlockReader",
    "Branch",
    "ClassCount",
    "ConversionSummary",
    "Expression",
    "FeatureStats",
    "FileCount",
    "FileRef",
    "FileScan",
    "RawBlock",
    "check_sample",
    "convert",
    "looks_like",
    "parse",
    "read_blocks",
    "resolve",
    "scan",
]
