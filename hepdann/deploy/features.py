"""From the columns that a framework gives to the features of a model, mapped; and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..alignment import (
    AffineMap,
    Alignment,
    Chain,
    GaussianTransport,
    LinearMap,
    Moments,
    QuantileMap,
    SlicedTransport,
)
from ..errors import ConfigError, RunError
from ..expressions import Expression, parse
from ..expressions.functions import CONSTANTS
from .formulas import (
    Formula,
    affine,
    difference,
    exact,
    normal,
    pair,
    pieces,
    product,
    rounded,
    supported,
    two_sum,
)
from .graph import Graph, Value

_LARGEST = 1e30


@dataclass(frozen=True)
class GraphInput:
    """One column that the user gives.

    Attributes:
        name: of the branch, or of the feature.
        kind: "branch", "feature" where the graph does not compute it, or "image"; "objects",
            "valid" where there is one, and the "event" beside them.
        unit: of a branch that is a feature, "" where unknown.
        missing: its sentinel, if all that read it have the same.
    """

    name: str
    kind: str
    unit: str = ""
    missing: float | None = None


@dataclass(frozen=True)
class GraphFeature:
    """A feature and where it comes from.

    Attributes:
        expression: of branches; ``None`` where it is unknown.
        missing: its sentinel.
        inside: whether the graph computes the expression; otherwise the feature is an input.
    """

    name: str
    expression: Expression | None
    missing: float | None
    inside: bool

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return branches_of(self.expression) if self.inside and self.expression else (self.name,)

    @property
    def is_input(self) -> bool:
        """Whether it is one column as it is."""
        return not self.inside or self.expression is None or self.expression.is_name


def branches_of(expression: Expression) -> tuple[str, ...]:
    """The names in an expression that are no constants."""
    if expression.is_name:
        return expression.names
    return tuple(name for name in expression.names if name not in CONSTANTS)


@dataclass(frozen=True)
class GraphPlan:
    """How the features follow from the inputs, which are columns that the user gives, in order."""

    names: tuple[str, ...]
    features: tuple[GraphFeature, ...]
    indicators: Mapping[str, str]
    inputs: tuple[GraphInput, ...]

    @property
    def computed(self) -> tuple[str, ...]:
        """Features that are more than a column."""
        return tuple(f.name for f in self.features if not f.is_input)

    @property
    def approximate(self) -> tuple[str, ...]:
        """Computed features whose last bit may be another than hepdann's: logarithms and such."""
        return tuple(
            f.name
            for f in self.features
            if not f.is_input and f.expression is not None and not exact(f.expression)
        )


@dataclass(frozen=True)
class Features:
    """Values (N, F) of a graph, 0 where missing, and whether there is one."""

    values: Value
    known: Value


def plan(
    names: Sequence[str],
    missing: Mapping[str, float],
    indicators: Mapping[str, str],
    info: Mapping[str, Mapping[str, Any]],
    outside: Collection[str] = (),
) -> GraphPlan:
    """Which inputs there are, and how the features follow from them.

    ``missing`` are the sentinels of features that have one; ``indicators`` are columns that are 1
    where a feature is missing, with that feature; ``info`` is of each feature ``expression`` and
    ``unit``, as the conversion left it, and without it the inputs are the features. Those
    ``outside`` are inputs, whatever their expression.
    """
    features = []
    for name in names:
        if name not in indicators:
            expression = _expression(name, info.get(name, {}))
            inside = expression is not None and name not in outside and supported(expression)
            features.append(GraphFeature(name, expression, missing.get(name), inside))
    inputs: dict[str, GraphInput] = {}
    for feature in features:
        kind = "branch" if feature.inside else "feature"
        for name in feature.reads:
            unit = str(info.get(feature.name, {}).get("unit") or "") if feature.is_input else ""
            before = inputs.get(name)
            sentinel = feature.missing
            if before is not None:
                sentinel = before.missing if before.missing == sentinel else None
                unit, kind = before.unit or unit, before.kind
            inputs[name] = GraphInput(name, kind, unit, sentinel)
    return GraphPlan(tuple(names), tuple(features), dict(indicators), tuple(inputs.values()))


def _expression(name: str, info: Mapping[str, Any]) -> Expression | None:
    """The expression of a feature, where the conversion left one that can be read."""
    text = info.get("expression")
    if not text:
        return None
    what = f"feature {name}"
    try:
        return parse(f"`{text}`" if text == name and "`" not in text else text, what=what)
    except ConfigError:
        return None


def add_features(graph: Graph, plan: GraphPlan, table: Value) -> Features:
    """Compute the features from the inputs (N, R) as the conversion does."""
    if all(f.is_input for f in plan.features) and len(plan.inputs) == len(plan.features):
        sentinels = [np.inf if f.missing is None else f.missing for f in plan.features]
        columns = _masked(graph, table, sentinels)
    else:
        parts = graph.split(table, [1] * len(plan.inputs))
        given = {one.name: part for one, part in zip(plan.inputs, parts, strict=True)}
        columns = graph.concat([_column(graph, feature, given) for feature in plan.features])
    made = known_values(graph, columns)
    return _with_indicators(graph, plan, made.values, made.known) if plan.indicators else made


def known_values(graph: Graph, columns: Value) -> Features:
    """What there is of columns, 0 elsewhere."""
    known = graph.binary("Equal", graph.sub(columns, columns), 0.0)  # neither NaN nor infinite
    # within ±10³⁰: pairs of numbers need room above the largest
    x = graph.where(graph.binary("Less", columns, _LARGEST), columns, _LARGEST)
    x = graph.where(graph.binary("Greater", x, -_LARGEST), x, -_LARGEST)
    return Features(graph.where(known, x, 0.0, rounded=True), known)


def _masked(graph: Graph, x: Value, sentinels: Sequence[float]) -> Value:
    """NaN in place of the sentinel of each column; an infinite one is none."""
    if np.isinf(sentinels).all() or np.isnan(sentinels).all():
        return x
    return graph.where(graph.binary("Equal", x, sentinels), np.nan, x)


def _column(graph: Graph, feature: GraphFeature, given: Mapping[str, Value]) -> Value:
    sentinel = [np.inf if feature.missing is None else feature.missing]
    operands = {
        name: _masked(graph, given[name], sentinel) for name in feature.reads if name in given
    }
    if feature.expression is None or not feature.inside:
        return operands[feature.name]
    column = Formula(graph, operands).add(feature.expression)
    return column if feature.is_input else _masked(graph, column, sentinel)


def _with_indicators(graph: Graph, plan: GraphPlan, values: Value, known: Value) -> Features:
    """The columns of the features and, at their places, those of the indicators."""
    at = {feature.name: row for row, feature in enumerate(plan.features)}
    place = np.zeros((len(at), len(plan.names)))
    mark = np.zeros_like(place)
    always = np.zeros(len(plan.names))
    for column, name in enumerate(plan.names):
        if name in plan.indicators:
            mark[at[plan.indicators[name]], column] = 1
            always[column] = 1
        else:
            place[at[name], column] = 1
    present = graph.where(known, 1.0, 0.0)
    marked = graph.gemm(present, -mark, always)  # 1 where missing
    return Features(
        graph.add(graph.gemm(values, place), marked),
        graph.binary("Greater", graph.gemm(present, place, always), 0.5),
    )


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
    name: str, plan: GraphPlan, classes: Sequence[str], metadata: Mapping[str, Any]
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


def preprocess(
    plan: GraphPlan, impute: Mapping[str, float], classes: Sequence[str]
) -> dict[str, Any]:
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


Floats = NDArray[np.float64]


def add_alignment(graph: Graph, alignment: Alignment, features: Features) -> Features:
    """Map the features (N, F) as an alignment does; missing ones stay missing.

    Raises:
        RunError: it is a map that the user registered.
    """
    if type(alignment) is Chain:
        for one in alignment.maps:
            features = add_alignment(graph, one, features)
        return features
    convert = _CONVERTERS.get(type(alignment))
    if convert is None:
        raise RunError(
            f"the alignment {alignment.name!r} is one of your own, which has no operators",
            mend="export another method (--method)",
        )
    values: Value = convert(graph, alignment, features)
    return Features(values, features.known)


def _linear(graph: Graph, linear: LinearMap, features: Features) -> Value:
    """``A (x − c) + (A c + b)``; a missing value stands at the centre."""
    centre = linear.centre.astype(np.float32).astype(np.float64)
    high, low = difference(graph, graph.where(features.known, features.values, centre), centre)
    low = graph.where(features.known, low, linear.centre - centre)
    offset = linear.matrix @ centre + linear.offset
    return rounded(graph, product(graph, (high, low), linear.matrix.T, offset))


def _quantile(graph: Graph, quantile: QuantileMap, features: Features) -> Value:
    columns = graph.split(features.values, [1] * features.values.width)
    return graph.concat(
        [
            rounded(graph, _interpolated(graph, (column, None), xs, ys)) if len(xs) else column
            for column, xs, ys in zip(columns, quantile.target, quantile.source, strict=True)
        ]
    )


def _interpolated(
    graph: Graph, x: tuple[Value, Value | None], at: Floats, to: Floats, beyond: float = 0.0
) -> tuple[Value, Value]:
    """Linear interpolation of a column (N, 1), of the slope ``beyond`` outside of both ends.

    Every segment asks whether x lies in it. The product of these answers, of which one is 1, with a
    table gives start, slope and value of that segment without rounding.
    """
    slope = np.concatenate([[beyond], np.diff(to) / np.diff(at), [beyond]])
    start, value = np.append(at[0], at), np.append(to[0], to)
    lower = np.concatenate([[-np.inf], at])
    upper = np.append(at, np.inf)
    spread = graph.gemm(x[0], np.ones((1, len(start))))
    inside = graph.where(
        graph.binary("Less", spread, lower),
        0.0,
        graph.where(graph.binary("Less", spread, upper), 1.0, 0.0),
    )
    table = [*pair(start), *pieces(slope), *pair(value)]
    row = graph.gemm(inside, np.stack(table, axis=1))
    start_high, start_low, *slopes, value_high, value_low = graph.split(row, [1] * len(table))
    step, error = two_sum(graph, x[0], graph.sub(0.0, start_high))
    if table[1].any():
        error = graph.sub(error, start_low)
    if x[1] is not None:
        error = graph.add(error, x[1])
    step, error = normal(graph, step, error)
    more = graph.mul(error, slopes[0])
    return affine(graph, step, slopes, [value_high, value_low], more)


def _sliced(graph: Graph, sliced: SlicedTransport, features: Features) -> Value:
    source, target = sliced.of_source, sliced.of_target
    known = ~(np.isnan(target.width) | np.isnan(source.width))
    active = (target.width > 0) & (source.width > 0)
    shift = np.where(known, source.mean - target.mean, 0.0)
    ones = pieces(np.ones(len(active)))
    moved = rounded(graph, affine(graph, features.values, ones, pair(shift)))
    if not active.any():
        return moved
    scale = np.where(active, target.width, 1.0)
    unit = affine(graph, features.values, pieces(1 / scale), pair(-target.mean / scale))
    z = (graph.where(features.known, unit[0], 0.0), graph.where(features.known, unit[1], 0.0))
    before = np.eye(len(active))[:, active]
    for axes, at, by in zip(sliced.axes, sliced.at, sliced.by, strict=True):
        u = product(graph, z, before @ axes.T, np.zeros(len(axes)))
        columns = zip(*(graph.split(part, [1] * part.width) for part in u), strict=True)
        parts = [
            _interpolated(graph, column, a, a + b, beyond=1.0)
            for column, a, b in zip(columns, at, by, strict=True)
        ]
        z = (graph.concat([p[0] for p in parts]), graph.concat([p[1] for p in parts]))
        before = axes
    widths = np.where(active, source.width, 0.0)
    back = product(graph, z, before @ np.diag(widths)[active], source.mean)
    chosen = active.astype(float)
    return graph.add(graph.mul(rounded(graph, back), chosen), graph.mul(moved, 1 - chosen))


_CONVERTERS: dict[type[Any], Callable[[Graph, Any, Features], Value]] = {
    Moments: lambda graph, moments, features: rounded(
        graph, affine(graph, features.values, pieces(moments.factor), pair(moments.offset))
    ),
    LinearMap: _linear,
    GaussianTransport: _linear,
    AffineMap: _linear,
    QuantileMap: _quantile,
    SlicedTransport: _sliced,
}
