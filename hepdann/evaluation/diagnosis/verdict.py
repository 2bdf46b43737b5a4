"""The outcome of a diagnosis in one sentence that a physicist can act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...stats.features import FeatureShift
from ...stats.two_sample import SIGNIFICANT
from .label_shift import LabelShift
from .score_effect import ScoreEffect

if TYPE_CHECKING:
    from ...alignment import FractionEstimate
    from .diagnosis import Closure, Diagnosis

_CLOSED = 0.53  # AUC after a map up to which the map has done its work
_MOSTLY = 0.65  # AUC up to which it has done most of it
_COMMON = 0.85  # share of accepted events in common from which only the threshold matters
_SCORE = 0.02  # distance of the score's distributions below which nothing is at stake


def verdict(diagnosis: Diagnosis) -> tuple[str, str]:
    """What kind of shift it is, in a word and in a sentence.

    Args:
        diagnosis: the tests, and what is known of a shift. Where its features sum images up
            (``alignable`` is false), no map of them aligns pixels.

    Returns:
        The word and the sentence. ``none``: no shift. ``features``: a single feature differs, not
        significantly among all the tests. ``label``: other class fractions explain it.
        ``harmless``: it is there, and the score hardly moves. ``threshold``: a map of each feature
        removes it, and mainly moves the threshold. ``per-feature``: a map of each feature removes
        it. ``remains``: none of these maps does. ``shift``: it is not known what kind, for lack of
        events.
    """
    test, score, labels = diagnosis.test, diagnosis.score, diagnosis.labels
    differing = diagnosis.differing
    figures = f"AUC {test.auc:.3f} ± {test.auc_error:.3f}, p = {diagnosis.p_value:.2g}"
    if not diagnosis.shift:
        return _no_shift(figures, differing)
    if labels is not None and labels.alone:
        return "label", _label(figures, labels)
    where = f"most in {_names(differing)}" if differing else "in how features go together"
    differ = f"MC and data differ ({figures}), {where}"
    moved = _score(score)
    if score is not None and (score.p_value >= SIGNIFICANT or score.ks < _SCORE):
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
        mend = "images and objects have no such map; compare dann with source-only"
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
    """``b 17 ± 1 % against 33 % in MC``; of two classes the second alone."""
    texts = [
        f"{name} {100 * t:.0f} ± {100 * e:.0f} % against {100 * m:.0f} % in MC"
        for name, t, e, m in zip(classes, target, error, mc, strict=True)
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
