"""Numbers behind the charts of the page that show values under the pointer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.curves import run_roc
from ..plotting.axes.styles import banded, method_look, method_title, plain
from ..plotting.quantities import Quantities
from ..stats import Roc

_LEAST = 0.02  # below this signal efficiency a rejection is all fluctuation
_DIGITS = 5


def charts_of(quantities: Quantities) -> list[dict[str, Any]]:
    """ROC curves and score distributions of a run, JSON-serialisable, as the page shows them."""
    classes = [plain(name) for name in quantities.class_names]
    charts: list[dict[str, Any]] = []
    for index, _, _ in quantities.signals:
        charts += _rocs(quantities, index, classes[index])
        charts += _scores(quantities, index, classes[index])
    return charts


def _rocs(quantities: Quantities, index: int, name: str) -> Iterator[dict[str, Any]]:
    scores = quantities.scores
    looks = method_look(list(scores.methods))
    for domain, where in reversed(quantities.labelled.items()):
        curves = []
        methods = quantities.methods(None, domain)
        for method in methods:
            curve = run_roc(scores, domain, method, signal=index)
            if curve is not None:
                look = {"name": method_title(method), "color": looks[method][0]}
                curves.append(_curve(curve) | look | {"band": method in banded(methods)})
        if curves:
            title = f"ROC, {name}: {where}"
            yield {"kind": "roc", "title": title, "signal": name, "curves": curves}


def _curve(curve: Roc) -> dict[str, Any]:
    measured = (curve.background_efficiency > 0) & (curve.signal_efficiency >= _LEAST)
    efficiency, error = curve.background_efficiency[measured], curve.background_error[measured]
    least = efficiency.min(initial=1.0)
    return {
        "auc": curve.auc.value,
        "auc_error": curve.auc.error,
        "x": _list(curve.signal_efficiency[measured]),
        "y": _list(1 / efficiency),
        "low": _list(1 / (efficiency + error)),
        "high": _list(1 / np.maximum(efficiency - error, 0.3 * least)),
        "threshold": _list(curve.thresholds[measured]),
    }


def _scores(quantities: Quantities, index: int, name: str) -> Iterator[dict[str, Any]]:
    for method in quantities.candidates:
        numbers = quantities.score(method, index, by="class", scale=True)
        colours = quantities.palette
        yield {
            "kind": "scores",
            "title": f"{name} score, {method_title(method)}",
            "method": method,
            "data_name": quantities.target_name,
            "scaled": numbers.scale != 1.0,
            "edges": _list(numbers.edges),
            "stack": [
                {"name": f"MC {plain(part)}", "color": colours[part], "y": _list(histogram.sumw)}
                for part, histogram in zip(numbers.names, numbers.stack, strict=True)
            ],
            "mc": {"y": _list(numbers.mc.sumw), "error": _list(numbers.mc.error)},
            "data": {
                "y": _list(numbers.data.sumw),
                "low": _list(numbers.data_error[0]),
                "high": _list(numbers.data_error[1]),
            },
        }


def _list(values: NDArray[np.float64]) -> list[float | None]:
    return [
        float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in values.tolist()
    ]
