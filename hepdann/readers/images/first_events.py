"""The first events of a file of images, as they are, to be looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import ConversionConfig
from ...errors import ReadError
from ..pipeline.entry_ranges import choose_reader
from ..planning.bad_files import Skips
from ..planning.input_samples import gather
from .choose import plan_images
from .reader import image_units

Arrays = dict[str, NDArray[Any]]


def first_events(path: str, n: int, *, start: int = 0) -> tuple[str, Arrays, Arrays]:
    """Read events of an HDF5 file of images, or of a ROOT tree of hits.

    Args:
        path: the file, or ``path:tree``.
        n: how many events.
        start: the first of them.

    Returns:
        What the pixels are, ``energy`` or, where there is none, ``time``; by view the images
        (n, strips, planes); and by name every scalar column (n,). Fewer where the file ends.

    Raises:
        ReadError: the file cannot be read, holds no images, or no events there.
    """
    config = ConversionConfig()
    inputs = gather([path], [], config)
    plan = plan_images(inputs, config, Skips())
    file = inputs[0].files[0]
    if plan is None:
        raise ReadError("holds neither images nor hits", where=path)
    if not 0 <= start < file.entries:
        raise ReadError(f"has no event {start}, but {file.entries} events", where=path)
    names = [name for name, branch in file.branches.items() if branch.scalar]
    _, cut = choose_reader("auto")
    images: dict[str, list[NDArray[Any]]] = {view.name: [] for view in plan.views}
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for unit in image_units(cut, plan)(file, names, min(start + n, 512)):
        if unit.start >= start + n:
            break
        if unit.stop <= start:
            continue
        block = unit.read(np.empty)
        rows = slice(max(start - unit.start, 0), start + n - unit.start)
        for name, kept in images.items():
            kept.append(block.views[name][rows, 0])
        for name, column in columns.items():
            column.append(block.columns[name][rows])
    return (
        plan.views[0].channel_names[0],
        {name: np.concatenate(parts) for name, parts in images.items()},
        {name: np.concatenate(parts) for name, parts in columns.items()},
    )
