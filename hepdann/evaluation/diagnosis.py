"""Is there a shift, what kind, and is it worth adapting: the tests and their verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment import FractionEstimate, Moments, QuantileMap, estimate_fractions
from ..errors import HepdannError
from ..outputs import jsonable
from ..stats.figure import Figure
from ..stats.ranking import prior_matched_threshold
from ..stats.threads import side_by_side
from ..stats.two_sample import (
    SIGNIFICANT,
    FeatureShift,
    TwoSample,
    combined,
    rank_features,
    separation,
    smallest_p_value,
    two_sample,
)
from ..tensors import SPLITS, Source, Target
from .quick_classifier import LabelShift, QuickClassifier, ScoreEffect, label_shift, score_effect

Floats = NDArray[np.float64]
# per feature, in a moment
_MAPS: tuple[type[Moments] | type[QuantileMap], ...] = (Moments, QuantileMap)


@dataclass(frozen=True)
class Closure:
    """What a map of the target leaves of the shift, on events that it was not fitted on.

    Attributes:
        map: name of the map.
        auc: with which MC and the mapped target are distinguished.
        common: of the events that a quick classifier accepts after the map, the share that it
            accepts before as well, at a threshold that accepts equally many; near 1, the map does
            little more than move the threshold. NaN for more than two classes.
    """

    map: str
    auc: Figure
    common: float


@dataclass(frozen=True)
class Diagnosis:
    """What separates MC from the target.

    Attributes:
        test: the two-sample test on all features together.
        features: each feature by itself, the one that differs most first.
        score: what the shift does to the score of a quick classifier; ``None`` without labels.
        labels: the label shift that would explain it; ``None`` without labels.
        closures: what is left after a map of each feature.
        fractions: the class fractions of the target: those of ``labels`` where they alone explain
            the difference, otherwise those beside a shift of its features; ``None`` where they were
            not estimated.
        alignable: whether the features are what networks see, so that a map of them aligns.
    """

    test: TwoSample
    features: tuple[FeatureShift, ...]
    score: ScoreEffect | None = None
    labels: LabelShift | None = None
    closures: tuple[Closure, ...] = field(default=())
    fractions: FractionEstimate | None = None
    alignable: bool = True

    @property
    def p_value(self) -> float:
        """Of equal samples: the smallest p-value of the tests, times their number (Bonferroni).

        The tests are that on all features together, those on single features and, with labels,
        that on the score of a quick classifier.
        """
        parts = [self.test.p_value, smallest_p_value(self.features)]
        if self.score is not None:
            parts.append(self.score.p_value)
        return combined(parts)

    @property
    def shift(self) -> bool:
        """Whether MC and target differ: the p-value is below .01."""
        return self.p_value < SIGNIFICANT

    @property
    def differing(self) -> tuple[FeatureShift, ...]:
        """The features that differ by themselves, after correction for their number."""
        return tuple(f for f in self.features if f.differs)

    @property
    def kind(self) -> str:
        """The verdict in a word, see :func:`~hepdann.evaluation.diagnosis.shift_verdict`."""
        return shift_verdict(self)[0]

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        sentence = shift_verdict(self)[1]
        fractions, labels = self.fractions, self.labels
        if fractions is None or labels is None or labels.alone or not fractions.shift:
            return sentence
        return f"{sentence} {mixture(labels.classes, fractions)}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable numbers and text (NaN where a figure does not exist)."""
        return {
            "auc": self.test.auc,
            "auc_error": self.test.auc_error,
            "p_value": self.p_value,
            "p_value_all_features": self.test.p_value,
            "shift": self.shift,
            "n_mc": self.test.n_mc,
            "n_target": self.test.n_target,
            "features": [asdict(f) | {"differs": f.differs} for f in self.features],
            "score": None if self.score is None else asdict(self.score),
            "labels": None if self.labels is None else asdict(self.labels),
            "fractions": _fractions(self.fractions),
            "closures": {
                c.map: {"auc": c.auc.value, "auc_error": c.auc.error, "common": c.common}
                for c in self.closures
            },
            "kind": self.kind,
            "sentence": self.sentence,
        }

    def to_json(self) -> dict[str, Any]:
        """The same as JSON has it, ``None`` for what does not exist."""
        return dict(jsonable(self.to_dict()))


def diagnose(
    mc: Target,
    target: Target,
    names: Sequence[str],
    *,
    seed: int = 0,
    max_events: int = 10_000,
    permutations: int = 500,
    alignable: bool = True,
) -> Diagnosis:
    """Test all features together and one by one, and find out what kind of shift it is.

    Of MC with labels (a ``Source``) a quick classifier is trained on the training split, and what
    the shift does to its score is measured on the rest; labels of the target are not among its
    fields. Features that are not ``alignable``, as they sum images up, are not what networks see:
    class fractions beside a shift, which only an alignment needs, are not estimated, and the
    verdict does not advise to align. The test on all features uses ``max_events`` rows of each
    sample at most.

    Raises:
        HepdannError: too few events for a test.
    """
    tests: list[Any] = side_by_side(
        (
            partial(
                two_sample, mc, target, seed=seed, max_events=max_events, permutations=permutations
            ),
            partial(rank_features, mc, target, names, seed=seed),
            partial(_quick_score, mc, target, seed),
        )
    )
    test, features, (classifier, score) = tests
    first = Diagnosis(test, tuple(features), score, alignable=alignable)
    if not first.shift and not first.differing:
        return first

    labels: LabelShift | None = None

    def as_labels() -> LabelShift | None:
        nonlocal labels
        if classifier is not None:
            assert isinstance(mc, Source)
            with suppress(HepdannError):  # too few events
                labels = label_shift(classifier, mc, target, names, seed=seed, most=max_events)
        return labels

    def beside_a_shift() -> FractionEstimate | None:
        """For nothing where the labels alone explain the shift, which may not be known yet."""
        if classifier is None or not alignable or (labels is not None and labels.alone):
            return None
        assert isinstance(mc, Source)
        test_split = SPLITS.index("test")  # the fractions are estimated without it
        with suppress(HepdannError):  # too few events
            return estimate_fractions(
                mc.take(mc.split != test_split),
                target.take(target.split != test_split),
                seed=seed,
                max_events=2 * max_events,
            )
        return None

    if not first.shift:
        return replace(first, labels=as_labels())
    explained: list[Any] = side_by_side(
        (as_labels, beside_a_shift, partial(_closures, mc, target, classifier, seed, max_events))
    )
    labels, fractions, closures = explained
    if labels is None:
        fractions = None
    elif labels.alone:
        value, error, mc_share = map(np.asarray, (labels.target, labels.error, labels.mc))
        residual = test.auc, labels.auc
        fractions = FractionEstimate(value, error, mc_share, residual, shift=True)
    elif fractions is not None and _hardly_moves(first.score):
        fractions = replace(fractions, shift=False)  # other fractions would move the score
    return replace(first, labels=labels, closures=closures, fractions=fractions)


def _quick_score(
    mc: Target, target: Target, seed: int
) -> tuple[QuickClassifier | None, ScoreEffect | None]:
    """A classifier of the training split, and its score on the rest; none without labels."""
    held_out = mc.take(mc.split != 0)
    if (
        not isinstance(mc, Source)
        or len(set(mc.part("train").label.tolist())) < 2
        or not len(held_out)
    ):
        return None, None
    classifier = QuickClassifier(mc.part("train"), seed)
    return classifier, score_effect(classifier, held_out, target)


def _fractions(estimate: FractionEstimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    values = {"mc": estimate.source, "target": estimate.value, "error": estimate.error}
    return {key: value.tolist() for key, value in values.items()} | {"shift": estimate.shift}


def _closures(
    mc: Target, target: Target, classifier: QuickClassifier | None, seed: int, most: int
) -> tuple[Closure, ...]:
    """Fit each map on the training splits, and judge it on the others."""
    sides = [(s.part("train"), s.take(s.split != 0)) for s in (mc, target)]
    if not all(len(part) for side in sides for part in side):
        return ()
    closures = []
    for kind in _MAPS:
        fitted = kind.fit(sides[1][0], sides[0][0])
        rest = sides[1][1]
        mapped = rest.with_features(fitted.apply(rest.features))
        try:
            auc = separation(sides[0][1], mapped, seed=seed, max_events=most)
        except HepdannError:  # too few events
            return ()
        common = math.nan
        if classifier is not None and classifier.classes == 2:
            before, after = (classifier.score(s.features)[:, 1] for s in (rest, mapped))
            common = _common(before, after, np.asarray(rest.weight, dtype=np.float64))
        closures.append(Closure(kind.name, auc, common))
    return tuple(closures)


def _common(before: Floats, after: Floats, weight: Floats) -> float:
    """Share of the events accepted after a map that are accepted before, by an equal share."""
    accepted = after > 0.5
    total = float(weight @ accepted)
    if not total > 0:
        return math.nan
    threshold = prior_matched_threshold(before, weight, total / float(weight.sum()))
    return float(np.clip(weight @ (accepted & (before > threshold)) / total, 0.0, 1.0))


_CLOSED = 0.53  # AUC after a map up to which the map has done its work
_MOSTLY = 0.65  # AUC up to which it has done most of it
_COMMON = 0.85  # share of accepted events in common from which only the threshold matters
_SCORE = 0.02  # distance of the score's distributions below which nothing is at stake


def _hardly_moves(score: ScoreEffect | None) -> bool:
    return score is not None and (score.p_value >= SIGNIFICANT or score.ks < _SCORE)


def shift_verdict(diagnosis: Diagnosis) -> tuple[str, str]:
    """What kind of shift it is, in a word and in a sentence.

    ``none``: no shift. ``features``: a single feature differs, not significantly among all the
    tests. ``label``: other class fractions explain it. ``harmless``: it is there, and the score
    hardly moves. ``threshold``: a map of each feature removes it, and mainly moves the threshold.
    ``per-feature``: a map of each feature removes it. ``remains``: none of these maps does.
    ``shift``: it is not known what kind, for lack of events.
    """
    test, score, labels = diagnosis.test, diagnosis.score, diagnosis.labels
    differing = diagnosis.differing
    p = f"p = {diagnosis.p_value:.2g}" if diagnosis.p_value else "p < 1e-300"
    figures = f"AUC {test.auc:.3f} ± {test.auc_error:.3f}, {p} of all tests"
    if not diagnosis.shift:
        return _no_shift(figures, differing)
    if labels is not None and labels.alone:
        return "label", _label(figures, labels)
    where = f"most in {_names(differing)}" if differing else "in how features go together"
    differ = f"MC and data differ ({figures}), {where}"
    moved = _score(score)
    if _hardly_moves(score):
        return "harmless", (
            f"{differ}; but the score of a classifier hardly moves{moved}: adapting can gain "
            "little."
        )
    if not diagnosis.closures:
        return "shift", f"{differ}{moved}. Train, and compare with source-only."
    left = min(diagnosis.closures, key=lambda c: c.auc.value)
    if left.auc.value > _MOSTLY + left.auc.error:
        rest = "the other alignments and the networks" if diagnosis.alignable else "the networks"
        return "remains", (
            f"{differ}{moved}. A shift remains that no per-feature map closes (AUC "
            f"{left.auc.value:.3f} after {left.map}): train, and see what is left after {rest}."
        )
    kind, sentence = _removable(differ, figures, differing, moved, diagnosis.closures, left)
    if not diagnosis.alignable:
        mend = "networks do not see these sums; compare the methods with source-only"
        return kind, f"{sentence}: {mend}."
    mend = "move the threshold, or align" if kind == "threshold" else "align before adapting"
    return kind, f"{sentence}: {mend}."


def _removable(
    differ: str,
    figures: str,
    differing: Sequence[FeatureShift],
    moved: str,
    closures: Sequence[Closure],
    least: Closure,
) -> tuple[str, str]:
    """A per-feature map removes the shift, or most of it: the simplest of those that do.

    The sentence lacks its end, the advice.
    """
    closed = [c for c in closures if c.auc.value <= max(_CLOSED, 0.5 + 2.0 * c.auc.error)]
    best = closed[0] if closed else least
    mostly = "" if closed else " for the most part"
    after = f"AUC {best.auc.value:.3f} ± {best.auc.error:.3f} after {best.map}"
    if best.common >= _COMMON:
        return "threshold", (
            f"Threshold shift: {differ}; a per-feature map removes it{mostly} ({after}). At an "
            f"equal share {100 * best.common:.0f} % of the accepted events are the same either way"
            f"{moved}"
        )
    which = f"shift in {_names(differing)} " if differing else "shift "
    return "per-feature", (
        f"{which[0].upper()}{which[1:]}that a per-feature map removes{mostly} ({figures}; {after})"
        f"{moved}"
    )


def _no_shift(figures: str, differing: Sequence[FeatureShift]) -> tuple[str, str]:
    if not differing:
        return "none", f"No shift found ({figures}): adapting can only cost you."
    differ = "differ by themselves" if len(differing) > 1 else "differs by itself"
    return "features", (
        f"No shift that the tests together find significant ({figures}), but {_names(differing)} "
        f"{differ}: compare data and MC there before adapting."
    )


def _label(figures: str, labels: LabelShift) -> str:
    texts = _against(labels.classes, labels.target, labels.error, labels.mc)
    return (
        f"Label shift ({figures}): {texts}. With MC reweighted to that they are no "
        f"longer distinguished (AUC {labels.auc:.3f}, p = {labels.p_value:.2g}): do not align, "
        "correct the scores for the estimated fraction (source-only+prior)."
    )


def mixture(classes: Sequence[str], fractions: FractionEstimate) -> str:
    """What is said where class fractions differ beside a shift of the features."""
    texts = _against(classes, fractions.value, fractions.error, fractions.source)
    return (
        f"Beside it a label shift: {texts}; the alignments of a training are fitted, and their "
        "scores corrected, for that."
    )


def _against(
    classes: Sequence[str], target: Iterable[float], error: Iterable[float], mc: Iterable[float]
) -> str:
    """``b 17 ± 1 % against 33 % in MC``, of two classes the second; decimals where that is ± 0."""
    rows = [*zip(classes, target, error, mc, strict=True)]
    d = int(min(e for _, _, e, _ in rows) < 0.005)
    texts = [
        f"{name} {100 * t:.{d}f} ± {100 * e:.{d}f} % against {100 * m:.{d}f} % in MC"
        for name, t, e, m in rows
    ]
    return ", ".join(texts[1:] if len(texts) == 2 else texts)


def _score(score: ScoreEffect | None) -> str:
    if score is None:
        return ""
    return (
        f" (score: KS {score.ks:.3f}; {100 * score.accepted_target:.1f} % of the data is accepted, "
        f"{100 * score.accepted_mc:.1f} % of MC)"
    )


def _names(features: Sequence[FeatureShift], most: int = 3) -> str:
    texts = [f"{f.name} (KS {f.ks:.3f})" for f in features[:most]]
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))
