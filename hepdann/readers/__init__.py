"""ROOT files to blocks of events, and these to a tensor file."""

from __future__ import annotations

from ..expressions import parse
from .convert import convert_files
from .files import FileRef, resolve
from .pipeline.blocks import read_blocks
from .pipeline.summary import ConversionSummary
from .planning.columns import check_sample, looks_like
from .prescan import FileScan, scan

__all__ = [
    "ConversionSummary",
    "FileRef",
    "FileScan",
    "check_sample",
    "convert_files",
    "looks_like",
    "parse",
    "read_blocks",
    "resolve",
    "scan",
]
