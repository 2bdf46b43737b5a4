"""The label and its classes, and what a conversion without a configuration may have got wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import ConversionConfig, ConvertConfig
from ...errors import ConfigError, ReadError
from ...tensors.hdf5.chunks import h5_open
from ..pipeline.blocks import BlockReader
from ..pipeline.summary import FeatureStats
from ..prescan import FileScan
from .columns import looks_like, present_everywhere, words_of
from .input_samples import Input, Skips
from .plan import Plan, SamplePlan

_MOST = 20  # a branch with more values is taken for a counter, not for a label
_MOST_CLASSES = 1000
_MOST_LISTED = 10  # candidates in a line of error
_TOGETHER = 100  # branches: more fill the memory, fewer are slow where uproot has to read
_SCORE_WORDS = re.compile(
    r"(d|g|p|r|c)?nn\w*|bdt\w*|mva\w*|xgb\w*|score\w*|disc|discr|discriminant|discriminator|prob"
    r"|proba|probability|logit\w*|classifier|tagger"
)
_AUC = 0.9  # of one feature in [0, 1] alone: rarely measured, but what a classifier gives
_EVENTS = 20_000  # on which the AUC is computed
_PIECES = 20  # of the file that these come from


def find_label(
    inputs: Sequence[Input], convert: ConvertConfig, read: BlockReader, skips: Skips | None = None
) -> str | None:
    """The label branch or expression, ``None`` if every MC sample has a class of its own.

    Without ``convert.label`` it is the one branch that only MC has and whose values are the whole
    numbers 0, 1, … up to at most 20. The length of a list (``nJet``) is none.

    Raises:
        ConfigError: no branch fits, or several do; lists the candidates, or says why the only one
            does not fit.
    """
    labelled = [e for e in inputs if e.domain == "mc" and e.config.class_ is None]
    if not labelled:
        return None
    if convert.label is not None:
        return convert.label
    files = [file for entry in labelled for file in entry.files]
    data = [file for entry in inputs if entry.domain == "data" for file in entry.files]
    taken = {convert.weight, *convert.weights.values(), *convert.spectators}
    taken |= {branch.counter for branch in files[0].branches.values()}
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
    size = convert.block_size
    values = _few_values(labelled, only_mc, size, read, skips)
    fitting = _classes_of(values)
    if len(fitting) == 1:
        return next(iter(fitting))
    where = files[0].path
    if fitting:
        raise ConfigError(
            "several branches could be the label",
            where=where,
            mend=f"name it with --label; candidates: {_listed(fitting)}",
        )
    if data and len(only_mc) == 1:  # it was meant to be the label
        raise _unfit(only_mc[0], files[0], values.get(only_mc[0]), size, read)
    what = "holds whole numbers from 0 on, as a label does"
    if data:
        what = "of those in MC alone " + what if only_mc else "is in MC alone, as a label would be"
    candidates = _classes_of(_few_values(labelled, shared, size, read, skips))
    raise ConfigError(
        f"no branch {what}",
        where=where,
        mend=f"name it with --label; candidates: {_listed(candidates)}"
        if candidates
        else "name it with --label BRANCH or --label 'EXPRESSION', or give each sample its class "
        "in a configuration",
    )


def _listed(candidates: Mapping[str, int]) -> str:
    listed = [f"{name} (0 to {count - 1})" for name, count in candidates.items()]
    more = len(listed) - _MOST_LISTED
    return ", ".join(listed[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _unfit(
    name: str, file: FileScan, few: set[float] | None, size: int, read: BlockReader
) -> ConfigError:
    """Why the one branch that only MC has is no label."""
    condition = f"write a condition, e.g. --label '{name} > 0'"
    if few is not None and len(few) == 1:
        problem = f"is {min(few):g} in every event"
        mend = "add the MC of the other classes, or give each sample its class in a configuration"
    elif few is not None:
        problem = f"has the values {', '.join(f'{value:g}' for value in sorted(few))}, not 0, 1, …"
        mend = f"write a condition, e.g. --label '{name} == {max(few):g}'"
    else:
        block = next(iter(read(file, [name], size)), None)
        values = np.empty(0) if block is None else block.columns[name].astype(np.float64)
        fraction = values[values != np.floor(values)]  # NaN is none either
        if len(fraction):
            problem, mend = f"holds {fraction[0]:g}, which is no whole number", condition
        elif len(values) and values.min() < 0:
            problem, mend = f"holds {values.min():g}, and labels are 0, 1, …", condition
        else:
            problem, mend = f"has values from {_MOST} on, too many for classes", condition
    return ConfigError(
        f"'{name}' is in MC alone, but cannot be the label: it {problem}",
        where=file.path,
        mend=f"{mend}, or name another branch with --label",
    )


def _few_values(
    inputs: Sequence[Input], names: Sequence[str], size: int, read: BlockReader, skips: Skips
) -> dict[str, set[float]]:
    """The values of the branches that hold few small whole numbers alone."""
    values_of: dict[str, set[float]] = {name: set() for name in names}
    for entry in inputs:
        for file in skips.left(entry):
            with skips.using(entry, file):
                small = _small_values(file, list(values_of), size, read)
                values_of = {name: values_of[name] | values for name, values in small.items()}
        skips.require(entry)
    return values_of


def _classes_of(values: Mapping[str, set[float]]) -> dict[str, int]:
    """Of the branches whose values are 0 … C-1, each of which occurs: C."""
    return {
        name: len(few)
        for name, few in values.items()
        if len(few) > 1 and few == set(range(len(few)))
    }


def _small_values(
    file: FileScan, names: Sequence[str], size: int, read: BlockReader
) -> dict[str, set[float]]:
    """The values of those branches of a file that hold few small whole numbers alone.

    Files have a thousand branches, most of which the first entries rule out.
    """
    small: dict[str, set[float]] = {name: set() for name in names}
    for most in (1, None):
        left, entries = list(small), 0
        for first in range(0, len(left), _TOGETHER):
            group = left[first : first + _TOGETHER]
            for block in islice(read(file, group, size), most):
                entries = len(block)
                for name in group:
                    if name in small and not _add_small(small[name], block.columns[name]):
                        del small[name]
        if entries == file.entries:  # it was one block
            break
    return small


def _add_small(distinct: set[float], values: NDArray[Any]) -> bool:
    """Add the values to those found; whether all are small whole numbers."""
    if not len(values):
        return True
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high < _MOST):
        return False
    if values.dtype.kind == "b":
        distinct |= {low, high}
    elif values.dtype.kind in "iu":
        distinct |= {float(value) for value in np.flatnonzero(np.bincount(values.astype(np.intp)))}
    else:
        distinct |= {float(value) for value in _sorted_once(values)[: _MOST + 1]}
    return len(distinct) <= _MOST and distinct <= set(range(_MOST))


def _sorted_once(values: NDArray[Any]) -> NDArray[Any]:
    """What ``numpy.unique`` gives, which without counts imports masked arrays."""
    return np.unique(values, return_counts=True)[0]


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """What ``numpy.unique`` gives, faster where the values lie close together."""
    if not len(values):
        return values
    low, high = int(values.min()), int(values.max())
    if high - low > _MOST_CLASSES:
        return _sorted_once(values)
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
    labels = distinct_labels(samples, convert, read, skips)
    label = next(sample.label.text for sample in samples if sample.label is not None)
    if not labels:
        cut = next((s.cut.text for s in samples if s.cut is not None), None)
        raise ConfigError(
            "no MC event passes the cut" if cut else "the MC files hold no events",
            where=f"cut '{cut}'" if cut else samples[0].source.files[0].path,
            mend="loosen the cut" if cut else "check the files",
        )
    count = len(labels)
    if count < 2 or labels != set(range(count)):
        first = ", ".join(str(value) for value in sorted(labels)[:8])
        more = ", …" if len(labels) > 8 else ""
        raise ConfigError(
            f"label '{label}' has the value{'s' * (len(labels) > 1)} {first}{more}; it must be 0, "
            "1, … with events in every class",
            mend="write a condition, e.g. --label 'x > 0', or loosen the cut",
        )
    return ("background", "signal") if count == 2 else tuple(f"class-{i}" for i in range(count))


def distinct_labels(
    samples: Sequence[SamplePlan], convert: ConvertConfig, read: BlockReader, skips: Skips
) -> set[int]:
    """The values of the label among the events that pass.

    Raises:
        ConfigError: there are too many for classes, or the label reads no branch.
        ReadError: a label is not an integer.
    """
    labels: set[int] = set()
    for sample in samples:
        if sample.label is None:
            continue
        for file in skips.left(sample.source):
            in_file: set[int] = set()
            with skips.using(sample.source, file):
                for values in _label_values(sample, file, convert.block_size, read):
                    in_file |= {int(value) for value in _distinct(values)}
                    if len(labels | in_file) > _MOST_CLASSES:
                        raise ConfigError(
                            f"label '{sample.label.text}' has more than {_MOST_CLASSES} values",
                            mend="name another branch with --label, or write a condition",
                        )
                labels |= in_file
        skips.require(sample.source)
    return labels


def _label_values(
    sample: SamplePlan, file: FileScan, size: int, read: BlockReader
) -> Iterator[NDArray[np.int64]]:
    """The labels of the events of one file that pass."""
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


def likely_mistakes(
    plan: Plan, config: ConversionConfig, stats: Sequence[FeatureStats], output: Path
) -> tuple[str, ...]:
    """A line for each branch that was probably meant for something else.

    Args:
        plan: of the conversion.
        config: as the user gave it; features that are listed there are no matter of doubt.
        stats: of the features in MC.
        output: the tensor file that was written.
    """
    return (*_scores(plan, config, stats, output), *_weights(plan))


def _scores(
    plan: Plan, config: ConversionConfig, stats: Sequence[FeatureStats], output: Path
) -> Iterator[str]:
    if config.convert.features is not None or not plan.features:
        return
    sample = _sample(output) if stats and len(plan.classes) == 2 else None
    for one in stats:
        named = any(_SCORE_WORDS.fullmatch(word) for word in words_of(one.name))
        auc = 0.0
        if sample is not None and one.minimum >= 0 and one.maximum <= 1:
            features, names, label = sample
            auc = _auc(features[:, names.index(one.name)], label == 1)
        if named or auc > _AUC:
            why = f" (alone it has an AUC of {auc:.2f})" if auc > _AUC else ""
            yield (
                f"'{one.name}' looks like the output of another classifier{why}, and is an input; "
                f"if it is one, keep it out: --spectators {one.name}"
            )


def _weights(plan: Plan) -> Iterator[str]:
    """The branches that look like weights, where MC has none."""
    mc = [sample for sample in plan.samples if sample.source.domain == "mc"]
    names = [branch.name for branch in plan.left_out if branch.reason.startswith("looks like a we")]
    if names and mc and all(sample.weight is None for sample in mc):
        verb = "looks like an event weight" if len(names) == 1 else "look like event weights"
        named = ", ".join(f"'{name}'" for name in names[:5]) + (", …" if len(names) > 5 else "")
        yield (
            f"{named} {verb}, and every MC event counts 1; if it is the weight, "
            f"use it: --weight {names[0]}"
        )


def _sample(output: Path) -> tuple[NDArray[np.float32], list[str], NDArray[np.int32]]:
    """Features, their names and labels of some MC events, from all of the file: samples in turn."""
    with h5_open(output) as file:
        features, label = file["mc/features"], file["mc/label"]
        piece = _EVENTS // _PIECES
        starts = np.linspace(0, max(len(label) - piece, 0), _PIECES).astype(int)
        places = [slice(start, start + piece) for start in dict.fromkeys(starts.tolist())]
        return (
            np.concatenate([features[place] for place in places]),
            [str(name) for name in features.attrs["names"]],
            np.concatenate([label[place] for place in places]),
        )


def _auc(values: NDArray[np.float32], signal: NDArray[np.bool_]) -> float:
    """AUC of a feature, whichever way it points; missing values are left out."""
    known = np.isfinite(values)
    _, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    of_signal = np.bincount(place, signal[known], minlength=len(counts))
    rest = counts - of_signal
    pairs = of_signal.sum() * rest.sum()
    if not pairs:
        return 0.0
    below = np.cumsum(rest) - rest
    auc = float(of_signal @ (below + rest / 2) / pairs)
    return max(auc, 1 - auc)
