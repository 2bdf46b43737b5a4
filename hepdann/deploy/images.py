"""The graph of a method whose events are images or objects, and its check on events of the run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunError
from ..inference import Model, Step
from ..tensors import Objects, Tensors, read_images
from .check import Agreement, compare
from .features import Input, Plan, known_values
from .graph import Graph
from .objects import ObjectInputs
from .steps import Scorer

_EVENTS = 500  # of the run, at most, in the check
_FLAT = "features"


def images_graph(model: Model, step: Step, framework: str) -> tuple[Graph, Plan]:
    """The graph from the images (N, C, H, W) of each view to class scores, and its inputs.

    Raises:
        ConfigError: a framework other than "onnx", which has no place for images.
        RunError: the network has a layer that is not exported.
    """
    _refuse(framework, "are images", "images go to onnxruntime or ROOT's SOFIE")
    graph = Graph()
    views = tuple(graph.input(name, tuple(shape)) for name, *shape in model.views)
    graph.output("scores", Scorer(graph, views).add(step))
    return graph, Plan((), (), {}, tuple(Input(name, "image") for name, *_ in model.views))


def objects_graph(model: Model, step: Step, framework: str) -> tuple[Graph, Plan]:
    """The graph from padded objects (N, most, F) of each collection to class scores.

    Beside each stands (N, most), 1 where there is an object; before them, if there are any, the (N,
    F) features of the event.

    Raises:
        ConfigError: a framework other than "onnx", which has no place for objects.
        RunError: the network has attention.
    """
    _refuse(framework, "have objects", "objects go to onnxruntime")
    graph, inputs, flat = Graph(), [], None
    number = model.inputs - sum(1 + most * features for _, most, features in model.objects)
    if number:
        flat = known_values(graph, graph.input(_FLAT, (number,)))
        inputs.append(Input(_FLAT, "event"))
    parts, valid = [], []
    for name, most, features in model.objects:
        parts.append(known_values(graph, graph.input(name, (most, features))))
        mask = graph.input(f"{name}_valid", (most,))
        column = graph.add_node("Reshape", [mask, graph.integers([-1, most, 1])], (most, 1))
        valid.append(graph.binary("Greater", column, 0.5))
        inputs += [Input(name, "objects"), Input(mask.name, "valid")]
    events = ObjectInputs(flat, tuple(parts), tuple(valid))
    graph.output("scores", Scorer(graph, events).add(step))
    return graph, Plan((), (), {}, tuple(inputs))


def _refuse(framework: str, events: str, whither: str) -> None:
    if framework != "onnx":
        what, where = f"its events {events}, and this takes numbers alone", f"--for {framework}"
        raise ConfigError(what, where=where, mend=f"leave it out: {whither}")


def agreement_of(
    graph: Graph, model: Model, tensors: Tensors | None, method: str, domain: str
) -> Agreement:
    """Compare the graph in onnxruntime with hepdann's scores, on the first events of the run.

    Raises:
        RunError: the tensor file, which alone holds images and objects, is gone.
    """
    if tensors is None:
        raise RunError(
            "the tensor file of the run is gone, and with it the events to check an export by",
            mend="put it back where the training had it",
        )
    stored = "data" if domain == "target" and tensors.has_data else "mc"
    rows = np.arange(min(_EVENTS, tensors.rows(stored)))
    events = read_images(tensors, stored, rows)
    padded = _padded(events) if isinstance(events, Objects) else None
    inputs = padded or tensors.read_views(stored, rows)
    return compare(graph, "onnx", inputs, model.score(events, method, domain).mean)


def _padded(events: Objects) -> dict[str, NDArray[np.float32]]:
    """The inputs of :func:`objects_graph`."""
    inputs = {_FLAT: events.features} if events.features.shape[1] else {}
    for part, one in zip(events.parts, events.collections, strict=True):
        padded = np.zeros((len(events), one.most, len(one.features)), np.float32)
        counts = part.pad(padded)
        inputs[one.name] = padded
        inputs[f"{one.name}_valid"] = (np.arange(one.most) < counts[:, None]).astype("f4")
    return inputs
