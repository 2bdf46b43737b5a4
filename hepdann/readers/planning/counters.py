"""Sums of generated weights, from a tree of the files that counts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...config import SampleConfig
from ...errors import ConfigError, ReadError
from ..files import FileRef
from ..prescan import suggest
from ..root.opening import open_root, reading
from .input_samples import Input


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
