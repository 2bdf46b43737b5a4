"""``metrics.json``: every figure of a run, computed anew from what the run folder holds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._version import __version__
from ...config import load_config
from ...criteria import CRITERIA, Residual, recommend
from ...errors import HepdannError, RunError
from ...inputs import read_json
from ...stats.figure import Figure
from ...stats.two_sample import separation
from ...store.content import Calibrations, Diagnosed, Recommended
from ...store.paths import RunPaths
from ...store.reading import read_versioned
from ...store.scores.reader import RunScores, open_scores
from ..curves import history_rows
from ..diagnosis import diagnose
from ..mixtures import mixture_figures
from ..nuisances import nuisance_figures
from .criteria import rank_correlations, run_criteria, teacher_of
from .gap import explained
from .health import method_health
from .method import TestEvents, decision_figures, method_figures

FORMAT_VERSION = 1
RAW, ORACLE = "source-only", "oracle"


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
    diagnosis = _diagnosis(RunPaths(folder).diagnosis, scores)
    advice = _recommendation(RunPaths(folder).recommendation, scores, diagnosis["shift"])
    residuals = _residuals(advice)
    mc, target = TestEvents(scores, "mc"), TestEvents(scores, "target")
    methods = {}
    for name in scores.methods:
        trained = [row for row in history if row["method"] == name]
        # an aligned method has no network of its own: it is source-only's
        rows = trained or [row for row in history if row["method"] == RAW]
        methods[name] = method_figures(scores, name, mc, target, rows, residuals.get(name))
    heads = {name: block["domain"]["auc_features"] for name, block in methods.items()}
    teacher = teacher_of(scores, advice.get("teacher"))
    criteria = run_criteria(scores, teacher, residuals, heads)
    health = method_health(folder)
    for name in methods:
        methods[name]["health"] = health.get(name)
        methods[name]["criteria"] |= criteria.get(name, dict.fromkeys(CRITERIA))
    for name in scores.decisions:
        methods[name] = decision_figures(name, mc, target)
    nuisances = nuisance_figures(scores, [n for n in scores.methods if n != ORACLE])
    mixtures = mixture_figures(scores, scores.methods)
    return {
        "format_version": FORMAT_VERSION,
        "target": {"kind": scores.target_kind, "shift": _shift(RunPaths(folder).config)},
        "majority": {"mc": mc.majority(), "target": target.majority()},
        "methods": methods,
        "criteria": {"teacher": teacher, "ranking": rank_correlations(criteria, target)},
        "recommended": advice["method"],
        "recommendation": advice,
        "diagnosis": diagnosis,
        **({"nuisances": nuisances} if nuisances else {}),
        **({"mixtures": mixtures} if mixtures else {}),
        **_calibrations(folder),
        "gap": explained(methods),
        **({"folds": scores.folds} if scores.folds else {}),
        "throughput": _throughput(RunPaths(folder).metrics),
        "hepdann": __version__,
    }


def residual_aucs(scores: RunScores) -> dict[str, Figure]:
    """AUC of a classifier of the domains after each closed-form map, the simplest first.

    The mapped target against the source, both outside their test splits, the source with the class
    fractions estimated for the target; ``source-only`` leaves both as they are. Learned methods
    have no map of the inputs and are not among them. Empty with too few events.
    """
    maps: dict[str, str | None] = {RAW: None} if RAW in scores.methods else {}
    maps |= {name: name for name in scores.aligned if name in scores.methods}
    mc, rest = (scores.rows(domain, "train", "validation") for domain in ("mc", "target"))
    plain, reference = (e.take(mc) for e in (scores.events("mc"), scores.reference()))
    residuals: dict[str, Figure] = {}
    for method, aligned in maps.items():
        source = plain if aligned is None else reference
        try:
            residuals[method] = separation(source, scores.events("target", aligned).take(rest))
        except HepdannError:
            return {}
    return residuals


def _residuals(advice: dict[str, Any]) -> dict[str, Figure]:
    """The residual AUCs that the recommendation was made of."""
    return {
        name: Figure(float(one["residual_auc"]), float(one["error"]), math.nan)
        for name, one in advice.get("candidates", {}).items()
        if {"residual_auc", "error"} <= set(one)
    }


def _recommendation(path: Path, scores: RunScores, shift: bool | None) -> dict[str, Any]:
    """What the training wrote; of a run that wrote nothing, what its scores say."""
    if path.exists():
        return dict(read_json(path, Recommended, mend="remove it"))
    residuals = residual_aucs(scores)
    known = {name: Residual(figure.value, figure.error) for name, figure in residuals.items()}
    fallback = RAW if RAW in scores.methods else None
    advice = recommend(known, {}, shift=shift, fallback=fallback)
    if advice.parts:  # a mean that nobody scored
        advice = replace(advice, method=advice.teacher, parts=(), weights=())
    return advice.to_dict()


def _diagnosis(path: Path, scores: RunScores) -> dict[str, Any]:
    """What the training wrote before it began; of a run that wrote nothing, computed now."""
    if path.exists():
        diagnosis = read_json(path, Diagnosed, mend="remove it")
    else:
        try:
            events = scores.events("mc"), scores.events("target")
            diagnosis = diagnose(*events, scores.features).to_json()
        except HepdannError:
            diagnosis = {}
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


def _shift(path: Path) -> dict[str, Any] | None:
    """The shift that made the pseudo-data, from the run's own settings."""
    if not path.exists():
        return None
    shift = load_config(path, expand=False, known_names=False).train.shift
    return None if shift is None else shift.model_dump(mode="json")


def _throughput(path: Path) -> Any:
    """Measured while training and kept: it cannot be computed again."""
    try:
        return read_json(path, dict[str, Any]).get("throughput")
    except RunError:
        return None
