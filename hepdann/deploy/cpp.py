"""A graph as one C++17 header without dependencies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._version import __version__
from .graph import Graph, Node

_ELEMENTWISE = {
    "Abs": "std::fabs({0})", "Exp": "std::exp({0})", "Log": "std::log({0})",
    "Sqrt": "std::sqrt({0})", "Sin": "std::sin({0})", "Cos": "std::cos({0})",
    "Tanh": "std::tanh({0})", "Erf": "std::erf({0})", "Relu": "({0} < 0 ? 0 : {0})",
    "Sigmoid": "1 / (1 + std::exp(-{0}))", "Elu": "({0} < 0 ? std::expm1({0}) : {0})",
    "Add": "{0} + {1}", "Sub": "{0} - {1}", "Mul": "{0} * {1}", "Div": "{0} / {1}",
    "Pow": "std::pow({0}, {1})", "Equal": "{0} == {1}", "Less": "{0} < {1}",
    "Greater": "{0} > {1}", "Where": "({0} != 0 ? {1} : {2})",
}  # fmt: skip
_PART = 200  # statements of a function
_TEMPLATE = """\
// Scores of a hepdann run: @about@.
// One event: @module@::score(inputs, scores). Made by hepdann @version@.
// A number that is missing may be NaN: do not compile this with -ffast-math.
#ifndef HEPDANN_@guard@_HPP
#define HEPDANN_@guard@_HPP

#include <cmath>
#include <limits>
#include <vector>

namespace @module@ {

constexpr int n_inputs = @inputs@;
constexpr int n_classes = @classes@;
inline constexpr const char* input_names[] = {@input_names@};
inline constexpr const char* class_names[] = {@class_names@};
inline constexpr const char* metadata = @metadata@;

namespace detail {

@constants@

// y = x W + b; W is (n, m), row by row
inline void gemm(const double* x, int n, const float* w, const float* b, double* y, int m) {
  for (int j = 0; j < m; ++j) y[j] = b == nullptr ? 0.0 : static_cast<double>(b[j]);
  for (int i = 0; i < n; ++i) {
    const double a = x[i];
    if (a == 0) continue;
    for (int j = 0; j < m; ++j) y[j] += a * w[i * m + j];
  }
}

inline void softmax(const double* x, int n, double* y) {
  double largest = x[0], total = 0;
  for (int i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  for (int i = 0; i < n; ++i) total += y[i] = std::exp(x[i] - largest);
  for (int i = 0; i < n; ++i) y[i] /= total;
}

// In several functions, which a compiler takes in less time than one.
@parts@

}  // namespace detail

// Class probabilities of one event.
inline void score(const float* inputs, float* scores) {
  using namespace detail;
  std::vector<double> memory(@memory@);
  double* const m = memory.data();
  for (int i = 0; i < n_inputs; ++i) m[@first@ + i] = inputs[i];
@calls@
  for (int i = 0; i < n_classes; ++i) scores[i] = static_cast<float>(m[@last@ + i]);
}

}  // namespace @module@

#endif
"""


def header(
    graph: Graph,
    module: str,
    classes: Sequence[str],
    inputs: Sequence[str],
    about: str,
    metadata: Mapping[str, Any],
) -> str:
    """Write a graph with one input (N, R) and one output (N, C) as a header.

    ``module`` is the name of the namespace; ``about`` says what it computes, in the first line.
    """
    writer = _Writer(graph)
    lines, first, last = writer.statements()
    parts = [lines[start : start + _PART] for start in range(0, len(lines), _PART)]
    fields = {
        "about": " ".join(about.split()),
        "version": __version__,
        "guard": module.upper(),
        "inputs": str(len(inputs)),
        "classes": str(len(classes)),
        "input_names": ", ".join(map(_text, inputs)),
        "class_names": ", ".join(map(_text, classes)),
        "metadata": _text(json.dumps(metadata)),
        "constants": "\n".join(writer.constants()),
        "memory": str(max(writer.size, 1)),
        "parts": "\n\n".join(
            f"inline void part{k}(double* const m) {{\n" + "\n".join(part) + "\n}"
            for k, part in enumerate(parts)
        ),
        "calls": "\n".join(f"  part{k}(m);" for k in range(len(parts))),
        "first": str(first),
        "last": str(last),
        "module": module,
    }
    return re.sub(r"@(\w+)@", lambda match: fields[match[1]], _TEMPLATE)


def _text(value: str) -> str:
    """A string literal."""
    return '"' + "".join(_character(c) for c in value) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isascii() and character.isprintable():
        return "\\?" if character == "?" else character  # no trigraph
    return "".join(f"\\{byte:03o}" for byte in character.encode())


def _number(value: float) -> str:
    """A float literal that gives the same bits back."""
    if np.isnan(value):
        return "std::numeric_limits<float>::quiet_NaN()"
    if np.isinf(value):
        return f"{'-' if value < 0 else ''}std::numeric_limits<float>::infinity()"
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


class _Writer:
    """Statements for one event, in double; memory is used again when nobody reads it any more."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.size = 0
        self._free: dict[int, list[int]] = {}
        self._place: dict[str, int] = {}
        self._last = {name: n for n, node in enumerate(graph.nodes) for name in node.inputs}

    def constants(self) -> list[str]:
        """Declarations of the arrays."""
        lines = []
        for name, array in self.graph.constants.items():
            if array.dtype == np.float32:
                numbers = ", ".join(_number(v) for v in array.ravel())
                lines.append(f"inline constexpr float {name}[] = {{{numbers}}};")
        return lines

    def statements(self) -> tuple[list[str], int, int]:
        """Statements, and where in the memory they expect the inputs and leave the scores."""
        (table,), (scores,) = self.graph.inputs, self.graph.outputs
        self._take(table.name)
        first, lines = self._place[table.name], []
        for number, node in enumerate(self.graph.nodes):
            for name in node.outputs:
                self._take(name)
            lines += self._write(node)
            for name in dict.fromkeys((*node.inputs, *node.outputs)):
                unused = self._last.get(name, -1) <= number and name != scores.name
                if unused and name in self._place:
                    self._free[self._width(name)].append(self._place.pop(name))
        return [f"  {line}" for line in lines], first, self._place[scores.name]

    def _take(self, name: str) -> None:
        """Give a value a place in the memory."""
        free = self._free.setdefault(self._width(name), [])
        if not free:
            free.append(self.size)
            self.size += self._width(name)
        self._place[name] = free.pop()

    def _pointer(self, name: str) -> str:
        return f"(m + {self._place[name]})" if name in self._place else name

    def _write(self, node: Node) -> list[str]:
        x, *parameters = node.inputs
        y = node.outputs[0]
        read, written = (f"{self._pointer(n)}, {self._width(n)}" for n in (x, y))
        if node.operator == "Gemm":
            weight, bias = (*parameters, "nullptr")[:2]
            return [f"gemm({read}, {weight}, {bias}, {written});"]
        if node.operator == "Softmax":
            return [f"softmax({read}, {self._pointer(y)});"]
        if node.operator in ("Concat", "Split"):
            return self._concat(node)
        return [self._elementwise(node)]

    def _width(self, name: str) -> int:
        return self.graph.values[name].width

    def _elementwise(self, node: Node) -> str:
        output = node.outputs[0]
        width = self._width(output)
        operands = [
            f"{self._pointer(name)}[{'0' if self._width(name) == 1 else 'i'}]"
            for name in node.inputs
        ]
        formula = _ELEMENTWISE[node.operator].format(*(f"double({one})" for one in operands))
        if node.rounded:
            formula = f"static_cast<float>({formula})"
        return self._loop(width, f"{self._pointer(output)}[i] = {formula};")

    def _loop(self, width: int, statement: str) -> str:
        return f"for (int i = 0; i < {width}; ++i) {statement}"

    def _concat(self, node: Node) -> list[str]:
        """Of ``Concat`` and of ``Split``: parts in a row go to one value, or come from it."""
        lines, start = [], 0
        joins = node.operator == "Concat"
        whole = self._pointer((node.outputs if joins else node.inputs)[0])
        for name in node.inputs if joins else node.outputs:
            ends = f"{whole}[{start} + i]", f"{self._pointer(name)}[i]"
            to, of = ends if joins else ends[::-1]
            lines.append(self._loop(self._width(name), f"{to} = {of};"))
            start += self._width(name)
        return lines
