"""What happens to an event from its features to its score, step by step, and on which device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..alignment import Alignment
from ..domains.events import Scaling
from ..errors import ConfigError
from ..networks.perceptron import Perceptrons, Weights, compilable
from ..networks.shape import Autocast, NetworkShape
from ..tensors import EventImages, Objects

if TYPE_CHECKING:
    from ..calibration import Calibration
    from ..networks import AdversarialNetwork


def choose_device(name: str, workers: int, *, where: str) -> str:
    """The device that is used: ``auto`` is a CUDA device that works, and never MPS.

    Raises:
        ConfigError: there is no such device here, or several processes would share it.
    """
    if name == "cpu":
        return name
    import torch

    mend = "use auto or cpu"
    if name == "auto":
        return "cuda" if torch.cuda.is_available() and workers == 1 else "cpu"
    backends = {"cuda": torch.cuda, "mps": torch.backends.mps}
    if name not in backends or not backends[name].is_available():
        raise ConfigError(f"torch sees no {name} device here", where=where, mend=mend)
    if workers > 1:
        what = f"workers share processors, not a {name} device"
        raise ConfigError(what, where=where, mend=mend)
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        what = f"torch cannot use the {name} device: {error}"
        raise ConfigError(what, where=where, mend=mend) from error
    return name


def choose_autocast(name: Autocast | Literal["auto"], device: str) -> Autocast:
    """The precision of a network of images: ``auto`` is bf16 where the device multiplies it."""
    if name != "auto":
        return name
    import torch

    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "none"
    older: dict[str, bool] = {}
    known = getattr(torch.cpu, "get_capabilities", lambda: older)()
    return "bf16" if device == "cpu" and known.get("amx_bf16") else "none"


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
class NetworkSteps:
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

    def score(
        self, inputs: Inputs, *, domain: bool = True, event_id: NDArray[np.uint64] | None = None
    ) -> Scores:
        """Score events (N, F), NaN where a value is missing.

        Without ``domain`` there are no domain scores: a third of the work, where the domain heads
        are wide. ``event_id`` (N,), of MC alone, gives the noise of a calibration that smears.
        """
        part, inputs = self.part, self._inputs(inputs, event_id)
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
        return Scores(corrected(scores, self.correction), targets.mean(axis=0))

    @cached_property
    def _compiled(self) -> dict[bool, Perceptrons]:
        return {}

    def object_scores(self, inputs: Objects) -> tuple[NDArray[np.float32], ...]:
        """Class probabilities (objects, C) of each collection whose objects have classes.

        NaN behind a calibration, which may lose some.
        """
        from ..calibration import Calibration
        from .passes import network_object_scores

        if isinstance(self.mapped, Calibration):
            classes = self.part.shape.object_classes
            sizes = ((len(p.values), c) for p, c in zip(inputs.parts, classes, strict=False) if c)
            return tuple(np.full(size, np.nan, np.float32) for size in sizes)
        mapped = self._inputs(inputs)
        assert isinstance(mapped, Objects)
        return network_object_scores(self.part.network, mapped, self.scaling, self.statistics)

    def latent(self, inputs: Inputs) -> NDArray[np.float32]:
        """Feature layer (N, H) of the first member."""
        from .passes import feature_layer

        return feature_layer(self.part.network, self._inputs(inputs), self.scaling, self.statistics)

    def _inputs(self, inputs: Inputs, event_id: NDArray[np.uint64] | None = None) -> Inputs:
        if self.mapped is None and self.parameter is None:
            return inputs
        # no map is fitted for images, and no parametrised network is of objects
        assert isinstance(inputs, np.ndarray | Objects)
        if self.mapped is not None:
            one: Any = self.mapped
            # of MC, which alone brings identities, the map is a calibration
            inputs = one.apply(inputs) if event_id is None else one.apply(inputs, event_id=event_id)
        if self.parameter is None:
            return inputs
        from ..calibration import with_parameter

        assert isinstance(inputs, np.ndarray)
        return with_parameter(inputs, self.parameter)


@dataclass(frozen=True, eq=False)
class _Several:
    """What several steps say together, of objects their mean."""

    parts: tuple[NetworkSteps | Combination, ...]

    def object_scores(self, inputs: Objects) -> tuple[NDArray[np.float32], ...]:
        """The mean over the parts, of each collection."""
        scores = zip(*(part.object_scores(inputs) for part in self.parts), strict=True)
        return tuple(np.mean(one, axis=0) for one in scores)

    def latent(self, inputs: Inputs) -> NDArray[np.float32]:
        """Feature layer (N, H) of the first part: those of two have nothing in common."""
        return self.parts[0].latent(inputs)


@dataclass(frozen=True, eq=False)
class Combination(_Several):
    """The weighted mean of the log probabilities of several methods."""

    mixture: MethodMean
    target: bool

    def score(
        self, inputs: Inputs, *, domain: bool = True, event_id: NDArray[np.uint64] | None = None
    ) -> Scores:
        """Score events (N, F), NaN where a value is missing; the domain scores are averaged."""
        scores = [part.score(inputs, domain=domain, event_id=event_id) for part in self.parts]
        members = self.mixture.combine([s.members for s in scores], target=self.target)
        return Scores(members, np.mean([s.domain for s in scores], axis=0))


class FoldMean(_Several):
    """The mean over the folds of a run, member by member."""

    def score(
        self, inputs: Inputs, *, domain: bool = True, event_id: NDArray[np.uint64] | None = None
    ) -> Scores:
        """Score events (N, F) that no fold was trained on, NaN where a value is missing."""
        scores = [fold.score(inputs, domain=domain, event_id=event_id) for fold in self.parts]
        members, domains = ([one.members for one in scores], [one.domain for one in scores])
        return Scores(np.mean(members, axis=0), np.mean(domains, axis=0))


Step = NetworkSteps | Combination | FoldMean

_TINY = float(np.finfo(np.float32).eps)
_IN_CACHE = 2_048  # events that are combined at a time


@dataclass(frozen=True)
class MethodMean:
    """The weighted mean of the log probabilities of several methods.

    Attributes:
        offsets: for each of them (C,) what is added to its log probabilities on the target, so
            that all of them accept the same share of it. On the source nothing is added, but of
            ``source-only+prior`` what is on the target.
        weights: of the parts; empty if they count alike.
    """

    parts: tuple[str, ...]
    offsets: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...] = ()

    def combine(
        self, scores: Sequence[NDArray[np.floating]], *, target: bool
    ) -> NDArray[np.float32]:
        """Combine the class probabilities (K, N, C) of each part's members, of target or source.

        Members are combined one by one where all parts have equally many, and otherwise as the
        means over them.

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
