"""The steps from features to scores, networks among them, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from ..alignment import Alignment, Moments, ObjectMap
from ..calibration import Calibration, Detector, with_parameter
from ..calibration.families import FamilyChain
from ..domains import Scaling
from ..errors import RunError
from ..inference import Combination, FoldMean, NetworkSteps, Part, Step
from ..networks import DeepSet, ObjectNorm, ObjectsNetwork, ViewsNetwork
from ..networks.perceptron import Linear, extractor_layers, head_layers
from ..networks.registry import CopiedExtractor, Copies
from .features import Features, add_alignment
from .formulas import affine, pair, pieces, rounded
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
        network: Any = module
        parts = [_tower(graph, *one) for one in zip(network.towers, x, strict=True)]
        return add_module(graph, network.trunk, graph.concat(parts))
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


_MEND = "export for data (--domain target), and score MC with hepdann predict"
_TINY = float(np.finfo(np.float32).eps)  # as in a mixture


class Scorer:
    """Adds the steps of a method to a graph; what several parts share is computed once.

    ``events`` are their features (N, F), the images of their views, or their objects.
    """

    def __init__(self, graph: Graph, events: Features | Images | ObjectInputs) -> None:
        self.graph, self.events = graph, events
        self._aligned: dict[int, Features | ObjectInputs] = {}

    def add(self, step: Step) -> Value:
        """Class scores (N, C): the mean over the members, and over the folds of a run in folds."""
        if isinstance(step, FoldMean):
            return self._mean([self.add(fold) for fold in step.parts])
        return self._mean(self._members(step))

    def _mean(self, members: Sequence[Value]) -> Value:
        if len(members) == 1:
            return members[0]
        return self.graph.mul(reduce(self.graph.add, members), 1 / len(members))

    def _members(self, step: NetworkSteps | Combination) -> list[Value]:
        if isinstance(step, Combination):
            return self._combined(step)
        x = self._scaled(step)
        members = [
            add_member(self.graph, step.part, k, step.statistics, x)
            for k in range(len(step.part.seeds))
        ]
        if step.correction is None:
            return members
        factors = np.exp(step.correction)
        moved = [self.graph.mul(member, factors) for member in members]
        ones = np.ones((len(factors), len(factors)))
        return [self.graph.div(scores, self.graph.gemm(scores, ones)) for scores in moved]

    def _scaled(self, step: NetworkSteps) -> Value | Images | ObjectInputs:
        features = self.events
        if isinstance(features, tuple):  # pixels are neither mapped nor scaled
            return features
        if step.mapped is not None:
            key = id(step.mapped)
            if key not in self._aligned:
                self._aligned[key] = self._mapped(step.mapped, features)
            features = self._aligned[key]
        scaling = step.scaling
        assert scaling is not None
        if isinstance(features, ObjectInputs):
            return features.scaled(scaling, self.scale)
        if step.parameter is None:
            return self.scale(scaling, features)
        scaled = self.scale(scaling.without_parameter(), features)
        last = with_parameter(np.zeros((1, scaled.width), np.float32), step.parameter)[0]
        return self.graph.gemm(scaled, np.eye(scaled.width, len(last)), last)

    def _mapped(
        self, mapped: Alignment | Calibration, events: Features | ObjectInputs
    ) -> Features | ObjectInputs:
        if isinstance(events, ObjectInputs):
            if not isinstance(mapped, ObjectMap):
                what = "MC passes a calibration of objects, which is not exported"
                raise RunError(what, mend=_MEND)
            return events.mapped(self.graph, mapped)
        if isinstance(mapped, Calibration):
            mapped = _scaled_and_moved(mapped, events.values.width)
        return add_alignment(self.graph, mapped, events)

    def scale(self, scaling: Scaling, features: Features) -> Value:
        """Scaled, with the imputed value where there is none."""
        shift = pair(-scaling.mean / scaling.std)
        scaled = affine(self.graph, features.values, pieces(1 / scaling.std), shift)
        imputed = (scaling.impute - scaling.mean) / scaling.std
        return self.graph.where(features.known, rounded(self.graph, scaled), imputed)

    def _combined(self, step: Combination) -> list[Value]:
        """Weighted means of log probabilities, member by member where all have equally many."""
        parts = [self._members(part) for part in step.parts]
        if len({len(members) for members in parts}) > 1:
            parts = [[self._mean(members)] for members in parts]
        weights = np.asarray(step.mixture.weights or (1.0,) * len(parts))
        weights = weights / weights.sum()
        offsets = np.asarray(step.mixture.offsets, np.float64)
        shift = weights @ offsets if step.target else np.zeros(offsets.shape[1])
        mixed = []
        for members in zip(*parts, strict=True):
            logs = [
                self.graph.mul(self._log(scores), weight)
                for scores, weight in zip(members, weights, strict=True)
            ]
            total = self.graph.add(reduce(self.graph.add, logs), shift)
            mixed.append(self.graph.add_node("Softmax", [total], total.shape, axis=1))
        return mixed

    def _log(self, scores: Value) -> Value:
        large = self.graph.binary("Greater", scores, _TINY)
        return self.graph.unary("Log", self.graph.where(large, scores, _TINY))


def _scaled_and_moved(calibration: Calibration, width: int) -> Moments:
    """A calibration of MC that changes the scale and the offset of features, and nothing else.

    Raises:
        RunError: it smears the features or bends them.
    """
    fit, x = calibration.fit, np.stack([np.zeros(width), np.ones(width)])
    if fit is not None:
        parts = fit.family.parts if isinstance(fit.family, FamilyChain) else (fit.family,)
        if not all(isinstance(part, Detector) and part.kind != "smear" for part in parts):
            raise RunError(
                f"MC passes a calibration before this network, {calibration.name}, which is not "
                "exported: only scales and offsets are",
                mend=_MEND,
            )
        x = fit.family.apply(x, fit.theta, calibration.seed)
    return Moments(x[1] - x[0], x[0])
