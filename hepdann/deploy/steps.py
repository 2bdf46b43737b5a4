"""The steps from features to scores as nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from ..alignment import Alignment, Moments, ObjectMap
from ..calibration import Calibration, Detector, with_parameter
from ..calibration.families import Chain
from ..domains import Scaling
from ..errors import RunError
from ..inference import Branch, Combination, FoldMean, Step
from .features import Features, add_alignment
from .formulas import affine, pair, pieces, rounded
from .graph import Graph, Value
from .networks import Images, ObjectInputs, add_member

_MEND = "export for data (--domain target), and score MC with hepdann predict"
_TINY = float(np.finfo(np.float32).eps)  # as in a mixture


class Scorer:
    """Adds the steps of a method to a graph; what several parts share is computed once.

    ``events`` are their features (N, F), the images of their views, or their objects.
    """

    def __init__(self, graph: Graph, events: Features | Images | ObjectInputs) -> None:
        self.graph, self.events = graph, events
        self._aligned: dict[int, Features | ObjectInputs] = {}

    def add(self, step: Step) -> Value:
        """Class scores (N, C): the mean over the members, and over the folds of a run in folds."""
        if isinstance(step, FoldMean):
            return self._mean([self.add(fold) for fold in step.folds])
        return self._mean(self._members(step))

    def _mean(self, members: Sequence[Value]) -> Value:
        if len(members) == 1:
            return members[0]
        return self.graph.mul(reduce(self.graph.add, members), 1 / len(members))

    def _members(self, step: Branch | Combination) -> list[Value]:
        if isinstance(step, Combination):
            return self._combined(step)
        x = self._scaled(step)
        members = [
            add_member(self.graph, step.part, k, step.statistics, x)
            for k in range(len(step.part.seeds))
        ]
        if step.correction is None:
            return members
        factors = np.exp(step.correction)
        return [self._normalised(self.graph.mul(member, factors)) for member in members]

    def _scaled(self, step: Branch) -> Value | Images | ObjectInputs:
        features = self.events
        if isinstance(features, tuple):  # pixels are neither mapped nor scaled
            return features
        if step.mapped is not None:
            key = id(step.mapped)
            if key not in self._aligned:
                self._aligned[key] = self._mapped(step.mapped, features)
            features = self._aligned[key]
        scaling = step.scaling
        assert scaling is not None
        if isinstance(features, ObjectInputs):
            return features.scaled(scaling, self.scale)
        if step.parameter is None:
            return self.scale(scaling, features)
        scaled = self.scale(scaling.without_parameter(), features)
        last = with_parameter(np.zeros((1, scaled.width), np.float32), step.parameter)[0]
        return self.graph.gemm(scaled, np.eye(scaled.width, len(last)), last)

    def _mapped(
        self, mapped: Alignment | Calibration, events: Features | ObjectInputs
    ) -> Features | ObjectInputs:
        if isinstance(events, ObjectInputs):
            if not isinstance(mapped, ObjectMap):
                what = "MC passes a calibration of objects, which is not exported"
                raise RunError(what, mend=_MEND)
            return events.mapped(self.graph, mapped)
        if isinstance(mapped, Calibration):
            mapped = _scaled_and_moved(mapped, events.values.width)
        return add_alignment(self.graph, mapped, events)

    def scale(self, scaling: Scaling, features: Features) -> Value:
        """Scaled, with the imputed value where there is none."""
        shift = pair(-scaling.mean / scaling.std)
        scaled = affine(self.graph, features.values, pieces(1 / scaling.std), shift)
        imputed = (scaling.impute - scaling.mean) / scaling.std
        return self.graph.where(features.known, rounded(self.graph, scaled), imputed)

    def _combined(self, step: Combination) -> list[Value]:
        """Weighted means of log probabilities, member by member where all have equally many."""
        parts = [self._members(part) for part in step.parts]
        if len({len(members) for members in parts}) > 1:
            parts = [[self._mean(members)] for members in parts]
        weights = np.asarray(step.mixture.weights or (1.0,) * len(parts))
        weights = weights / weights.sum()
        offsets = np.asarray(step.mixture.offsets, np.float64)
        shift = weights @ offsets if step.target else np.zeros(offsets.shape[1])
        mixed = []
        for members in zip(*parts, strict=True):
            logs = [
                self.graph.mul(self._log(scores), weight)
                for scores, weight in zip(members, weights, strict=True)
            ]
            total = self.graph.add(reduce(self.graph.add, logs), shift)
            mixed.append(self.graph.add_node("Softmax", [total], total.shape, axis=1))
        return mixed

    def _log(self, scores: Value) -> Value:
        large = self.graph.binary("Greater", scores, _TINY)
        return self.graph.unary("Log", self.graph.where(large, scores, _TINY))

    def _normalised(self, scores: Value) -> Value:
        """Divided by their sum, event by event."""
        total = self.graph.gemm(scores, np.ones((scores.width, scores.width)))
        return self.graph.div(scores, total)


def _scaled_and_moved(calibration: Calibration, width: int) -> Moments:
    """A calibration of MC that changes the scale and the offset of features, and nothing else.

    Raises:
        RunError: it smears the features or bends them.
    """
    fit, x = calibration.fit, np.stack([np.zeros(width), np.ones(width)])
    if fit is not None:
        parts = fit.family.parts if isinstance(fit.family, Chain) else (fit.family,)
        if not all(isinstance(part, Detector) and part.kind != "smear" for part in parts):
            raise RunError(
                f"MC passes a calibration before this network, {calibration.name}, which is not "
                "exported: only scales and offsets are",
                mend=_MEND,
            )
        x = fit.family.apply(x, fit.theta, calibration.seed)
    return Moments(x[1] - x[0], x[0])
