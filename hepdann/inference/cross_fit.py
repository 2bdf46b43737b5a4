"""The models of a run in folds as one: each event is scored by the fold that did not see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..networks.shape import ObjectShape, ViewShape
from ..tensors import fold_of
from .model import InputColumns, Model
from .steps import FoldMean, Inputs, Scores

NO_FOLD = 255  # of an event that no fold was trained on: all folds score it


@dataclass(frozen=True, eq=False)
class CrossFit:
    """One model a fold, with the same methods; fold i never saw part i of the events.

    Attributes:
        salt: of the hash that deals the events into parts, see :func:`hepdann.tensors.fold_of`.
    """

    models: tuple[Model, ...]
    salt: int

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return self.models[0].features

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index."""
        return self.models[0].classes

    @property
    def views(self) -> tuple[ViewShape, ...]:
        """Shapes of the images that networks see in place of the features."""
        return self.models[0].views

    @property
    def objects(self) -> tuple[ObjectShape, ...]:
        """Shapes of the collections that networks see beside the features of the event."""
        return self.models[0].objects

    @property
    def columns(self) -> InputColumns:
        """How events that were not converted become features."""
        return self.models[0].columns

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that can score, baselines first and the oracle last."""
        return self.models[0].methods

    @property
    def inputs(self) -> int:
        """Numbers that a network sees of an event."""
        return self.models[0].inputs

    @property
    def compiled(self) -> bool:
        """Whether compiled code scores all of its networks."""
        return self.models[0].compiled

    def on(self, device: str) -> Self:
        """The same, with the networks on a device of torch."""
        return replace(self, models=tuple(model.on(device) for model in self.models))

    def folds_of(
        self, event_id: NDArray[np.uint64], known: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        """The fold that did not see each event; :data:`NO_FOLD` of one that none was trained on."""
        fold = fold_of(event_id, len(self.models), self.salt)
        place = np.minimum(np.searchsorted(known, event_id), len(known) - 1)
        fold[known[place] != event_id] = NO_FOLD
        return fold

    def adapts(self, method: str) -> bool:
        """Whether the method scores the target by the target's own statistics."""
        return self.models[0].adapts(method)

    def varies(self, method: str, domain: str = "source") -> bool:
        """Whether an error of a calibration changes the method's scores of a domain."""
        return self.models[0].varies(method, domain)

    def steps(self, method: str, domain: str = "target") -> FoldMean:
        """What happens to an event that no fold was trained on: the mean over all folds.

        Raises:
            RunError: no such method or domain.
        """
        return FoldMean(tuple(model.steps(method, domain) for model in self.models))

    def score(
        self,
        inputs: Inputs,
        method: str,
        domain: str = "target",
        *,
        fold: NDArray[np.uint8] | None = None,
        errors: float = 0.0,
    ) -> Scores:
        """Score events.

        Args:
            inputs: (N, F) in the order of ``features``, unscaled; NaN is missing.
            method: one of :attr:`methods`.
            domain: "target" for data, "source" for MC.
            fold: (N,) of each event the fold that did not see it, :data:`NO_FOLD` of one that no
                fold was trained on; by default of all events.
            errors: standard errors by which the calibration of MC is changed.

        Raises:
            RunError: no such method or domain, or another number of features.
        """
        if fold is None:
            fold = np.full(len(inputs), NO_FOLD, np.uint8)
        by_fold = {
            n: self._score(_rows(inputs, fold == n), method, domain, n, errors)
            for n in np.unique(fold).tolist()
        }
        if not by_fold:
            return self._score(inputs, method, domain, NO_FOLD, errors)
        first = next(iter(by_fold.values())).members
        members = np.empty((len(first), len(inputs), first.shape[-1]), np.float32)
        domain_score = np.empty(len(inputs), np.float32)
        for number, scores in by_fold.items():
            members[:, fold == number] = scores.members
            domain_score[fold == number] = scores.domain
        return Scores(members, domain_score)

    def _score(
        self, inputs: Inputs, method: str, domain: str, number: int, errors: float
    ) -> Scores:
        models = self.models if number == NO_FOLD else (self.models[number],)
        scores = (model.score(inputs, method, domain, errors=errors) for model in models)
        return FoldMean.of(scores)

    def latent(self, inputs: Inputs, method: str, domain: str = "target") -> NDArray[np.float32]:
        """Feature layer (N, H) of the first fold; those of two folds cannot be compared."""
        return self.models[0].latent(inputs, method, domain)


def _rows(inputs: Inputs, chosen: NDArray[np.bool_]) -> Inputs:
    return inputs[chosen] if isinstance(inputs, np.ndarray) else inputs.take(chosen)
