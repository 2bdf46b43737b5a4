"""One method of a run, ready for events that no training saw: needs the run's folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..store.paths import RunPaths
from ..store.reading import read_metrics
from ..store.scores_reader import open_scores
from .folds import folds_of
from .model import InputColumns, Model
from .steps import Inputs, Scores, Step
from .stored_model import load_model


@dataclass(frozen=True, eq=False)
class Predictor:
    """Scores events with one method.

    Attributes:
        known: of a run in folds, the identities of all events of the training's files, increasing.
    """

    model: Model
    method: str
    domain: str = "target"
    known: NDArray[np.uint64] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes."""
        return self.model.classes

    @property
    def columns(self) -> InputColumns:
        """The F inputs in order, the sentinels of missing values, and the indicator columns."""
        return self.model.columns

    @property
    def steps(self) -> Step:
        """What happens to an event between features and score; an exporter walks it."""
        return self.model.steps(self.method, self.domain)

    def inputs(self, events: Any) -> NDArray[np.float32]:
        """(N, F) features of events, NaN where a value is missing.

        Args:
            events: a DataFrame, mapping, structured array or awkward record array, whose columns
                are taken by name, or an array (N, F). Of images their pixels, view after view; of
                events with objects their rows, as :class:`hepdann.tensors.Objects` gives them.

        Raises:
            RunError: a feature is absent or holds no numbers.
        """
        if self.model.views or self.model.objects:
            return np.asarray(events, np.float32)
        return self.columns.table(events)

    def folds(self, event_id: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """(N,) the fold that did not see each event, :data:`NO_FOLD` where all folds score it.

        Raises:
            RunError: the run has no folds.
        """
        if self.known is None:
            raise RunError("the run has no folds", mend="train with --folds")
        return folds_of(self.model, np.asarray(event_id, np.uint64), self.known)

    def scores(self, inputs: Inputs, event_id: NDArray[np.uint64] | None = None) -> Scores:
        """Scores of every member, their spread and the domain score, of (N, F) inputs.

        Args:
            inputs: as :meth:`inputs` gives them.
            event_id: (N,) identities, by which a run in folds scores events that it was trained on
                with the fold that did not see them; without them all folds score all events. A run
                without folds makes no use of them.
        """
        fold = self.folds(event_id) if self.model.folds and event_id is not None else None
        return self.model.score(inputs, self.method, self.domain, fold=fold)

    def score(
        self, inputs: Inputs, event_id: NDArray[np.uint64] | None = None
    ) -> NDArray[np.float32]:
        """(N, C) class probabilities, the mean over the members; arguments as :meth:`scores`."""
        return self.scores(inputs, event_id).mean


def open_predictor(
    folder: str | Path, method: str | None = None, domain: str = "target"
) -> Predictor:
    """Open a run for scoring.

    Args:
        folder: of the run.
        method: default the recommended one.
        domain: "target" scores data, "source" MC.

    Raises:
        RunError: no run, not finished or damaged, or no such method or domain.
    """
    chosen = method or str(read_metrics(Path(folder)).recommended)
    model = load_model(RunPaths(Path(folder)).model)
    model.steps(chosen, domain)  # which refuses names that there are none of
    return Predictor(model, chosen, domain, known_events(Path(folder), model))


def known_events(folder: str | Path, model: Model) -> NDArray[np.uint64] | None:
    """Identities of all events of the training's files, increasing; ``None`` without folds.

    Raises:
        RunError: no scores or not whole ones.
    """
    if not model.folds:
        return None
    scores = open_scores(folder)
    ids = [scores.column("mc", "event_id"), scores.column("target", "event_id")]
    return np.unique(np.concatenate(ids))
