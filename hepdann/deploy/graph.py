"""A graph of operators on events, from which an ONNX file and C++ are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._version import __version__
from ..errors import ConfigError

if TYPE_CHECKING:
    from onnx import ModelProto

# ROOT's SOFIE reads all of these (tmva/sofie/README.md); they are all that the graph is made of,
# but for the objects of an event, which go to onnxruntime alone.
OPERATORS = frozenset({
    "Abs", "Add", "Concat", "Conv", "Div", "Elu", "Equal", "Erf", "Exp", "Flatten", "Gemm",
    "Greater", "Less", "Log", "MaxPool", "Mul", "Pow", "Relu", "Reshape", "Sigmoid", "Sin", "Cos",
    "Softmax", "Split", "Sqrt", "Sub", "Tanh", "Where",
})  # fmt: skip
OF_OBJECTS = frozenset({"MatMul", "ReduceSum"})


@dataclass(frozen=True)
class Value:
    """An array that the graph computes, or a constant of it.

    ``shape`` is that of one event, without the axis of the events; of a constant that of all of it,
    without a leading axis of 1.
    """

    name: str
    shape: tuple[int, ...]
    constant: bool = False

    @property
    def width(self) -> int:
        """Numbers of an event."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Node:
    """One of :data:`OPERATORS` on values by name.

    ``rounded`` says whether hepdann rounds the result to float32 where it computes in float64; an
    ONNX file rounds everywhere, C++ in double only here.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    rounded: bool = False


class Graph:
    """Nodes in the order in which they are computed.

    ``constants`` are float32 or int64 arrays by name, as an ONNX file holds them; ``values`` is
    everything by name.
    """

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.values: dict[str, Value] = {}
        self._known: dict[tuple[Any, ...], Value] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """A value that the user gives."""
        value = self._value(Value(name, shape))
        self.inputs.append(value)
        return value

    def output(self, name: str, value: Value) -> None:
        """Make a value an output of the graph, under a name of its own."""
        last = next(n for n in range(len(self.nodes)) if value.name in self.nodes[n].outputs)
        node = self.nodes[last]
        outputs = tuple(name if one == value.name else one for one in node.outputs)
        self.nodes[last] = Node(node.operator, node.inputs, outputs, node.attributes, node.rounded)
        self.outputs.append(self._value(Value(name, value.shape)))

    def constant(self, array: ArrayLike) -> Value:
        """A constant of float32; a vector (F,) stands for every event."""
        values = np.atleast_1d(np.asarray(array, np.float32))
        return self._stored(values[None, :] if values.ndim == 1 else values, values.shape)

    def parameter(self, array: ArrayLike) -> Value:
        """A constant of float32 in its own shape, as weights of convolutions are."""
        stored = np.asarray(array, np.float32)
        return self._stored(stored, stored.shape)

    def _stored(self, stored: NDArray[np.float32], shape: tuple[int, ...]) -> Value:
        key = ("constant", shape, stored.shape, stored.tobytes())
        if key not in self._known:
            value = self._value(Value(f"c{len(self.constants)}", shape, constant=True))
            self.constants[value.name] = stored
            self._known[key] = value
        return self._known[key]

    def integers(self, values: Sequence[int]) -> Value:
        """A constant of int64, as sizes and shapes are."""
        value = self._value(Value(f"c{len(self.constants)}", (len(values),), constant=True))
        self.constants[value.name] = np.asarray(values, np.int64)
        return value

    def add_node(
        self,
        operator: str,
        inputs: Sequence[Value],
        shape: tuple[int, ...],
        *,
        rounded: bool = False,
        **attributes: Any,
    ) -> Value:
        """Compute a value; the same operation of the same values is computed once.

        Raises:
            ValueError: the operator is none of :data:`OPERATORS` and :data:`OF_OBJECTS`.
        """
        if operator not in OPERATORS | OF_OBJECTS:
            raise ValueError(f"operator {operator} is not on the list")
        names = tuple(value.name for value in inputs)
        key = (operator, names, rounded, repr(sorted(attributes.items())))
        if key not in self._known:
            value = self._value(Value(f"v{len(self.nodes)}", shape))
            self.nodes.append(Node(operator, names, (value.name,), attributes, rounded))
            self._known[key] = value
        return self._known[key]

    def split(self, x: Value, widths: Sequence[int]) -> list[Value]:
        """Columns (N, F) in groups of these widths."""
        if len(widths) == 1:
            return [x]
        number = len(self.nodes)
        parts = [self._value(Value(f"v{number}_{k}", (w,))) for k, w in enumerate(widths)]
        names = tuple(part.name for part in parts)
        sizes = self.integers(widths)
        self.nodes.append(Node("Split", (x.name, sizes.name), names, {"axis": 1}))
        return parts

    def concat(self, parts: Sequence[Value]) -> Value:
        """Columns side by side."""
        if len(parts) == 1:
            return parts[0]
        return self.add_node("Concat", parts, (sum(p.width for p in parts),), axis=1)

    def unary(self, operator: str, x: Value) -> Value:
        """An operation of each number."""
        return self.add_node(operator, [x], x.shape)

    def binary(
        self, operator: str, a: Value | ArrayLike, b: Value | ArrayLike, *, rounded: bool = False
    ) -> Value:
        """An operation of two numbers; a single one goes with each of the other's."""
        left, right = self.of(a), self.of(b)
        shape = left.shape if left.width >= right.width else right.shape
        return self.add_node(operator, [left, right], shape, rounded=rounded)

    def add(self, a: Value | ArrayLike, b: Value | ArrayLike, *, rounded: bool = False) -> Value:
        """The sum a + b."""
        return self.binary("Add", a, b, rounded=rounded)

    def sub(self, a: Value | ArrayLike, b: Value | ArrayLike) -> Value:
        """The difference a − b."""
        return self.binary("Sub", a, b)

    def mul(self, a: Value | ArrayLike, b: Value | ArrayLike) -> Value:
        """The product a · b."""
        return self.binary("Mul", a, b)

    def div(self, a: Value | ArrayLike, b: Value | ArrayLike) -> Value:
        """The quotient a / b."""
        return self.binary("Div", a, b)

    def where(
        self,
        condition: Value,
        yes: Value | ArrayLike,
        no: Value | ArrayLike,
        *,
        rounded: bool = False,
    ) -> Value:
        """``yes`` where the condition holds, else ``no``."""
        operands = [condition, self.of(yes), self.of(no)]
        shape = max((o.shape for o in operands), key=math.prod)
        return self.add_node("Where", operands, shape, rounded=rounded)

    def gemm(self, x: Value, weight: ArrayLike, bias: ArrayLike | None = None) -> Value:
        """``x W + b`` with W (in, out): every event's numbers, all of them finite."""
        matrix = self.constant(np.asarray(weight, np.float32).reshape(x.width, -1))
        operands = [x, matrix] if bias is None else [x, matrix, self.constant(bias)]
        return self.add_node("Gemm", operands, (matrix.shape[1],))

    def of(self, value: Value | ArrayLike) -> Value:
        """A value as it is, a number or an array as a constant."""
        return value if isinstance(value, Value) else self.constant(value)

    def _value(self, value: Value) -> Value:
        self.values[value.name] = value
        return value


BATCH = "batch_size"  # SOFIE puts the batch size in its place
_ROWS = 512  # events that onnxruntime is given at a time
_IR_VERSIONS = ((20, 9), (15, 8))  # of the file format, by the least opset that needs it


def require_package(package: str) -> Any:
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
    onnx = require_package("onnx")
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
    runtime = require_package("onnxruntime")
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
