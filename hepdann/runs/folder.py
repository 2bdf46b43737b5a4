"""A run folder: everything that one training made, and the way back to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..config.section import t_text
from ..display import figure, html_table, listed
from ..store.paths import RunPaths
from ..store.reading import read_config, read_metrics, read_table

if TYPE_CHECKING:
    from ..config import Config
    from ..inference import Model


class RunMetrics(dict[str, Any]):
    """A JSON object whose entries are attributes too."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__({key: _with_attributes(value) for key, value in content.items()})

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(f"no {name!r}; there are {listed(tuple(self))}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


def _with_attributes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return RunMetrics(value)
    return [_with_attributes(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Run:
    """A finished run.

    Attributes:
        metrics: what ``metrics.json`` holds: ``metrics.methods["dann"].target.auc``.
    """

    folder: Path
    metrics: RunMetrics

    def __init__(self, folder: Path, metrics: Mapping[str, Any]) -> None:
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "metrics", RunMetrics(metrics))

    def __repr__(self) -> str:
        best = self.metrics.get("recommended")
        methods = listed(self.methods)
        return f"<Run {self.folder}: {self._target()}, methods {methods}, recommended {best}>"

    def _repr_html_(self) -> str:
        best = self.metrics.get("recommended")
        rows = []
        for name, block in self.metrics["methods"].items():
            target = block.get("target") or {}
            figures = [
                figure(target.get(key), target.get(f"{key}_error")) for key in ("accuracy", "auc")
            ]
            rows.append((f"{name} (recommended)" if name == best else name, *figures))
        head = ("method", "target accuracy", "target AUC")
        return html_table(f"{self.folder}: {self._target()}", head, rows)

    def _target(self) -> str:
        target = self.metrics.get("target") or {}
        shift = target.get("shift")
        shifted = f" {shift['name']} t = {t_text(shift['t'])}" if shift else ""
        return f"target {target.get('kind')}{shifted}"

    @cached_property
    def config(self) -> Config:
        """Every setting that was used."""
        return read_config(self.folder)

    @cached_property
    def history(self) -> dict[str, NDArray[Any]]:
        """Columns of ``history.csv``; empty fields are NaN."""
        return read_table(RunPaths(self.folder).history, text=("method", "chosen"))

    @cached_property
    def model(self) -> Model:
        """The trained networks."""
        from ..inference import load_model

        return load_model(RunPaths(self.folder).model)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods of the run, baselines first."""
        return tuple(self.metrics["methods"])

    def evaluate(self) -> RunMetrics:
        """Every figure, computed anew from ``scores.h5``; laid out as :attr:`metrics`.

        Raises:
            RunError: no scores or not whole ones.
        """
        from ..evaluation import summarise

        return RunMetrics(summarise(self.folder))

    def predict(
        self,
        x: Any,
        domain: str = "target",
        method: str | None = None,
        event_id: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.float32]:
        """Class probabilities of events.

        Sentinels, NaN and infinite values are missing, as in the conversion.

        Args:
            x: features, unscaled: a DataFrame, mapping, structured array or awkward record array,
                whose columns are taken by name (further columns are ignored), or an array (N, F)
                in the run's order. Of images their pixels (N, F), view after view.
            domain: "target" for data, "source" for MC.
            method: default the recommended one.
            event_id: (N,) identities of the events. A run in folds scores those that it was
                trained on with the fold that did not see them, and all others, or all without
                identities, with the mean of all folds. With them MC behind a calibration that
                smears has the noise that it has in ``scores.h5``.

        Returns:
            (N, C) mean over the method's seeds.

        Raises:
            RunError: a feature is absent or holds no numbers, or no such domain or method.
        """
        from ..inference import Predictor, known_events

        chosen = method or str(self.metrics["recommended"])
        known = None if event_id is None else known_events(self.folder, self.model)
        predictor = Predictor(self.model, chosen, domain, known)
        return predictor.score(predictor.inputs(x), event_id)


def open_run(folder: str | Path) -> Run:
    """Open a run.

    Raises:
        RunError: no such folder, no run, a scan, not finished, damaged or of another version.
    """
    folder = Path(folder)
    return Run(folder, read_metrics(folder).to_json())


def finished_run(folder: Path) -> Run | None:
    """The run of a folder, if it came to its end and all of it is there."""
    if not RunPaths(folder).is_whole:
        return None
    run = open_run(folder)
    return None if run.metrics.get("interrupted") else run
