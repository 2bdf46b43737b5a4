"""Networks that are not multilayer perceptrons: the user's own, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from ..errors import ConfigError

if TYPE_CHECKING:
    from .adversarial import NetworkShape

__all__ = ["Factory", "Modules", "get", "names", "register"]


@dataclass(frozen=True)
class Modules:
    """The parts of one member, as ordinary modules on batch-major events.

    Attributes:
        extractor: (B, F) to (B, H).
        label_head: (B, H) to (B, ``shape.outputs``); default the multilayer perceptron of the
            shape.
        domain_head: (B, H) to (B, 1), likewise.
    """

    extractor: nn.Module
    label_head: nn.Module | None = None
    domain_head: nn.Module | None = None


Factory = Callable[["NetworkShape"], "nn.Module | Modules"]

_FACTORIES: dict[str, Factory] = {}


def register(name: str, factory: Factory) -> None:
    """Make a network known by its name; a later one of the same name replaces it.

    Args:
        name: for ``train.network`` and ``NetworkShape.network``.
        factory: makes a member, for a shape: its feature extractor, or :class:`Modules`. It is
            called once a member, after ``torch.manual_seed`` of the member's own seed. Batch
            normalisation in the extractor sees each domain by itself, or with the normalisation
            "shared" all together; a head may have none.
    """
    _FACTORIES[name] = factory


def names() -> tuple[str, ...]:
    """Names of the networks that were registered."""
    return tuple(_FACTORIES)


def get(name: str) -> Factory:
    """Find a network.

    Raises:
        ConfigError: nobody registered it in this process.
    """
    if name not in _FACTORIES:
        raise ConfigError(
            f"unknown network {name!r}",
            where="train.network",
            mend="import the code that calls hepdann.networks.register first",
        )
    return _FACTORIES[name]
