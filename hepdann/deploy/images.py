"""The graph of a method whose events are images, and its check on events of the run."""

from __future__ import annotations

import numpy as np

from ..errors import ConfigError, RunError
from ..inference import Model, Step
from ..tensors import Tensors
from .check import Agreement, compare
from .features import Input, Plan
from .frameworks import OPSETS
from .graph import Graph
from .onnx_file import evaluate, onnx_model
from .steps import Scorer

_EVENTS = 500  # of the run, at most, in the check


def images_graph(model: Model, step: Step, framework: str) -> tuple[Graph, Plan]:
    """The graph from the images (N, C, H, W) of each view to class scores, and its inputs.

    Args:
        model: of the run.
        step: of the method.
        framework: "onnx"; others have no place for images.

    Raises:
        ConfigError: another framework.
        RunError: the network has a layer that is not exported.
    """
    if framework != "onnx":
        raise ConfigError(
            "its events are images, and this takes numbers alone",
            where=f"--for {framework}",
            mend="leave it out: images go to onnxruntime or ROOT's SOFIE",
        )
    graph = Graph()
    views = tuple(graph.input(name, tuple(shape)) for name, *shape in model.views)
    graph.output("scores", Scorer(graph, views).add(step))
    return graph, Plan((), (), {}, tuple(Input(name, "image") for name, *_ in model.views))


def images_agreement(
    graph: Graph, model: Model, tensors: Tensors | None, method: str, domain: str
) -> Agreement:
    """Compare the graph in onnxruntime with hepdann's scores, on the first events of the run.

    Raises:
        RunError: the tensor file, which alone holds images, is gone.
    """
    if tensors is None:
        raise RunError(
            "the tensor file of the run is gone, and with it the images to check an export by",
            mend="put it back where the training had it",
        )
    stored = "data" if domain == "target" and tensors.has_data else "mc"
    images = tensors.read_views(stored, slice(0, min(_EVENTS, tensors.rows(stored))))
    rows = np.concatenate([images[name].reshape(len(images[name]), -1) for name, *_ in model.views],
                          axis=1)  # fmt: skip
    proto = onnx_model(graph, "check", OPSETS["onnx"], {})
    (scores,) = evaluate(proto.SerializeToString(), images)
    return compare(scores, model.score(rows, method, domain).mean)
