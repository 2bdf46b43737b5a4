"""Measure the mismodelling: which family of maps turns MC into data, by how much, how sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment import at_fractions, estimate_fractions
from ..alignment.base import drawn
from ..stats.figure import Figure
from ..stats.threads import one_thread, side_by_side
from ..stats.two_sample import SIGNIFICANT, separation
from ..tensors import Source, Target
from .families import Family, FamilyChain, FittedMap, family, shift_families
from .fit import FamilyFit, explored, finite, fit_from, problems_of
from .free_fit import fit_free, fit_free_objects
from .mixture import Mixture, mixture_of
from .objects import ObjectSource, ObjectTarget, figures, inputs_of, object_families, object_family
from .refiner import fit_refiner
from .result import Calibration, CalibrationReport, FamilyCandidate, Profile, parameters_of, verdict

Floats = NDArray[np.float64]

_SIMPLER = 0.02  # a family this much worse than the best, with fewer parameters, is preferred
_MOST = 10_000  # events of MC whose objects are mapped in a fit
_JUDGED = 3  # families that the classifier judges, those of the smallest distance
_HOPELESS = 30.0  # times the smallest distance, from which a family is followed no further
_SETTLED = 0.51  # held-out AUC that no flexible map needs to improve
_SIGMAS = 4.0  # from which fractions that are estimated of raw data are looked into,
_BETTER = 9.0  # and the difference of χ² from which those of MC are left
_SUSPECT = 2.0  # errors of fractions, beside no map, from which it is asked what else differs
# further searches for a free map, two at a time, where the first leaves a part of the shift,
_AGAIN = {"closed": 2, "partly closed": 4, "not closed": 0}
_ALONG = 120  # and the random directions that they look along
_WAY = 0.67  # to those of raw data, at least, at which fractions behind a map agree
_BEYOND = 1.5  # of the way to those of raw data, at most
_PROFILE = np.linspace(-4.0, 4.0, 17)  # in standard errors


@one_thread()
def calibrate(
    mc: Source,
    target: Target,
    names: Sequence[str],
    *,
    families: Sequence[str] | None = None,
    hold_fractions: bool = False,
    reference: NDArray[np.floating] | None = None,
    seed: int = 0,
    made: Mapping[str, Family] | None = None,
) -> CalibrationReport:
    """Fit forward maps MC → data, with the class fractions of the data, and judge what is left.

    Maps are fitted on the training splits. A classifier, trained and judged on the other events,
    says how well calibrated MC and data are still distinguished. Of the families that leave an AUC
    within .02 of the least, or within its error, that with the fewest parameters is chosen; the
    identity has none. Where the fractions that belong to the identity moved, the first of these is
    taken whose map and fractions explain the data, if any. No label of the data takes part.

    Args:
        mc: labelled events.
        target: the data.
        names: of the features.
        families: ``free``, ``refiner``, or as :func:`hepdann.calibration.family` reads them; by
            default all shifts, and ``free``.
        hold_fractions: keep the class fractions of MC.
        reference: (N, F) features of MC that fix the scales of shifts; by default those of ``mc``,
            and those of its training split.
        seed: of all that is random.
        made: the families by name, where they are not those of features; then there is no ``free``.

    Raises:
        HepdannError: too few events.
        ConfigError: an unknown family or feature.
    """
    mc_judge, judge = mc.take(mc.split != 0), target.take(target.split != 0)
    search = _Search(mc, target, names, hold_fractions, reference, seed, made)
    wanted = tuple(dict.fromkeys(families or made or search.usual))
    identity = fit_from(search.whole, FamilyChain(()), np.zeros(0))
    tried = search.explore([text for text in wanted if text not in search.others])
    fits = [identity, *(fit_from(search.whole, *entry[1:]) for entry in tried[:_JUDGED])]

    def calibration(fit: FamilyFit) -> Calibration:
        shown = fit if len(fit.theta) else None
        share = search.whole.mc_fractions
        return Calibration(shown, mc.classes, fit.fractions, fit.fraction_error, share, seed)

    def judged(fit: FamilyFit) -> Figure:
        return separation(calibration(fit).calibrated(mc_judge), judge, seed=seed)

    @cache
    def mixture(fit: FamilyFit) -> Mixture:
        return calibration(fit).mixture(mc, target)

    raw = partial(separation, mc_judge, judge, seed=seed)
    before, *left = side_by_side([raw, *(partial(judged, fit) for fit in fits)])
    options = list(zip(fits, left, strict=True))
    # fractions that moved may not be what differs, but hide something that a map mends, or none
    suspect = calibration(identity).moved(_SUSPECT)
    settled = any(
        f.value <= max(_SETTLED, 0.5 + 2 * f.error) and (not suspect or mixture(fit).explains)
        for fit, f in options
    )
    if "free" in wanted and (families is not None or not settled):
        options.append(search.free(judged, before))
    if "refiner" in wanted:
        options.append((refined := search.refiner(), judged(refined)))
    least = min(max(figure.value, 0.5) for _, figure in options)
    near = [o for o in options if o[1].value <= least + max(_SIMPLER, o[1].error)]
    near.sort(key=lambda o: (len(o[0].theta), o[0].distance))
    (chosen, after), hides = near[0], None
    if verdict(before, after) != "not closed" and (suspect or calibration(chosen).moved()):
        chosen, after = next((o for o in near if mixture(o[0]).explains), near[0])
        hides = mixture(chosen)
    shown = chosen
    if families is not None and not len(chosen.theta):
        shown = min((fit for fit, _ in options[1:]), key=lambda fit: fit.distance, default=chosen)
    best, drawn = calibration(chosen), (calibration(shown), search.profiles(shown))
    known = _candidates(options, tried[_JUDGED:])
    return CalibrationReport(best, known, before, after, chosen.held, hides, *drawn)


def _candidates(
    options: Sequence[tuple[FamilyFit, Figure]], rest: Sequence[tuple[float, Family, Floats]]
) -> tuple[FamilyCandidate, ...]:
    """What was judged, the identity first, and families of which only the distance is known."""
    first, *others = [
        FamilyCandidate(f.family.name, len(f.theta), f.distance, figure, parameters_of(f))
        for f, figure in options
    ]
    others += [FamilyCandidate(one.name, len(one.parameters), d, None) for d, one, _ in rest]
    return first, *sorted(others, key=lambda c: c.distance)


class _Search:
    """The training splits of MC and data, and the fits of families to them."""

    def __init__(
        self,
        mc: Source,
        target: Target,
        names: Sequence[str],
        held: bool,
        reference: NDArray[np.floating] | None,
        seed: int,
        made: Mapping[str, Family] | None,
    ) -> None:
        self.mc, self.target = finite(mc.part("train")), finite(target.part("train"))
        self.usual, self.others = (*shift_families(), "free"), {"none", "free", "refiner"}
        if isinstance(mc, ObjectSource):  # which no refiner maps
            self.mc = drawn(self.mc, _MOST, np.random.default_rng([seed, 0xF6]))
            self.usual, self.others = (*object_families(mc.objects), "free"), {"none", "free"}
        self.names, self.held, self.seed = names, held, seed
        self.made = made
        # A shift's scale is the largest |x| of some MC: of the training split or of all of them.
        references = [reference] if reference is not None else [mc.features, self.mc.features]
        largest = [np.nanmax(np.abs(r), axis=0, initial=0.0) for r in references]
        known = made is not None or isinstance(mc, ObjectSource)
        single = known or np.array_equal(largest[0], largest[-1])
        self.references = references[: 1 if single else 2]
        self._variation: dict[FamilyFit, Callable[[], Floats]] = {}  # of free maps, where needed
        self.few, self.whole = problems_of(self.mc, self.target, held=held, seed=seed)

    def explore(self, texts: Sequence[str]) -> list[tuple[float, Family, Floats]]:
        """Distance, family and parameters of each, the nearest first."""
        options = []
        for text in texts:
            for reference in self.references:
                if self.made is not None:
                    one = self.made[text]
                elif isinstance(self.mc, ObjectSource):
                    one = object_family(text, self.mc.objects, self.names)
                else:
                    one = family(text, reference, self.names)
                at_start = min(self.few.distance(one, start) for start in one.starts())
                options.append((at_start, text, one))
        options.sort(key=lambda option: option[0])
        best: dict[str, tuple[float, Family, Floats]] = {}
        least = math.inf
        for at_start, text, one in options:
            if at_start > _HOPELESS * least and text in best:
                continue
            distance, theta = explored(self.few, one)
            least = min(least, distance)
            if text not in best or distance < best[text][0]:
                best[text] = distance, one, theta
        return sorted(best.values(), key=lambda entry: entry[0])

    def free(
        self, judged: Callable[[FamilyFit], Figure], before: Figure
    ) -> tuple[FamilyFit, Figure]:
        """The free map with its error, and what is left after it."""
        fit, figure = self.best_free(judged, before)
        return replace(fit, variation=self._variation[fit]()), figure

    def best_free(
        self, judged: Callable[[FamilyFit], Figure], before: Figure
    ) -> tuple[FamilyFit, Figure]:
        """The free map, looked for again where it leaves a part, and what is left after it."""
        fit, figure = self.first_free(judged)
        searches = _AGAIN[verdict(before, figure)]
        if searches and (other := self.again(fit, searches)) is not fit:
            return other, judged(other)
        return fit, figure

    def first_free(self, judged: Callable[[FamilyFit], Figure]) -> tuple[FamilyFit, Figure]:
        """The free map at the fractions at which it fits best, and what is left after it.

        It swallows wrong fractions, but then features are wrong at a value of the score. Where they
        are, and raw data say other fractions, it is fitted at these, and between both where those
        that are estimated behind a map are those of its fit. Where that is less than two thirds of
        the way, those of MC are kept: a class that moves by itself misleads the estimate of raw
        data too, and behind a map at the fractions of MC the estimate is then nearly that of MC.
        """
        share = self.whole.mc_fractions
        first = self._free_at(share)
        if self.held or len(share) < 2 or not share.all():
            return first, judged(first)
        calls: tuple[Callable[[], Any], ...] = (
            partial(self._mixture, first),
            partial(estimate_fractions, self.mc, self.target, seed=self.seed),
            partial(judged, first),
        )
        mixture, raw, figure = side_by_side(calls)
        along = raw.value - share
        if mixture.p_value >= SIGNIFICANT or not np.any(np.abs(along) > _SIGMAS * raw.error):
            return first, figure
        fits = [first, self._free_at(raw.value)]
        start, end = (float((self._estimate(f) - f.fractions) @ along) for f in fits)
        if start <= 0.0 or start < _WAY * (start - end):
            return first, figure
        if start > end:
            part = min(start / (start - end), _BEYOND)
            wanted = np.maximum(share + part * along, 0.1 * share)
            fits.append(self._free_at(wanted / wanted.sum()))
        left = [mixture.chi2 - _BETTER, *(self._mixture(fit).chi2 for fit in fits[1:])]
        best = fits[int(np.argmin(left))]
        return best, judged(best)

    def again(self, first: FamilyFit, searches: int) -> FamilyFit:
        """The free map, of the first and of so many further searches, that leaves least.

        A search may end in a local minimum. What certifies a map takes no part in the choice: trees
        are trained and judged on the events that all these maps were fitted to.
        """

        def other(number: int) -> tuple[float, FamilyFit]:
            fit = self._free_at(first.fractions, self.seed + number, directions=_ALONG)
            return self._left(fit), fit

        best = self._left(first), first
        for number in range(1, searches, 2):
            if best[0] <= _SETTLED:
                break
            both = side_by_side([partial(other, number), partial(other, number + 1)])
            best = min([best, *both], key=lambda end: end[0])
        return best[1]

    def _left(self, fit: FamilyFit) -> float:
        return separation(self._mapped(fit), self.target, seed=self.seed).value

    def _estimate(self, fit: FamilyFit) -> Floats:
        """The class fractions of the data, estimated with the MC as a free map makes them."""
        return estimate_fractions(self._mapped(fit), self.target, seed=self.seed).value

    def _mixture(self, fit: FamilyFit) -> Mixture:
        return mixture_of(self._mapped(fit), self.mc, self.target, held=True, seed=self.seed)

    def _mapped(self, fit: FamilyFit) -> Source:
        moved = figures(fit.family.apply(inputs_of(self.mc), fit.theta, self.seed))
        return self._at(fit.fractions).with_features(moved.astype(np.float32))

    def _at(self, share: Floats) -> Source:
        """The MC at class fractions of the data."""
        return at_fractions(self.mc, share) if share.all() else self.mc

    def _free_at(self, share: Floats, seed: int | None = None, **options: int) -> FamilyFit:
        """At class fractions of the data, which it would swallow: they are held."""
        seed, mc = self.seed if seed is None else seed, self._at(share)
        fitted: FittedMap
        if isinstance(mc, ObjectSource) and isinstance(self.target, ObjectTarget):
            fitted, variation = fit_free_objects(mc, self.target, seed=seed, **options)
            distance = self.whole.distance(fitted, fitted.flat())
        else:
            fitted, distance, variation = fit_free(mc, self.target, seed=seed, **options)
        theta = fitted.flat()
        unknown = np.full((len(theta), len(theta)), np.nan)
        fit = FamilyFit(fitted, theta, share, unknown, distance, True)
        self._variation[fit] = variation
        return fit

    def refiner(self) -> FamilyFit:
        """A residual network against a critic; the class fractions are held, as of a free map."""
        made = fit_refiner(self.mc, self.target, seed=self.seed)
        theta = made.flat()
        distance = self.whole.distance(made, theta)
        unknown = np.full((1, 1), np.nan)  # of thousands of weights nobody asks for a covariance
        share = self.whole.mc_fractions
        return FamilyFit(made, theta, share, unknown, distance, True, np.zeros(len(theta)))

    def profiles(self, fit: FamilyFit) -> tuple[Profile, ...]:
        """The distance along each parameter of a rigid family."""
        if isinstance(fit.family, FittedMap):
            return ()
        low, high = fit.family.bounds
        made = []
        for k, name in enumerate(fit.family.parameters):
            values = np.unique(
                np.clip(fit.theta[k] + _PROFILE * max(fit.error[k], 1e-6), low[k], high[k])
            )
            points = np.repeat(fit.theta[None], len(values), axis=0)
            points[:, k] = values
            distance = np.array([self.whole.distance(fit.family, point) for point in points])
            best = Figure(float(fit.theta[k]), float(fit.error[k]), math.nan)
            made.append(Profile(name, values, distance, best))
        return tuple(made)
