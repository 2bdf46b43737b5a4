"""Every picture of a file or folder in order, as a conversion brought those of a run together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import ConfigError
from ...inputs import file_stamp
from ...tensors import View
from ..conversion_record import Conversion
from ..files import FileRef
from ..prescan import FileScan
from ..rows import Inputs, Result, RowReader, Rows
from .convert import COLOUR, GREY, VIEW, picture_ids, together
from .files import open_pictures


class PictureRows(RowReader):
    """Reads pictures as a conversion did; likewise :class:`.RowReader`.

    Args:
        ref: a file, ``path:part``, or a folder.
        conversion: what was done to the pictures of the run.
        sample: name of the sample that a file which was not converted is like; default the data.
        keep: nothing, for a picture has no branches.

    Raises:
        ReadError: there are no pictures, or they are damaged.
        ConfigError: no sample has that name, or branches are to be kept.
    """

    def __init__(
        self,
        ref: FileRef,
        conversion: Conversion,
        *,
        sample: str | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        if keep:
            raise ConfigError("pictures have no branches", where="--keep", mend="leave it out")
        settings = conversion.pictures
        assert settings is not None
        assert settings.size is not None
        names = COLOUR if settings.colour == "colour" else GREY
        self._view = View(VIEW, len(names), *settings.size, names, dtype="|u1")
        self._pictures = open_pictures(ref)
        self.file = FileScan(
            ref.path, self._pictures.part, "HDF5", self._pictures.count, {}, {}, _stamp(ref.path)
        )
        self.samples = tuple(conversion.samples_of(self.file, sample)[:1])
        self.known = bool(self.samples[0].files)
        self.identified, self.columns, self.kept = True, (), {}

    def read(self, then: Callable[[Rows], Result], threads: int = 1) -> Iterator[Result]:
        """What becomes of every picture, in order; one thread reads."""
        del threads
        start, simulated = 0, self.samples[0].role != "data"
        for images in together(self._pictures, self._view):
            rows = np.arange(len(images))
            pixels = {VIEW: images * np.float32(1 / 255)}
            ids = picture_ids(self._pictures, start, images)
            inputs = Inputs(simulated, rows, np.empty((len(rows), 0), np.float32), pixels, {})
            yield then(Rows(start, ids, (inputs,), {}))
            start += len(images)


def _stamp(path: str) -> tuple[int, ...] | None:
    """What tells whether a file, or one in a folder, has changed since."""
    if not Path(path).is_dir():
        return file_stamp(path)
    status = [file.stat() for file in Path(path).rglob("*") if file.is_file()]
    return sum(one.st_size for one in status), max((one.st_mtime_ns for one in status), default=0)
