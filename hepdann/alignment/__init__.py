"""Maps from target to source: in closed form, or learned; each usable alone.

    kind = hepdann.alignment.get("affine+quantile")
    fitted = kind.fit(target, source, seed=0)
    x = fitted.apply(features_of_the_target)
    again = hepdann.alignment.from_dict(fitted.to_dict())

No map looks at a label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import getter
from .base import Alignment, Mapper
from .registry import Chain, Kind, ObjectMap, from_dict, get, names, register

if TYPE_CHECKING:
    from .adversary import AffineMap
    from .fraction import FractionEstimate, at_fractions, estimate_fractions, source_fractions
    from .linear import GaussianTransport, LinearMap, Moments
    from .quantile import QuantileMap, SlicedTransport

__all__ = [
    "AffineMap", "Alignment", "Chain", "FractionEstimate", "GaussianTransport", "Kind", "LinearMap",
    "Mapper", "Moments", "ObjectMap", "QuantileMap", "SlicedTransport", "at_fractions",
    "estimate_fractions", "from_dict", "get", "names", "register", "source_fractions",
]  # fmt: skip

__getattr__ = getter(__name__)
