"""What each framework wants: shapes and names of inputs and outputs, opset, companions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .features import Plan
from .graph import Graph, Value

Framework = Literal["onnx", "athena", "cms", "cpp"]
OPSETS = {"onnx": 15, "athena": 20, "cms": 15, "cpp": 15}
_UNBOUNDED = 1e32  # as weaver writes it


def add_table(graph: Graph, framework: str, columns: int) -> Value:
    """The input of a graph, as a table (N, R)."""
    if framework == "athena":
        return graph.input("jet_features", (columns,))
    if framework == "cms":
        given = graph.input("inputs", (columns, 1))
        return graph.add_node("Flatten", [given], (columns,), axis=1)
    return graph.input("inputs", (columns,))


def add_outputs(
    graph: Graph, framework: str, scores: Value, classes: Sequence[str], name: str
) -> None:
    """The outputs of a graph: all scores in one, or a scalar for each class, as Athena has it."""
    if framework != "athena":
        graph.output("softmax" if framework == "cms" else "scores", scores)
        return
    scalar = graph.integers([])
    columns = graph.split(scores, [1] * len(classes))
    for output, column in zip(_athena_names(name, classes), columns, strict=True):
        graph.output(output, graph.add_node("Reshape", [column, scalar], ()))


def gnn_config(
    name: str, plan: Plan, classes: Sequence[str], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata that Athena reads, in the layout of salt's export."""
    variables = [{"name": one.name, "offset": 0.0, "scale": 1.0} for one in plan.inputs]
    return {
        "layers": [],
        "nodes": [],
        "onnx_model_version": "v1",
        "output_names": _athena_names(name, classes),
        "model_name": name,
        "inputs": [{"name": "jet_var", "variables": variables}],
        "input_sequences": [],
        "combine_outputs": [],
        "rename_outputs": {},
        "hepdann": dict(metadata),
    }


def _athena_names(name: str, classes: Sequence[str]) -> list[str]:
    return [f"{name}_p{c}" for c in classes]


def preprocess(plan: Plan, impute: Mapping[str, float], classes: Sequence[str]) -> dict[str, Any]:
    """``preprocess.json`` of weaver, which leaves the numbers as they are.

    ``impute`` is what stands for a missing value of a feature without a sentinel.
    """
    infos = {
        one.name: {
            "median": 0,
            "norm_factor": 1,
            "replace_inf_value": impute.get(one.name, 0.0) if one.missing is None else one.missing,
            "lower_bound": -_UNBOUNDED,
            "upper_bound": _UNBOUNDED,
            "pad": 0,
        }
        for one in plan.inputs
    }
    names = [one.name for one in plan.inputs]
    return {
        "output_names": list(classes),
        "input_names": ["inputs"],
        "inputs": {"var_names": names, "var_infos": infos, "var_length": 1},
    }
