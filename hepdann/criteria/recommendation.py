"""Which prediction to use, decided without a target label: the only place that decides it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..registry import CALIBRATED, SOURCE_ONLY
from ..stats import Figure

GUARD = "guard"  # name of the mean of the teacher and of what is averaged with it

_SIMPLER = 0.02  # a map this much worse than the best, and simpler, is preferred to it
CLOSED = 0.53  # AUC up to which a map is taken to have closed the shift
_LARGE = 0.65  # AUC from which a shift remains that the user must hear of
_CLEARLY = 0.9  # of what maps of single features leave, a map of all together must leave less
_AGREES = 0.94, 0.97  # agreement from which a network counts at all, and counts as the teacher
_SMALL = 0.53, 0.56  # AUC of source-only up to which it counts as the teacher, and counts at all
_COST = 0.01  # of accuracy on MC that an adaptation may cost
_PER_FEATURE = {SOURCE_ONLY, "prior", "moments", "quantile"}


@dataclass(frozen=True)
class Residual:
    """What a classifier still distinguishes after a map of the target.

    Attributes:
        value: held-out AUC; .5 is nothing.
        error: its standard error.
    """

    value: float
    error: float


@dataclass(frozen=True)
class Recommendation:
    """Which prediction to use, and why.

    Attributes:
        method: its name; ``None`` if there is no candidate.
        sentence: the reason.
        teacher: the map that the networks were compared with.
        large_residual: a shift remains after every candidate.
        parts: the methods that ``guard`` is the mean of; empty if it is another one.
        weights: of the parts.
        candidates: of each candidate the residual AUC and its error, or the agreement.
    """

    method: str | None
    sentence: str
    teacher: str | None = None
    large_residual: bool = False
    parts: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    candidates: dict[str, dict[str, float]] = field(default_factory=dict)


def recommend(
    residuals: Mapping[str, Residual],
    agreements: Mapping[str, float | None],
    *,
    shift: bool | None = None,
    fallback: str | None = SOURCE_ONLY,
) -> Recommendation:
    """Decide, from what is left after each map and from how the networks agree with it.

    1. No shift was found: ``source-only``, for adapting could only cost.
    2. Otherwise, by :func:`teacher`, the simplest map that leaves little is the *teacher*. If its
       residual is below .53, the shift is closed, and the teacher is recommended. Where a shift
       was found, ``source-only`` is no such map: what cannot be seen in fewer events is there.
    3. If more remains, the recommendation is ``guard``: the mean of the logits of the teacher and
       of the networks that adapted, each at the share of the events that is expected to be
       accepted. The teacher counts 1; a network that agrees with it in 94 % of the events or less
       counts nothing, in 97 % or more it counts 1, and between in proportion. Without a network
       that counts it is the teacher as it is.
    4. Where hardly anything is to be seen of the shift without a map, little is to be won by one,
       and as much can be lost: ``source-only`` as it is joins the mean. It counts 1 where its own
       residual is .53 or less, nothing from .56, and between in proportion.
    5. A calibration maps MC and loses nothing of the data: where it closes the shift as far as the
       teacher does, or leaves decisively less, it is the teacher.
    6. Where the teacher's residual exceeds .65, or a map of single features leaves a part of the
       shift and no network agrees with it, a large shift remains, and the sentence says so.

    In small samples the limits of residuals are widened by the figure's own error.

    Args:
        residuals: map to residual; ``source-only`` for none, and the simplest first.
        agreements: adapted network to its agreement with the teacher, see :func:`teacher`, both at
            the expected share.
        shift: whether a two-sample test found a shift in the inputs; ``None``: not tested.
        fallback: what to recommend where nothing can be said.
    """
    if not residuals:
        reason = "too few events to compare candidates: source-only, which adapts nothing"
        return Recommendation(fallback, reason if fallback else "no candidate was trained")
    known = {n: {"residual_auc": r.value, "error": r.error} for n, r in residuals.items()}
    known |= {n: {"agreement": a} for n, a in agreements.items() if a is not None}
    chosen = teacher(residuals, shift=shift)
    assert chosen is not None
    if shift is False and SOURCE_ONLY in residuals:
        reason = "no shift was found, and adapting could only cost"
        return Recommendation(SOURCE_ONLY, reason, chosen, candidates=known)
    if is_closed(residuals[chosen]) and not (shift and chosen == SOURCE_ONLY):
        what = "nothing is to be adapted" if chosen == SOURCE_ONLY else f"{chosen} closes the shift"
        figure = _figure(residuals[chosen])
        sentence = f"{what}: inputs are not distinguished after it ({figure})"
        return _mean(sentence, chosen, {}, residuals, known)
    return _remaining(chosen, residuals, agreements, known)


def _remaining(
    chosen: str,
    residuals: Mapping[str, Residual],
    agreements: Mapping[str, float | None],
    known: dict[str, dict[str, float]],
) -> Recommendation:
    """What to do where a map leaves a part of the shift: steps 3 to 5 of :func:`recommend`."""
    left = residuals[chosen]
    low, high = _AGREES
    weights = {
        n: min(1.0, (a - low) / (high - low)) for n, a in agreements.items() if a is not None
    }
    agreeing = {n: w for n, w in weights.items() if w > 0}
    doubted = bool(agreements) and not agreeing and _is_single(chosen)
    large = left.value > _LARGE + left.error or doubted
    if agreeing:
        sentence = (
            f"{chosen} leaves a part of the shift ({_figure(left)}); {_listed(agreeing)} "
            f"agree{'s' if len(agreeing) == 1 else ''} with it: their mean, at the share that is "
            "expected to be accepted."
        )
    else:
        sentence = f"{chosen} leaves the least ({_figure(left)}), and no network agrees with it."
    advice = _mean(sentence, chosen, agreeing, residuals, known)
    if not large:
        return advice
    warning = (
        f" A large shift remains that none of the methods closes ({_figure(left)} after {chosen})."
    )
    sentence = f"{advice.sentence.removesuffix('.')}.{warning}"
    return replace(advice, sentence=sentence, large_residual=True)


def _mean(
    sentence: str,
    chosen: str,
    agreeing: Mapping[str, float],
    residuals: Mapping[str, Residual],
    known: dict[str, dict[str, float]],
) -> Recommendation:
    """The teacher, or its mean with networks and, where the shift is small, with source-only."""
    weights = {chosen: 1.0, **agreeing}
    raw = residuals.get(SOURCE_ONLY)
    low, high = _SMALL
    if raw is not None and raw.value < high and chosen != SOURCE_ONLY:
        weights[SOURCE_ONLY] = min(1.0, (high - raw.value) / (high - low))
        sentence = (
            f"{sentence.removesuffix('.')}; without a map they are hardly distinguished either "
            f"({_figure(raw)}), and source-only joins the mean"
        )
    if len(weights) == 1:
        return Recommendation(chosen, sentence, chosen, candidates=known)
    parts, counted = tuple(weights), tuple(weights.values())
    return Recommendation(GUARD, sentence, chosen, parts=parts, weights=counted, candidates=known)


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return " and ".join(filter(None, [", ".join(first), last]))


def _figure(residual: Residual) -> str:
    return f"AUC {residual.value:.3f} ± {residual.error:.3f}"


def is_closed(residual: Residual) -> bool:
    """Whether nothing that matters is left of a shift."""
    return residual.value <= max(CLOSED, 0.5 + 2.0 * residual.error)


def teacher(residuals: Mapping[str, Residual], *, shift: bool | None = None) -> str | None:
    """The map that the networks are compared with.

    Of the maps that act on each feature by itself, the simplest whose residual AUC is within .02,
    or its own error, of the best. A map that acts on all features together can make the inputs
    alike and mix the classes: it takes their place only if it leaves less of what they leave above
    .5 by a tenth, and by more than its error. So does a calibration, which maps MC, but for this:
    if it closes the shift, it takes their place where it leaves no more than they do.

    Args:
        residuals: map to residual, the simplest first; parts of a chain are joined with ``+``.
        shift: whether a test found a shift; then ``source-only`` is chosen only without any map.
    """
    if shift and len(residuals) > 1:
        residuals = {n: r for n, r in residuals.items() if n != SOURCE_ONLY}
    forward = {n: r for n, r in residuals.items() if n in CALIBRATED}
    single = {n: r for n, r in residuals.items() if _is_single(n)}
    joint = {n: r for n, r in residuals.items() if n not in single and n not in forward}
    best = _better(residuals, _simplest(single), _simplest(joint))
    mapped = _simplest(forward)
    if best is not None and mapped is not None and is_closed(residuals[mapped]):
        error = residuals[mapped].error
        if residuals[mapped].value <= max(residuals[best].value, 0.5) + max(_SIMPLER, error):
            return mapped
    return _better(residuals, best, mapped)


def _better(residuals: Mapping[str, Residual], first: str | None, second: str | None) -> str | None:
    """The second if it leaves decisively less than the first, and otherwise the first."""
    if first is None or second is None:
        return first or second
    left, less = (max(residuals[n].value - 0.5, 0.0) for n in (first, second))
    decisive = less < _CLEARLY * left and left - less > max(_SIMPLER, residuals[second].error)
    return second if decisive else first


def _is_single(name: str) -> bool:
    return set(name.split("+")) <= _PER_FEATURE


def _simplest(residuals: Mapping[str, Residual]) -> str | None:
    if not residuals:
        return None
    best = max(min(r.value for r in residuals.values()), 0.5)
    return next(n for n, r in residuals.items() if r.value <= best + max(_SIMPLER, r.error))


@dataclass(frozen=True)
class Adapted:
    """What is known of a method without a target label.

    Attributes:
        accuracy: on MC, validation split.
        accuracy_error: its standard error.
        separation: AUC with which a fresh classifier tells MC and target apart by the feature
            layer, validation splits.
        expected: of pictures how often the method is taken to be right on the target, see
            :func:`~hepdann.stats.expected_accuracy`.
    """

    accuracy: float
    accuracy_error: float
    separation: Residual
    expected: Figure | None = None


def recommend_adapted(
    candidates: Mapping[str, Adapted], *, shift: bool | None = None
) -> Recommendation:
    """Decide between ``source-only`` and the networks that adapted.

    1. No shift was found: ``source-only``, for adapting could only cost.
    2. Otherwise the adapted method whose feature layer tells MC and target apart least, of those
       that cost at most .01 of accuracy on MC (or its error), if that is less than what
       source-only's tells by more than its error. A calibration changes MC and no data: it costs
       nothing, and may be .02 worse.
    3. Else, of pictures, the one that is expected to be right most often on the target, if that is
       more often than source-only by more than the error and what it costs of accuracy on MC. How
       distinct the domains are says little of digits against digits in photographs, which no layer
       makes alike.
    4. Else ``source-only``.

    Args:
        candidates: by method; without ``source-only`` nothing is recommended.
        shift: whether a two-sample test found a shift in what sums the images up; ``None``: not
            tested.
    """
    if SOURCE_ONLY not in candidates:
        return Recommendation(None, "no candidate was trained")
    known = {
        name: {"domain_auc": one.separation.value, "mc_accuracy": one.accuracy}
        | ({} if one.expected is None else {"expected_accuracy": one.expected.value})
        for name, one in candidates.items()
    }
    raw = candidates[SOURCE_ONLY]

    def chosen(name: str, sentence: str) -> Recommendation:
        large = shift is not False and candidates[name].separation.value > _LARGE
        more = " A large shift remains in its feature layer." if large else ""
        return Recommendation(name, sentence + more, SOURCE_ONLY, large, candidates=known)

    if shift is False:
        return chosen(SOURCE_ONLY, "no shift was found, and adapting could only cost")
    least = raw.accuracy - max(_COST, raw.accuracy_error)
    fair = {
        n: one.separation.value - _SIMPLER * (n in CALIBRATED)
        for n, one in candidates.items()
        if n != SOURCE_ONLY and (one.accuracy >= least or n in CALIBRATED)
    }
    best = min(fair, key=lambda name: fair[name], default=SOURCE_ONLY)
    now, before = candidates[best].separation, raw.separation
    alike = before.value - now.value > now.error
    surest = None if alike else _surest(candidates)
    if surest:
        return chosen(*surest)
    if not fair:
        return chosen(SOURCE_ONLY, f"every adaptation costs more than {_COST:g} of accuracy on MC")
    if not alike:
        reason = f"{best} does not tell MC and target apart less than source-only does"
        return chosen(SOURCE_ONLY, f"{reason} (AUC {now.value:.3f} against {before.value:.3f})")
    cost = "leaves data as they are"
    if best not in CALIBRATED:
        cost = (
            f"costs no accuracy on MC that matters ({candidates[best].accuracy:.3f} against "
            f"{raw.accuracy:.3f})"
        )
    return chosen(
        best,
        f"{best} tells MC and target apart by AUC {now.value:.3f} ± {now.error:.3f} in its feature "
        f"layer, source-only by {before.value:.3f}, and {cost}",
    )


def _surest(candidates: Mapping[str, Adapted]) -> tuple[str, str] | None:
    """The method that is expected to be right most often on the target, and why; if any is."""
    expected = {n: one.expected for n, one in candidates.items() if one.expected is not None}
    if SOURCE_ONLY not in expected:
        return None
    best = max(expected, key=lambda name: expected[name].value)
    now, before = expected[best], expected[SOURCE_ONLY]
    cost = max(0.0, candidates[SOURCE_ONLY].accuracy - candidates[best].accuracy)
    if now.value - before.value <= cost + math.hypot(now.error, before.error):
        return None
    return best, (
        f"by how sure each is, {best} is expected to be right on {now.value:.3f} of the target, "
        f"source-only on {before.value:.3f}"
    )
