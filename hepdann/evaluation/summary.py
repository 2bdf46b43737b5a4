"""The content of metrics.json: what every method of a run reached, and how its training went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..criteria import CRITERIA
from ..errors import RunError
from ..inputs import read_json
from ..registry import CALIBRATED, ORACLE, PRIOR, SOURCE_ONLY
from ..stats.figure import Figure
from ..stats.threads import side_by_side
from ..store.content import Calibrations, Diagnosed, HealthLooks, Recommended
from ..store.paths import RunPaths
from ..store.reading import FORMAT_VERSION, config_of, read_versioned
from ..store.scores_reader import open_scores
from .curves import history_rows
from .method_metrics import (
    TestEvents,
    decision_figures,
    method_figures,
    rank_correlations,
    run_criteria,
    teacher_of,
)
from .nuisances import mixture_figures, nuisance_figures

_PER_FEATURE = {"moments", "quantile"}
_Step = tuple[str, str, float | None, float | None]
_INVARIANT = 0.02  # above one half
_FOOLED = 0.05  # of the own head's AUC below the fresh classifier's
Look = dict[str, Any]


def explain_gap(methods: Mapping[str, Any]) -> dict[str, Any] | None:
    """The steps from source-only to the oracle, each by a method that mends just that.

    A step is the gain over the one before it, and may be negative. Of several maps that mend the
    same, the one of the largest target accuracy stands for them: this explains with the truth, and
    chooses nothing. ``methods`` are the blocks of ``metrics.json``.

    Returns:
        Accuracy and AUC of source-only and of the oracle on the target, of source-only on MC, what
        the oracle lacks of the latter (``lost``: what the shift has destroyed), the steps and a
        sentence; ``None`` without truth or without an oracle.
    """
    if SOURCE_ONLY not in methods or ORACLE not in methods:
        return None
    raw, oracle = methods[SOURCE_ONLY], methods[ORACLE]
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
    return "" if name.startswith((SOURCE_ONLY, ORACLE)) else f" ({name})"


def _steps(methods: Mapping[str, Any]) -> Iterator[_Step]:
    raw = methods[SOURCE_ONLY]
    moved = raw["threshold"]["prior_matched"]["accuracy"]
    yield (
        "threshold",
        f"{SOURCE_ONLY}, as much of the target accepted as of MC",
        moved,
        raw["target"]["auc"],
    )
    if PRIOR in methods:
        yield "class fractions", PRIOR, _at_best(methods[PRIOR]), methods[PRIOR]["target"]["auc"]
    single = {n for n in methods if set(n.split("+")) <= _PER_FEATURE}
    known = {n for n in methods if n.split("+")[0] in CALIBRATED[1:]}
    others = set(methods) - single - known - {SOURCE_ONLY, PRIOR, ORACLE}
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


def _method_health(folder: Path) -> dict[str, dict[str, Any]]:
    """The ``health`` block of each method that has networks; none without ``health.json``."""
    path = RunPaths(folder).health
    if not path.exists():
        return {}
    content = read_json(path, HealthLooks)
    try:
        blocks: dict[str, dict[str, Any]] = {}
        for name in dict.fromkeys(look["method"] for look in content["looks"]):
            looks = [look for look in content["looks"] if look["method"] == name]
            blocks[name] = _block(looks, list(content["figures"]))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"damaged: {error!r}", where=path, mend="train anew") from error
    raw = blocks.get(SOURCE_ONLY, {}).get("figures", {}).get("fresh_auc", {}).get("mean")
    for block in blocks.values():
        block["reading"] = _reading(block, raw)
    return blocks


def _block(looks: Sequence[Look], names: Sequence[str]) -> dict[str, Any]:
    epoch = max(look["epoch"] for look in looks)
    last = [look for look in looks if look["epoch"] == epoch]
    return {
        "epoch": epoch,
        "verdicts": _verdicts(looks),
        "figures": {name: _spread([look[name] for look in last]) for name in names},
        "reading": None,
        "networks": len(last),
        "adversary": any(look["grl"] for look in last),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "min": None, "max": None}
    return {"mean": float(np.mean(known)), "min": min(known), "max": max(known)}


def _verdicts(looks: Sequence[Look]) -> list[dict[str, Any]]:
    latest: dict[tuple[int, str], dict[str, Any]] = {}
    for look in sorted(looks, key=lambda look: int(look["epoch"])):
        for verdict in look["verdicts"]:
            about = {key: look[key] for key in ("member", "seed", "lambda")}
            first = latest.get((look["member"], verdict["name"]), {}).get("epoch", look["epoch"])
            latest[look["member"], verdict["name"]] = (
                verdict | about | {"epoch": first, "until": look["epoch"]}
            )
    return list(latest.values())


def _reading(block: dict[str, Any], raw: float | None) -> str | None:
    """What own head and fresh classifier say together of an adversary's features, in words."""
    figures = block["figures"]
    head, probe = figures["own_auc"]["mean"], figures["fresh_auc"]["mean"]
    if probe is None or not block["adversary"]:
        return None
    error = (figures["auc_error"]["mean"] or 0.0) / math.sqrt(block["networks"])
    without = "" if raw is None else f"; {raw:.3f} without an adversary"
    leak = f"a fresh classifier of the features tells the domains apart (AUC {probe:.3f}{without})"
    if probe <= 0.5 + max(_INVARIANT, 3 * error):
        return (
            "the features are invariant: a fresh classifier cannot tell the domains apart "
            f"(AUC {probe:.3f}{without})"
        )
    if head is None:
        return f"the features are not invariant: {leak}"
    if head >= probe - _FOOLED:
        return f"the features are not invariant: the own domain head (AUC {head:.3f}) knows; {leak}"
    return f"the own domain head is fooled (AUC {head:.3f}), but {leak}"


def summarise(run_folder: str | Path) -> dict[str, Any]:
    """All figures of a run, in the layout of ``metrics.json``.

    Figures are those of the test split and of each method's prediction, the mean score over its
    members at the last epoch. One that cannot exist (target accuracy without truth, a domain AUC
    without a domain head) is ``None``. Nothing in here is chosen by a target label.

    Of the run's folder ``scores.h5`` is needed; ``history.csv``, ``config.yaml`` and an earlier
    ``metrics.json`` (for the throughput) are read if they are there.

    Raises:
        RunError: no scores or not whole ones, or a history that is not one.
        ConfigError: a configuration that is not one.
    """
    folder = Path(run_folder)
    scores = open_scores(folder)
    path = RunPaths(folder).history
    history = history_rows(path) if path.exists() else []
    advice = dict(read_json(RunPaths(folder).recommendation, Recommended))
    residuals = _residuals(advice)
    mc, target = TestEvents(scores, "mc"), TestEvents(scores, "target")

    def block(name: str) -> dict[str, Any]:
        trained = [row for row in history if row["method"] == name]
        # an aligned method has no network of its own: it is source-only's
        rows = trained or [row for row in history if row["method"] == SOURCE_ONLY]
        return method_figures(scores, name, mc, target, rows, residuals.get(name))

    teacher = teacher_of(scores, advice.get("teacher"))
    calls = [partial(run_criteria, scores, teacher, residuals)]
    done: list[Any] = side_by_side([*calls, *(partial(block, name) for name in scores.methods)])
    criteria, *blocks = done
    methods = dict(zip(scores.methods, blocks, strict=True))
    for name, figures in criteria.items():
        figures["domain_auc"] = methods[name]["domain"]["auc_features"] if name in methods else None
    health = _method_health(folder)
    for name in methods:
        methods[name]["health"] = health.get(name)
        methods[name]["criteria"] |= criteria.get(name, dict.fromkeys(CRITERIA))
    for name in scores.decisions:
        methods[name] = decision_figures(name, mc, target)
    shift = config_of(folder).train.shift  # that made the pseudo-data
    nuisances = nuisance_figures(scores, [n for n in scores.methods if n != ORACLE])
    mixtures = mixture_figures(scores, scores.methods)
    return {
        "format_version": FORMAT_VERSION,
        "target": {
            "kind": scores.target_kind,
            "shift": None if shift is None else shift.model_dump(mode="json"),
        },
        "majority": {"mc": mc.majority(), "target": target.majority()},
        "methods": methods,
        "criteria": {"teacher": teacher, "ranking": rank_correlations(criteria, target)},
        "recommended": advice["method"],
        "recommendation": advice,
        "diagnosis": _diagnosis(RunPaths(folder).diagnosis),
        **({"nuisances": nuisances} if nuisances else {}),
        **({"mixtures": mixtures} if mixtures else {}),
        **_calibrations(folder),
        "gap": explain_gap(methods),
        **({"folds": scores.folds} if scores.folds else {}),
        "throughput": _throughput(RunPaths(folder).metrics),
        "hepdann": __version__,
    }


def _residuals(advice: dict[str, Any]) -> dict[str, Figure]:
    """The residual AUCs that the recommendation was made of."""
    return {
        name: Figure(float(one["residual_auc"]), float(one["error"]), math.nan)
        for name, one in advice.get("candidates", {}).items()
        if {"residual_auc", "error"} <= set(one)
    }


def _diagnosis(path: Path) -> dict[str, Any]:
    """What the training wrote before it began; nothing where it had too few events for one."""
    diagnosis = read_json(path, Diagnosed) if path.exists() else {}
    renamed = {"auc_inputs": diagnosis.get("auc"), "auc_inputs_error": diagnosis.get("auc_error")}
    rest = ("p_value", "shift", "kind", "score", "labels", "fractions", "closures", "sentence")
    kept = {key: diagnosis.get(key) for key in rest}
    return {**renamed, **kept, "features": diagnosis.get("features", [])}


def _calibrations(folder: Path) -> dict[str, Any]:
    """What the maps of the MC are that methods were trained behind; with folds of the first."""
    path = RunPaths(folder).calibration
    if not path.exists():
        return {}
    stored = read_versioned(path, Calibrations)
    return {
        "calibrations": {
            name: {"family": one.family, "verdict": one.verdict, "sentence": one.sentence}
            for name, one in stored.folds[0].items()
        }
    }


def _throughput(path: Path) -> Any:
    """Measured while training and kept: it cannot be computed again."""
    try:
        return read_json(path, dict[str, Any]).get("throughput")
    except RunError:
        return None
