"""Writes ``scores.h5``: each number once, and none that follows from others to the last bit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...outputs import write_run_file
from .file import COMPLEMENT, FORMAT, FORMAT_VERSION, too_dense

if TYPE_CHECKING:
    import h5py

_CHUNK = 1 << 16  # rows that are compressed as one


class ScoreWriter:
    """The open file."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._kinds: dict[str, list[str]] = {}

    def group(self, name: str, **columns: NDArray[Any] | None) -> None:
        """Make a domain."""
        self.file.create_group(name)
        for key, values in columns.items():
            if values is not None:
                self._packed(f"{name}/{key}", values, shuffle=True)

    def scores(
        self,
        domain: str,
        method: str,
        members: NDArray[np.float32],
        domain_score: NDArray[np.float32] | None,
        latent: NDArray[np.float32],
    ) -> None:
        """Write what a method says of a domain; its mean score follows from its members.

        Args:
            members: (K, N, C) class probabilities.
            latent: (n, H) feature layer of the first n test events.
        """
        # the first class follows from the second as well as float32 can tell the second
        two = members.shape[-1] == 2 and bool(
            np.all(np.abs(members[..., 0] - (1 - members[..., 1])) <= np.finfo(np.float32).eps)
        )
        kept = members[..., 1:] if two else members
        self._once(f"{domain}/members", method, kept, {COMPLEMENT: two}, shuffle=True)
        self._once(f"{domain}/latent", method, latent, {})
        if domain_score is not None:
            self._once(f"{domain}/domain_score", method, domain_score, {}, shuffle=True)

    def varied(self, domain: str, method: str, scores: NDArray[np.float32]) -> None:
        """Write the scores of a domain with the calibration changed by an error up, and one down.

        Args:
            scores: (2, N, C) class probabilities.
        """
        self._packed(f"{domain}/varied/{method}", scores, shuffle=True)

    def _once(
        self,
        group: str,
        name: str,
        values: NDArray[Any],
        attrs: Mapping[str, Any],
        *,
        shuffle: bool = False,
    ) -> None:
        """Write a dataset, or a second name for one of the group that holds the same."""
        for other in self._kinds.setdefault(group, []):
            one = self.file[group][other]
            if dict(one.attrs) == dict(attrs) and np.array_equal(one[...], values):
                self.file[group][name] = one
                return
        one = self._packed(f"{group}/{name}", values, shuffle=shuffle)
        one.attrs.update(attrs)
        self._kinds[group].append(name)

    def _packed(self, path: str, values: NDArray[Any], *, shuffle: bool) -> h5py.Dataset:
        """Write a dataset, compressed unless its reader would take it for a bomb."""
        chunks = tuple(max(1, min(size, _CHUNK)) for size in values.shape)
        chunks = (1, *chunks[1:]) if values.ndim == 3 else chunks  # a member alone
        one = self.file.create_dataset(
            path, data=values, chunks=chunks, compression="gzip", shuffle=shuffle
        )
        self.file.flush()
        if too_dense(one):
            del self.file[path]
            one = self.file.create_dataset(path, data=values)
        return one


@contextmanager
def writing_scores(path: Path, **attributes: str | Sequence[str]) -> Iterator[ScoreWriter]:
    """Write the scores of a run, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    import h5py

    image = io.BytesIO()  # HDF5 can crash when its own write meets a full disk; ours cannot
    with h5py.File(image, "w") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, **attributes)
        yield ScoreWriter(file)
        file.attrs["complete"] = True
    write_run_file(path, image.getbuffer())
