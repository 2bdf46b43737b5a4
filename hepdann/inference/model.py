"""A trained model: every method's networks, the scaling and the maps that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..alignment import Alignment
from ..domains.events import Scaling
from ..errors import RunError
from ..networks.shape import ObjectShape, ViewShape
from ..registry import ORACLE, PARAMETRISED, PRIOR, SOURCE_ONLY, calibration_of, method_of
from ..tensors import Collection, Objects, Tensors, fold_of
from ..tensors.arrays import columns, numbers, table_columns
from .steps import Combination, FoldMean, Inputs, MethodMean, NetworkSteps, Part, Scores, Step

if TYPE_CHECKING:
    from ..calibration import Calibration

DOMAINS = {"source": 0, "target": 1}


def prior_corrected(correction: tuple[float, ...] | None) -> dict[str, MethodMean]:
    """Source-only with its scores on the target brought to the target's class fractions.

    Source: Saerens, Latinne and Decaestecker, Neural Computation 14 (2002) 21, equation 2.4.

    Args:
        correction: (C,) logarithm of the target's over the source's fraction of each class;
            ``None`` where these do not differ, which gives nothing.
    """
    return {} if correction is None else {PRIOR: MethodMean((SOURCE_ONLY,), (correction,))}


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that scoring new events needs.

    Attributes:
        alignments: map target features onto the source's; methods, scored by source-only's nets.
        parts: the trained networks of each method; ``alignment+method`` was trained on, and
            scores, the target that this alignment maps.
        correction: (C,) logarithm of the target's estimated over the source's class fractions, by
            which alignments correct their scores of both; ``None`` where the source's hold.
        views: name, channels, height and width of the images that are seen in place of features.
        objects: name, objects of an event at most and features of each, of the collections that the
            networks see beside the features of the event; ``scaling`` is that of these rows then.
        calibrations: maps of MC features onto the target's; the networks of a method that is
            trained behind one see MC after it, and the target as it is.
        folds: of a run in folds the model of each, of which fold i never saw part i of the events;
            everything else is then that of the first.
        salt: of the hash that deals the events into parts, see :func:`hepdann.tensors.fold_of`.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    scaling: Scaling
    alignments: dict[str, Alignment]
    parts: dict[str, Part]
    mixtures: dict[str, MethodMean] = field(default_factory=dict)
    correction: tuple[float, ...] | None = None
    views: tuple[ViewShape, ...] = ()
    missing: dict[str, float] = field(default_factory=dict)
    indicators: dict[str, str] = field(default_factory=dict)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    objects: tuple[ObjectShape, ...] = ()
    folds: tuple[Model, ...] = ()
    salt: int = 0

    @classmethod
    def of_folds(cls, folds: Sequence[Model], salt: int) -> Model:
        """The models of a run in folds as one; the methods of all are the same."""
        return replace(folds[0], folds=tuple(folds), salt=salt)

    @property
    def columns(self) -> InputColumns:
        """How events that were not converted become features."""
        return InputColumns(self.features, self.missing, self.indicators)

    @property
    def inputs(self) -> int:
        """Numbers that a network sees of an event."""
        if self.views:
            return sum(channels * height * width for _, channels, height, width in self.views)
        return len(self.scaling.mean) if self.objects else len(self.features)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that can score, baselines first and the oracle last."""
        trained = list(self.parts)
        aligned = list(self.alignments) if SOURCE_ONLY in trained else []
        middle = [name for name in trained if name not in (SOURCE_ONLY, ORACLE)]
        last = [ORACLE] if ORACLE in trained else []
        first = [name for name in (SOURCE_ONLY, PRIOR) if name in trained or name in self.mixtures]
        mixed = [name for name in self.mixtures if name != PRIOR]
        return (*first, *aligned, *middle, *mixed, *last)

    @property
    def compiled(self) -> bool:
        """Whether compiled code scores all of its networks."""
        return all(part.compiled for part in self.parts.values())

    def on(self, device: str) -> Self:
        """The same, with the networks on a device of torch."""
        parts = {name: replace(part, device=device) for name, part in self.parts.items()}
        return replace(self, parts=parts, folds=tuple(fold.on(device) for fold in self.folds))

    def adapts(self, method: str) -> bool:
        """Whether the method scores the target by the target's own statistics."""
        if method in self.mixtures:
            return False  # it has no domain head of its own
        return self._part(method).target_domain == 1

    def varies(self, method: str, domain: str = "source") -> bool:
        """Whether an error of a calibration changes the method's scores of a domain.

        MC passes the calibration; of data a parametrised network is told its parameters.
        """
        name = calibration_of(method)
        return name in self.calibrations and (domain == "source" or name == PARAMETRISED)

    def steps(self, method: str, domain: str = "target", errors: float = 0.0) -> Step:
        """What happens to an event of a domain, from its features to the method's score.

        Args:
            method: one of :attr:`methods`.
            domain: "target" for data, "source" for MC.
            errors: standard errors by which the calibration of MC is changed; where the network
                is parametrised, of data its parameter.

        Raises:
            RunError: no such method or domain.
        """
        if domain not in DOMAINS:
            mend = '"source" scores MC, "target" scores data'
            raise RunError(f"no domain {domain!r}", mend=mend)
        if method not in self.methods:
            raise RunError(f"no method {method!r}", mend=f"there are {', '.join(self.methods)}")
        if (method, domain, errors) not in self._made:
            folds = tuple(fold._steps(method, domain, errors) for fold in self.folds)
            made = FoldMean(folds) if folds else self._steps(method, domain, errors)
            self._made[method, domain, errors] = made
        return self._made[method, domain, errors]

    @cached_property
    def _made(self) -> dict[tuple[str, str, float], Step]:
        return {}

    def _steps(
        self, method: str, domain: str, errors: float, plain: bool = False
    ) -> NetworkSteps | Combination:
        """See :meth:`steps`; ``plain`` of MC as a part of a mixture that is moved to MC's share."""
        target = domain == "target"
        if method in self.mixtures:
            mixture = self.mixtures[method]
            parts = tuple(
                self._steps(part, domain, errors, plain or (not target and any(moved)))
                for part, moved in zip(mixture.parts, mixture.offsets, strict=True)
            )
            return Combination(parts, mixture, target or (method == PRIOR and not plain))
        part = self._part(method)
        aligned = method if method in self.alignments else method_of(method)[0]
        name = calibration_of(method)
        calibration, aware = self.calibrations[name] if name else None, name == PARAMETRISED
        if calibration is not None and errors:
            calibration = calibration.varied(errors)
        scaling = self.scaling.with_parameter() if aware else self.scaling
        return NetworkSteps(
            mapped=(self.alignments[aligned] if aligned else None) if target else calibration,
            scaling=None if self.views else scaling,
            part=part,
            statistics=part.target_domain if target else 0,
            correction=self.correction if method in self.alignments and not plain else None,
            parameter=errors * target if aware else None,
        )

    def score(
        self,
        inputs: Inputs,
        method: str,
        domain: str = "target",
        *,
        fold: NDArray[np.uint8] | None = None,
        errors: float = 0.0,
        domain_heads: bool = True,
        event_id: NDArray[np.uint64] | None = None,
    ) -> Scores:
        """Score events.

        Args:
            inputs: (N, F) in the order of ``features``, unscaled; NaN is missing. Of images their
                pixels, view after view.
            method: one of :attr:`methods`.
            domain: "target" for data, "source" for MC.
            fold: (N,) of each event the fold that did not see it, :data:`NO_FOLD` of one that no
                fold was trained on; by default of all events. It decides in a run in folds alone.
            errors: standard errors by which the calibration of MC is changed.
            domain_heads: whether they are asked; else there are no domain scores.
            event_id: (N,) whose noise a calibration of MC that smears gives; else by order.

        Raises:
            RunError: no such method or domain, or another number of features.
        """
        if self.folds and fold is not None and len(fold):
            options = {"errors": errors, "domain_heads": domain_heads}
            return score_by_fold(self, inputs, method, domain, fold, event_id, **options)
        steps = self.steps(method, domain, errors)
        if inputs.ndim != 2 or inputs.shape[1] != self.inputs:
            views = [f"{name} {shape}" for name, *shape in (*self.views, *self.objects)]
            raise RunError(
                f"features of shape {inputs.shape}, expected (N, {self.inputs})",
                mend=f"give {', '.join(views or self.features)}",
            )
        ids = event_id if domain == "source" else None
        return steps.score(self._events(inputs), domain=domain_heads, event_id=ids)

    def latent(self, inputs: Inputs, method: str, domain: str = "target") -> NDArray[np.float32]:
        """Feature layer (N, H) of the method's first member; of a mixture, of its first part."""
        return self.steps(method, domain).latent(self._events(inputs))

    @property
    def object_classes(self) -> dict[str, int]:
        """Collections whose objects have classes, and how many these are."""
        shape = next(iter(self.parts.values())).shape
        counts = zip(self.objects, shape.object_classes, strict=False)
        return {name: classes for (name, *_), classes in counts if classes}

    def _events(self, inputs: Inputs) -> Inputs:
        """The inputs as maps take them: objects, if these are their rows."""
        if self.objects and isinstance(inputs, np.ndarray):
            return Objects.of_rows(inputs, collections_of(self.objects))
        return inputs

    def _part(self, method: str) -> Part:
        return self.parts[SOURCE_ONLY if method in self.alignments else method]


def collections_of(shapes: Sequence[ObjectShape]) -> tuple[Collection, ...]:
    """What a network is told of collections, whose features have no names in it."""
    return tuple(Collection(n, tuple(map(str, range(each))), most) for n, most, each in shapes)


@dataclass(frozen=True)
class InputColumns:
    """The features of a model and what marks a missing value in them.

    Attributes:
        indicators: columns that are 1 where a feature is missing, with that feature.
    """

    features: tuple[str, ...]
    missing: dict[str, float] = field(default_factory=dict)
    indicators: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> Self:
        """As the conversion recorded them in the tensor file."""
        info = dict(zip(tensors.features, tensors.feature_info, strict=True))
        return cls(
            tensors.features,
            {n: float(e["missing"]) for n, e in info.items() if e.get("missing") is not None},
            {n: e["indicator_of"] for n, e in info.items() if e.get("indicator_of")},
        )

    def table(self, events: Any) -> NDArray[np.float32]:
        """The features of events, NaN where a value is missing or not finite.

        Args:
            events: a DataFrame, mapping, structured array or awkward record array with a column of
                each feature (an indicator may be absent: it follows from its feature), or an
                array (N, F) in the order of ``features``.

        Raises:
            RunError: a feature is absent, or a column does not hold one number an event.
        """
        names = table_columns(events)
        if names is None:
            table = numbers(events, "the events", RunError)
            if table.ndim != 2 or table.shape[1] != len(self.features):
                return table
        else:
            table = self._by_name(events, names)
        self._mark(table)
        return table

    def _by_name(self, events: Any, names: Sequence[Any]) -> NDArray[np.float32]:
        absent = [n for n in self.features if n not in names and n not in self.indicators]
        if absent:
            unknown = [str(name) for name in names if name not in self.features]
            beside = f"; beside the features they have {', '.join(unknown)}" if unknown else ""
            raise RunError(
                f"the events have no {', '.join(absent)}{beside}",
                mend=f"give columns of these names, or an array of {', '.join(self.features)}",
            )
        known = columns(events, [name for name in self.features if name in names], RunError)
        zero = np.zeros(next(iter(known.values())).shape, np.float32)
        return np.stack([known.get(name, zero) for name in self.features], axis=1)

    def _mark(self, table: NDArray[np.float32]) -> None:
        at = {name: number for number, name in enumerate(self.features)}
        for name, sentinel in self.missing.items():
            column = table[:, at[name]]
            column[column == np.float32(sentinel)] = np.nan
        table[~np.isfinite(table)] = np.nan
        for name, feature in self.indicators.items():
            table[np.isnan(table[:, at[feature]]), at[name]] = 1


NO_FOLD = 255  # of an event that no fold was trained on: all folds score it


def folds_of(
    model: Model, event_id: NDArray[np.uint64], known: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """The fold that did not see each event; :data:`NO_FOLD` of one that none was trained on."""
    fold = fold_of(event_id, len(model.folds), model.salt)
    place = np.minimum(np.searchsorted(known, event_id), len(known) - 1)
    fold[known[place] != event_id] = NO_FOLD
    return fold


def score_by_fold(
    model: Model,
    inputs: Inputs,
    method: str,
    domain: str,
    fold: NDArray[np.uint8],
    event_id: NDArray[np.uint64] | None = None,
    **options: Any,
) -> Scores:
    """Score events, each by its fold (N,); the options are those of :meth:`Model.score`."""
    parts = []
    for number in np.unique(fold).tolist():
        one, rows = model if number == NO_FOLD else model.folds[number], fold == number
        part = inputs[rows] if isinstance(inputs, np.ndarray) else inputs.take(rows)
        ids = None if event_id is None else event_id[rows]
        parts.append((rows, one.score(part, method, domain, event_id=ids, **options)))
    first = parts[0][1]
    members = np.empty((len(first.members), len(fold), first.members.shape[2]), np.float32)
    domain_score = np.empty(len(fold) if len(first.domain) else 0, np.float32)
    for rows, scores in parts:
        members[:, rows] = scores.members
        if len(domain_score):
            domain_score[rows] = scores.domain
    return Scores(members, domain_score)


def object_scores(
    model: Model,
    inputs: Objects,
    method: str,
    domain: str = "target",
    fold: NDArray[np.uint8] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Class probabilities (objects, C) by collection, of those whose objects have classes.

    Of a run in folds each event is scored by its fold (N,), by default by all.
    """
    classes = model.object_classes
    if not model.folds or fold is None or not len(fold):
        return dict(zip(classes, model.steps(method, domain).object_scores(inputs), strict=True))
    counts = {name: p.counts for (name, *_), p in zip(model.objects, inputs.parts, strict=True)}
    out = {name: np.full((counts[name].sum(), n), np.nan, "f4") for name, n in classes.items()}
    for number in np.unique(fold).tolist():
        one, rows = model if number == NO_FOLD else model.folds[number], fold == number
        for name, values in object_scores(one, inputs.take(rows), method, domain).items():
            out[name][np.repeat(rows, counts[name])] = values
    return out
