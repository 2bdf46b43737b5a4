"""The networks of MINERvA have the numbers of parameters that the collaboration's have."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from hepdann.errors import ConfigError
from hepdann.networks import AdversarialNetwork, NetworkShape, get
from hepdann.networks.minerva import (
    PlanesNetwork,
    PlanesPlan,
    TowerPlan,
    ViewsNetwork,
)
from hepdann.networks.pictures import perceptron


def views(channels=1, width=50):
    return tuple((name, channels, 127, width if name == "x" else width // 2) for name in "xuv")


def shape(network, **more):
    seen = views(**more)
    return NetworkShape(sum(c * h * w for _, c, h, w in seen), 11, network=network, views=seen)


@pytest.mark.parametrize(
    ("network", "parts"),
    [
        ("minerva-2016", {"extractor": 1_702_178, "label_head": 77, "domain_head": 1_057_793}),
        ("minerva-2018", {"extractor": 1_801_223, "label_head": 132, "domain_head": 1_062_913}),
    ],
)
def test_presets_have_the_published_numbers_of_parameters(network, parts):
    made = AdversarialNetwork(shape(network), [0])
    assert {name: sum(p.numel() for p in made.part(name)) for name in made.parts} == parts
    assert sum(parts.values()) == {"minerva-2016": 2_760_048, "minerva-2018": 2_864_268}[network]


@pytest.mark.parametrize(("channels", "parameters"), [(1, 1_684_823), (2, 1_686_071)])
def test_the_reference_has_its_published_number(channels, parameters):
    made = get("minerva-reference")(shape("minerva-reference", channels=channels))
    modules = made.extractor, made.label_head
    assert sum(p.numel() for part in modules for p in part.parameters()) == parameters


@pytest.mark.parametrize("width", [50, 94])
@pytest.mark.parametrize("name", ["minerva-small", "minerva-medium"])
def test_networks_by_planes_take_both_sizes_of_image_and_time(name, width):
    made = AdversarialNetwork(shape(name, channels=2, width=width), [0, 1])
    events = torch.zeros(2, made.shape.inputs, 6)
    features = made.features(events)
    assert features.shape[::2] == (2, 6)
    assert made.label_logits(features).shape == (2, 11, 6)
    assert made.domain_logits(features, torch.ones(2, 1, 1)).shape == (2, 6)


def test_a_network_of_images_says_what_it_cannot_take():
    with pytest.raises(ConfigError, match="network of images"):
        AdversarialNetwork(NetworkShape(6, 2, network="minerva-small"), [0])
    small = NetworkShape(200, 2, network="minerva-2016", views=(("x", 1, 10, 20),))
    with pytest.raises(ConfigError, match="smaller than the kernels"):
        AdversarialNetwork(small, [0])


def test_a_tower_is_valid_convolutions_relu_and_pooling_that_rounds_up():
    """Against the textbook order of operations in torch's default layout."""
    torch.manual_seed(1)
    plan = TowerPlan((3, 4), ((4, 3), (3, 2)), 5, dropout=0.0)
    network = ViewsNetwork((("x", 2, 21, 9),), [plan], perceptron((5, 6))).eval()
    rows = torch.rand(300, 2 * 21 * 9)  # more than pass at a time without a gradient
    tower = network.towers[0]
    x = rows.view(300, 2, 21, 9)
    for convolution in tower.convolutions:
        x = functional.relu(functional.conv2d(x, convolution.weight, convolution.bias))
        x = functional.max_pool2d(x, (2, 1), ceil_mode=True)
    expected = network.trunk(functional.relu(tower.linear(x.flatten(1))))
    with torch.no_grad():
        assert torch.allclose(network(rows), expected, atol=1e-5)
    assert torch.allclose(network(rows), expected, atol=1e-5)


def test_the_small_network_normalises_as_it_is_told():
    """Source alone counts as one domain, and each domain keeps statistics of its own."""
    torch.manual_seed(4)
    events = 100 * (torch.rand(1, 12_700, 16) < 0.02) * torch.rand(1, 12_700, 16)
    batch = torch.cat([events, 1.5 * events], dim=2)
    for kind in ("domain", "shared", "layer", "none"):
        made = AdversarialNetwork(replace(shape("minerva-small"), normalisation=kind), [0]).train()
        modules = [m for m in made.extractor.template.modules() if hasattr(m, "p")]
        assert {m.p for m in modules} == {0.1}
        for dropout in modules:
            dropout.p = 0.0
        alone = made.features(events, 1).detach()
        both = made.features(batch).detach()
        if kind != "shared":
            assert torch.allclose(both[..., :16], alone, atol=1e-4)
        made.eval()
        made.collect_statistics(events, 1.5 * events)
        per_domain = made.latent(1.5 * events, 1)
        assert torch.allclose(per_domain, made.latent(1.5 * events, 0)) == (kind != "domain")
        if kind == "domain":
            assert torch.allclose(made.latent(events, 0), alone, atol=0.2)


def test_the_small_network_finds_a_pattern_at_every_strip():
    """Moved along the strips by the stride and the pooling, an event has the same features."""
    torch.manual_seed(5)
    network = PlanesNetwork(views(), PlanesPlan(), "none").eval()
    x, moved = torch.zeros(2, 1, 127, 50)
    x[:, 40:48], moved[:, 56:64] = (lambda hits: (hits, hits))(torch.rand(8, 50))
    rest = torch.rand(1, 6_350)
    rows = [torch.cat([image.reshape(1, -1), rest], dim=1) for image in (x, moved)]
    with torch.no_grad():
        assert torch.allclose(network(rows[0]), network(rows[1]), atol=1e-5)
    with pytest.raises(ConfigError, match="do not go together"):
        PlanesNetwork((("x", 1, 20, 7), ("u", 1, 20, 3)), PlanesPlan(), "none")


def test_bfloat16_is_close_to_float32_and_leaves_weights_and_features_float32():
    torch.manual_seed(2)
    rows = (torch.rand(8, 12_700) < 0.02).float()
    features, slopes = [], []
    for autocast in ("none", "bf16"):
        torch.manual_seed(3)
        made = get("minerva-2018")(
            NetworkShape(12_700, 11, network="minerva-2018", views=views(), autocast=autocast)
        ).extractor.eval()
        out = made(rows)
        out.square().sum().backward()
        features.append(out.detach())
        slopes.append(made.towers[0].linear.weight.grad)
    assert features[1].dtype == slopes[1].dtype == torch.float32
    assert not torch.equal(*features)
    assert (features[0] - features[1]).norm() < 0.02 * features[0].norm()
    assert (slopes[0] - slopes[1]).norm() < 0.05 * slopes[0].norm()
