"""A model as its file holds it, both directions, and what scores events with one method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..alignment import from_dict
from ..domains.events import Scaling
from ..errors import ConfigError, RunError
from ..networks.shape import NetworkShape
from ..store.model_file import (
    CrossFitHeader,
    ModelHeader,
    StoredMethod,
    StoredMixture,
    StoredScaling,
    fold_prefix,
    read_model,
    write_model,
)
from ..store.paths import RunPaths
from ..store.reading import read_metrics
from ..store.scores_reader import open_scores
from ..tensors import Objects
from .model import DOMAINS, InputColumns, Model, collections_of, folds_of
from .steps import Inputs, MethodMean, Part, Scores, Step


def save_model(model: Model, path: str | Path) -> None:
    """Write a model."""
    if not model.folds:
        write_model(Path(path), _header(model), _tensors(model))
        return
    header = CrossFitHeader(
        hepdann=__version__, salt=model.salt, folds=[_header(fold) for fold in model.folds]
    )
    tensors = {
        fold_prefix(number) + name: value
        for number, fold in enumerate(model.folds)
        for name, value in _tensors(fold).items()
    }
    write_model(Path(path), header, tensors)


def _header(model: Model) -> ModelHeader:
    return ModelHeader(
        hepdann=__version__,
        features=list(model.features),
        classes=list(model.classes),
        scaling=StoredScaling(**model.scaling.to_dict()),
        alignments={name: one.to_dict() for name, one in model.alignments.items()},
        calibrations={name: one.to_dict() for name, one in model.calibrations.items()},
        correction=None if model.correction is None else list(model.correction),
        views=list(model.views),
        objects=list(model.objects),
        missing=model.missing,
        indicators=model.indicators,
        methods={
            name: StoredMethod.model_validate(
                {
                    "shape": asdict(part.shape),
                    "target_domain": part.target_domain,
                    "lambda": list(part.lambda_),
                    "seeds": list(part.seeds),
                }
            )
            for name, part in model.parts.items()
        },
        mixtures={
            name: StoredMixture(
                parts=list(mixture.parts),
                offsets=[list(offset) for offset in mixture.offsets],
                weights=list(mixture.weights),
            )
            for name, mixture in model.mixtures.items()
        },
    )


def _tensors(model: Model) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.{key}": value
        for name, part in model.parts.items()
        for key, value in part.weights.items()
    }


def load_model(path: str | Path) -> Model:
    """Read what :func:`save_model` wrote.

    It has scored an event with each method when it is given back: the widths of networks, scaling
    and alignments fit each other.

    Raises:
        RunError: missing, damaged, or of another version.
    """
    path = Path(path)
    header, tensors = read_model(path)
    try:
        if isinstance(header, ModelHeader):
            return _tried(_model(header, tensors))
        models = []
        for number, fold in enumerate(header.folds):
            start = fold_prefix(number)
            state = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            models.append(_tried(_model(fold, state)))
        return Model.of_folds(models, header.salt)
    except ConfigError as error:  # a network, or a map, that nobody has registered
        raise RunError(error.message, where=path, mend=error.mend) from error
    except Exception as error:
        # the header is code's to interpret: what does not fit shows in any way
        what = f"is damaged: {type(error).__name__}: {error}"
        raise RunError(what[:300], where=path, mend="train anew") from error


def _model(header: ModelHeader, tensors: dict[str, NDArray[Any]]) -> Model:
    calibrations = {}
    if header.calibrations:  # few models have any, and their room is a large one
        from ..calibration import Calibration

        calibrations = {n: Calibration.from_dict(one) for n, one in header.calibrations.items()}
    return Model(
        tuple(header.features),
        tuple(header.classes),
        Scaling.from_dict(header.scaling.model_dump()),
        {name: from_dict(stored) for name, stored in header.alignments.items()},
        {name: _part(name, stored, tensors) for name, stored in header.methods.items()},
        {
            name: MethodMean(tuple(m.parts), tuple(tuple(o) for o in m.offsets), tuple(m.weights))
            for name, m in header.mixtures.items()
        },
        None if header.correction is None else tuple(header.correction),
        tuple(header.views),
        header.missing,
        header.indicators,
        calibrations,
        tuple(header.objects),
    )


def _part(name: str, stored: StoredMethod, tensors: dict[str, NDArray[Any]]) -> Part:
    entries = stored.shape.items()
    shape: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entries}
    for name_of in ("views", "objects"):
        shape[name_of] = tuple(tuple(one) for one in shape.get(name_of, ()))
    start = f"{name}."
    state = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    weights = sum(value.size for value in state.values())
    if stored.least_weights > weights:  # before memory is taken for them
        raise ValueError(f"{name} has {weights} weights, and its layers more")
    return Part(
        NetworkShape(**shape),
        state,
        stored.target_domain,
        tuple(stored.lambda_),
        tuple(stored.seeds),
    )


def _tried(model: Model) -> Model:
    """The model, which has scored an event with each method.

    Raises:
        ValueError: a score is no probability, or an alignment changes the number of features.
        Exception: whatever comes of networks and maps that do not fit.
    """
    event = np.zeros((1, model.inputs), np.float32)
    widths = {len(value) for value in vars(model.scaling).values()}
    if not model.views and widths != {model.inputs}:
        raise ValueError(f"{model.inputs} features, and a scaling of {sorted(widths)}")
    given: Any = Objects.of_rows(event, collections_of(model.objects)) if model.objects else event
    for maps in (model.alignments, model.calibrations):
        for name, one in maps.items():
            if one.apply(given).shape != event.shape:
                raise ValueError(f"{name} maps another number of features")
    for method in model.methods:
        for domain in DOMAINS:
            with np.errstate(all="ignore"):  # what is not finite is refused below
                scores = model.score(event, method, domain)
            if scores.members.shape[1:] != (1, len(model.classes)):
                raise ValueError(f"{method} scores other classes")
            if not (np.isfinite(scores.members).all() and np.isfinite(scores.domain).all()):
                raise ValueError(f"{method} gives a score that is no number")
    return model


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
                with the fold that did not see them; without them all folds score all events. They
                also give MC the noise of a calibration that smears, which otherwise follows from
                the order of the events.
        """
        fold = self.folds(event_id) if self.model.folds and event_id is not None else None
        return self.model.score(inputs, self.method, self.domain, fold=fold, event_id=event_id)

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
