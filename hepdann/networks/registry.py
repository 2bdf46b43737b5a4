"""Networks that are not multilayer perceptrons, and those of the user's own, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch
from torch import nn

from ..errors import ConfigError
from ..registry import NETWORKS
from .copies import BATCH_NORM, Copies, seeded

if TYPE_CHECKING:
    from .adversarial import NetworkShape

_INITIAL = 0xC0


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


def custom_members(shape: NetworkShape, seeds: Sequence[int]) -> list[Modules]:
    """The members of ``shape.network``, each made with its own seed; none of a perceptron.

    Raises:
        ConfigError: nobody registered it, or its factory gave something else than a module.
    """
    if not shape.network:
        return []
    factory, members = get(shape.network), []
    for seed in seeds:
        with seeded(torch.device("cpu"), seed, _INITIAL):
            made = factory(shape)
        members.append(made if isinstance(made, Modules) else Modules(made))
        if not isinstance(members[-1].extractor, nn.Module):
            raise ConfigError(
                f"network {shape.network!r} gave {type(made).__name__}",
                where="train.network",
                mend="return a torch.nn.Module, or hepdann.networks.Modules",
            )
    return members


def width_of(module: nn.Module, inputs: int, what: str) -> int:
    """Outputs of a module that maps (B, inputs) to (B, outputs).

    Raises:
        ConfigError: it does not take (B, inputs), or gives another shape.
    """
    was = module.training
    try:
        with torch.no_grad(), seeded(torch.device("cpu"), 0):
            output_shape = module.eval()(torch.zeros(2, inputs)).shape
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"the {what} fails on events of shape (2, {inputs}): {error}", where="train.network"
        ) from error
    finally:
        module.train(was)
    if len(output_shape) != 2 or output_shape[0] != 2:
        raise ConfigError(
            f"the {what} maps (2, {inputs}) to {tuple(output_shape)}",
            where="train.network",
            mend="return (B, H)",
        )
    return int(output_shape[1])


def custom_head(
    heads: Sequence[nn.Module | None], seeds: Sequence[int], part: int, inputs: int, outputs: int
) -> Copies | None:
    """A head of the user's own for each member; ``None`` where there is none.

    Raises:
        ConfigError: its width is another, or it has batch normalisation, which would need
            statistics of each domain.
    """
    custom_heads = [head for head in heads if head is not None]
    if not custom_heads:
        return None
    what = ("feature extractor", "label head", "domain head")[part]
    width = width_of(custom_heads[0], inputs, what)
    if width != outputs:
        raise ConfigError(
            f"the {what} has {width} outputs, but {outputs} are needed", where="train.network"
        )
    if any(isinstance(module, BATCH_NORM) for module in custom_heads[0].modules()):
        raise ConfigError(
            f"batch normalisation in the {what}",
            where="train.network",
            mend="leave it to the extractor, or take layer normalisation",
        )
    return Copies(custom_heads, seeds, part)
