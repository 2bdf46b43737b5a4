"""One method of a run, ready for events that no training saw: needs the run's folder alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..store.metrics import read_metrics
from ..store.paths import RunPaths
from .input_columns import InputColumns
from .model import Model
from .passes import Inputs
from .steps import Scores, Step
from .stored_model import load_model

__all__ = ["Predictor", "open_predictor"]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Scores events with one method.

    Attributes:
        model: of the run.
        method: one of ``model.methods``.
        domain: what the events are: "target" for data, "source" for MC.
    """

    model: Model
    method: str
    domain: str = "target"

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
                are taken by name, or an array (N, F). Of images their pixels, view after view.

        Raises:
            RunError: a feature is absent or holds no numbers.
        """
        if self.model.views:
            return np.asarray(events, np.float32)
        return self.columns.table(events)

    def scores(self, inputs: Inputs) -> Scores:
        """Scores of every member, their spread and the domain score, of (N, F) inputs."""
        return self.model.score(inputs, self.method, self.domain)

    def score(self, inputs: Inputs) -> NDArray[np.float32]:
        """(N, C) class probabilities of (N, F) inputs, the mean over the members."""
        return self.scores(inputs).mean

    def domain_score(self, inputs: Inputs) -> NDArray[np.float32]:
        """(N,) output of the domain head for (N, F) inputs; near 1 is target."""
        return self.scores(inputs).domain

    def spread(self, inputs: Inputs) -> NDArray[np.float32]:
        """(N, C) standard deviation over the members for (N, F) inputs; NaN of a single one."""
        return self.scores(inputs).spread

    def stream(self, blocks: Iterable[Any]) -> Iterator[Scores]:
        """Score one block of events after the other; no two are held at a time.

        Args:
            blocks: each as in :meth:`inputs`.
        """
        return (self.scores(self.inputs(block)) for block in blocks)


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
    return Predictor(model, chosen, domain)
