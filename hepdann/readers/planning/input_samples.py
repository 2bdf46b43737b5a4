"""Who takes part: the samples and their files as the pre-scan saw them, and what must agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from ...config import ConversionConfig, SampleConfig
from ...errors import ConfigError, ReadError
from ..files import FileRef, resolve
from ..prescan import Branch, FileScan, scan, suggest
from ..root.baskets import Locations
from ..root.opening import open_root, reading
from .columns import present_everywhere


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


@dataclass(frozen=True)
class Input:
    """One sample of the configuration with its files.

    Attributes:
        config: what the user wrote.
        files: its files, in order; all have one tree name unless ``path:tree`` said otherwise.
        domain: ``"mc"`` (simulation and templates) or ``"data"``.
        detector: whether its events come from the detector: data, and templates made of it.
        where: what to name in an error.
    """

    config: SampleConfig
    files: tuple[FileScan, ...]
    domain: str
    detector: bool
    where: str

    @property
    def cut(self) -> str | None:
        """The sample's own cut; ``convert.cut`` is filled in by :func:`gather`."""
        return self.config.cut

    @property
    def entries(self) -> int:
        """Entries of all files, before the cut."""
        return sum(file.entries for file in self.files)


def gather(
    mc: Sequence[str],
    data: Sequence[str],
    config: ConversionConfig,
    *,
    data_only: bool = False,
    skips: Skips | None = None,
    locations: Locations | None = None,
) -> list[Input]:
    """Resolve and scan the files of every sample, MC first.

    Args:
        mc: files of the command line; with them, the samples of ``config`` are not used.
        data: likewise.
        config: the configuration.
        data_only: whether there need be no MC.
        skips: what to do with a bad file; by default it is an error.
        locations: looks up where the baskets are.

    Raises:
        ConfigError: no MC, or samples that contradict each other.
        ReadError: a file cannot be read, or none of a sample.
    """
    skips = skips or Skips()
    samples = wanted_samples(mc, data, config)
    if not data_only and not any(sample.role == "mc" for sample in samples):
        raise ConfigError(
            "no MC is given", mend="write `hepdann convert MC [DATA]`, or samples with --config"
        )
    refs = [
        resolve(sample.files, where=f"sample '{sample.name}'", missing=skips.allowed)
        for sample in samples
    ]
    detector = _from_detector(samples, refs)
    inputs: list[Input] = []
    prefer: str | None = None
    for sample, files, real in zip(samples, refs, detector, strict=True):
        domain = "data" if sample.role == "data" else "mc"
        tree = sample.tree or config.convert.tree
        scans: list[FileScan] = []
        for ref in files:
            with skips.scanning(domain, sample.name, ref.path):
                scans += scan([ref], tree, prefer=prefer, locations=locations)
                tree = tree if ref.tree else scans[-1].tree
        if not scans:
            skips.refuse(domain, sample.name)
        prefer = prefer or scans[0].tree
        cut = sample.cut if sample.cut is not None else config.convert.cut
        chosen = sample.model_copy(update={"cut": cut})
        inputs.append(Input(chosen, tuple(scans), domain, real, f"sample '{sample.name}'"))
    _check_names(inputs)
    _check_overlap(inputs)
    return inputs


def wanted_samples(
    mc: Sequence[str], data: Sequence[str], config: ConversionConfig
) -> list[SampleConfig]:
    """The samples of a conversion, MC first: of the command line, or else of ``config``.

    Raises:
        ConfigError: a name that no file can have.
    """
    for name in (*mc, *data):
        check_name(name)
    if not mc and not data:
        return sorted(config.samples, key=lambda sample: sample.role == "data")
    samples = [SampleConfig(name="mc", files=list(mc), role="mc")] if mc else []
    return samples + ([SampleConfig(name="data", files=list(data), role="data")] if data else [])


def check_name(name: str) -> None:
    """Whether a name of the command line can be that of a file.

    Raises:
        ConfigError: it is empty, or not UTF-8.
    """
    if not name.strip():
        raise ConfigError("a file name is empty", mend="name at least one ROOT file")
    try:
        name.encode()
    except UnicodeEncodeError as error:  # bytes that the system's encoding does not know
        printable = ascii(name)
        raise ConfigError(
            "the name is not UTF-8", where=printable, mend="rename the file"
        ) from error


def _from_detector(
    samples: Sequence[SampleConfig], refs: Sequence[Sequence[FileRef]]
) -> list[bool]:
    """A template is made of detector events unless its files are those of an MC sample."""
    simulated = {
        ref.identity
        for sample, files in zip(samples, refs, strict=True)
        if sample.role == "mc"
        for ref in files
    }
    result = []
    for sample, files in zip(samples, refs, strict=True):
        shared = {ref.identity in simulated for ref in files}
        if sample.role == "template" and len(shared) == 2:
            raise ConfigError(
                "a template is made either of detector data or of MC, and this has files of both",
                where=f"sample '{sample.name}'",
                mend="write two samples of the same name",
            )
        result.append(sample.role == "data" or (sample.role == "template" and shared == {False}))
    return result


def _check_names(inputs: Sequence[Input]) -> None:
    first: dict[str, Input] = {}
    for entry in inputs:
        other = first.setdefault(entry.config.name, entry)
        if other.domain != entry.domain:
            raise ConfigError("is both MC and data", where=entry.where, mend="use two names")
        if other.config.class_ != entry.config.class_:
            raise ConfigError(
                f"is of class '{other.config.class_}' and of class '{entry.config.class_}'",
                where=entry.where,
                mend="a process has one class; use two names",
            )


def _check_overlap(inputs: Sequence[Input]) -> None:
    """A file may serve several samples, under different cuts."""
    first_of: dict[tuple[str, str, str | None, str], Input] = {}
    for entry in inputs:
        for file in entry.files:
            identity = FileRef(file.path).identity
            other = first_of.setdefault((identity, file.tree, entry.cut, entry.domain), entry)
            if other is not entry:
                raise ConfigError(
                    f"'{other.config.name}' and '{entry.config.name}' take the same events of "
                    "this file",
                    where=f"{file.path}:{file.tree}",
                    mend="give the samples different cuts, or remove the file from one",
                )


def common(inputs: Sequence[Input]) -> dict[str, Branch]:
    """The branches of every file of all these samples."""
    return present_everywhere([file for entry in inputs for file in entry.files])


def check_types(
    inputs: Sequence[Input], branches: Sequence[Sequence[str]], skips: Skips | None = None
) -> None:
    """The branches that are read must exist everywhere, with one type in all files of a sample.

    Samples may differ in precision (float and double), not in kind or shape.

    Args:
        inputs: the samples.
        branches: for each sample, the branches that are read from it.
        skips: what to do with a file that does not fit the first of its sample.

    Raises:
        ReadError: a branch is missing in a file, or of another type there.
    """
    skips = skips or Skips()
    kinds: dict[str, tuple[Branch, FileScan]] = {}
    for entry, names in zip(inputs, branches, strict=True):
        reference = entry.files[0]
        for file in entry.files[1:]:
            with skips.using(entry, file):
                for name in names:
                    _same_type(file, name, reference.branches[name], reference)
        for name in names:
            expected = reference.branches[name]
            other, origin = kinds.setdefault(name, (expected, reference))
            if _kind(other) != _kind(expected):
                raise ReadError(
                    f"branch '{name}' is {expected.typename} here and {other.typename} in "
                    f"{origin.path}",
                    where=f"{reference.path}:{reference.tree}",
                    mend="convert the files to one type, or leave the branch out",
                )


def _kind(branch: Branch) -> tuple[bool, bool, tuple[int, ...]]:
    dtype = branch.dtype if branch.element is None else branch.element
    return dtype is not None and dtype.kind == "f", branch.element is not None, branch.shape


def _same_type(file: FileScan, name: str, expected: Branch, reference: FileScan) -> None:
    where = f"{file.path}:{file.tree}"
    branch = file.branches.get(name)
    if branch is None:
        raise ReadError(
            f"branch '{name}' is missing here, {reference.path} has it",
            where=where,
            mend="remove the file, or choose branches that every file has (--features)",
        )
    if branch.dtype is None and expected.dtype is not None:
        raise ReadError(
            f"branch '{name}' ({branch.typename}) cannot be used: {branch.reason}", where=where
        )
    if any(getattr(branch, k) != getattr(expected, k) for k in ("dtype", "shape", "element")):
        raise ReadError(
            f"branch '{name}' is {branch.typename} here "
            f"and {expected.typename} in {reference.path}",
            where=where,
            mend="convert the files to one type, or leave the branch out",
        )


def divide_by_counters(
    inputs: Sequence[Input], *, skip_bad: bool = False
) -> tuple[list[Input], list[str]]:
    """Divide the scale of each sample with ``sumw`` by the sum over all files of its process.

    Args:
        inputs: the samples; those of one name are one process, whose files count once.
        skip_bad: whether a file may be left out later, which the sum would still hold.

    Returns:
        The samples with their scales, and a note for each sum.

    Raises:
        ConfigError: the sum is not positive, or files may be left out.
        ReadError: a file without that tree or branch.
    """
    divided, notes = [], []
    for entry in inputs:
        counter, name = entry.config.sumw, entry.config.name
        if counter is None:
            divided.append(entry)
            continue
        where = f"{entry.where}: sumw"
        if skip_bad:
            mend = "name the good files without --skip-bad"
            raise ConfigError(
                "counts every file, so that none can be left out", where=where, mend=mend
            )
        paths = {
            FileRef(file.path).identity: file.path
            for other in inputs
            if other.config.name == name
            for file in other.files
        }
        total = math.fsum(
            value
            for path in paths.values()
            for value in _entries(path, counter.tree, counter.branch)
        )
        if not total > 0 or not math.isfinite(total):
            raise ConfigError(f"{counter.tree}/{counter.branch} adds up to {total:g}", where=where)
        scale = entry.config.scale / total
        notes.append(
            f"{name}: scale {scale:.6g} is {entry.config.scale:.6g} over {total:.6g}, the sum of "
            f"{counter.tree}/{counter.branch} in {len(paths)} file{'s' * (len(paths) > 1)}"
        )
        config: SampleConfig = entry.config.model_copy(update={"scale": scale, "sumw": None})
        divided.append(replace(entry, config=config))
    return divided, list(dict.fromkeys(notes))


def _entries(path: str, tree: str, branch: str) -> list[float]:
    with open_root(path) as directory, reading(f"{path}:{tree}", "the counter cannot be read"):
        trees = list(directory.keys(recursive=True, cycle=False))
        if tree not in trees:
            raise ReadError(
                f"no tree '{tree}', of sumw",
                where=path,
                mend=suggest(tree, trees, what="trees"),
            )
        if branch not in directory[tree]:
            known = list(directory[tree].keys())
            mend = suggest(branch, known, what="branches")
            raise ReadError(f"no branch '{branch}', of sumw", where=f"{path}:{tree}", mend=mend)
        values = np.asarray(directory[tree][branch].array(), np.float64)
    return list(values.ravel().tolist())
