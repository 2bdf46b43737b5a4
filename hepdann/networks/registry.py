"""Networks that are not multilayer perceptrons: the user's own, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from torch import nn

from ..errors import ConfigError
from ..registry import NETWORKS

if TYPE_CHECKING:
    from .adversarial import NetworkShape


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

_Factory = TypeVar("_Factory", bound=Factory)


@overload
def register(name: str, factory: Factory) -> None: ...


@overload
def register(name: str) -> Callable[[_Factory], _Factory]: ...


def register(name: str, factory: Factory | None = None) -> Any:
    """Register a network of your own: ``@hepdann.register.network("gated")`` above its factory.

    Args:
        name: for ``train.network`` and ``NetworkShape.network``, plain and not one of hepdann's
            own.
        factory: makes a member, for a shape: its feature extractor, or :class:`Modules`. It is
            called once a member, after ``torch.manual_seed`` of the member's own seed. Batch
            normalisation in the extractor sees each domain by itself, or with the normalisation
            "shared" all together; a head may have none.

    Returns:
        Without a factory, a decorator that gives the factory back.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    if factory is None:
        return NETWORKS.decorator(name)
    NETWORKS.add(name, factory)
    return None


def as_factory(name: str, thing: object) -> Factory:
    """What makes the members of a network.

    Raises:
        ConfigError: it cannot be called.
    """
    if not callable(thing):
        raise ConfigError(f"the network {name!r} is no function: {thing!r}", where="train.network")
    factory: Factory = thing
    return factory


def names() -> tuple[str, ...]:
    """Names of the networks that are no perceptrons."""
    return tuple(NETWORKS)


def get(name: str) -> Factory:
    """Find a network.

    Raises:
        ConfigError: no network of that name; the nearest one is proposed.
    """
    factory: Factory = NETWORKS[name]
    return factory
