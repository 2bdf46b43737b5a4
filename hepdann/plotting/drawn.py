"""Which pictures in the folder of a run still show it: each holds a mark of what it was drawn of.

The mark follows from the files of the run, the tensors that they name, the look, and the code that
draws. A picture whose mark is another, or that has none, is never taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

import hepdann

from ..config import PlotConfig
from ..errors import RunError
from ..inputs import file_stamp, read_json
from ..store.content import Files
from ..store.paths import RunPaths
from ..store.scores_file import MOVED
from .quantities import Quantities

KEY = "hepdann"  # of the mark, among the texts of a PNG
_OTHERS = ("log.txt", "working_points.json")  # files that no figure shows
_MOST = 20_000_000  # bytes of a picture


def mark_of(run: Quantities, look: PlotConfig) -> str:
    """What all figures of a run follow from, as a hash; the formats of their files are no part."""
    paths = RunPaths(run.folder)
    digest = hashlib.blake2b(_code(), digest_size=16)
    digest.update(f"{look.model_dump_json(exclude={'formats'})} {run.scale_mc}".encode())
    for path in sorted(run.folder.iterdir()):
        if path.is_file() and path.name not in _OTHERS and path.suffix in _SUFFIXES:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "blake2b").hexdigest()
            digest.update(f"{path.name} {content}\n".encode())
    record: Mapping[str, Any] = {}
    with suppress(RunError):  # without it no tensors are read
        record = read_json(paths.start_record, Files)
    with run.scores.opened() as file:
        moved = [str(file[domain].attrs.get(MOVED, "")) for domain in ("mc", "target")]
    for name in filter(None, (record.get("tensors"), record.get("data"), *moved)):
        digest.update(f"{name} {file_stamp(name)}\n".encode())
    return digest.hexdigest()


_SUFFIXES = (".h5", ".json", ".yaml", ".csv", ".npy", ".safetensors")  # of what a run consists of


def mark_of_figure(mark: str, name: str) -> str:
    """The mark of one of them."""
    return hashlib.blake2b(f"{mark} {name}".encode(), digest_size=16).hexdigest()


def drawn(folder: Path, name: str, mark: str) -> bytes | None:
    """The PNG of a figure, if it is in a folder and has the mark of what would be drawn now."""
    path = folder / f"{name}.png"
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.info.get(KEY) != mark_of_figure(mark, name) or path.stat().st_size > _MOST:
                return None
            image.verify()
        return path.read_bytes()
    except (OSError, SyntaxError, ValueError):  # what Pillow raises of a file that is no PNG
        return None


@cache
def _code() -> bytes:
    """The state of the programs that draw."""
    package = Path(hepdann.__file__).parent
    states = [(path.name, file_stamp(path)) for path in sorted(package.rglob("*.py"))]
    return repr([matplotlib.__version__, np.__version__, states]).encode()
