"""Deep sets of padded objects as nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from torch import nn

from ..alignment import ObjectMap
from ..domains import Scaling
from ..errors import RunError
from ..networks import DeepSet
from .features import Features
from .graph import Graph, Value
from .maps import add_alignment


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


def add_objects(
    graph: Graph,
    network: Any,
    events: ObjectInputs,
    layers: Callable[[Graph, nn.Module, Value], Value],
) -> Value:
    """The feature layer of an ``ObjectsNetwork`` of deep sets.

    Args:
        graph: to which the nodes go.
        network: of one member.
        events: scaled.
        layers: adds a module, see :func:`.add_module`.

    Raises:
        RunError: a part has attention.
    """
    columns = [] if events.flat is None else [events.flat]
    for part, values, valid in zip(network.parts, events.parts, events.valid, strict=True):
        if type(part) is not DeepSet:
            raise RunError(
                "networks with attention cannot be exported",
                mend="train --network deepsets, or score files with hepdann predict",
            )
        count = _summed(graph, graph.where(valid, 1.0, 0.0))
        made = layers(graph, part.last, layers(graph, part.layers, values))
        total = _summed(graph, graph.where(valid, made, 0.0))
        some = graph.where(graph.binary("Greater", count, 1.0), count, 1.0)
        log = graph.unary("Log", graph.add(count, 1.0))
        columns += [log, graph.mul(total, part.summed), graph.div(total, some)]
    return layers(graph, network.trunk, graph.concat(columns))


def _summed(graph: Graph, x: Value) -> Value:
    """(N, F) sums over the objects of (N, most, F)."""
    return graph.add_node("ReduceSum", [x, graph.integers([1])], x.shape[1:], keepdims=0)
