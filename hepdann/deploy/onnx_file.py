"""A graph as an ONNX model, and as the scores that onnxruntime computes with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import ConfigError
from .graph import Graph, Value

if TYPE_CHECKING:
    from onnx import ModelProto

BATCH = "batch_size"  # SOFIE puts the batch size in its place
_ROWS = 512  # events that onnxruntime is given at a time
_IR_VERSIONS = ((20, 9), (15, 8))  # of the file format, by the least opset that needs it


def require(package: str) -> Any:
    """Import a package of the extra ``onnx``.

    Raises:
        ConfigError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"export needs the package {package}", mend='pip install "hepdann[onnx]"'
        ) from error


def onnx_model(
    graph: Graph, name: str, opset: int, metadata: Mapping[str, str], *, batch: int | None = None
) -> ModelProto:
    """Write a graph as an ONNX model, checked against ONNX's own rules.

    The model carries the texts of ``metadata``; ``batch`` is a fixed number of events, by default
    any.
    """
    onnx = require("onnx")
    helper = onnx.helper
    rows = BATCH if batch is None else batch

    def described(value: Value) -> Any:
        shape = [rows, *value.shape] if value.shape else []
        return helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, shape)

    proto = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(n.operator, list(n.inputs), list(n.outputs), **n.attributes)
                for n in graph.nodes
            ],
            name,
            [described(value) for value in graph.inputs],
            [described(value) for value in graph.outputs],
            [onnx.numpy_helper.from_array(a, key) for key, a in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=next(version for least, version in _IR_VERSIONS if opset >= least),
        producer_name="hepdann",
        producer_version=__version__,
        doc_string=name,
    )
    helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto, full_check=True)
    model: ModelProto = proto
    return model


def evaluate(
    model: bytes, inputs: Mapping[str, NDArray[np.float32]], *, one_by_one: bool = False
) -> list[NDArray[np.float32]]:
    """What onnxruntime computes, on one thread: each output, a row an event.

    ``one_by_one`` passes single events, to a model that takes no more.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    events, step = len(next(iter(inputs.values()))), 1 if one_by_one else _ROWS
    parts = []
    for start in range(0, events, step):
        given = {name: values[start : start + step] for name, values in inputs.items()}
        rows = len(next(iter(given.values())))
        parts.append([np.asarray(y).reshape(rows, -1) for y in session.run(None, given)])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
