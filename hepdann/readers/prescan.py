"""The pre-scan: which tree, which branches of which type, how many entries; no event is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ReadError
from ..inputs import file_stamp
from ..registry import nearest_name
from .files import FileRef, resolve
from .root.baskets import Baskets, Locations
from .root.opening import open_root, reading
from .root.pages import check_envelopes

_CPP_TYPES = {
    "bool": "bool",
    "char": "uint8",
    "float": "float32",
    "double": "float64",
    **{f"{sign}int{bits}_t": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_MOST_ENTRIES = 1 << 48
_SHRINKS = 1 << 16  # no codec makes more bytes of one
_ARRAY = re.compile(r"std::array<(.+),\s*(\d+)>")
_LIST = re.compile(r"(?:std::vector|ROOT::VecOps::RVec)<(.+)>")
_VARIES = "its length varies"


@dataclass(frozen=True)
class Branch:
    """One branch of a TTree or field of an RNTuple.

    Attributes:
        name: as in the file; sub-branches are ``parent/child``.
        typename: C++ type.
        dtype: numpy type of one number; ``None`` if the branch cannot become a column.
        shape: ``()`` for a scalar, ``(3,)`` for ``x[3]``.
        reason: why it cannot become a column; empty if it can.
        element: numpy type of the numbers of a list whose length varies from event to event, of
            which one element can become a column; ``None`` for everything else.
        length: mean number of elements of such a list, rounded up.
        counter: the branch that holds the number of elements, if there is one.
    """

    name: str
    typename: str
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...] = ()
    reason: str = ""
    element: np.dtype[Any] | None = None
    length: int = 1
    counter: str = ""

    @property
    def scalar(self) -> bool:
        """Whether it is one number an event."""
        return self.dtype is not None and self.shape == ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns: the branch's own, or ``x_0, x_1, …`` (``x_0_0`` in a matrix)."""
        if self.dtype is None:
            return ()
        if not self.shape:
            return (self.name,)
        return tuple("_".join([self.name, *map(str, i)]) for i in np.ndindex(*self.shape))

    def no_values(self) -> Any:
        """What is read of the branch in no event: an array of NumPy, or of awkward for a list."""
        if self.element is None:
            return np.empty((0, *self.shape), self.dtype)
        import awkward

        return awkward.from_regular(np.empty((0, 0), self.element))


def number_branch(name: str, typename: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Branch:
    """A branch of so many numbers an event, or why it is none."""
    if dtype.kind not in "biuf":
        return Branch(name, typename, None, (), "not a number")
    if 0 in shape:
        return Branch(name, typename, None, (), "an array of length 0")
    return Branch(name, typename, dtype.newbyteorder("="), shape)


@dataclass(frozen=True)
class FileScan:
    """What the pre-scan found in one file.

    Attributes:
        path: the file.
        tree: the tree that was chosen.
        kind: "TTree" or "RNTuple"; "HDF5" for a whole file of datasets; a table of another format,
            as :data:`.formats.READERS` calls it.
        entries: number of its entries.
        branches: by name, in the order of the file.
        trees: entries of every tree in the file, by name.
        stamp: what tells whether the file has changed since; ``None`` for a remote one.
        uuid: what ROOT called the file when it was made; empty if it is none of ROOT.
        baskets: of the branches that can be decoded here; ``None`` if they were not looked up.
    """

    path: str
    tree: str
    kind: str
    entries: int
    branches: Mapping[str, Branch]
    trees: Mapping[str, int]
    stamp: tuple[int, ...] | None = None
    uuid: str = ""
    baskets: Mapping[str, Baskets] | None = field(default=None, repr=False, compare=False)

    def check_unchanged(self) -> None:
        """Whether the file is still the one that was scanned.

        Raises:
            ReadError: it was replaced, is still being written, or is gone.
        """
        if self.stamp is not None and file_stamp(self.path) != self.stamp:
            raise ReadError(
                "changed while it was converted",
                where=self.path,
                mend="wait until it is complete, then convert again",
            )


def suggest(name: str, known: Collection[str], *, what: str) -> str:
    """The mend of a misspelt name: the nearest_name known one, or the first few of them."""
    near = nearest_name(name, known)
    if near:
        return f"did you mean '{near}'?"
    first_few = list(known)[:8]
    rest = f" and {len(known) - len(first_few)} more" if len(known) > len(first_few) else ""
    return f"{what}: {', '.join(first_few)}{rest}" if first_few else f"there are no {what}"


def scan(
    files: str | Sequence[str | FileRef],
    tree: str | None = None,
    *,
    prefer: str | None = None,
    locations: Locations | None = None,
) -> list[FileScan]:
    """Look at files that belong together.

    Args:
        files: what :func:`.resolve` takes, or its result.
        tree: the tree to read; ``path:tree`` goes before it. By default the only tree of the first
            file, or the one with the most entries; every file must then have it.
        prefer: taken before the largest, if the first file has it.
        locations: looks up where the baskets are.

    Returns:
        One scan a file, in order.

    Raises:
        ReadError: a file cannot be read, or has no such tree.
    """
    refs: list[FileRef] = []
    for entry in [files] if isinstance(files, str) else files:
        refs.extend(resolve(entry) if isinstance(entry, str) else [entry])
    scans: list[FileScan] = []
    for ref in refs:
        scanned = _scan_file(ref.path, ref.tree or tree, prefer, locations)
        scans.append(scanned)
        if ref.tree is None:
            tree = scanned.tree
    return scans


def _scan_file(
    path: str, tree: str | None, prefer: str | None, locations: Locations | None
) -> FileScan:
    from .formats import scan_format

    scanned = scan_format(path, tree, prefer)
    if scanned is not None:
        return scanned
    stamp = file_stamp(path)
    with open_root(path) as directory, reading(path, "cannot be read"):
        uuid = str(directory.file.uuid)
        classes = directory.classnames(recursive=True, cycle=False)
        kinds: dict[str, str] = {}
        for name, classname in classes.items():
            if classname in ("TTree", "TNtuple", "TNtupleD", "TChain"):
                kinds[name] = "TTree"
            elif classname in ("ROOT::RNTuple", "ROOT::Experimental::RNTuple"):
                kinds[name] = "RNTuple"
        if not kinds:
            held = ", ".join(f"{name} ({cls})" for name, cls in list(classes.items())[:5])
            raise ReadError(
                "holds no tree", where=path, mend=f"it holds {held}" if held else "it is empty"
            )
        trees: dict[str, Any] = {}  # uproot takes a second for a tree of 1,500 branches
        entries: dict[str, int] = {}
        for name in kinds:
            with reading(f"{path}:{name}", "the tree cannot be read"):
                trees[name] = directory[name]
                if kinds[name] == "RNTuple":
                    check_envelopes(trees[name])
                entries[name] = int(trees[name].num_entries)
        chosen = choose_tree(path, entries, tree, prefer)
        kind, opened = kinds[chosen], trees[chosen]
        with reading(f"{path}:{chosen}", "the branches cannot be listed"):
            _check_entries(path, chosen, opened)
            listed = _ttree(opened) if kind == "TTree" else _rntuple(opened)
        baskets = None
        if locations is not None and kind == "TTree":
            baskets = locations.of(opened, [b.name for b in listed if b.dtype is not None])
    branches = {branch.name: branch for branch in listed}
    return FileScan(path, chosen, kind, entries[chosen], branches, entries, stamp, uuid, baskets)


def choose_tree(path: str, entries: dict[str, int], tree: str | None, prefer: str | None) -> str:
    """The tree that is named, the preferred one if it is there, or the largest.

    Args:
        path: the file, for errors.
        entries: of each of its trees.
        tree: as :func:`scan` has it.
        prefer: likewise.

    Raises:
        ReadError: no such tree.
    """
    if tree is not None:
        name = tree.split(";", 1)[0].strip("/")
        if name not in entries:
            raise ReadError(
                f"no tree '{tree}'", where=path, mend=suggest(name, entries, what="trees")
            )
        return name
    if prefer in entries:
        return str(prefer)
    return max(entries, key=lambda name: entries[name])


def _check_entries(path: str, name: str, tree: Any) -> None:
    """A damaged number of entries would make room for more rows than there are disks for."""
    count = int(tree.num_entries)
    branches = getattr(tree, "branches", [])
    leaves = [branch for branch in branches if not len(branch.branches)]
    held = {int(branch.num_entries) for branch in leaves}
    size = tree.file.source.num_bytes
    size_note = f", its branches hold {max(held)}" if held else ""
    possible = 0 <= count <= _MOST_ENTRIES and (not held or count in held)
    if possible and count > size:  # very small entries, or a lie
        size_note = f", the file has {size} bytes"
        possible = count <= _SHRINKS * size and not any(map(_overfull, leaves))
    if not possible:
        raise ReadError(
            f"the tree is damaged: it claims {count} entries{size_note}",
            where=f"{path}:{name}",
            mend="copy or download the file again",
        )


def _overfull(branch: Any) -> bool:
    """Whether a branch claims more entries than its baskets can hold; of one byte each."""
    most = _SHRINKS * int(np.sum(branch.member("fBasketBytes"), dtype=np.int64))
    return not len(branch.embedded_baskets) and branch.num_entries > most


def _ttree(tree: Any) -> list[Branch]:
    branches = []
    for name, branch in tree.items(recursive=True, full_paths=True):
        if len(branch.branches):
            continue  # a parent: its sub-branches hold the numbers
        with reading(f"{tree.name}/{name}", "its type cannot be read"):
            branches.append(_ttree_branch(name, branch))
    return branches


def _ttree_branch(name: str, branch: Any) -> Branch:
    import uproot

    typename = str(branch.typename)
    if branch.num_entries != branch.tree.num_entries:
        reason = f"it has {branch.num_entries} entries, the tree {branch.tree.num_entries}"
        return Branch(name, typename, None, (), reason)
    interpretation = branch.interpretation
    if isinstance(interpretation, uproot.AsDouble32 | uproot.AsFloat16):
        to_dims = tuple(interpretation.to_dims)
        dtype = np.dtype(interpretation.to_dtype.base)
        return Branch(name, typename, dtype, to_dims)
    if not isinstance(interpretation, uproot.AsDtype):
        if not isinstance(interpretation, uproot.AsJagged):
            return Branch(name, typename, None, (), "not a number")
        content = interpretation.content
        element = np.dtype(content.to_dtype) if isinstance(content, uproot.AsDtype) else None
        numbers = branch.uncompressed_bytes // (element.itemsize if element is not None else 1)
        counter = "" if branch.count_branch is None else str(branch.count_branch.name)
        length = 1 + numbers // max(branch.num_entries, 1)
        return _list_branch(name, typename, element, length, counter)
    full = np.dtype(interpretation.to_dtype)
    base, shape = full.subdtype or (full, ())
    if base.names:
        return Branch(name, typename, None, (), "several leaves")
    return number_branch(name, typename, base, tuple(shape))


def _list_branch(
    name: str, typename: str, element: np.dtype[Any] | None, length: int, counter: str = ""
) -> Branch:
    if element is None or element.kind not in "biuf":  # records, or arrays as elements
        return Branch(name, typename, None, (), _VARIES, counter=counter)
    kind = element.newbyteorder("=")
    return Branch(name, typename, None, (), _VARIES, kind, length, counter)


def _rntuple(ntuple: Any) -> list[Branch]:
    branches = []
    for name, held in ntuple.items(recursive=False):
        typename = str(held.typename)
        shape: list[int] = []
        inner = typename
        while match := _ARRAY.fullmatch(inner):
            inner = match[1]
            shape.append(int(match[2]))
        dtype = _cpp_dtype(inner)
        if dtype is not None:
            branches.append(Branch(name, typename, dtype, tuple(shape)))
        elif match := _LIST.fullmatch(inner):
            branches.append(
                _list_branch(name, typename, None if shape else _cpp_dtype(match[1]), 1)
            )
        else:
            branches.append(Branch(name, typename, None, (), "not a number"))
    return branches


def _cpp_dtype(typename: str) -> np.dtype[Any] | None:
    name = _CPP_TYPES.get(typename.removeprefix("std::"))
    return None if name is None else np.dtype(name)
