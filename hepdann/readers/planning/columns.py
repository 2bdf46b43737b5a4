"""Branches: what their names say that they are, and what an expression reads of them.

Names are judged by their words: ``genWeight`` is *gen* and *weight*, ``general`` is neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...config import ConvertConfig, SampleConfig
from ...errors import ConfigError
from ...expressions import Expression, parse
from ...expressions.functions import CONSTANTS
from ..files import FileRef, resolve
from ..prescan import Branch, FileScan, scan, suggest

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LABEL_WORDS = frozenset({"label", "labels", "truth", "true", "gen", "mc", "target", "background",
    "signal", "bkg", "flavour", "flavor", "pdgid", "ytrue"})  # fmt: skip
_LABEL_NAMES = frozenset({"y", "isb", "isc", "isbjet", "issig", "isbkg", "class", "category"})
_WEIGHT_WORDS = frozenset({"weight", "weights", "wgt", "wgts", "xsec", "xsection"})
_RUN = ("run", "runnumber", "runno", "runnr", "runid")
_LUMI = ("lumi", "lumiblock", "lumisection", "luminosityblock", "lumisec", "luminosityblocknumber")
_EVENT = ("event", "eventnumber", "evt", "evtnumber", "evtnum", "eventno", "evtno", "eventid",
    "evtid", "eventnr")  # fmt: skip
_OTHER_IDS = ("entry", "index", "subrun", "bx", "bunchcrossing", "orbit", "orbitnumber",
    "eventids", "jetindex", "candidate", "ncandidate")  # fmt: skip
_ELEMENT = re.compile(r"(.+?)((?:\[-?\d+\])+)")


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1].replace("_", "").lower()


def words_of(name: str) -> set[str]:
    """The words of a name, in lower case."""
    return {word.lower() for word in _WORDS.findall(name)}


def looks_like(name: str, dtype: np.dtype[Any] | None = None) -> str | None:
    """What the name of a branch says that it is.

    Args:
        name: of the branch.
        dtype: its type, if it matters: ``y`` is a label in whole numbers, else a coordinate.

    Returns:
        ``"a label"``, ``"a weight"``, ``"an event id"``, or ``None``.
    """
    plain = _plain(name)
    words = words_of(name)
    if plain == "y" and dtype is not None and dtype.kind == "f":
        return None
    if words & _WEIGHT_WORDS or plain.endswith("weight"):
        return "a weight"
    if plain in (*_RUN, *_LUMI, *_EVENT, *_OTHER_IDS):
        return "an event id"
    if words & _LABEL_WORDS or plain in _LABEL_NAMES:
        return "a label"
    return None


def lumi_branches(branches: Mapping[str, Branch]) -> tuple[str, str] | None:
    """The branches of the run and the luminosity block; ``None`` if one of them is not there."""
    run, lumi = (_named(branches, names) for names in (_RUN, _LUMI))
    return None if run is None or lumi is None else (run, lumi)


def _named(branches: Mapping[str, Branch], names: Sequence[str]) -> str | None:
    matches = [b.name for b in branches.values() if b.scalar and _plain(b.name) in names]
    return min(matches, key=lambda name: names.index(_plain(name)), default=None)


def event_id_branches(branches: Mapping[str, Branch]) -> tuple[str, ...]:
    """The branches that name an event: run, luminosity block and event number, in this order.

    Returns:
        Those that exist; empty without an event number, because a run alone names no event.
    """
    run, lumi, event = (_named(branches, names) for names in (_RUN, _LUMI, _EVENT))
    return () if event is None else tuple(filter(None, (run, lumi, event)))


def present_everywhere(files: Sequence[FileScan]) -> dict[str, Branch]:
    """The branches that every file has, in the order of the first."""
    rest = files[1:]
    return {
        name: branch
        for name, branch in files[0].branches.items()
        if all(name in file.branches for file in rest)
    }


def numeric_scalars(branches: Iterable[Branch]) -> list[str]:
    """Names of the branches that are one number an event."""
    return [branch.name for branch in branches if branch.scalar]


@dataclass(frozen=True)
class Columns:
    """The columns that the branches of one file offer.

    Attributes:
        branches: by name.
        whole: column name to branch and index, where the branch has as many in every event:
            ``x_1`` is ``("x", (1,))``.
    """

    branches: Mapping[str, Branch]
    whole: Mapping[str, tuple[str, tuple[int, ...]]]
    mend: ClassVar[str | None] = None  # of a branch that is no number

    @classmethod
    def of(cls, branches: Mapping[str, Branch]) -> Columns:
        """Name every column; a branch goes before an array element of the same name."""
        whole: dict[str, tuple[str, tuple[int, ...]]] = {}
        for branch in branches.values():
            for column, index in zip(branch.columns, np.ndindex(*branch.shape), strict=False):
                whole[column] = (branch.name, index)
        whole |= {branch.name: (branch.name, ()) for branch in branches.values() if branch.scalar}
        return cls(branches, whole)

    def find(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """The branch and the index of a column; ``None`` if there is no such column.

        Args:
            name: of a scalar branch, or an element of an array (``x_1``, ``x[1]``, ``x[-1]``) or
                of a list whose length varies (``x[1]``, ``x[-1]``).
        """
        if name in self.whole:
            return self.whole[name]
        match = _ELEMENT.fullmatch(name)
        branch = self.branches.get(match[1]) if match else None
        if match is None or branch is None:
            return None
        index = tuple(int(number) for number in match[2][1:-1].split("]["))
        if branch.element is not None:
            return (branch.name, index) if len(index) == 1 else None
        inside = (-size <= i < size for i, size in zip(index, branch.shape, strict=False))
        fits = branch.dtype is not None and len(index) == len(branch.shape) and all(inside)
        return (branch.name, index) if fits else None

    @property
    def offered(self) -> list[str]:
        """Names of the columns."""
        return list(self.whole)

    def absent(self, name: str, arrays: Mapping[str, Any]) -> NDArray[np.bool_] | None:
        """Where a list is too short to have the element.

        Args:
            name: of a column.
            arrays: of the branches that are read, as :class:`.RawBlock` has them.

        Returns:
            (n,) bool; ``None`` for a column that every event has.
        """
        found = self.find(name)
        if found is None or self.branches[found[0]].element is None:
            return None
        import awkward

        branch, (index,) = found
        least = index + 1 if index >= 0 else -index
        short: NDArray[np.bool_] = awkward.to_numpy(awkward.num(arrays[branch])) < least
        return short

    def reads(self, expression: Expression | None) -> tuple[str, ...]:
        """The branches behind an expression."""
        names = () if expression is None else expression.names
        return tuple(dict.fromkeys(found[0] for found in map(self.find, names) if found))

    def check(self, expression: Expression, where: FileScan) -> None:
        """Whether the expression can be computed from these branches.

        Raises:
            ConfigError: there is no such branch, it cannot become a column, or
                types are mixed that do not mix.
        """
        for name in expression.names:
            if self.find(name) or name in CONSTANTS:
                continue
            place = f"{where.path}:{where.tree}"
            base = self.branches.get(name.split("[", 1)[0])
            if base is None:
                mend = suggest(name, self.offered, what="branches")
                raise ConfigError(
                    f"no branch '{name}', of {expression.where}", where=place, mend=mend
                )
            if base.dtype is None:
                raise ConfigError(
                    f"branch '{base.name}' ({base.typename}), of {expression.where}, cannot be "
                    f"used: {base.reason}",
                    where=place,
                    mend=f"write one element, {base.name}[0]; it is missing where an event has none"
                    if base.element is not None
                    else self.mend,
                )
            shape = "x".join(map(str, base.shape))
            raise ConfigError(
                f"'{name}', of {expression.where}, does not fit: '{base.name}' is "
                + (f"an array of {shape}" if shape else "a single number"),
                where=place,
                mend=f"write {'one element, ' if shape else ''}{base.columns[0]}",
            )
        empty = {name: self.branches[name].no_values() for name in self.reads(expression)}
        expression.evaluate(self.lookup(empty), 0)

    def lookup(self, arrays: Mapping[str, Any]) -> Callable[[str], NDArray[Any]]:
        """What :meth:`.Expression.evaluate` asks for the values of a column.

        An element of a list is NaN where the list is too short for it, and float64 unless the list
        is of float32.

        Args:
            arrays: of the branches that are read, as :class:`.RawBlock` has them.
        """

        def values(name: str) -> NDArray[Any]:
            found = self.find(name)
            if found is None:
                return np.asarray(CONSTANTS[name])
            branch, index = found
            at: tuple[Any, ...] = (slice(None), *index)
            absent = self.absent(name, arrays)
            if absent is None:
                column: NDArray[Any] = arrays[branch][at]
                return column
            import awkward

            present = awkward.to_numpy(awkward.mask(arrays[branch], ~absent)[at])
            real = np.float32 if present.dtype == np.float32 else np.float64
            filled: NDArray[Any] = np.ma.filled(present.astype(real), np.nan)
            return filled

        return values


class ObjectColumns(Columns):
    """The columns of objects: lists, with a number for each, and what there is one of an event."""

    mend = "write the branch as a list with one number for each object"

    def is_list(self, name: str) -> bool:
        """Whether a name is that of a list of numbers."""
        return name in self.branches and self.branches[name].element is not None

    @property
    def offered(self) -> list[str]:
        """Names of the lists, and of what there is one of an event."""
        return [*filter(self.is_list, self.branches), *self.whole]

    def find(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """As :meth:`Columns.find`, and whole lists."""
        return (name, ()) if self.is_list(name) else super().find(name)

    def lookup(self, arrays: Mapping[str, Any]) -> Callable[[str], NDArray[Any]]:
        """As :meth:`Columns.lookup`; a list gives its numbers, event after event."""
        of_events = super().lookup(arrays)

        def values(name: str) -> NDArray[Any]:
            if not self.is_list(name):
                return of_events(name)
            import awkward

            flat: NDArray[Any] = awkward.to_numpy(awkward.flatten(arrays[name]))
            return flat

        return values


def compile_text(text: str, columns: Columns, *, what: str) -> Expression:
    """Parse ``text``, unless it is itself the name of a column (``jet-pt``, ``parent/child``)."""
    if columns.find(text) and "`" not in text:
        parsed = parse(f"`{text}`", what=what)
        return Expression(text, parsed.names, f"{what} '{text}'", parsed.root)
    return parse(text, what=what)


def compile_columns(
    name: str, text: str | None, columns: Columns, *, what: str
) -> Iterable[tuple[str, Expression]]:
    """The column called ``name``, or the columns of a fixed-size array branch.

    Args:
        name: name of the column.
        text: its expression; ``None`` for the branch of that name.
        columns: what the first file offers.
        what: what the column is for, in errors.

    Raises:
        ConfigError: the expression does not parse.
    """
    source = name if text is None else text
    branch = columns.branches.get(source)
    if branch is None or branch.dtype is None or branch.scalar:
        return [(name, compile_text(source, columns, what=what))]
    return [
        (name + column.removeprefix(branch.name), compile_text(column, columns, what=what))
        for column in branch.columns
    ]


def check_sample(sample: SampleConfig, convert: ConvertConfig, place: str) -> None:
    """Whether the first file of a sample has the branches that are read of it, or pictures.

    Args:
        sample: its files are there.
        convert: what is read.
        place: the sample's key, ``samples[0]``.

    Raises:
        ConfigError: names the key, the branch and the file that lacks it.
        ReadError: the file cannot be read, or has no such tree.
    """
    from ..pictures.files import is_pictures, open_pictures

    folder = Path(sample.files[0]).is_dir()
    first = FileRef(sample.files[0]) if folder else resolve(sample.files, where=f"{place}.files")[0]
    if convert.images is None and is_pictures(first):
        open_pictures(first)
        return
    (file,) = scan([first], sample.tree or convert.tree)
    if file.kind == "HDF5" or convert.images is not None:
        return  # images are made of datasets and hits, not of columns
    columns = Columns.of(file.branches)
    for key, text in _expressions(sample, convert, place):
        for _, expression in compile_columns(text, None, columns, what=key):
            columns.check(expression, file)
    lists = ObjectColumns(**vars(columns))
    for name, settings in convert.objects.items():
        for text in filter(None, (*settings.expressions.values(), settings.cut, settings.sort)):
            lists.check(compile_text(text, lists, what=f"convert.objects.{name}"), file)


def _expressions(
    sample: SampleConfig, convert: ConvertConfig, place: str
) -> Iterator[tuple[str, str]]:
    """What is read of the events of a sample: key and expression."""
    for number, feature in enumerate(convert.feature_configs() or []):
        yield f"convert.features[{number}]", feature.expression or feature.name
    cut = (f"{place}.cut", sample.cut) if sample.cut else ("convert.cut", convert.cut)
    keys: list[tuple[str, str | None]] = [cut, (f"{place}.weight", sample.weight)]
    if sample.role == "data" and sample.weight is None:
        keys.append(("convert.data_weight", convert.data_weight))
    if sample.role == "mc":
        keys += [(f"convert.spectators[{i}]", text) for i, text in enumerate(convert.spectators)]
        keys += [(f"convert.weights.{name}", text) for name, text in convert.weights.items()]
        if sample.weight is None:
            keys.append(("convert.weight", convert.weight))
        if sample.class_ is None:
            keys.append(("convert.label", convert.label))
    yield from ((key, text) for key, text in keys if text is not None)
