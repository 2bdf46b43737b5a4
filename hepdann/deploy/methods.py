"""The scores of a method as a graph: features, alignment, members, mean or mixture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from ..errors import RunError
from ..inference.mixture import Mixture
from ..inference.model import BASE, Model
from ..methods import method_of
from .features import Features
from .graph import Graph, Value
from .maps import add_alignment
from .networks import add_member
from .precise import affine, pair, pieces, rounded

__all__ = ["Scorer"]

_TINY = float(np.finfo(np.float32).eps)  # as in a mixture


class Scorer:
    """Adds what a model computes to a graph.

    Args:
        graph: to which the nodes go.
        model: of the run.
        domain: "target" for data, "source" for MC.
        features: (N, F) of the model; ``None`` of images.
        images: the image of each view, of a model of images.
    """

    def __init__(
        self,
        graph: Graph,
        model: Model,
        domain: str,
        features: Features | None,
        images: Sequence[Value] = (),
    ) -> None:
        self.graph, self.model, self.images = graph, model, images
        self.target = domain == "target"
        self._features = features
        self._scaled: dict[str, Value] = {}

    def add(self, method: str) -> Value:
        """Class scores (N, C) of a method: the mean over its members."""
        return self._mean(self._members(method))

    def _mean(self, members: Sequence[Value]) -> Value:
        if len(members) == 1:
            return members[0]
        return self.graph.mul(reduce(self.graph.add, members), 1 / len(members))

    def _members(self, method: str) -> list[Value]:
        model = self.model
        if method in model.mixtures:
            return self._mixed(model.mixtures[method])
        aligned = method in model.alignments
        part = model.parts[BASE if aligned else method]
        alignment = method if aligned else method_of(method)[0]
        inputs = self.images or [self._scale(alignment if self.target else "")]
        statistics = part.target_domain if self.target else 0
        members = [
            add_member(self.graph, part.network, k, statistics, inputs)
            for k in range(part.network.members)
        ]
        if self.target and aligned and model.correction is not None:
            members = [self._normalised(self.graph.mul(m, np.exp(model.correction)))
                       for m in members]  # fmt: skip
        return members

    def _scale(self, alignment: str) -> Value:
        """The features, aligned, imputed and scaled."""
        if alignment not in self._scaled:
            if self._features is None:
                raise RunError("a model of images has no features to scale")
            features, scaling = self._features, self.model.scaling
            if alignment:
                features = add_alignment(self.graph, self.model.alignments[alignment], features)
            shift = pair(-scaling.mean / scaling.std)
            scaled = affine(self.graph, features.values, pieces(1 / scaling.std), shift)
            imputed = (scaling.impute - scaling.mean) / scaling.std
            self._scaled[alignment] = self.graph.where(
                features.known, rounded(self.graph, scaled), imputed
            )
        return self._scaled[alignment]

    def _mixed(self, mixture: Mixture) -> list[Value]:
        """Weighted means of log probabilities, member by member where all have equally many."""
        parts = [self._members(name) for name in mixture.parts]
        if len({len(members) for members in parts}) > 1:
            parts = [[self._mean(members)] for members in parts]
        weights = np.asarray(mixture.weights or (1.0,) * len(parts))
        weights = weights / weights.sum()
        offsets = np.asarray(mixture.offsets, np.float64)
        shift = weights @ offsets if self.target else np.zeros(offsets.shape[1])
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
