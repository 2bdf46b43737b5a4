"""What source-only loses to the oracle, and what each part of it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...registry import CALIBRATED

RAW, PRIOR, ORACLE = "source-only", "source-only+prior", "oracle"
_PER_FEATURE = {"moments", "quantile"}
_Step = tuple[str, str, float | None, float | None]


def explained(methods: Mapping[str, Any]) -> dict[str, Any] | None:
    """The steps from source-only to the oracle, each by a method that mends just that.

    A step is the gain over the one before it, and may be negative. Of several maps that mend the
    same, the one of the largest target accuracy stands for them: this explains with the truth, and
    chooses nothing. ``methods`` are the blocks of ``metrics.json``.

    Returns:
        Accuracy and AUC of source-only and of the oracle on the target, of source-only on MC, what
        the oracle lacks of the latter (``lost``: what the shift has destroyed), the steps and a
        sentence; ``None`` without truth or without an oracle.
    """
    if RAW not in methods or ORACLE not in methods:
        return None
    raw, oracle = methods[RAW], methods[ORACLE]
    if raw["target"]["accuracy"] is None or oracle["target"]["accuracy"] is None:
        return None
    accuracy, auc = raw["target"]["accuracy"], raw["target"]["auc"]
    steps = []
    for name, method, reached, area in _steps(methods):
        if reached is None:
            continue
        steps.append(
            {
                "name": name,
                "method": method,
                "accuracy": reached - accuracy,
                "auc": _difference(area, auc),
            }
        )
        accuracy, auc = reached, area
    figures = {
        "source-only": _figures(raw["target"]),
        "oracle": _figures(oracle["target"]),
        "mc": _figures(raw["mc"]),
    }
    mc, best = figures["mc"], figures["oracle"]
    lost = {key: _difference(mc[key], best[key]) for key in ("accuracy", "auc")}
    return figures | {"lost": lost, "steps": steps, "sentence": _sentence(figures, lost, steps)}


def _sentence(
    figures: Mapping[str, Any], lost: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> str:
    total = figures["oracle"]["accuracy"] - figures["source-only"]["accuracy"]
    parts = [f"{s['name']} {s['accuracy']:+.3f}" + _method(s["method"]) for s in steps]
    text = f"from source-only to the oracle {total:+.3f} in accuracy: {', '.join(parts)}"
    if lost["accuracy"] is not None:
        text += f"; {lost['accuracy']:+.3f} is what MC have over the oracle"
    return text


def _method(name: str) -> str:
    return "" if name.startswith((RAW, ORACLE)) else f" ({name})"


def _steps(methods: Mapping[str, Any]) -> Iterator[_Step]:
    raw = methods[RAW]
    moved = raw["threshold"]["prior_matched"]["accuracy"]
    yield (
        "threshold",
        f"{RAW}, as much of the target accepted as of MC",
        moved,
        raw["target"]["auc"],
    )
    if PRIOR in methods:
        yield "class fractions", PRIOR, _at_best(methods[PRIOR]), methods[PRIOR]["target"]["auc"]
    single = {n for n in methods if set(n.split("+")) <= _PER_FEATURE}
    known = {n for n in methods if n.split("+")[0] in CALIBRATED[1:]}
    others = set(methods) - single - known - {RAW, PRIOR, ORACLE}
    for name, group in (("map of each feature", single), ("correlations", others)):
        best = max(sorted(group), key=lambda n: _at_best(methods[n]) or 0.0, default=None)
        if best is not None:
            yield name, best, _at_best(methods[best]), methods[best]["target"]["auc"]
    oracle = methods[ORACLE]["target"]
    yield "not recovered", ORACLE, oracle["accuracy"], oracle["auc"]


def _at_best(block: Mapping[str, Any]) -> float | None:
    """Accuracy at .5, or where the accepted share is that of MC, whichever is larger."""
    known = [block["target"]["accuracy"], block["threshold"]["prior_matched"]["accuracy"]]
    return max((value for value in known if value is not None), default=None)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _figures(block: Mapping[str, Any]) -> dict[str, float | None]:
    return {"accuracy": block["accuracy"], "auc": block["auc"]}
