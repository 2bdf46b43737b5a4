"""Networks of the user's own, checked when they are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..errors import ConfigError
from .copies import BATCH_NORM, Copies, seeded
from .registry import Modules, get

if TYPE_CHECKING:
    from .adversarial import NetworkShape

_INITIAL = 0xC0


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
