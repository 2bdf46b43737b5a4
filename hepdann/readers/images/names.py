"""Which datasets and branches are images, by the names that the collaboration gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

VIEWS = ("x", "u", "v")
CHANNELS = ("energy", "time")

_IMAGE = re.compile(r"(?:.*/)?(hits|times|hitimes)[-_]([xuv])", re.IGNORECASE)
_FAMILIES = {"hits": CHANNELS, "hitimes": CHANNELS, "times": ("time",)}
_IDENTITY = frozenset({"eventids", "eventid", "run", "subrun", "gate", "slice"})
_SEGMENT = frozenset({"segment", "segments"})
_PLANE = frozenset({"planecode", "planecodes"})
_VERTEX = frozenset({"z", "zs", "vtxz", "vertexz", "mcvtxz", "truthvtxz", "targetcode", "plane"})


def image_name(name: str) -> tuple[str, tuple[str, ...], bool] | None:
    """What a dataset called ``hits-x``, ``times-u`` or ``img_data/hitimes-v`` holds.

    Returns:
        View, the channels that it may have in order, and whether it has both in one; ``None`` of
        any other name.
    """
    match = _IMAGE.fullmatch(name)
    if match is None:
        return None
    family = match[1].lower()
    return match[2].lower(), _FAMILIES[family], family == "hitimes"


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1].replace("_", "").replace("-", "").lower()


def is_identity(name: str) -> bool:
    """Whether a dataset or branch is a part of the event id."""
    return _plain(name) in _IDENTITY


def is_segment(name: str) -> bool:
    """Whether it is the segment of the vertex."""
    return _plain(name) in _SEGMENT


def is_plane(name: str) -> bool:
    """Whether it is the plane code of the vertex."""
    return _plain(name) in _PLANE


def detector_truth(names: Sequence[str]) -> tuple[str, ...]:
    """Those that tell the true vertex, of which a detector knows nothing."""
    return tuple(n for n in names if _plain(n) in _SEGMENT | _PLANE | _VERTEX)
