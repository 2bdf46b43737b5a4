"""ROOT files to blocks of events, and these to a tensor file."""

from __future__ import annotations

from ..expressions import Expression, parse
from .convert import convert_files as convert
from .files import FileRef, resolve
from .pipeline.blocks import BlockReader, RawBlock, read_blocks
from .pipeline.summary import ClassCount, ConversionSummary, FeatureStats, FileCount
from .planning.columns import check_sample, looks_like
from .prescan import Branch, FileScan, scan

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
