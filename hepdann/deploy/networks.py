"""Trained networks as nodes of a graph: the scores of one member."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ..errors import RunError
from ..networks import AdversarialNetwork, ObjectNorm, ObjectsNetwork, ViewsNetwork
from ..networks.registry import CopiedExtractor, Copies
from .graph import Graph, Value
from .objects import ObjectInputs, add_objects

Images = tuple[Value, ...]  # (C, H, W) of each view of an event
_SAME = (nn.Dropout, nn.Identity)  # in prediction
_LAYERS: dict[type[nn.Module], str] = {
    nn.ReLU: "Relu", nn.Sigmoid: "Sigmoid", nn.Tanh: "Tanh",
}  # fmt: skip

_EPSILON = 1e-5  # of normalisations
Floats = NDArray[np.float64]
_ACTIVATIONS: dict[str, Callable[[Graph, Value], Value]] = {
    "relu": lambda g, x: g.unary("Relu", x),
    "elu": lambda g, x: g.unary("Elu", x),
    "tanh": lambda g, x: g.unary("Tanh", x),
    "sigmoid": lambda g, x: g.unary("Sigmoid", x),
    "gelu": lambda g, x: g.mul(
        g.mul(x, 0.5), g.add(g.unary("Erf", g.mul(x, np.sqrt(0.5))), 1.0)
    ),
}  # fmt: skip


def add_member(
    graph: Graph,
    network: AdversarialNetwork,
    member: int,
    domain: int,
    x: Value | Images | ObjectInputs,
) -> Value:
    """Class scores (N, C) of one member, of scaled features (N, F), images, or scaled objects.

    ``domain`` says whose normalisation statistics apply, 0 source or 1 target.

    Raises:
        RunError: the network has a layer that this export does not know.
    """
    if network.shape.network:
        logits = _modules(graph, network, member, domain, x)
    else:
        assert isinstance(x, Value)
        logits = _perceptron(graph, network, member, domain, x)
    classes = network.shape.classes
    if classes == 1:
        return logits
    # two classes share one logit, of which the last layer here gives both signs
    return (
        graph.unary("Sigmoid", logits)
        if classes == 2
        else graph.add_node("Softmax", [logits], logits.shape, axis=1)
    )


def _modules(
    graph: Graph,
    network: AdversarialNetwork,
    member: int,
    domain: int,
    x: Value | Images | ObjectInputs,
) -> Value:
    assert isinstance(network.extractor, CopiedExtractor)
    y = add_module(graph, network.extractor.member(member, domain), x)
    if not isinstance(network.label_head, Copies):
        state = {name: _array(value) for name, value in network.state_dict().items()}
        return _head(graph, network, member, state, y)
    logits = add_module(graph, network.label_head.member(member), y)
    both = network.shape.classes == 2  # which share one logit
    return graph.concat([graph.mul(logits, -1.0), logits]) if both else logits


def _perceptron(
    graph: Graph, network: AdversarialNetwork, member: int, domain: int, x: Value
) -> Value:
    state = {name: _array(value) for name, value in network.state_dict().items()}
    shape = network.shape
    act = _ACTIVATIONS[shape.activation]
    row = domain * (shape.domains - 1)
    for layer in range(len(shape.extractor)):
        weight, bias = _linear(state, f"extractor.linear.{layer}", member)
        norm = {
            key: state[f"extractor.norm.{layer}.{key}"]
            for key in ("mean", "variance", "weight", "bias")
            if f"extractor.norm.{layer}.{key}" in state
        }
        if "mean" in norm:  # batch normalisation is a part of the layer
            scale = norm["weight"][member, :, 0] / np.sqrt(norm["variance"][row, member] + _EPSILON)
            shift = norm["bias"][member, :, 0] - norm["mean"][row, member] * scale
            weight, bias = weight * scale, bias * scale + shift
        y = graph.gemm(x, weight, bias)
        if norm and "mean" not in norm:
            y = _layer_norm(graph, y, norm["weight"][member, :, 0], norm["bias"][member, :, 0])
        x = _residual(graph, x, act(graph, y), residual=shape.residual)
    return _head(graph, network, member, state, x)


def _head(
    graph: Graph, network: AdversarialNetwork, member: int, state: dict[str, Floats], x: Value
) -> Value:
    shape = network.shape
    act = _ACTIVATIONS[shape.activation]
    for layer in range(len(shape.label_head)):
        y = act(graph, graph.gemm(x, *_linear(state, f"label_head.{2 * layer}", member)))
        x = _residual(graph, x, y, residual=shape.residual)
    weight, bias = _linear(state, f"label_head.{2 * len(shape.label_head)}", member)
    return _last_layer(graph, x, weight, bias, shape.classes)


def _last_layer(graph: Graph, x: Value, weight: Floats, bias: Floats, classes: int) -> Value:
    """The logits; of two classes, which share one, its negative and itself."""
    if classes == 2:
        weight, bias = np.concatenate([-weight, weight], axis=1), np.concatenate([-bias, bias])
    return graph.gemm(x, weight, bias)


def _linear(state: dict[str, Floats], name: str, member: int) -> tuple[Floats, Floats]:
    """Weights (in, out) and bias (out,)."""
    weight = state[f"{name}.weight"][member].T
    bias = state.get(f"{name}.bias")
    return weight, np.zeros(weight.shape[1]) if bias is None else bias[member, :, 0]


def _layer_norm(graph: Graph, x: Value, weight: Floats, bias: Floats) -> Value:
    average = np.full((x.shape[-1], x.shape[-1]), 1 / x.shape[-1])
    centred = graph.sub(x, _dense(graph, x, average))
    variance = _dense(graph, graph.mul(centred, centred), average)
    unit = graph.div(centred, graph.unary("Sqrt", graph.add(variance, _EPSILON)))
    return graph.add(graph.mul(unit, weight), bias)


def _dense(graph: Graph, x: Value, weight: ArrayLike, bias: ArrayLike | None = None) -> Value:
    """``x W + b`` of the numbers of an event, or of each of its objects."""
    if len(x.shape) == 1:
        return graph.gemm(x, weight, bias)
    matrix = graph.parameter(weight)
    y = graph.add_node("MatMul", [x, matrix], (*x.shape[:-1], matrix.shape[1]))
    return y if bias is None else graph.add(y, bias)


def _residual(graph: Graph, x: Value, y: Value, *, residual: bool) -> Value:
    return graph.add(y, x) if residual and x.width == y.width else y


def _array(value: Any) -> Floats:
    """A torch tensor as float64."""
    return np.asarray(value.detach().cpu().double().numpy())


def add_module(graph: Graph, module: nn.Module, x: Value | Images | ObjectInputs) -> Value:
    """What a module makes of the numbers, images or objects of an event, in prediction.

    Raises:
        RunError: a layer that is none of those known.
    """
    kind = type(module)  # a class that is derived from one of these may do something else
    if kind is ViewsNetwork and isinstance(x, tuple):
        return _views(graph, module, x)
    if kind is ObjectsNetwork and isinstance(x, ObjectInputs):
        return add_objects(graph, module, x, add_module)
    if isinstance(x, Value):
        if kind is nn.Sequential:
            for layer in module.children():
                x = add_module(graph, layer, x)
            return x
        if kind in _SAME:
            return x
        if kind in _LAYERS:
            return graph.unary(_LAYERS[kind], x)
        if kind is nn.Linear:
            bias = None if module.bias is None else _values(module.bias)
            return _dense(graph, x, _values(module.weight).T, bias)
        if kind is nn.LayerNorm:
            return _layer_norm(graph, x, _array(module.weight), _array(module.bias))
        if kind is ObjectNorm:
            scale = _array(module.weight) / np.sqrt(_array(module.running_var) + _EPSILON)
            shift = _array(module.bias) - _array(module.running_mean) * scale
            return graph.add(graph.mul(x, scale), shift)
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
    """Convolutions and the larger of two strips; of an odd number the last alone, as in Caffe."""
    for layer in tower.convolutions:
        rows, columns = layer.kernel_size
        operands = [x, *(graph.parameter(_values(values)) for values in (layer.weight, layer.bias))]
        height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
        shape, odd = (layer.out_channels, height, width), height % 2
        x = graph.add_node("Conv", operands, shape, kernel_shape=[rows, columns])
        x = graph.add_node(
            "MaxPool", [x], (layer.out_channels, (height + odd) // 2, width),
            kernel_shape=[2, 1], strides=[2, 1], pads=[0, 0, odd, 0],
        )  # fmt: skip
        x = graph.unary("Relu", x)
    x = graph.add_node("Flatten", [x], (x.width,), axis=1)
    return graph.unary("Relu", add_module(graph, tower.linear, x))


def _values(values: Any) -> NDArray[np.float32]:
    """A parameter of a module."""
    return np.asarray(values.detach().cpu().numpy(), np.float32)
