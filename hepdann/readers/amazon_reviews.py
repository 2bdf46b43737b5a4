"""Amazon reviews as bags of words, in svmlight files, to a tensor file of one pair of domains."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ReadError
from ..inputs import regular_file
from ..provenance import describe_file, provenance
from ..tensors.arrays import write_parts

_LARGEST = 1 << 28  # bytes of a file, packed
_VALIDATION = 0.1  # share of the labelled reviews, as the paper holds out
_MOST_TESTED = 500  # reviews of the source that are tested


def read_reviews(path: str | Path, words: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Reviews of a file: the logarithm of 1 + the count of each word, scaled to length 1.

    Args:
        path: an svmlight file, may be gzipped; words are counted from 0, labels are -1 and 1.
        words: number of words.

    Returns:
        (N, words) and (N,) 0 for a bad and 1 for a good review.

    Raises:
        ReadError: it is damaged, too large, or of another kind.
    """
    from sklearn.datasets import load_svmlight_file

    place = regular_file(path)
    if not place.exists():
        raise ReadError("no such file", where=place, mend="see data/README.md for where it is")
    if place.stat().st_size > _LARGEST:
        raise ReadError("is too large", where=place, mend="name a file of reviews")
    try:
        counts, label = load_svmlight_file(str(place), n_features=words, zero_based=True)
    except (OSError, EOFError, ValueError) as error:
        raise ReadError(
            f"is no svmlight file of {words:,} words ({error})", where=place, mend="copy it again"
        ) from error
    if not np.isin(label, (-1, 1)).all():
        raise ReadError("has labels other than -1 and 1", where=place)
    table = np.log1p(counts.toarray().astype(np.float32))
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    return table, (label > 0).astype(np.int32)


def convert_reviews(
    folder: str | Path, source: str, target: str, output: str | Path, words: int = 5_000
) -> None:
    """Write a pair of domains as the DANN paper splits them.

    The labelled reviews of ``SOURCE_train`` but a tenth, and those of ``TARGET_train`` without
    their labels, are trained on; the tenths are validation, and ``…_test`` is tested.

    Args:
        folder: holds ``<domain>_train.svmlight.gz`` and ``<domain>_test.svmlight.gz``.
        source: a domain, "books" for example.
        target: another.
        output: the tensor file.
        words: number of words.

    Raises:
        ReadError: a file is not there or damaged.
        SchemaError: the output cannot be written.
    """
    paths, tables = [], {}
    for domain, name in (("mc", source), ("data", target)):
        for part in ("train", "test"):
            paths.append(Path(folder) / f"{name}_{part}.svmlight.gz")
            x, y = read_reviews(paths[-1], words)
            most = _MOST_TESTED if (domain, part) == ("mc", "test") else len(y)
            order = np.random.default_rng(0).permutation(min(most, len(y)))
            first = ceil((1 - _VALIDATION) * len(y)) if part == "train" else len(y)
            tables[domain, part] = x[order[:first]], y[order[:first]]
            if part == "train":
                tables[domain, "validation"] = x[order[first:]], y[order[first:]]
    names = [f"word_{number}" for number in range(words)]
    record = provenance([describe_file(path) for path in paths], {"words": words})
    write_parts(
        output, tables, names=names, classes=("bad", "good"),
        samples={"mc": [source], "data": [target]}, record=record,
    )  # fmt: skip
