"""Networks of images as ONNX."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hepdann.deploy.check import images_graph
from hepdann.deploy.graph import Graph, evaluate, onnx_model
from hepdann.deploy.networks import add_module
from hepdann.domains import Scaling
from hepdann.errors import ConfigError, RunError
from hepdann.inference import Model, Part
from hepdann.networks import AdversarialNetwork, NetworkShape

VIEWS = (("x", 1, 127, 20), ("u", 1, 127, 20), ("v", 1, 127, 20))
NOTHING = Scaling(*(np.empty(0) for _ in range(3)))


def model_of(network, classes=11):
    pixels = sum(c * h * w for _, c, h, w in VIEWS)
    shape = NetworkShape(pixels, classes, network=network, views=VIEWS, normalisation="none")
    stack = AdversarialNetwork(shape, [1, 2])
    part = Part(shape, stack.arrays(), 0, (0.0, 0.0), (1, 2))
    names = tuple(f"class-{i}" for i in range(classes))
    return Model((), names, NOTHING, {}, {"source-only": part}, views=VIEWS)


def images(n):
    random = np.random.default_rng(3)
    hits = {}
    for name, *shape in VIEWS:
        hit = random.random((n, *shape)) < 0.05
        hits[name] = np.where(hit, random.exponential(3, hit.shape), 0).astype(np.float32)
    return hits


@pytest.mark.parametrize(
    ("network", "classes"), [("minerva-2016", 11), ("minerva-2018", 2), ("minerva-reference", 3)]
)
def test_towers_agree_with_torch(network, classes):
    """Where an odd number of strips is pooled too, as in minerva-2018."""
    model, events = model_of(network, classes), images(6)
    graph, layout = images_graph(model, model.steps("source-only"), "onnx")
    assert [one.name for one in layout.inputs] == ["x", "u", "v"]
    assert {node.operator for node in graph.nodes} >= {"Conv", "MaxPool", "Relu", "Gemm"}
    (scores,) = evaluate(onnx_model(graph, "towers", 15, {}).SerializeToString(), events)
    rows = np.concatenate([view.reshape(6, -1) for view in events.values()], axis=1)
    np.testing.assert_allclose(scores, model.score(rows, "source-only").mean, atol=1e-6)


def test_layers_of_a_sequence_agree_with_torch():
    torch.manual_seed(1)
    made = nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.5), nn.Sequential(nn.Linear(5, 4), nn.ReLU()),
        nn.Linear(4, 2, bias=False), nn.Sigmoid(), nn.Identity(),
    ).eval()  # fmt: skip
    graph, x = Graph(), torch.randn(7, 3)
    graph.output("y", add_module(graph, made, graph.input("x", (3,))))
    (y,) = evaluate(onnx_model(graph, "layers", 15, {}).SerializeToString(), {"x": x.numpy()})
    np.testing.assert_allclose(y, made(x).detach().numpy(), atol=1e-6)


def test_what_is_not_exported_is_refused():
    model = model_of("minerva-2018")
    with pytest.raises(ConfigError, match=r"--for cpp: its events are images"):
        images_graph(model, model.steps("source-only"), "cpp")
    small = model_of("minerva-small")
    with pytest.raises(RunError, match="has a layer PlanesNetwork, which this export does not"):
        images_graph(small, small.steps("source-only"), "onnx")
