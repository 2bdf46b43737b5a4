"""What happens to an event from its features to its score, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..alignment import Alignment
from ..calibration import Calibration, with_parameter
from ..domains.events import Scaling
from ..networks.perceptron import Perceptrons, Weights, compilable
from ..networks.shape import NetworkShape
from ..tensors import EventImages, Objects

if TYPE_CHECKING:
    from ..networks import AdversarialNetwork

Inputs = NDArray[np.float32] | EventImages


@dataclass(frozen=True, eq=False)
class Scores:
    """What a method says of events.

    Attributes:
        members: (K, N, C) class probabilities of each member.
        domain: (N,) mean domain score; near 1 is target.
    """

    members: NDArray[np.float32]
    domain: NDArray[np.float32]

    @property
    def mean(self) -> NDArray[np.float32]:
        """(N, C) the method's prediction: the mean over its members."""
        mean: NDArray[np.float32] = self.members.mean(axis=0)
        return mean

    @property
    def spread(self) -> NDArray[np.float32]:
        """(N, C) standard deviation over the members; NaN of a single one."""
        if len(self.members) < 2:
            return np.full(self.members.shape[1:], np.nan, np.float32)
        spread: NDArray[np.float32] = self.members.std(axis=0, ddof=1)
        return spread


@dataclass(frozen=True, eq=False)
class Part:
    """The members of one method.

    Attributes:
        weights: averaged, and the statistics of the domains, as ``AdversarialNetwork.arrays``.
        target_domain: whose statistics score the target, 0 source or 1 target.
        device: of torch, unless compiled code scores them.
    """

    shape: NetworkShape
    weights: Weights
    target_domain: int
    lambda_: tuple[float, ...]
    seeds: tuple[int, ...]
    device: str = "cpu"

    @cached_property
    def network(self) -> AdversarialNetwork:
        """Torch's networks, one a seed; many that only score need none."""
        import torch

        from ..networks import AdversarialNetwork

        state = {name: torch.from_numpy(values) for name, values in self.weights.items()}
        network = AdversarialNetwork(self.shape, self.seeds).to(next(iter(state.values())).dtype)
        network.load_state_dict(state)
        return network.eval().to(self.device)

    @property
    def compiled(self) -> bool:
        """Whether compiled code scores them."""
        return self.device == "cpu" and compilable(self.shape, self.weights)


@dataclass(frozen=True, eq=False)
class Branch:
    """One stack of networks with what stands before and behind it; the steps act in this order.

    Attributes:
        mapped: an alignment of the target or a calibration of MC; ``None`` leaves the features.
        scaling: imputes and scales them; ``None`` of pixels.
        statistics: of which domain the network's normalisation takes, 0 source or 1 target.
        correction: (C,) added to the log probabilities, which are normalised again; or ``None``.
        parameter: of a parametrised network, by how many standard errors the parameters of the
            calibration are changed; ``None`` of others.
    """

    mapped: Alignment | Calibration | None
    scaling: Scaling | None
    part: Part
    statistics: int
    correction: tuple[float, ...] | None
    parameter: float | None = None

    def score(self, inputs: Inputs) -> Scores:
        """Score events (N, F), NaN where a value is missing."""
        scores, domain = self._predict(inputs, domain=True)
        return Scores(scores, domain.mean(axis=0))

    def members(self, inputs: Inputs) -> NDArray[np.float32]:
        """Class probabilities (K, N, C) alone: a third of the work, where domain heads are wide."""
        return self._predict(inputs, domain=False)[0]

    def _predict(
        self, inputs: Inputs, *, domain: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        part, inputs = self.part, self._inputs(inputs)
        if self.scaling is not None and isinstance(inputs, np.ndarray) and part.compiled:
            if domain not in self._compiled:
                self._compiled[domain] = Perceptrons(
                    part.shape, part.weights, self.statistics, domain=domain
                )
            scores, targets = self._compiled[domain](inputs, self.scaling.table)
        else:
            from .passes import predict

            scores, targets = predict(
                part.network, inputs, self.scaling, self.statistics, domain=domain
            )
        return corrected(scores, self.correction), targets

    @cached_property
    def _compiled(self) -> dict[bool, Perceptrons]:
        return {}

    def latent(self, inputs: Inputs) -> NDArray[np.float32]:
        """Feature layer (N, H) of the first member."""
        from .passes import feature_layer

        return feature_layer(self.part.network, self._inputs(inputs), self.scaling, self.statistics)

    def _inputs(self, inputs: Inputs) -> Inputs:
        if self.mapped is None and self.parameter is None:
            return inputs
        if isinstance(inputs, Objects):
            assert self.mapped is not None  # no parametrised network is of objects
            moved: Objects = self.mapped.apply(inputs)
            return moved
        assert isinstance(inputs, np.ndarray)  # no map is fitted for images
        mapped = inputs if self.mapped is None else self.mapped.apply(inputs)
        return mapped if self.parameter is None else with_parameter(mapped, self.parameter)


@dataclass(frozen=True, eq=False)
class Combination:
    """The weighted mean of the log probabilities of several methods."""

    mixture: Mixture
    parts: tuple[Branch | Combination, ...]
    target: bool

    def score(self, inputs: Inputs) -> Scores:
        """Score events (N, F), NaN where a value is missing; the domain scores are averaged."""
        scores = [part.score(inputs) for part in self.parts]
        members = self.mixture.combine([s.members for s in scores], target=self.target)
        return Scores(members, np.mean([s.domain for s in scores], axis=0))

    def members(self, inputs: Inputs) -> NDArray[np.float32]:
        """Class probabilities (K, N, C) alone."""
        parts = [part.members(inputs) for part in self.parts]
        return self.mixture.combine(parts, target=self.target)

    def latent(self, inputs: Inputs) -> NDArray[np.float32]:
        """Feature layer (N, H) of the first member of the first part."""
        return self.parts[0].latent(inputs)


@dataclass(frozen=True, eq=False)
class FoldMean:
    """The mean over the folds of a run, member by member."""

    folds: tuple[Branch | Combination, ...]

    def score(self, inputs: Inputs) -> Scores:
        """Score events (N, F) that no fold was trained on, NaN where a value is missing."""
        return self.of(fold.score(inputs) for fold in self.folds)

    def latent(self, inputs: Inputs) -> NDArray[np.float32]:
        """Feature layer (N, H) of the first fold, those of two folds have nothing in common."""
        return self.folds[0].latent(inputs)

    @staticmethod
    def of(scores: Iterable[Scores]) -> Scores:
        """The mean of what each fold says of the same events."""
        first, *others = scores
        if not others:
            return first
        return Scores(
            np.mean([s.members for s in (first, *others)], axis=0),
            np.mean([s.domain for s in (first, *others)], axis=0),
        )


Step = Branch | Combination | FoldMean


_TINY = float(np.finfo(np.float32).eps)
_IN_CACHE = 2_048  # events that are combined at a time


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of the log probabilities of several methods.

    Attributes:
        offsets: for each of them (C,) what is added to its log probabilities on the target, so
            that all of them accept the same share of it. On the source nothing is added.
        weights: of the parts; empty if they count alike.
    """

    parts: tuple[str, ...]
    offsets: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...] = ()

    def combine(
        self, scores: Sequence[NDArray[np.floating]], *, target: bool
    ) -> NDArray[np.float32]:
        """Combine the parts' class probabilities.

        Args:
            scores: (K, N, C) of the members of each part. Members are combined one by one where
                all parts have equally many, and otherwise as the means over them.
            target: whether the events are the target's.

        Returns:
            (K, N, C), or (1, N, C), class probabilities.
        """
        if len({len(s) for s in scores}) > 1:
            scores = [s.mean(axis=0, keepdims=True) for s in scores]
        rows = [score.transpose(0, 2, 1) for score in scores]  # as they lie in memory
        weights = self.weights or (1.0,) * len(self.parts)
        offset = np.asarray(weights) @ np.asarray(self.offsets) if target else np.zeros(1)
        mixed: NDArray[np.float32] = np.empty(rows[0].shape, dtype=np.float32)
        for start in range(0, scores[0].shape[1], _IN_CACHE):
            at = np.s_[:, :, start : start + _IN_CACHE]
            total = np.zeros(mixed[at].shape) + offset[:, None]
            for row, weight in zip(rows, weights, strict=True):
                total += np.multiply(np.log(np.clip(row[at], _TINY, 1.0)), weight, dtype=np.float64)
            total /= sum(weights)
            p = np.exp(total - total.max(axis=1, keepdims=True))
            mixed[at] = p / p.sum(axis=1, keepdims=True)
        return mixed.transpose(0, 2, 1)


def corrected(
    scores: NDArray[np.floating], correction: Sequence[float] | None
) -> NDArray[np.float32]:
    """Class probabilities (…, C) brought to other class fractions."""
    if correction is None:
        return np.asarray(scores, dtype=np.float32)
    moved = np.asarray(scores, np.float64) * np.exp(correction)
    return np.asarray(moved / moved.sum(axis=-1, keepdims=True), dtype=np.float32)
