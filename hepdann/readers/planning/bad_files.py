"""Bad files: the first one stops the conversion, or each is left out and listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ReadError

if TYPE_CHECKING:
    from ..prescan import FileScan
    from .input_samples import Input


@dataclass(frozen=True)
class SkippedFile:
    """A file of which no event was taken, and why."""

    domain: str
    sample: str
    path: str
    reason: str


class Skips:
    """Decides what a :class:`ReadError` of one file means, and remembers.

    Args:
        allowed: whether the user wants the conversion to go on without the file.
    """

    def __init__(self, *, allowed: bool = False) -> None:
        self.allowed = allowed
        self._errors: list[tuple[SkippedFile, ReadError]] = []
        self._scans: dict[int, FileScan] = {}  # by identity: two samples may read one file

    @property
    def files(self) -> tuple[SkippedFile, ...]:
        """The files left out so far, in the order in which they turned out bad."""
        return tuple(skipped for skipped, _ in self._errors)

    @contextmanager
    def scanning(self, domain: str, sample: str, path: str) -> Iterator[None]:
        """A file that is bad inside this context never becomes one of its sample."""
        try:
            yield
        except ReadError as error:
            if not self.allowed:
                raise
            skipped = SkippedFile(domain, sample, path, _reason(error, path))
            self._errors.append((skipped, error))

    @contextmanager
    def using(self, entry: Input, file: FileScan) -> Iterator[None]:
        """A file that turns bad inside this context is no longer in :meth:`left`."""
        count = len(self._errors)
        with self.scanning(entry.domain, entry.config.name, file.path):
            yield
        if len(self._errors) > count:
            self._scans[id(file)] = file

    def left(self, entry: Input) -> Iterator[FileScan]:
        """The files of a sample that are still thought to be good."""
        return (file for file in entry.files if id(file) not in self._scans)

    def require(self, entry: Input) -> None:
        """A sample of which nothing is left is no sample.

        Raises:
            ReadError: every file of the sample is bad.
        """
        if not any(self.left(entry)):
            self.refuse(entry.domain, entry.config.name)

    def refuse(self, domain: str, sample: str) -> None:
        """Raise the error of the first bad file of a sample, because none is good.

        Raises:
            ReadError: always.
        """
        errors: Sequence[ReadError] = [
            error
            for skipped, error in self._errors
            if (skipped.domain, skipped.sample) == (domain, sample)
        ]
        raise ReadError(
            f"no file of sample '{sample}' can be used; the first: {errors[0].message}",
            where=errors[0].where,
            mend=errors[0].mend,
        )


def _reason(error: ReadError, path: str) -> str:
    """The message, with the place inside the file before it."""
    where = error.where or ""
    place = where.removeprefix(path).lstrip(":") if where.startswith(path) else where
    return f"{place}: {error.message}" if place else error.message
