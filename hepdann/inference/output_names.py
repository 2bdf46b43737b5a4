"""What the outputs of a prediction are called: no two alike, none an input."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..errors import ConfigError
from ..outputs import LONGEST_NAME, name_fault
from ..readers import FileRef
from .row_files import SUFFIXES, Format

_UNUSUAL = re.compile(r"[^\w.+-]+")
_COPY = ".root"


def output_files(
    refs: Sequence[FileRef], output: Path, kind: Format, *, copies: bool
) -> list[Path]:
    """The output of each input, the same whichever of them are processed.

    Args:
        refs: the inputs.
        output: a folder, or a file if there is one input and the name ends like one.
        kind: of the outputs.
        copies: whether they are copies of the inputs.

    Raises:
        ConfigError: an output would be an input.
    """
    suffix = _COPY if copies else SUFFIXES[kind]
    if len(refs) == 1 and output.suffix == suffix and not output.is_dir():
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
