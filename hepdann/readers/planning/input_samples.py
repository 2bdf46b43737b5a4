"""Who takes part: the samples, their files as the pre-scan saw them, and what must agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...config import ConversionConfig, SampleConfig
from ...errors import ConfigError, ReadError
from ..files import FileRef, resolve
from ..prescan import Branch, FileScan, scan
from ..root.baskets import Locations
from .bad_files import Skips
from .branch_roles import present_everywhere


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
