"""What is minimised: one small file a method, one registry."""

from __future__ import annotations

import difflib

from ..errors import ConfigError
from .alternating import DANN_ALTERNATING
from .base import AdversaryWeight, Batch, Method, Objective, Phase
from .cdan import CDAN, CDAN_ENTROPY
from .coral import CORAL
from .dann import DANN, DANN_PHASES, SOURCE_ONLY, unwatched
from .hybrid import HYBRID_ALTERNATING, HYBRID_DANN
from .joint import DANN_JOINT
from .mmd import MMD
from .self_training import SELF_TRAINING

__all__ = [
    "BUILT_IN",
    "DANN_PHASES",
    "AdversaryWeight",
    "Batch",
    "Method",
    "Objective",
    "Phase",
    "get",
    "names",
    "register",
    "registered",
    "unwatched",
]

_METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Make a method known by its name; a later one of the same name replaces it."""
    _METHODS[method.name] = method
    return method


def names() -> tuple[str, ...]:
    """Names of the methods that can be trained."""
    return tuple(_METHODS)


def registered() -> dict[str, Method]:
    """The user's own, by name."""
    return {name: method for name, method in _METHODS.items() if method is not BUILT_IN.get(name)}


def get(name: str) -> Method:
    """Find a method.

    Raises:
        ConfigError: no method of that name; the nearest one is proposed.
    """
    if name not in _METHODS:
        near = difflib.get_close_matches(name, _METHODS, n=1)
        mend = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_METHODS)}"
        raise ConfigError(f"unknown method {name!r}", where="train.methods", mend=mend)
    return _METHODS[name]


for _method in (
    SOURCE_ONLY,
    DANN,
    DANN_ALTERNATING,
    DANN_JOINT,
    HYBRID_DANN,
    HYBRID_ALTERNATING,
    CDAN,
    CDAN_ENTROPY,
    MMD,
    CORAL,
    SELF_TRAINING,
):
    register(_method)

BUILT_IN = dict(_METHODS)
