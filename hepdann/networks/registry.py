"""Networks by name: published ones and those of the user's own, which train as K copies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import ConfigError
from ..registry import NETWORKS
from .shape import NetworkShape

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INITIAL = 0xC0


@contextmanager
def seeded(device: torch.device, *words: int) -> Iterator[None]:
    """Torch's random numbers within the block follow from ``words`` alone.

    As ``torch.random.fork_rng`` with ``torch.manual_seed``, which would take longer than a step.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    kept = [generator.get_state() for generator in generators]
    seed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, kept, strict=True):
            generator.set_state(state)


class Copies(nn.Module):
    """K members of one module on (batch, features), as a part of a stack.

    The modules are alike but for their values. Parameters are kept stacked, (K, …), so that
    optimiser, averages and checkpoints treat them as those of any stack; each member runs by itself
    with its slice. Random numbers in training follow from its seed, the step and the number of this
    part.
    """

    def __init__(self, modules: Sequence[nn.Module], seeds: Sequence[int], part: int) -> None:
        super().__init__()
        # hidden in a tuple: the template's own values are not those of the stack
        self._hidden = (copy.deepcopy(modules[0]),)
        self._seeds, self._part = tuple(seeds), part
        self._names = [name for name, _ in modules[0].named_parameters()]
        member_parameters = [dict(module.named_parameters()) for module in modules]
        self.values = nn.ParameterList(
            torch.stack([member[name].detach() for member in member_parameters])
            for name in self._names
        )
        self._step = 0

    def set_step(self, step: int) -> None:
        """Say which step the next passes belong to."""
        self._step = step

    @property
    def template(self) -> nn.Module:
        """The module that runs, with the values of one member after another."""
        return self._hidden[0]

    def member(self, number: int) -> nn.Module:
        """A copy of the module of one member, for prediction."""
        module = copy.deepcopy(self.template).eval()
        for name, values in zip(self._names, self.values, strict=True):
            module.get_parameter(name).data = values[number].detach().clone()
        return module

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.template._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the template's mode too."""
        self.template.train(mode)
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (K, in, batch) to (K, out, batch)."""
        return self.run(x, [{}] * len(x))

    def run(self, x: Tensor | Sequence[Tensor], buffers: Sequence[dict[str, Tensor]]) -> Tensor:
        """Likewise, each member with the buffers that it is given."""
        values = [value.unbind(0) for value in self.values]
        out = []
        for k, of_member in enumerate(buffers):
            given = {name: value[k] for name, value in zip(self._names, values, strict=True)}
            with seeded(x[k].device, self._seeds[k], self._step, self._part):
                out.append(functional_call(self.template, given | of_member, (x[k].T,)).T)
        return torch.stack(out)


class CopiedExtractor(Copies):
    """The feature extractors of K members, with batch normalisation domain by domain or shared.

    In training each of the D domains of a batch passes by itself, unless they share their
    statistics. Those for prediction come from :meth:`collect`, as in :class:`StackedBatchNorm`.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        seeds: Sequence[int],
        domains: int,
        *,
        per_domain: bool = True,
    ) -> None:
        super().__init__(modules, seeds, 0)
        self.domains, self.per_domain = domains, per_domain
        self._norms = [m for m in self.template.modules() if isinstance(m, BATCH_NORM)]
        for norm in self._norms:
            norm.momentum = 1.0  # the statistics of one pass, no running average
        buffers = [dict(module.named_buffers()) for module in modules]
        self._buffer_names = list(buffers[0])
        for index, name in enumerate(self._buffer_names):
            stacked = torch.stack([member[name] for member in buffers])
            apart = stacked.unsqueeze(1).expand(-1, domains, *stacked.shape[1:]).clone()
            self.register_buffer(f"seen{index}", apart)  # (K, D, …)

    def _buffers_of(self, row: int | Tensor, *, kept: bool) -> list[dict[str, Tensor]]:
        """Each member's buffers of a domain; ``kept`` is whether changes of them stay."""
        rows = [int(row)] * len(self._seeds) if isinstance(row, int) else row.tolist()
        out = []
        for k, domain in enumerate(rows):
            buffers = {
                name: self.get_buffer(f"seen{index}")[k, domain]
                for index, name in enumerate(self._buffer_names)
            }
            out.append(
                buffers if kept else {name: value.clone() for name, value in buffers.items()}
            )
        return out

    def member(self, number: int, domain: int = 0) -> nn.Module:
        """A copy of the module of one member, with the statistics of a domain."""
        module = super().member(number)
        for name, value in self._buffers_of(domain * (self.domains - 1), kept=False)[
            number
        ].items():
            module.get_buffer(name).copy_(value)
        return module

    def forward(
        self, x: Tensor, domains: int | None = None, _weight: Tensor | None = None
    ) -> Tensor:
        """Feature layer (K, H, D · B) of a training batch (K, F, D · B), by default of all domains.

        The weights are not used: a module of the user's own normalises events as it does.
        """
        if not self._norms or not self.per_domain:
            return self.run(x, self._buffers_of(0, kept=False))
        parts = x.chunk(domains or self.domains, dim=-1)
        passed = [self.run(part, self._buffers_of(d, kept=False)) for d, part in enumerate(parts)]
        return torch.cat(passed, dim=-1)

    def collect(self, domains: Sequence[Sequence[Tensor]]) -> None:
        """Fix the statistics of prediction from events, K times (F, n) of each domain."""
        self.template.eval()  # no dropout
        for norm in self._norms:
            norm.train()
        for index, name in enumerate(self._buffer_names):
            if name.endswith("num_batches_tracked"):  # the same however often this was done before
                self.get_buffer(f"seen{index}").zero_()
        if not self.per_domain:
            joined = [torch.cat(parts, dim=-1) for parts in zip(*domains, strict=True)]
            domains = [joined] * self.domains
        for d, x in enumerate(domains if self._norms else ()):
            self.run(x, self._buffers_of(d, kept=True))
        self.template.train(self.training)

    def prediction(self, domain: int | Tensor) -> Callable[[Tensor], Tensor]:
        """What maps events to the feature layer by statistics: 0 source, 1 target, or (K,)."""
        buffers = self._buffers_of(domain * (self.domains - 1), kept=False)
        return lambda x: self.run(x, buffers)


def no_inputs(shape: NetworkShape, kind: str, mend: str) -> ConfigError:
    """What to raise where events have none of what a network sees."""
    what = f"{shape.network} is a network of {kind}, and these events have none"
    return ConfigError(what, where="train.network", mend=mend)


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
