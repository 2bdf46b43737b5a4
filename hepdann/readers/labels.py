"""The label: which branch it is, and which classes it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import ConvertConfig
from ..errors import ConfigError, ReadError
from .blocks import BlockReader
from .inputs import Input
from .plan import SamplePlan
from .scan import FileScan
from .skips import Skips
from .zero_config import looks_like, present_everywhere

__all__ = ["class_names", "find_label", "label_values", "to_labels"]

_MOST = 20  # a branch with more values is taken for a counter, not for a label
_MOST_CLASSES = 1000
_MOST_LISTED = 10  # candidates in a line of error
_TOGETHER = 100  # branches: more fill the memory, fewer are slow where uproot has to read


def find_label(
    inputs: Sequence[Input], convert: ConvertConfig, read: BlockReader, skips: Skips | None = None
) -> str | None:
    """The label branch or expression, ``None`` if every MC sample has a class of its own.

    Without ``convert.label`` it is the one branch that only MC has and whose values are the whole
    numbers 0, 1, … up to at most 20.

    Raises:
        ConfigError: no branch fits, or several do; lists the candidates.
    """
    labelled = [e for e in inputs if e.domain == "mc" and e.config.class_ is None]
    if not labelled:
        return None
    if convert.label is not None:
        return convert.label
    files = [file for entry in labelled for file in entry.files]
    data = [file for entry in inputs if entry.domain == "data" for file in entry.files]
    taken = {convert.weight, *convert.weights.values(), *convert.spectators}
    only_mc: list[str] = []
    shared: list[str] = []
    for branch in present_everywhere(files).values():
        if branch.dtype is None or not branch.scalar or branch.name in taken:
            continue
        if looks_like(branch.name) in ("a weight", "an event id"):
            continue
        alone = not any(branch.name in file.branches for file in data)
        # with MC alone, every counter stored as a float would be a candidate
        if branch.dtype.kind == "f" and not (data and alone):
            continue
        (only_mc if alone else shared).append(branch.name)
    skips = skips or Skips()
    fitting = _class_counts(labelled, only_mc, convert.block_size, read, skips)
    if len(fitting) == 1:
        return next(iter(fitting))
    candidates = fitting or _class_counts(labelled, shared, convert.block_size, read, skips)
    listed = [f"{name} (0 to {count - 1})" for name, count in candidates.items()]
    more = len(listed) - _MOST_LISTED
    raise ConfigError(
        "no branch is clearly the label"
        + (" (none with small whole numbers is in MC alone)" if data and not fitting else ""),
        where=files[0].path,
        mend="name it with --label; candidates: "
        + ", ".join(listed[:_MOST_LISTED])
        + (f" and {more} more" if more > 0 else "")
        if listed
        else "name it with --label BRANCH or --label 'EXPRESSION'",
    )


def _class_counts(
    inputs: Sequence[Input], names: Sequence[str], size: int, read: BlockReader, skips: Skips
) -> dict[str, int]:
    """Of the branches whose values are 0 … C-1, each of which occurs: C."""
    seen: dict[str, set[float]] = {name: set() for name in names}
    for entry in inputs:
        for file in skips.left(entry):
            with skips.using(entry, file):
                found = _small_values(file, list(seen), size, read)
                seen = {name: seen[name] | values for name, values in found.items()}
        skips.require(entry)
    return {
        name: len(values)
        for name, values in seen.items()
        if len(values) > 1 and values == set(range(len(values)))
    }


def _small_values(
    file: FileScan, names: Sequence[str], size: int, read: BlockReader
) -> dict[str, set[float]]:
    """The values of those branches of a file that hold few small whole numbers alone.

    Files have a thousand branches, most of which the first entries rule out.
    """
    found: dict[str, set[float]] = {name: set() for name in names}
    for most in (1, None):
        left, entries = list(found), 0
        for first in range(0, len(left), _TOGETHER):
            group = left[first : first + _TOGETHER]
            for block in islice(read(file, group, size), most):
                entries = len(block)
                for name in group:
                    if name in found and not _add_small(found[name], block.columns[name]):
                        del found[name]
        if entries == file.entries:  # it was one block
            break
    return found


def _add_small(found: set[float], values: NDArray[Any]) -> bool:
    """Add the values to those found; whether all are small whole numbers."""
    if not len(values):
        return True
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high < _MOST):
        return False
    if values.dtype.kind == "b":
        found |= {low, high}
    elif values.dtype.kind in "iu":
        found |= {float(value) for value in np.flatnonzero(np.bincount(values.astype(np.intp)))}
    else:
        found |= {float(value) for value in np.unique(values)[: _MOST + 1]}
    return len(found) <= _MOST and found <= set(range(_MOST))


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """What ``numpy.unique`` gives, faster where the values lie close together."""
    if not len(values):
        return values
    low, high = int(values.min()), int(values.max())
    if high - low > _MOST_CLASSES:
        return np.unique(values)
    return np.flatnonzero(np.bincount(values - low)) + low


def to_labels(
    values: NDArray[Any], label: str, file: FileScan, entries: tuple[int, int]
) -> NDArray[np.int64]:
    """Label values as int64.

    Raises:
        ReadError: a value is not a whole number; names file, label and entries.
    """
    if values.dtype.kind in "bi" or (values.dtype.kind == "u" and values.dtype.itemsize < 8):
        return values.astype(np.int64)
    real = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(real) < 2**53) | (real != np.floor(real))
    if bad.any():
        raise ReadError(
            f"label '{label}' is not an integer: {real[bad][0]:g} in entries "
            f"{entries[0]}-{entries[1] - 1}",
            where=f"{file.path}:{file.tree}",
            mend="write a condition, e.g. --label 'x > 0.5'",
        )
    return real.astype(np.int64)


def class_names(
    samples: Sequence[SamplePlan],
    convert: ConvertConfig,
    read: BlockReader,
    skips: Skips | None = None,
) -> tuple[str, ...]:
    """The classes by label value: those given, those of the samples, or those of the label branch.

    Names default to background and signal for two label values, to class-0, class-1, … for more;
    classes of samples keep their order, but one called background comes first, because the score
    of a binary classifier is the probability of class 1.

    Raises:
        ConfigError: label values that are not 0 … C-1, or fewer than two classes.
        ReadError: a label that is not an integer.
    """
    named = list(dict.fromkeys(s.class_ for s in samples if s.class_ is not None))
    mc = [sample for sample in samples if sample.source.domain == "mc"]
    if convert.class_names is not None:
        names = tuple(convert.class_names)
    elif all(sample.label is None for sample in mc):
        names = tuple(sorted(named, key=lambda name: name.lower() not in ("background", "bkg")))
    else:
        names = _from_values(mc, convert, read, skips or Skips())
    unknown = [name for name in named if name not in names]
    if unknown:
        raise ConfigError(
            f"class '{unknown[0]}' of a sample is none of {', '.join(names)}",
            where="convert.classes",
            mend="list the class names in the order of the label's values",
        )
    if len(names) < 2:
        raise ConfigError(
            f"there is one class only, '{names[0]}'",
            where="convert.classes",
            mend="a classifier needs two: add samples, or another --label",
        )
    return names


def _from_values(
    samples: Sequence[SamplePlan], convert: ConvertConfig, read: BlockReader, skips: Skips
) -> tuple[str, ...]:
    seen: set[int] = set()
    label = ""
    for sample in samples:
        if sample.label is None:
            continue
        label = sample.label.text
        for file in skips.left(sample.source):
            found: set[int] = set()
            with skips.using(sample.source, file):
                for values in label_values(sample, file, convert.block_size, read):
                    found |= {int(value) for value in _distinct(values)}
                    if len(seen | found) > _MOST_CLASSES:
                        raise ConfigError(
                            f"label '{label}' has more than {_MOST_CLASSES} values",
                            mend="name another branch with --label, or write a condition",
                        )
                seen |= found
        skips.require(sample.source)
    if not seen:
        cut = next((s.cut.text for s in samples if s.cut is not None), None)
        raise ConfigError(
            "no MC event passes the cut" if cut else "the MC files hold no events",
            where=f"cut '{cut}'" if cut else samples[0].source.files[0].path,
            mend="loosen the cut" if cut else "check the files",
        )
    count = len(seen)
    if count < 2 or seen != set(range(count)):
        shown = ", ".join(str(value) for value in sorted(seen)[:8])
        more = ", …" if len(seen) > 8 else ""
        raise ConfigError(
            f"label '{label}' has the value{'s' * (len(seen) > 1)} {shown}{more}; it must be 0, 1, "
            "… with events in every class",
            mend="write a condition, e.g. --label 'x > 0', or loosen the cut",
        )
    return ("background", "signal") if count == 2 else tuple(f"class-{i}" for i in range(count))


def label_values(
    sample: SamplePlan, file: FileScan, size: int, read: BlockReader
) -> Iterator[NDArray[np.int64]]:
    """The labels of the events of one file that pass.

    Raises:
        ConfigError: the label reads no branch.
        ReadError: a label is not an integer.
    """
    assert sample.label is not None
    columns = sample.columns
    branches = list(dict.fromkeys([*columns.reads(sample.label), *columns.reads(sample.cut)]))
    if not branches:
        raise ConfigError("reads no branch", where=sample.label.where)
    for block in read(file, branches, size):
        lookup = columns.lookup(block.columns)
        values = sample.label.evaluate(lookup, len(block))
        if sample.cut is not None:
            values = values[sample.cut.condition(lookup, len(block))]
        yield to_labels(values, sample.label.text, file, (block.start, block.start + len(block)))
