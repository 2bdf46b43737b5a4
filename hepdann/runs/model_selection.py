"""The choice of a model without target labels: what maps leave of the shift, and what is best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .. import methods
from ..criteria import (
    GUARD,
    Adapted,
    Recommendation,
    Residual,
    agreement,
    recommend,
    recommend_adapted,
    teacher,
)
from ..domains import Domains
from ..errors import HepdannError
from ..evaluation import Diagnosis, diagnose
from ..inference import MethodMean, Model, corrected
from ..methods import calibration_of, method_of
from ..outputs import jsonable
from ..registry import ORACLE, PRIOR, SOURCE_ONLY
from ..stats import (
    accuracy,
    expected_accuracy,
    prior_matched_threshold,
    separation,
)
from ..stats.threads import one_thread, side_by_side
from ..store.content import Diagnosed, Recommended
from ..store.reading import write_json
from ..tensors import SPLITS, Source, Target
from .maps import FAMILY_KNOWN, Aligned, Calibrated, aligned_target, outside_test, reweighted_source

_MOST = 20_000  # events of each domain on which the methods are compared


def write_diagnosis(
    domains: Domains, features: Sequence[str] | None, path: Path
) -> Diagnosis | None:
    """Ask, before anything is trained, whether there is a shift; ``diagnosis.json`` is written.

    Returns:
        The diagnosis; ``None`` with too few events for one, or without names of features, where
        nobody wants to know: the file is then empty.
    """
    if features is None:
        write_json(path, Diagnosed, {})
        return None
    try:
        # no map aligns what sums images up, and with many classes the estimate takes longer than a
        # training
        aligned = domains.images is None
        with one_thread():
            diagnosis = diagnose(domains.source, domains.target, features, alignable=aligned)
    except HepdannError:
        return None
    write_json(path, Diagnosed, diagnosis.to_json())
    return diagnosis


def add_recommendation(
    models: Sequence[Model],
    folds: Sequence[Domains],
    aligned: Sequence[Aligned],
    calibrated: Sequence[Mapping[str, Calibrated]],
    shift: bool | None,
    path: Path,
) -> tuple[tuple[Model, ...], Recommendation]:
    """The models, one a fold, with what is recommended for the run; no target label is read.

    Events outside the test split are compared. A calibration that is not closed is no candidate,
    and one that knows the family of pseudo-data is none either. ``shift`` says whether the tests
    found one; ``recommendation.json`` is written.
    """
    unfit = [
        name
        for name in calibrated[0]
        if (name in FAMILY_KNOWN and folds[0].kind != "data")
        or name not in models[0].parts
        or any(fold[name].verdict == "not closed" for fold in calibrated)
    ]
    if folds[0].images is not None:
        return tuple(models), recommend_for_images(models[0], folds[0], shift, path, unfit)
    residuals = _mean_residuals(list(map(residuals_of, folds, aligned, calibrated)))
    refused = {name: residuals.pop(name) for name in unfit if name in residuals}
    best = teacher(residuals, shift=shift)
    predictions = list(map(_AtExpectedShare, models, folds))
    agreements: dict[str, float | None] = {}
    if best is not None:
        agreements = _means([one.agreements(best) for one in predictions])
    fallback = next(iter(models[0].methods), None)
    advice = recommend(residuals, agreements, shift=shift, fallback=fallback)
    figures = {n: {"residual_auc": r.value, "error": r.error} for n, r in refused.items()}
    advice = replace(advice, candidates=advice.candidates | figures)
    if advice.method == GUARD:
        # source-only stays as it is, and so does a map that is averaged with it alone
        joined = set(advice.parts) & set(agreements)
        moved = [name for name in advice.parts if joined and name != SOURCE_ONLY]
        offsets = [one.offsets(advice.parts, moved) for one in predictions]
        mixtures = [MethodMean(advice.parts, each, advice.weights) for each in offsets]
        models = [
            replace(model, mixtures={**model.mixtures, GUARD: mixture})
            for model, mixture in zip(models, mixtures, strict=True)
        ]
    write_json(path, Recommended, jsonable(advice))
    return tuple(models), advice


def _mean_residuals(folds: Sequence[dict[str, Residual]]) -> dict[str, Residual]:
    """The means over the folds; their errors are those of one fold, which share most events."""
    if not all(folds):
        return {}
    values, errors = (
        _means([{name: getattr(one, key) for name, one in fold.items()} for fold in folds])
        for key in ("value", "error")
    )
    return {name: Residual(values[name] or 0.0, errors[name] or 0.0) for name in folds[0]}


def _means(folds: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each figure over the folds; ``None`` where one has none."""
    means: dict[str, float | None] = {}
    for name in folds[0]:
        values = [value for fold in folds if (value := fold[name]) is not None]
        means[name] = float(np.mean(values)) if len(values) == len(folds) else None
    return means


class _AtExpectedShare:
    """Predictions for target events outside the test split, at the share expected to be accepted.

    The share of the MC that source-only accepts, at the class fractions of the target; it needs
    two classes, and with more the scores stay as they are.
    """

    def __init__(self, model: Model, domains: Domains) -> None:
        self._model = model
        self._target = outside_test(domains.target, _MOST)
        self._scores: dict[str, NDArray[np.float32]] = {}
        self._share = math.nan
        if len(model.classes) == 2 and SOURCE_ONLY in model.parts:
            mc = reweighted_source(outside_test(domains.source, _MOST), model.correction)
            accepted = model.score(mc.features, SOURCE_ONLY, "source").mean[:, 1] > 0.5
            weight = np.asarray(mc.weight, dtype=np.float64)
            self._share = float(weight @ accepted / weight.sum())

    def agreements(self, teacher: str) -> dict[str, float | None]:
        """Agreement of each adapted network with the teacher; not of those that it taught."""
        model, taught = self._model, self._moved(teacher)
        return {
            name: agreement(self._moved(name), taught, self._target.weight)
            for name in model.parts
            if name not in (SOURCE_ONLY, ORACLE)
            and model.adapts(name)
            and not methods.get(method_of(name)[1]).taught
        }

    def offsets(self, parts: Sequence[str], moved: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """What is added to the log probabilities (C,) of each part; nothing to those not moved."""
        nothing = (0.0,) * len(self._model.classes)
        return tuple(self._offset(name) if name in moved else nothing for name in parts)

    def _score(self, name: str) -> NDArray[np.float32]:
        if name not in self._scores:
            self._scores[name] = self._model.score(self._target.features, name).mean
        return self._scores[name]

    def _offset(self, name: str) -> tuple[float, ...]:
        rest = (0.0,) * (len(self._model.classes) - 1)
        if not 0.0 < self._share < 1.0:
            return (*rest, 0.0)
        threshold = prior_matched_threshold(self._score(name), self._target.weight, self._share)
        at = float(np.clip(threshold, 1e-6, 1 - 1e-6))
        return (*rest, float(np.log((1.0 - at) / at)))

    def _moved(self, name: str) -> NDArray[np.float32]:
        return corrected(self._score(name), self._offset(name))


_MOST_IMAGES = 5_000  # events of each domain that are looked at


def recommend_for_images(
    model: Model, domains: Domains, shift: bool | None, path: Path, unfit: Sequence[str] = ()
) -> Recommendation:
    """Likewise of images, whose validation splits are looked at; ``unfit`` are no candidates."""
    validation = SPLITS.index("validation")
    at = [
        np.flatnonzero(events.split == validation)[:_MOST_IMAGES]
        for events in (domains.source, domains.target)
    ]
    source, target = domains.source.take(at[0]), domains.target.take(at[1])
    assert domains.images is not None
    source_images, target_images = (
        domains.images.source.take(at[0]),
        domains.images.target.take(at[1]),
    )
    candidates = {}
    for name in [*model.parts, *model.alignments]:
        if name == ORACLE or calibration_of(name) in unfit:
            continue
        score = model.score(source_images, name, "source").mean
        figure, expected = accuracy(score, source.label, source.weight), None
        if domains.images.views and domains.images.views[0].pictures:
            on_target = model.score(target_images, name, "target").mean
            expected = expected_accuracy(on_target, score, source.label)
        layers = (
            model.latent(source_images, name, "source"),
            model.latent(target_images, name, "target"),
        )
        try:
            apart = separation(
                source.with_features(layers[0]), target.with_features(layers[1]), coarsen=False
            )
        except HepdannError:  # too few events
            continue
        left = Residual(apart.value, apart.error)
        candidates[name] = Adapted(figure.value, figure.error, left, expected)
    advice = recommend_adapted(candidates, shift=shift)
    if advice.method is None and SOURCE_ONLY in model.parts:
        advice = Recommendation(SOURCE_ONLY, "too few events to compare candidates")
    write_json(path, Recommended, jsonable(advice))
    return advice


def label_by_teacher(model: Model, domains: Domains, aligned: Aligned) -> tuple[Source, str]:
    """The target with the teacher's labels; no label of its own is read."""
    name = teacher(residuals_of(domains, aligned)) or SOURCE_ONLY
    score = model.score(domains.target.features, name).mean
    return soft_labelled(domains.target, score, model.classes), name


def soft_labelled(target: Target, score: NDArray[np.floating], classes: tuple[str, ...]) -> Source:
    """Every event once as each class, its weight times the probability of that class.

    The weighted cross entropy of these is that of the events with soft labels.
    """
    n, c = score.shape
    rows = np.repeat(np.arange(n), c)
    return Source(
        features=target.features[rows],
        weight=(target.weight[rows] * score.reshape(-1)).astype(np.float32),
        event_id=target.event_id[rows],
        split=target.split[rows],
        label=np.tile(np.arange(c, dtype=np.int32), n),
        classes=classes,
    )


def residuals_of(
    domains: Domains, aligned: Aligned, calibrated: Mapping[str, Calibrated] = MappingProxyType({})
) -> dict[str, Residual]:
    """Residual of source-only and of each map, the simplest first; empty with too few events.

    All events outside the test splits are compared, those too that a map was fitted on: a map of
    single features leaves a little less on them, by about the error of the figure or less, and
    with five times the events of the validation split that error is less than half.
    """
    source, target = outside_test(domains.source), outside_test(domains.target)

    def residual(name: str) -> Residual | None:
        if name in aligned.residuals:
            return aligned.residuals[name]
        mapped = target
        if name in aligned.maps:
            rows = domains.target.split != SPLITS.index("test")
            mapped = aligned_target(domains, aligned.maps[name], rows)
        compared = source if name == SOURCE_ONLY else reweighted_source(source, aligned.correction)
        if name in calibrated:
            compared = calibrated[name].calibration.calibrated(source)
        try:
            figure = separation(compared, mapped)
        except HepdannError:
            return None
        return Residual(figure.value, figure.error)

    corrected_too = () if aligned.correction is None else (PRIOR,)
    names = (SOURCE_ONLY, *corrected_too, *aligned.maps, *calibrated)
    known = dict(zip(names, side_by_side(partial(residual, name) for name in names), strict=True))
    left = {name: one for name, one in known.items() if one is not None}
    return left if len(left) == len(names) else {}
