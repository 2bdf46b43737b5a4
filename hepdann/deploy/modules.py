"""Modules of torch as nodes of a graph: towers of images, and layers of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..errors import RunError
from ..networks import ViewsNetwork
from .graph import Graph, Value

__all__ = ["Images", "add_module"]

Images = tuple[Value, ...]  # (C, H, W) of each view of an event
_SAME = (nn.Dropout, nn.Identity)  # in prediction
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "Relu", nn.Sigmoid: "Sigmoid", nn.Tanh: "Tanh",
}  # fmt: skip


def add_module(graph: Graph, module: nn.Module, x: Value | Images) -> Value:
    """What a module makes of the numbers or the images of an event, in prediction.

    Raises:
        RunError: a layer that is none of those known.
    """
    kind = type(module)  # a class that is derived from one of these may do something else
    if kind is ViewsNetwork and isinstance(x, tuple):
        return _views(graph, module, x)
    if isinstance(x, Value):
        if kind is nn.Sequential:
            for layer in module.children():
                x = add_module(graph, layer, x)
            return x
        if kind in _SAME:
            return x
        if kind in _ACTIVATIONS:
            return graph.unary(_ACTIVATIONS[kind], x)
        if kind is nn.Linear:
            bias = None if module.bias is None else _array(module.bias)
            return graph.gemm(x, _array(module.weight).T, bias)
    raise RunError(
        f"the network has a layer {kind.__name__}, which this export does not know",
        mend="export a run with a perceptron or with towers as minerva-2016, or the module itself "
        "with torch.onnx",
    )


def _views(graph: Graph, network: Any, images: Images) -> Value:
    """A tower for each view, and the trunk."""
    towers = zip(network.towers, images, strict=True)
    return add_module(graph, network.trunk, graph.concat([_tower(graph, *one) for one in towers]))


def _tower(graph: Graph, tower: Any, x: Value) -> Value:
    for convolution in tower.convolutions:
        x = _pooled(graph, _convolved(graph, convolution, x))
        x = graph.unary("Relu", x)
    x = graph.add_node("Flatten", [x], (x.width,), axis=1)
    return graph.unary("Relu", add_module(graph, tower.linear, x))


def _convolved(graph: Graph, layer: nn.Conv2d, x: Value) -> Value:
    assert layer.bias is not None
    rows, columns = layer.kernel_size
    _, height, width = x.shape
    operands = [x, *(graph.parameter(_array(values)) for values in (layer.weight, layer.bias))]
    shape = (layer.out_channels, height - rows + 1, width - columns + 1)
    return graph.add_node("Conv", operands, shape, kernel_shape=[rows, columns])


def _pooled(graph: Graph, x: Value) -> Value:
    """The larger of two strips; of an odd number the last one alone, as Caffe pools."""
    channels, height, width = x.shape
    odd = height % 2
    return graph.add_node(
        "MaxPool", [x], (channels, (height + odd) // 2, width),
        kernel_shape=[2, 1], strides=[2, 1], pads=[0, 0, odd, 0],
    )  # fmt: skip


def _array(values: Any) -> NDArray[np.float32]:
    """A parameter."""
    return np.asarray(values.detach().cpu().numpy(), np.float32)
