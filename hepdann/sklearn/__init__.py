"""A scikit-learn classifier that is trained on labelled MC and adapted to unlabelled data.

    classifier = hepdann.sklearn.DANNClassifier(seeds=3).fit(X, y, X_target=X_data)
    classifier.predict_proba(X_data)

What trains is :func:`hepdann.train`.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import alignment
from ..config.samples import SplitConfig
from ..errors import HepdannError
from ..inference import Predictor
from ..registry import SOURCE_ONLY
from ..runs import train
from ..tensors import Tensors, event_ids, split_of

_RECOMMENDED = "recommended"
_TRIES = 100
_SMALLEST = 128  # batch that hepdann.train takes by itself


class DANNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A domain-adversarial network, or a baseline of one, as a scikit-learn classifier.

    Of the events 70 % are trained on; the others validate, and give :attr:`metrics_`. NaN is a
    missing value. Features are scaled inside.

    Args:
        method: one of ``hepdann.methods.names()``; or an alignment as ``quantile``, which maps the
            target before ``source-only`` scores it; or ``recommended``: ``dann``, alignments and
            their mixture are trained, and the one scores that hepdann recommends without labels
            of the target.
        domain: what the events of ``predict`` are: "target" for data; "source" for MC, as the
            held-out events of a cross-validation are.
        lambda_: factor of the reversed domain gradient.
        seeds: networks, whose mean scores.
        epochs: over the larger of both samples.
        batch_size: events of each domain a step; "auto" is that of ``hepdann.train``, and smaller
            for fewer than 2,048 events.
        learning_rate: of Adam.
        settings: further settings of ``hepdann.train``, by name.
        random_state: seed of the first network.

    Attributes:
        classes_: (C,) labels.
        method_: that scores.
        metrics_: figures of every method, as ``metrics.json`` has them.
        predictor_: a :class:`hepdann.inference.Predictor`, with the spread of the networks and the
            domain score.
        n_features_in_: F.
        feature_names_in_: (F,) names of the columns, where ``X`` has any.
    """

    def __init__(
        self,
        method: str = "dann",
        *,
        domain: Literal["target", "source"] = "target",
        lambda_: float = 1.0,
        seeds: int = 5,
        epochs: int = 20,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float | Sequence[float] = 2e-3,
        settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.method = method
        self.domain = domain
        self.lambda_ = lambda_
        self.seeds = seeds
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any, X_target: Any = None, sample_weight: Any = None) -> Self:
        """Train on MC and adapt to data.

        Args:
            X: (N, F) features of MC.
            y: (N,) its classes.
            X_target: (M, F) features of data, without labels. Without it ``source-only`` is
                trained, with a warning.
            sample_weight: (N,) event weights of MC, which may be negative.

        Raises:
            ValueError: the events do not allow it.
        """
        X, y = validate_data(
            self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        check_classification_targets(y)
        classes, label = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has one class alone, {classes[0]!r}; two are needed")
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float32)
            counted = weight != 0
            X, label, weight = X[counted], label[counted], weight[counted]
        method, target = self.method, X
        if X_target is None:
            method = SOURCE_ONLY
            warnings.warn(
                "no X_target: nothing is adapted, source-only is trained", UserWarning, stacklevel=2
            )
        else:
            target = self._events(X_target)
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        try:
            tensors = Tensors.from_arrays(
                X, label, weight, target, names=list(names), classes=[str(c) for c in classes],
                event_id=_identities("mc", len(X), label),
                data_event_id=_identities("data", len(target)),
            )  # fmt: skip
            self._train(tensors, method)
        except HepdannError as error:
            raise ValueError(str(error)) from error
        self.classes_ = classes
        return self

    def _train(self, tensors: Tensors, method: str) -> None:
        batch, seed, events = self.batch_size, self.random_state, tensors.rows("mc")
        if batch == "auto" and events < 16 * _SMALLEST:
            batch = max(4, events // 16)
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        settings: dict[str, Any] = {
            "lambda_": self.lambda_,
            "seeds": self.seeds,
            "epochs": self.epochs,
            "batch_size": batch,
            "learning_rate": self.learning_rate,
            "seed": int(seed),
            **_compared(method),
            **(self.settings or {}),
        }
        with tempfile.TemporaryDirectory(prefix="hepdann-") as folder:
            run = train(tensors, output=Path(folder) / "run", **settings)
            self.method_ = run.metrics["recommended"] if method == _RECOMMENDED else method
            self.metrics_ = run.metrics
            self.predictor_ = Predictor(run.model, self.method_, self.domain)
            self.predictor_.steps  # noqa: B018 (which refuses names that there are none of)

    def _events(self, X: Any) -> NDArray[np.float32]:
        events: NDArray[np.float32] = validate_data(
            self, X, reset=False, dtype=np.float32, ensure_all_finite="allow-nan"
        )
        return events

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """(N, C) probability of each class, the mean over the networks, of (N, F) features."""
        check_is_fitted(self)
        return self.predictor_.score(self._events(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """(N,) the most probable class."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _identities(
    domain: str, events: int, label: NDArray[np.intp] | None = None
) -> NDArray[np.int64]:
    """(N, 2) ids of events by their rows, such that few events too reach every split."""
    ids = np.zeros((events, 2), np.int64)
    ids[:, 1] = np.arange(events)
    classes = np.zeros(events, np.intp) if label is None else label
    for attempt in range(_TRIES):
        ids[:, 0] = attempt
        split = split_of(event_ids(domain, list(ids.T)), SplitConfig())
        if len(np.unique(split)) == 3 and len(np.unique(classes[split == 0])) > classes.max():
            break
    return ids


def _compared(method: str) -> dict[str, Any]:
    """What is trained beside ``source-only``, which always is, so that a method can score."""
    if method == _RECOMMENDED:
        return {}
    if method.rpartition("+")[2] in alignment.names():
        return {"method": SOURCE_ONLY, "alignments": [method], "diagnose": False}
    return {"method": method, "alignments": [], "diagnose": False}
