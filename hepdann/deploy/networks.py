"""Networks as nodes of a graph: perceptrons, towers of images, deep sets of objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ..alignment import ObjectMap
from ..domains import Scaling
from ..errors import RunError
from ..inference import Part
from ..networks import DeepSet, ObjectNorm, ObjectsNetwork, ViewsNetwork
from ..networks.perceptron import Linear, extractor_layers, head_layers
from ..networks.registry import CopiedExtractor, Copies
from .features import Features, add_alignment
from .graph import Graph, Value


@dataclass(frozen=True)
class ObjectInputs:
    """What goes into a network of objects.

    Attributes:
        flat: (N, F) features of the event; ``None`` without any. Features where they are not
            scaled, else values; likewise ``parts``.
        parts: of each collection (N, most, F) features of its objects.
        valid: of each collection (N, most, 1), whether there is an object.
    """

    flat: Any
    parts: tuple[Any, ...]
    valid: tuple[Value, ...]

    def scaled(self, scaling: Scaling, scale: Callable[[Scaling, Features], Value]) -> ObjectInputs:
        """The same as the network sees it, by the scaling of its rows."""
        number = 0 if self.flat is None else self.flat.values.width
        sizes = (1 + one.values.width for one in self.parts)
        edges = pairwise(accumulate(sizes, initial=number))
        parts = tuple(
            scale(scaling.columns(start + 1, start + 1 + one.values.shape[1]), one)
            for (start, _), one in zip(edges, self.parts, strict=True)
        )
        flat = self.flat and scale(scaling.columns(0, number), self.flat)
        return replace(self, flat=flat, parts=parts)

    def mapped(self, graph: Graph, one: ObjectMap) -> ObjectInputs:
        """The same as an alignment leaves them, the objects one after the other."""
        flat, parts = self.flat and add_alignment(graph, one.maps[0], self.flat), []
        for number, part in enumerate(self.parts, start=1):
            shape = part.values.shape
            rows, back = ((-1, shape[1]), shape[1:]), ((-1, *shape), shape)
            values, known = (_reshaped(graph, x, *rows) for x in (part.values, part.known))
            made = add_alignment(graph, one.maps[number], Features(values, known))
            parts.append(Features(_reshaped(graph, made.values, *back), part.known))
        return replace(self, flat=flat, parts=tuple(parts))


def _reshaped(graph: Graph, x: Value, sizes: Sequence[int], shape: tuple[int, ...]) -> Value:
    return graph.add_node("Reshape", [x, graph.integers(sizes)], shape)


def _objects(graph: Graph, network: Any, events: ObjectInputs) -> Value:
    """The feature layer of deep sets; RunError: a part has attention."""
    columns = [] if events.flat is None else [events.flat]
    for part, values, valid in zip(network.parts, events.parts, events.valid, strict=True):
        if type(part) is not DeepSet:
            raise RunError(
                "networks with attention cannot be exported",
                mend="train --network deepsets, or score files with hepdann predict",
            )
        count = _summed(graph, graph.where(valid, 1.0, 0.0))
        made = add_module(graph, part.last, add_module(graph, part.layers, values))
        total = _summed(graph, graph.where(valid, made, 0.0))
        some = graph.where(graph.binary("Greater", count, 1.0), count, 1.0)
        log = graph.unary("Log", graph.add(count, 1.0))
        columns += [log, graph.mul(total, part.summed), graph.div(total, some)]
    return add_module(graph, network.trunk, graph.concat(columns))


def _summed(graph: Graph, x: Value) -> Value:
    """(N, F) sums over the objects of (N, most, F)."""
    return graph.add_node("ReduceSum", [x, graph.integers([1])], x.shape[1:], keepdims=0)


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
    graph: Graph, part: Part, member: int, domain: int, x: Value | Images | ObjectInputs
) -> Value:
    """Class scores (N, C) of one member, of scaled features (N, F), images, or scaled objects.

    ``domain`` says whose normalisation statistics apply, 0 source or 1 target.

    Raises:
        RunError: the network has a layer that this export does not know.
    """
    shape = part.shape
    if shape.network:
        extractor, label_head = part.network.extractor, part.network.label_head
        assert isinstance(extractor, CopiedExtractor)
        y = add_module(graph, extractor.member(member, domain), x)
        if isinstance(label_head, Copies):
            logits = add_module(graph, label_head.member(member), y)
            if shape.classes == 2:  # which share one logit
                logits = graph.concat([graph.mul(logits, -1.0), logits])
        else:
            logits = _head(graph, part, member, y)
    else:
        assert isinstance(x, Value)
        logits = _head(graph, part, member, _extractor(graph, part, member, domain, x))
    if shape.classes == 1:
        return logits
    # two classes share one logit, of which the last layer here gives both signs
    return (
        graph.unary("Sigmoid", logits)
        if shape.classes == 2
        else graph.add_node("Softmax", [logits], logits.shape, axis=1)
    )


def _extractor(graph: Graph, part: Part, member: int, domain: int, x: Value) -> Value:
    act, weights = _ACTIVATIONS[part.shape.activation], _doubles(part)
    for number, layer in enumerate(extractor_layers(part.shape, weights, domain)):
        y = _linear(graph, x, layer, member)
        if part.shape.normalisation == "layer":
            norm = (weights[f"extractor.norm.{number}.{key}"] for key in ("weight", "bias"))
            y = _layer_norm(graph, y, *(values[member, :, 0] for values in norm))
        x = _residual(graph, x, act(graph, y), residual=part.shape.residual)
    return x


def _head(graph: Graph, part: Part, member: int, x: Value) -> Value:
    """The logits; of two classes, which share one, its negative and itself."""
    shape = part.shape
    *layers, (weight, bias) = head_layers("label_head", _doubles(part), len(shape.label_head))
    for layer in layers:
        y = _ACTIVATIONS[shape.activation](graph, _linear(graph, x, layer, member))
        x = _residual(graph, x, y, residual=shape.residual)
    if shape.classes == 2:
        weight, bias = (np.concatenate([-values, values], axis=1) for values in (weight, bias))
    return _linear(graph, x, (weight, bias), member)


def _doubles(part: Part) -> dict[str, Floats]:
    return {name: np.asarray(values, np.float64) for name, values in part.weights.items()}


def _linear(graph: Graph, x: Value, layer: Linear, member: int) -> Value:
    weight, bias = layer
    return graph.gemm(x, weight[member].T, bias[member])


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
        return _objects(graph, module, x)
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
