"""From the branches of an ntuple to the features of a model, missing values included."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..expressions import Expression, parse
from ..expressions.functions import CONSTANTS
from .formulas import Formula, exact, supported
from .graph import Graph, Value

_LARGEST = 1e30


@dataclass(frozen=True)
class Input:
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

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Feature:
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
class Plan:
    """How the features follow from the inputs, which are columns that the user gives, in order."""

    names: tuple[str, ...]
    features: tuple[Feature, ...]
    indicators: Mapping[str, str]
    inputs: tuple[Input, ...]

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
    info: Mapping[str, Mapping[str, Any]] | None = None,
    outside: Collection[str] = (),
) -> Plan:
    """Which inputs there are, and how features follow from them.

    Args:
        names: of the features, in order.
        missing: the sentinel of each feature that has one.
        indicators: columns that are 1 where a feature is missing, with that feature.
        info: of each feature ``expression`` and ``unit``, as the conversion left it; without it the
            inputs are the features.
        outside: features that are inputs, whatever their expression.
    """
    known = info or {}
    features = []
    for name in names:
        if name not in indicators:
            expression = _expression(name, known.get(name, {}))
            inside = expression is not None and name not in outside and supported(expression)
            features.append(Feature(name, expression, missing.get(name), inside))
    inputs: dict[str, Input] = {}
    for feature in features:
        kind = "branch" if feature.inside else "feature"
        for name in feature.reads:
            unit = str(known.get(feature.name, {}).get("unit") or "") if feature.is_input else ""
            before = inputs.get(name)
            sentinel = feature.missing
            if before is not None:
                sentinel = before.missing if before.missing == sentinel else None
                unit, kind = before.unit or unit, before.kind
            inputs[name] = Input(name, kind, unit, sentinel)
    return Plan(tuple(names), tuple(features), dict(indicators), tuple(inputs.values()))


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


def add_features(graph: Graph, plan: Plan, table: Value) -> Features:
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
    return Features(graph.where(known, _bounded(graph, columns), 0.0, rounded=True), known)


def _bounded(graph: Graph, x: Value) -> Value:
    """Within ±10³⁰: pairs of numbers need room above the largest."""
    x = graph.where(graph.binary("Less", x, _LARGEST), x, _LARGEST)
    return graph.where(graph.binary("Greater", x, -_LARGEST), x, -_LARGEST)


def _masked(graph: Graph, x: Value, sentinels: Sequence[float]) -> Value:
    """NaN in place of the sentinel of each column; an infinite one is none."""
    if np.isinf(sentinels).all() or np.isnan(sentinels).all():
        return x
    return graph.where(graph.binary("Equal", x, sentinels), np.nan, x)


def _column(graph: Graph, feature: Feature, given: Mapping[str, Value]) -> Value:
    sentinel = [np.inf if feature.missing is None else feature.missing]
    operands = {
        name: _masked(graph, given[name], sentinel) for name in feature.reads if name in given
    }
    if feature.expression is None or not feature.inside:
        return operands[feature.name]
    column = Formula(graph, operands).add(feature.expression)
    return column if feature.is_input else _masked(graph, column, sentinel)


def _with_indicators(graph: Graph, plan: Plan, values: Value, known: Value) -> Features:
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
