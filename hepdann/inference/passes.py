"""Events through networks, block by block, so that memory stays bounded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

import numpy as np
import torch
from numpy.typing import NDArray

from ..domains.events import Scaling
from ..networks import AdversarialNetwork
from ..networks.perceptron import Perceptrons, compilable
from ..tensors import Objects
from ..training import threads
from .steps import Inputs

Statistics = int | torch.Tensor  # 0 source or 1 target; or (K,) of these
_ROWS = 8_192  # events of a block, at most
_BYTES = 64 << 20  # of its inputs


def predict(
    network: AdversarialNetwork,
    inputs: Inputs,
    scaling: Scaling | None,
    statistics: Statistics,
    *,
    domain: bool = True,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Class probabilities (K, N, C) and domain scores (K, N) of events; near 1 is target.

    The network has averaged weights and fixed statistics, of which those of a domain apply. Events
    are (N, F) unscaled, NaN where a value is missing, and scaled as features or rows with objects;
    or the pixels of images, view after view, without scaling. Without ``domain`` the scores of it
    are (K, 0).
    """
    if isinstance(inputs, np.ndarray) and scaling and next(network.parameters()).is_cpu:
        shape, weights = network.shape, network.arrays()
        if compilable(shape, weights):
            return Perceptrons(shape, weights, statistics, domain=domain)(inputs, scaling.table)
    scores = np.empty((network.members, len(inputs), network.shape.classes), np.float32)
    targets = np.empty((len(scores), len(inputs) if domain else 0), np.float32)

    def one(block: AdversarialNetwork, x: torch.Tensor, rows: slice) -> None:
        if domain:
            p, d = block.predict(x, statistics)
            scores[:, rows], targets[:, rows] = _array(p), _array(d)
        else:
            scores[:, rows] = _array(block.classify(x, statistics))

    _in_blocks(network, inputs, scaling, one)
    return scores, targets


def classify(
    network: AdversarialNetwork, inputs: Inputs, scaling: Scaling | None, statistics: Statistics
) -> NDArray[np.float32]:
    """Class probabilities (K, N, C) alone; the arguments are those of :func:`predict`."""
    return predict(network, inputs, scaling, statistics, domain=False)[0]


def feature_layer(
    network: AdversarialNetwork, inputs: Inputs, scaling: Scaling | None, statistics: Statistics
) -> NDArray[np.float32]:
    """Feature layer (N, H) of the first member; the arguments are those of :func:`predict`."""
    layers: dict[int, NDArray[np.float32]] = {}

    def one(block: AdversarialNetwork, x: torch.Tensor, rows: slice) -> None:
        layers[rows.start] = _array(block.latent(x, statistics)[0].T)

    _in_blocks(network, inputs, scaling, one)
    return np.concatenate([layers[start] for start in sorted(layers)])


def network_object_scores(
    network: AdversarialNetwork, inputs: Objects, scaling: Scaling | None, statistics: Statistics
) -> tuple[NDArray[np.float32], ...]:
    """Class probabilities (objects, C) of each collection whose objects have classes.

    The mean over the members; the arguments are those of :func:`predict`.
    """
    numbers = [n for n, classes in enumerate(network.shape.object_classes) if classes]
    blocks: dict[int, list[NDArray[np.float32]]] = {}

    def one(block: AdversarialNetwork, x: torch.Tensor, rows: slice) -> None:
        parts = inputs.take(rows).parts
        means = (_array(s.mean(0).permute(2, 0, 1)) for s in block.object_scores(x, statistics))
        blocks[rows.start] = [
            parts[number].unpad(mean) for number, mean in zip(numbers, means, strict=True)
        ]

    _in_blocks(network, inputs, scaling, one)
    return tuple(map(np.concatenate, zip(*(blocks[s] for s in sorted(blocks)), strict=True)))


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


def _in_blocks(
    network: AdversarialNetwork,
    inputs: Inputs,
    scaling: Scaling | None,
    one: Callable[[AdversarialNetwork, torch.Tensor, slice], None],
) -> None:
    """Pass events block by block, at least one block, empty of no events.

    Images and objects go side by side, in as many threads as torch has, each with a network of its
    own: the layers are too small to be shared between threads.
    """
    n = len(inputs)
    size = max(1, min(_ROWS, _BYTES // (4 * inputs.shape[1])))
    blocks = [slice(start, start + size) for start in range(0, max(n, 1), size)]
    alone = network.shape.views or network.shape.objects
    count = min(torch.get_num_threads(), len(blocks)) if alone else 1

    def pass_(network_copy: AdversarialNetwork, rows: slice) -> None:
        one(network_copy, _tensor(inputs[rows], scaling, network_copy), rows)

    if count == 1:
        for rows in blocks:
            pass_(network, rows)
        return
    idle: SimpleQueue[AdversarialNetwork] = SimpleQueue()
    for network_copy in (network, *(copy.deepcopy(network) for _ in range(count - 1))):
        idle.put(network_copy)

    def with_idle(rows: slice) -> None:
        network_copy = idle.get()
        try:
            pass_(network_copy, rows)
        finally:
            idle.put(network_copy)

    single = partial(torch.set_num_threads, 1)
    with threads(1), torch.random.fork_rng([]), ThreadPoolExecutor(count, "", single) as pool:
        list(pool.map(with_idle, blocks))


@torch.no_grad()
def _tensor(
    block: NDArray[np.float32], scaling: Scaling | None, network: AdversarialNetwork
) -> torch.Tensor:
    """(1, F, n) on the network's device."""
    first = next(network.parameters())
    if scaling is None:  # an event stays one piece of memory
        return torch.from_numpy(block).to(first.device, first.dtype).T.unsqueeze(0)
    scaled = np.ascontiguousarray(scaling.apply(block).T)
    return torch.from_numpy(scaled).to(first.device, first.dtype).unsqueeze(0)
