"""Without a configuration: which branches are inputs, label, weight or event id, and why.

Names are judged by their words: ``genWeight`` is *gen* and *weight*, ``general`` is neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..prescan import Branch, FileScan

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
    id_branches = [_named(branches, names) for names in (_RUN, _LUMI, _EVENT)]
    return (
        tuple(name for name in id_branches if name is not None)
        if id_branches[-1] is not None
        else ()
    )


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
