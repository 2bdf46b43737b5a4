"""Networks of objects: order and padding do not matter, and normalisation sees real objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepdann.errors import ConfigError
from hepdann.networks import AdversarialNetwork, NetworkShape
from hepdann.networks.objects import Packed
from hepdann.tensors import Collection, Jagged, Objects

NETWORKS = ["deepsets", "transformer"]
COLLECTIONS = (Collection("jets", ("a", "b", "c"), 9), Collection("taus", ("a",), 3))


def events(n=40, seed=0, most=None):
    """Events with 0 to 9 jets and 0 to 3 taus; the first has neither."""
    rng = np.random.default_rng(seed)
    parts, collections = [], []
    for one in COLLECTIONS:
        counts = rng.integers(0, one.most + 1, n)
        counts[0] = 0
        values = rng.normal(size=(counts.sum(), len(one.features))).astype(np.float32)
        parts.append(Jagged.of(values, counts))
        collections.append(Collection(one.name, one.features, most or one.most))
    features = rng.normal(size=(n, 2)).astype(np.float32)
    return Objects(features, tuple(parts), tuple(collections))


def network(name, objects, normalisation="domain", members=2):
    shapes = tuple((one.name, one.most, len(one.features)) for one in objects.collections)
    shape = NetworkShape(
        objects.width, 2, network=name, objects=shapes, normalisation=normalisation
    )
    return AdversarialNetwork(shape, range(members)).eval()


def scores(made, objects):
    return made.predict(torch.from_numpy(objects[:]).T.unsqueeze(0), 1)[0]


def trained_on(name, objects, **more):
    """A network with statistics, as after a training."""
    made = network(name, objects, **more)
    x = torch.from_numpy(objects[:]).T.expand(made.members, -1, -1)
    made.collect_statistics(x, 2 * x)
    return made


@pytest.mark.parametrize("normalisation", ["domain", "layer", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_neither_the_order_of_objects_nor_padding_nor_other_events_change_a_score(
    name, normalisation
):
    objects = events()
    made = trained_on(name, objects, normalisation=normalisation)
    expected = scores(made, objects)
    assert torch.isfinite(expected).all()
    rng = np.random.default_rng(1)
    mixed = []
    for part in objects.parts:
        order = np.lexsort((rng.random(len(part.values)), np.repeat(np.arange(40), part.counts)))
        mixed.append(Jagged(part.values[order], part.start))
    shuffled = Objects(objects.features, tuple(mixed), objects.collections)
    torch.testing.assert_close(scores(made, shuffled), expected, atol=1e-6, rtol=0)
    wide = events(most=30)
    wider = network(name, wide, normalisation)
    wider.load_state_dict(made.state_dict())
    torch.testing.assert_close(scores(wider, wide), expected, atol=1e-6, rtol=0)
    alone = torch.cat([scores(made, objects.take(np.array([n]))) for n in range(8)], dim=1)
    torch.testing.assert_close(alone, expected[:, :8], atol=1e-6, rtol=0)
    table = torch.from_numpy(objects[:])  # what stands behind the last object is not looked at
    for row, count in enumerate(objects.parts[0].counts):
        table[row, 3 + 3 * int(count) : 3 + 27] = 1e4
    garbage = made.predict(table.T.unsqueeze(0), 1)[0]
    torch.testing.assert_close(garbage, expected, atol=0, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_statistics_are_those_of_the_objects_of_a_domain_alone(name):
    objects = events(300)
    made = trained_on(name, objects, members=1)
    first = "layers.0" if name == "deepsets" else "embed.0.0"
    values = torch.from_numpy(objects.parts[0].values)
    names = list(dict(made.extractor.template.named_parameters()))
    weight, bias = (
        made.extractor.values[names.index(f"parts.0.{first}.{kind}")][0]
        for kind in ("weight", "bias")
    )
    buffers = made.extractor._buffer_names
    norm = first.rpartition(".")[0] + ".1.running_mean"
    means = made.extractor.get_buffer(f"seen{buffers.index(f'parts.0.{norm}')}")[0]
    torch.testing.assert_close(means[0], (values @ weight.T + bias).mean(0), atol=1e-5, rtol=0)
    # of the second domain all numbers were doubled, the number of objects among them
    twice = events(300)
    table = torch.from_numpy(2 * twice[:])[:, 2 : 2 + 28]
    packed = Packed.of(table, 9)
    torch.testing.assert_close(
        means[1], (packed.values @ weight.T + bias).mean(0), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("mean", [3, 20])
def test_padding_stays_below_a_third_of_the_objects(mean):
    counts = np.random.default_rng(0).poisson(mean, 512).clip(0, 64)
    jagged = Jagged.of(np.ones((counts.sum(), 2), np.float32), counts)
    rows = Objects(np.empty((512, 0), np.float32), (jagged,), (Collection("c", ("a", "b"), 64),))
    packed = Packed.of(torch.from_numpy(rows[:]), 64)
    assert len(packed.values) == counts.sum()
    assert 1 <= packed.padded < 1.3
    assert len(packed.buckets) <= 12
    torch.testing.assert_close(packed.sum(packed.values)[:, 0].long(), torch.from_numpy(counts))


def test_one_object_in_a_batch_has_no_variance_and_passes():
    objects = events(6)
    few = Objects(
        objects.features,
        (Jagged.of(np.ones((1, 3), np.float32), np.eye(6, dtype=int)[2]),
         Jagged.of(np.empty((0, 1), np.float32), np.zeros(6, int))),
        objects.collections,
    )  # fmt: skip
    for name in NETWORKS:
        made = network(name, few).train()
        x = torch.from_numpy(np.concatenate([few[:], few[:]])).T.expand(2, -1, -1)
        loss = made.label_logits(made.features(x)).square().sum()
        loss.backward()
        assert torch.isfinite(loss)


def test_events_without_objects_are_refused():
    with pytest.raises(ConfigError, match=r"deepsets is a network of objects.*--objects"):
        AdversarialNetwork(NetworkShape(6, 2, network="deepsets"), [0])
