"""Compiled perceptrons score as the networks do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepdann.networks import AdversarialNetwork, NetworkShape, Perceptrons, perceptron
from hepdann.networks.perceptron import compilable

SHAPES = [
    NetworkShape(3, 2),
    NetworkShape(5, 4, (7,), (), (9, 3), normalisation="shared", domains=3, domain_classes=3),
    NetworkShape(1, 1, (5, 5), (6, 2), normalisation="none"),
]
needs_compiler = pytest.mark.skipif(
    perceptron._compute() is None, reason="installed without a C compiler"
)


def trained(shape):
    """A network with fixed statistics, its scaling, and events with missing values."""
    network = AdversarialNetwork(shape, [1, 2, 3])
    random = np.random.default_rng(5)
    scaling = random.uniform(0.5, 2, (3, shape.inputs))
    domains = [torch.randn(1, shape.inputs, 50).expand(3, -1, -1) for _ in range(shape.domains)]
    network.collect_statistics(*domains)
    x = random.normal(scale=3, size=(203, shape.inputs)).astype("f4")
    x[::7, 0] = np.nan
    return network.eval(), scaling, x


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("statistics", [0, 1])
def test_they_are_those_of_the_network(shape, statistics):
    network, scaling, x = trained(shape)
    scores, targets = Perceptrons(network.shape, network.arrays(), statistics, domain=True)(
        x, scaling
    )
    scaled = (np.where(np.isnan(x), scaling[0], x.astype("f8")) - scaling[1]) / scaling[2]
    events = torch.from_numpy(scaled.T.astype("f4")).expand(3, -1, -1)  # which torch scores
    expected = network.predict(events, statistics)
    np.testing.assert_allclose(scores, expected[0], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(targets, expected[1], rtol=2e-5, atol=2e-6)
    alone, none = Perceptrons(network.shape, network.arrays(), statistics, domain=False)(x, scaling)
    assert none.shape == (3, 0)
    np.testing.assert_array_equal(alone, scores)


@needs_compiler
def test_an_event_has_the_same_score_wherever_it_stands():
    network, scaling, x = trained(SHAPES[0])
    score = Perceptrons(network.shape, network.arrays(), 1, domain=True)
    whole = score(x, scaling)
    for start, stop in ((0, 1), (61, 67), (3, 200), (5, 5)):
        for part, all_ in zip(score(x[start:stop], scaling), whole, strict=True):
            np.testing.assert_array_equal(part, all_[:, start:stop])


@needs_compiler
def test_scores_of_large_logits_are_probabilities_and_no_number_stays_none():
    network, scaling, x = trained(SHAPES[0])
    x[:2] = [[3e4, -3e4, 3e4], [np.inf, 0, 0]]
    scores, _ = Perceptrons(network.shape, network.arrays(), 0, domain=False)(x, scaling)
    assert np.isnan(scores[:, 1]).all()
    np.testing.assert_allclose(np.delete(scores, 1, 1).sum(axis=2), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"residual": True}, {"conditioned": True}, {"activation": "elu"}, {"normalisation": "layer"}],
)
def test_other_networks_are_left_to_torch(options):
    other, wide = NetworkShape(3, 2, **options), AdversarialNetwork(SHAPES[0], [1]).double()
    assert not compilable(other, AdversarialNetwork(other, [1]).arrays())
    assert not compilable(wide.shape, wide.arrays())
