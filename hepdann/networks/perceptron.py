"""Scores of a stack of multilayer perceptrons by compiled code, on a processor.

``perceptron.c`` takes a few events at a time through all layers of all members, so that no
activation leaves the first cache: several times as fast as one operation of torch after the other.
What it says of an event does not depend on the others, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..compiled import aligned, function
from .adversarial import AdversarialNetwork, Extractor
from .layers import StackedBatchNorm, StackedLinear

_EVENTS = 64  # at a time, as in perceptron.c


class Perceptrons:
    """Maps features to class probabilities and domain scores; for any thread.

    Args:
        network: with fixed statistics.
        statistics: the domain whose normalisation statistics apply, or (K,) of these.
        domain: whether domain scores are computed.
    """

    def __init__(
        self, network: AdversarialNetwork, statistics: int | Tensor, *, domain: bool
    ) -> None:
        extractor, shape = network.extractor, network.shape
        assert isinstance(extractor, Extractor)
        heads = ("extractor", "label_head", "domain_head")[: 2 + domain]
        chains = [_linear(network.get_submodule(name)) for name in heads]
        self._classes = shape.classes
        self._domains = chains[2][-1].weight.shape[1] if domain else 0
        features = shape.outputs + self._domains + shape.classes + 1  # rows of memory before them
        rows, out, at, layers, tensors = features + shape.inputs, 0, features, [], []
        for chain in chains:
            for number, layer in enumerate(chain):
                weight: Tensor = layer.weight
                bias: Tensor | None = layer.bias
                extracts, last = chain is chains[0], layer is chain[-1]
                norm = extractor.norm[number] if extracts and extractor.norm else None
                if isinstance(norm, StackedBatchNorm):  # fixed, it is a part of the linear map
                    scale, bias = norm.factors(statistics)
                    weight = weight * scale
                assert bias is not None
                _, outputs, inputs = weight.shape
                hidden = extracts or not last
                to = rows if hidden else out
                layers.append((inputs, outputs, at, to, hidden))
                tensors += [weight.flatten(1), bias.flatten(1)]
                if extracts and last:
                    features = to
                rows, out = rows + outputs * hidden, out + outputs * (not hidden)
                at = features if last else to
        self._rows, self._layers = rows, np.array(layers, np.int64)
        self._weights = torch.cat(tensors, dim=1).detach().numpy()

    @classmethod
    def of(
        cls, network: AdversarialNetwork, statistics: int | Tensor, *, domain: bool
    ) -> Self | None:
        """Of a network that compiled code can compute, and else ``None``."""
        shape, first = network.shape, next(network.parameters())
        other = shape.network or shape.views or shape.residual or shape.conditioned
        if other or shape.normalisation == "layer" or shape.activation != "relu":
            return None
        if not first.is_cpu or first.dtype is not torch.float32 or _compute() is None:
            return None
        return cls(network, statistics, domain=domain)

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


def _linear(part: nn.Module) -> list[StackedLinear]:
    return [layer for layer in part.modules() if isinstance(layer, StackedLinear)]
