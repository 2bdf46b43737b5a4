"""Record the activations of a network, and put its state back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...networks import StackedDropout

_ACTIVATIONS = (nn.ReLU, nn.ELU, nn.GELU, nn.Tanh)
_DROPOUTS = (StackedDropout, nn.Dropout)


class Activations:
    """Feature layer, domain logits and range of the hidden units in passes over events."""

    def __init__(self) -> None:
        self.extractor: list[Tensor] = []
        self.domain: list[Tensor] = []
        self.layers: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def features(self) -> Tensor:
        """(K, H, events) the feature layer."""
        return self.extractor[0]

    def dead(self) -> dict[str, Tensor]:
        """Share of each layer's units that are the same for all events, (K,) each."""
        return {
            name: ((most - least) <= 1e-6 * most.abs()).cpu().double().mean(-1)
            for name, (least, most) in self.layers.items()
        }

    def note_layer(self, name: str, output: Tensor) -> None:
        """Keep the smallest and the largest output of each unit."""
        least, most = output.detach().aminmax(dim=-1)
        if name in self.layers:
            before = self.layers[name]
            least, most = torch.minimum(least, before[0]), torch.maximum(most, before[1])
        self.layers[name] = (least, most)


@contextmanager
def record_activations(network: nn.Module, activations: Activations) -> Iterator[None]:
    """Record feature layer, domain logits and hidden units of the passes within the block."""

    def layer(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: activations.note_layer(name, output)

    handles = [
        network.get_submodule("extractor").register_forward_hook(
            lambda _module, _inputs, output: activations.extractor.append(output)
        ),
        network.get_submodule("domain_head").register_forward_hook(
            lambda _module, _inputs, output: activations.domain.append(output)
        ),
    ]
    handles += [
        module.register_forward_hook(layer(name))
        for name, module in network.named_modules()
        if isinstance(module, _ACTIVATIONS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def preserved_state(network: nn.Module) -> Iterator[None]:
    """Training mode without dropout; buffers and random states are put back at the end."""
    was = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        network.train()
        for module in network.modules():
            if isinstance(module, _DROPOUTS):
                module.eval()
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        network.train(was)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
