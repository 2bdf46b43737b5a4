"""Scores of any file: row by row beside an input, in files of their own."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import xxhash

from .._version import __version__
from ..errors import ConfigError, RunError
from ..outputs import LONGEST_NAME, name_fault, replacing, writing
from ..parallel import Executor, Link, refuse_in_worker
from ..readers import FileRef, resolve
from ..readers.pictures.convert import picture_refs
from ..readers.pipeline.job_stream import default_threads
from ..readers.row_reader import PictureRows, RowReader
from .row_files import (
    IDENTITY,
    KINDS,
    LISTS,
    SUFFIXES,
    Format,
    copy_with_branches,
    read_seal,
    written_ids,
)
from .row_scores import RowScorer

_VERSION = 3  # of what outputs hold: files of another one are made anew
_UNUSUAL = re.compile(r"[^\w.+-]+")
_UNNAMED = "events"  # tree of the rows of a file without trees


@dataclass(frozen=True)
class PredictedFile:
    """One input and its output.

    Attributes:
        sample: the sample that its events are of; of several, all names with commas.
        trained: how many of these the run was trained on; ``None`` where that cannot be known.
        outside: selected events with a value of a feature beyond those of training, by feature.
    """

    path: str
    tree: str
    sample: str
    known: bool
    output: Path
    rows: int
    selected: int
    trained: int | None
    outside: dict[str, int]
    before: bool = False


@dataclass(frozen=True)
class Prediction:
    """What :func:`predict` did."""

    method: str
    files: tuple[PredictedFile, ...]

    @property
    def outputs(self) -> list[Path]:
        """The files that were written, in the order of the inputs."""
        return [file.output for file in self.files]


@dataclass(frozen=True)
class _Job:
    """How every file is scored; the same in each process."""

    folder: Path
    method: str | None
    sample: str | None
    columns: tuple[str, ...]
    keep: tuple[str, ...]
    kind: Format
    copies: bool
    block: int
    device: str
    threads: int


def predict(
    run: Any,
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    output: str | Path,
    format: Format | None = None,  # noqa: A002 (the option's name)
    method: str | None = None,
    columns: Sequence[str] = (),
    keep: Sequence[str] = (),
    into_copy: bool = False,
    sample: str | None = None,
    tree: str | None = None,
    block: int = 50_000,
    workers: int = 1,
    part: tuple[int, int] = (1, 1),
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Score the events of files, row by row.

    Files are read as those of the run were. Each gives one output with its rows in their order,
    whole or not at all; it is left alone where it was made of the same model, options and input.

    Args:
        run: a run, or its folder.
        files: paths, globs, ``path:tree``, ``root://`` addresses or ``.txt`` lists of files.
        output: a folder, or with a single input a file of the right ending.
        format: "tree", "rntuple", "parquet" or "hdf5"; default by the ending of ``output``, and
            "tree" of a folder.
        method: that scores; default the recommended one.
        columns: of the output, beside the event id; default all. Without ``domain_score`` no domain
            head is computed.
        keep: branches of the input to pass through.
        into_copy: write copies of the inputs with the new branches in their trees.
        sample: of the run, which files are like that it was not made of; default the data.
        tree: its name, where it is another one than that of the run.
        block: entries read at a time.
        workers: files at a time, each in a process.
        part: (k, n) of n jobs the k-th, counted from 1: every n-th file.
        device: "auto", "cpu", "cuda" or "mps".
        progress: called with the entries done and the entries of the files begun.

    Returns:
        What was read, selected and written.

    Raises:
        RunError: no run, or not how its files were converted; or a file cannot be written.
        ReadError: an input cannot be read, or lacks a tree or branch.
        ConfigError: settings that do not fit.
    """
    if into_copy and format is not None:
        raise ConfigError(
            "a copy has the format of its input",
            where="--into-copy",
            mend=f"leave --format {format} out",
        )
    kind = format or "tree"
    if format is None and not into_copy and not Path(output).is_dir():
        endings: dict[str, Format] = {".parquet": "parquet", ".h5": "hdf5"}
        kind = endings.get(Path(output).suffix, "tree")
    folder, threads = Path(getattr(run, "folder", run)), default_threads() if workers == 1 else 1
    named = tuple(sorted(set(columns))), tuple(dict.fromkeys(keep))
    job = _Job(folder, method, sample, *named, kind, into_copy, block, device, threads)
    if workers > 1:
        refuse_in_worker()
    _scorer.cache_clear()  # the run may be another one than at the last call
    scorer = _scorer(job)  # what is wrong with the run is said once
    work = _work(files, Path(output), job, tree, part, scorer.conversion.pictures is not None)
    if not work:
        return Prediction(scorer.method, ())
    for folder in {path.parent for _, path in work}:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    processes = min(workers, len(work))
    report = _Sum(progress)
    mend = "call again, with fewer --workers if memory ran out: outputs that are there are whole"
    with Executor(processes if processes > 1 else 0, report, resume_hint=mend) as executor:
        done = executor.run({n: _FileTask(job, *one) for n, one in enumerate(work)})
    return Prediction(scorer.method, tuple(done[n] for n in range(len(work))))


def _work(
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    output: Path,
    job: _Job,
    tree: str | None,
    part: tuple[int, int],
    pictures: bool,
) -> list[tuple[FileRef, Path]]:
    """The files of a part of the work, each with its output."""
    given = [files] if isinstance(files, str | PathLike) else list(files)
    names = [fspath(name) for name in given]
    refs = (
        tuple(ref for name in names for ref in picture_refs(name, "files"))
        if pictures
        else resolve(names)
    )
    outputs = output_files(refs, output, job.kind, copies=job.copies)
    refs = tuple(ref if tree is None else replace(ref, tree=ref.tree or tree) for ref in refs)
    number, parts = part
    if not 1 <= number <= parts:
        raise ConfigError(f"there is no part {number} of {parts}", where="--part")
    return list(zip(refs, outputs, strict=True))[number - 1 :: parts]


class _Sum:
    """Entries done and entries of the files begun, of all files together."""

    def __init__(self, tell: Callable[[int, int], None] | None) -> None:
        self._tell = tell
        self._by_file: dict[int, tuple[int, int]] = {}

    def __call__(self, place: int, now: tuple[int, int]) -> None:
        self._by_file[place] = now
        if self._tell is not None:
            done, total = map(sum, zip(*self._by_file.values(), strict=True))
            self._tell(done, total)


@lru_cache(1)
def _scorer(job: _Job) -> RowScorer:
    """That of a process, which scores many files."""
    return RowScorer(job.folder, job.method, job.device, job.columns)


@dataclass(frozen=True)
class _FileTask:
    """Reads, scores and writes one file, unless its output is there."""

    job: _Job
    ref: FileRef
    output: Path

    def __call__(self, link: Link) -> PredictedFile:
        """Do it; entries done and to do are reported."""
        job, output, scorer = self.job, self.output, _scorer(self.job)
        pictures = scorer.conversion.pictures is not None
        read = PictureRows if pictures else partial(RowReader, block=job.block)
        reader = read(self.ref, scorer.conversion, sample=job.sample, keep=job.keep)
        scorer.check(reader)
        made_of = _made_of(job, scorer, reader)
        seal = _existing(job.kind, output)
        before = seal is not None and seal.get("made_of") == made_of
        entries = reader.file.entries
        if before:
            assert seal is not None
            counts = seal["counts"]
            link.report((entries, entries))
        else:
            link.report((0, entries))
            with writing(output), replacing(output) as temporary:
                counts = _write(job, scorer, reader, temporary, made_of, link)
        names = dict.fromkeys(sample.name for sample in reader.samples)
        return PredictedFile(
            path=reader.file.path, tree=reader.file.tree, sample=", ".join(names),
            known=reader.known, output=output, rows=entries, before=before, **counts,
        )  # fmt: skip


def _write(
    job: _Job,
    scorer: RowScorer,
    reader: RowReader,
    path: Path,
    made_of: Mapping[str, Any],
    link: Link,
) -> dict[str, Any]:
    """Write the output of a file, compare it with the input, and count."""
    file, digest = reader.file, xxhash.xxh64()
    tree = _UNNAMED if file.kind == "HDF5" else file.tree
    done = selected = trained = 0
    outside = np.zeros(len(scorer.features), np.int64)
    types = scorer.types(reader)
    begun = (
        copy_with_branches(path, file, {n: kind for n, kind in types.items() if kind != LISTS})
        if job.copies
        else KINDS[job.kind](path, tree, types, file.entries)
    )
    score = partial(scorer.score, identified=reader.identified)
    scores = (
        reader.read(score, job.threads)
        if scorer.in_threads
        else map(score, reader.read(lambda rows: rows, job.threads))
    )
    with begun as output:
        for scored in scores:
            output.append(scored.columns)
            digest.update(scored.columns[IDENTITY].data)
            selected, trained = selected + scored.selected, trained + scored.trained
            outside += scored.outside
            done += len(scored.columns[IDENTITY])
            link.report((done, file.entries))
        beyond = zip(scorer.features, outside.tolist(), strict=True)
        counts = {
            "selected": selected,
            "trained": trained if reader.identified else None,
            "outside": {name: count for name, count in beyond if count},
        }
        output.finish({"hepdann": __version__, "made_of": made_of, "counts": counts})
    again = xxhash.xxh64()
    for ids in written_ids(job.kind, path, tree, file.entries):
        again.update(np.ascontiguousarray(ids).data)
    if again.digest() != digest.digest():
        raise RunError("does not hold the rows in their order", where=path, mend="try again")
    return counts


def _made_of(job: _Job, scorer: RowScorer, reader: RowReader) -> dict[str, Any]:
    """Everything that the content of an output follows from."""
    file = reader.file
    return {
        "version": _VERSION,
        **scorer.identity,
        "columns": list(job.columns),
        "keep": list(job.keep),
        "copy": job.copies,
        "samples": [sample.name for sample in reader.samples],
        "input": {
            "tree": file.tree,
            "entries": file.entries,
            "uuid": file.uuid,
            "size_and_time": list(file.stamp[:2]) if file.stamp is not None else None,
        },
    }


def _existing(kind: Format, output: Path) -> dict[str, Any] | None:
    """The seal of an output that is there; ``None`` if none is."""
    if not output.exists():
        return None
    seal = read_seal(kind, output)
    if seal is None:
        raise ConfigError(
            "exists, and is not what hepdann predict writes",
            where=output,
            mend="remove it, or choose another -o",
        )
    return seal


def output_files(
    refs: Sequence[FileRef], output: Path, kind: Format, *, copies: bool
) -> list[Path]:
    """The output of each input, the same whichever of them are processed.

    Raises:
        ConfigError: an output would be an input, or a file of another format or of several inputs.
    """
    suffix = SUFFIXES["tree" if copies else kind]
    if output.suffix in SUFFIXES.values() and not output.is_dir():
        if len(refs) > 1:
            raise ConfigError(
                f"is the name of a file, and there are {len(refs)} inputs",
                where=output,
                mend="give a folder",
            )
        if output.suffix != suffix:
            what = f"is the name of a file of another format: this one ends in {suffix}"
            raise ConfigError(what, where=output, mend=f"write -o {output.with_suffix(suffix)}")
        paths = [output]
    else:
        ending = suffix if copies else f".scores{suffix}"
        paths = [output / f"{stem}{ending}" for stem in _stems(refs)]
    inputs = {ref.identity: ref for ref in refs}
    for path in paths:
        if str(path.resolve()) in inputs:
            raise ConfigError(
                "is an input, which is never written to", where=path, mend="choose another -o"
            )
    return paths


def _stems(refs: Sequence[FileRef]) -> list[str]:
    """The names of the files; of those alike with their folders, tree and a number of their own."""
    parts = [_parts(ref) for ref in refs]
    stems = [_safe(names[-1]) for names in parts]
    deepest = max(len(names) for names in parts)
    for depth in range(2, deepest + 1):
        count = Counter(map(str.casefold, stems))
        stems = [
            _safe("_".join(names[-depth:])) if count[stem.casefold()] > 1 else stem
            for stem, names in zip(stems, parts, strict=True)
        ]
    count = Counter(map(str.casefold, stems))
    digests = [hashlib.sha256(f"{r.identity}:{r.tree}".encode()).hexdigest()[:8] for r in refs]
    return [
        f"{stem}-{digest}" if count[stem.casefold()] > 1 else stem
        for stem, digest in zip(stems, digests, strict=True)
    ]


def _parts(ref: FileRef) -> tuple[str, ...]:
    """Folders and name of an input; the tree is the last folder where it was named."""
    path = PurePosixPath(ref.identity.partition("://")[2] if ref.remote else ref.identity)
    name = path.stem if path.suffix in (".root", ".h5", ".hdf5", ".npz", ".mat") else path.name
    return (*path.parts[1:-1], *(() if ref.tree is None else (ref.tree,)), name)


def _safe(name: str) -> str:
    """A name that is the name of a file everywhere."""
    short = _UNUSUAL.sub("_", name).lstrip("._")[-(LONGEST_NAME - 40) :].lstrip("._")
    return short if name_fault(short) is None else "file"
