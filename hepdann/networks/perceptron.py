"""Scores of a stack of multilayer perceptrons by compiled code, on a processor.

``perceptron.c`` takes a few events at a time through all layers of all members, so that no
activation leaves the first cache: several times as fast as one operation of torch after the other.
What it says of an event does not depend on the others, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import aligned, function
from .shape import EPSILON, NetworkShape

Weights = Mapping[str, NDArray[Any]]  # by the names of AdversarialNetwork.arrays
Linear = tuple[NDArray[Any], NDArray[Any]]  # weights (K, out, in) and biases (K, out)
_EVENTS = 64  # at a time, as in perceptron.c


def extractor_layers(shape: NetworkShape, weights: Weights, statistics: Any) -> list[Linear]:
    """The layers of a perceptron's extractor; batch normalisation, which is fixed, is part of them.

    ``statistics`` are the domain whose these are, 0 source or 1 target, or (K,) of these.
    """
    layers = []
    for number in range(len(shape.extractor)):
        linear, norm = f"extractor.linear.{number}", f"extractor.norm.{number}"
        weight = weights[f"{linear}.weight"]
        if shape.normalisation in ("domain", "shared"):
            at = np.asarray(statistics) * (shape.domains - 1), np.arange(len(weight))
            variance = weights[f"{norm}.variance"][at][..., None]
            scale = weights[f"{norm}.weight"] * (1 / np.sqrt(variance + EPSILON))
            shift = weights[f"{norm}.mean"][at][..., None] * scale
            layers.append((weight * scale, (weights[f"{norm}.bias"] - shift)[..., 0]))
        else:
            layers.append((weight, weights[f"{linear}.bias"][..., 0]))
    return layers


def head_layers(name: str, weights: Weights, hidden: int) -> list[Linear]:
    """The layers of a head; activations have numbers between theirs."""
    names = [f"{name}.{2 * number}" for number in range(hidden + 1)]
    return [(weights[f"{at}.weight"], weights[f"{at}.bias"][..., 0]) for at in names]


def compilable(shape: NetworkShape, weights: Weights) -> bool:
    """Whether compiled code scores such networks."""
    other = shape.network or shape.views or shape.residual or shape.conditioned
    if other or shape.normalisation == "layer" or shape.activation != "relu":
        return False
    return next(iter(weights.values())).dtype == np.float32 and _compute() is not None


class Perceptrons:
    """Maps features to class probabilities and domain scores; for any thread.

    Shape and weights are of networks that are :func:`compilable`, with fixed statistics, of which
    those of a domain apply, or (K,) of these. Domain scores are computed where they are asked for.
    """

    def __init__(
        self, shape: NetworkShape, weights: Weights, statistics: Any, *, domain: bool
    ) -> None:
        chains = [
            extractor_layers(shape, weights, statistics),
            head_layers("label_head", weights, len(shape.label_head)),
        ]
        if domain:
            chains.append(head_layers("domain_head", weights, len(shape.domain_head)))
        self._classes = shape.classes
        self._domains = chains[2][-1][0].shape[1] if domain else 0
        features = shape.outputs + self._domains + shape.classes + 1  # rows of memory before them
        rows, out, at, layers, arrays = features + shape.inputs, 0, features, [], []
        for chain in chains:
            for number, (weight, bias) in enumerate(chain, 1):
                _, outputs, inputs = weight.shape
                extracts, last = chain is chains[0], number == len(chain)
                hidden = extracts or not last
                to = rows if hidden else out
                layers.append((inputs, outputs, at, to, hidden))
                arrays += [weight.reshape(len(weight), -1), bias]
                if extracts and last:
                    features = to
                rows, out = rows + outputs * hidden, out + outputs * (not hidden)
                at = features if last else to
        self._rows, self._layers = rows, np.array(layers, np.int64)
        self._weights = np.concatenate(arrays, axis=1)

    def __call__(
        self, x: NDArray[np.float32], scaling: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Class probabilities (K, N, C) and domain scores, (K, N) or (K, 0).

        Args:
            x: (N, F) features, NaN where a value is missing.
            scaling: (3, F) what stands in for these, what is subtracted, and what then divides.
        """
        compute, members = _compute(), len(self._weights)
        assert compute is not None
        scores = np.empty((members, self._classes, len(x)), np.float32)  # a column a class
        targets = np.empty((members, len(x) if self._domains else 0), np.float32)
        rows = aligned(self._rows * _EVENTS, np.float32)
        compute(
            np.ascontiguousarray(x, np.float32), len(x), scaling.shape[1], scaling, self._weights,
            *self._weights.shape, self._layers, len(self._layers), rows, self._classes,
            self._domains, scores, targets,
        )  # fmt: skip
        return scores.transpose(0, 2, 1), targets


def _compute() -> Callable[..., None] | None:
    real, table = np.float32, np.int64
    return function(
        "perceptrons", real, int, int, np.float64, real, int, int, table, int, real, int, int, real,
        real,
    )  # fmt: skip
