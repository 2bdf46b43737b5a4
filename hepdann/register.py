"""What users add to hepdann, each by a decorator with its name.

    @hepdann.register.shift("stretch")
    def stretch(x, t, generator):
        return x * (1 + 1 / t)

An installed package does the same by an entry point, in one of the groups ``hepdann.shifts``,
``hepdann.alignments``, ``hepdann.methods``, ``hepdann.networks``, ``hepdann.criteria`` and
``hepdann.figures``; see :mod:`hepdann.registry` for the rule on names. Each decorator is imported
with its room when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import getter

if TYPE_CHECKING:
    from .alignment import register as alignment
    from .criteria import register as criterion
    from .methods import register as method
    from .networks import register as network
    from .plotting import register as figure
    from .shifts import register as shift

__all__ = ["alignment", "criterion", "figure", "method", "network", "shift"]

__getattr__ = getter(__name__)


def __dir__() -> list[str]:
    return __all__
