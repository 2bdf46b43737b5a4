"""What a tensor file of unknown origin must be, before its rows are read.

HDF5 follows links into other files, gathers datasets from them, and reads rows that were never
written as zeros, as many as a file claims. Nothing of that is a tensor file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from .layout import Column, Layout
from .views import views_of

__all__ = ["check_columns", "check_datasets", "differing", "refuse_elsewhere"]

_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3  # HDF5's numbers of filters
_PACKED = {_GZIP: 1_032, _SHUFFLE: 1, _CHECKSUM: 1}  # how often the largest shrinks into the least
_PACKED_MOST = 1 << 15  # of any other: zstd, for example
_CHUNK_BYTES = 1 << 29  # one is unpacked as a whole


def refuse_elsewhere(dataset: Any) -> None:
    """Refuse a dataset whose rows are in other files, or that claims more than the file can hold.

    Args:
        dataset: of h5py.

    Raises:
        ValueError: names the dataset.
    """
    import h5py

    name, properties = dataset.name, dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise ValueError(f"the rows of {name} are in other files")
    if properties.get_layout() == h5py.h5d.COMPACT or not dataset.size:
        return
    size = prod(dataset.shape) * dataset.dtype.itemsize
    stored, held = dataset.id.get_storage_size(), os.fstat(dataset.file.id.get_vfd_handle()).st_size
    begin = dataset.id.get_offset() if dataset.chunks is None else 0
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    most = stored * prod(_PACKED.get(number, _PACKED_MOST) for number in filters)
    chunk = 0 if dataset.chunks is None else prod(dataset.chunks) * dataset.dtype.itemsize
    if begin is None or begin + stored > held or size > most:
        raise ValueError(f"{name} claims {size} bytes of rows, and the file does not hold them")
    if chunk > _CHUNK_BYTES:
        raise ValueError(f"{name} has chunks of {chunk} bytes, at most {_CHUNK_BYTES} are read")


def check_datasets(file: Any) -> None:
    """Whether all that an HDF5 file holds is in the file itself.

    Raises:
        ValueError: names the link or dataset that leads elsewhere.
    """
    import h5py

    names: list[str] = []

    def see(name: bytes, link: Any) -> str | None:  # one that is returned ends the visit
        names.append(name.decode(errors="replace"))
        return None if link.type == h5py.h5l.TYPE_HARD else names[-1]

    elsewhere = file.id.links.visit(see, info=True)
    if elsewhere is not None:
        raise ValueError(f"{elsewhere} is a link to somewhere else")
    for name in names:
        if isinstance(dataset := file[name], h5py.Dataset):
            refuse_elsewhere(dataset)


def check_columns(file: Any, layout: Layout, rows: Mapping[str, int]) -> None:
    """Whether the datasets of a layout are there, of the right type and shape, and named alike.

    Args:
        file: open HDF5 file.
        layout: as the attributes have it.
        rows: events of each domain.

    Raises:
        ValueError: names the dataset, and what differs.
    """
    for domain in layout.domains:
        for column in layout.columns(domain):
            _check_column(file, column, rows[domain])
        for kind, expected in (("features", layout.features), ("spectators", layout.spectators)):
            names = tuple(str(name) for name in file[domain][kind].attrs["names"])
            if names != expected:
                raise ValueError(
                    f"the {kind} of {domain} are not those of {layout.domains[0]}: "
                    f"{differing(expected, names)}"
                )
        transforms = {view.name: view.transforms for view in layout.views}
        for view in views_of(file, domain):  # another program may say nothing of transforms
            first = transforms.get(view.name)
            if first is None or (first and view.transforms and first != view.transforms):
                raise ValueError(f"view {view.name} of {domain} is not that of {layout.domains[0]}")


def _check_column(file: Any, column: Column, rows: int) -> None:
    import h5py

    dataset, shape = file.get(column.path), (rows, *column.shape)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{column.path} is missing")
    if dataset.shape != shape:
        raise ValueError(f"{column.path} has shape {dataset.shape}, expected {shape}")
    if dataset.id.get_type() != h5py.h5t.py_create(np.dtype(column.dtype)):
        raise ValueError(f"{column.path} is of type {dataset.dtype}, expected {column.dtype}")


def differing(expected: Sequence[str], names: Sequence[str]) -> str:
    """The names that only one of two lists has; that the order differs where both have them all."""
    differ = sorted(set(expected) ^ set(names))
    return ", ".join(differ) or "their order"
