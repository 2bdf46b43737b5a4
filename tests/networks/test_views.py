"""The networks of MINERvA have the numbers of parameters that the collaboration's have."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hepdann.errors import ConfigError
from hepdann.networks import AdversarialNetwork, NetworkShape, get
from hepdann.networks.views import TowerPlan, ViewsNetwork, perceptron


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
    assert {name: sum(p.numel() for p in made.part(name)) for name in made.PARTS} == parts
    assert sum(parts.values()) == {"minerva-2016": 2_760_048, "minerva-2018": 2_864_268}[network]


@pytest.mark.parametrize(("channels", "parameters"), [(1, 1_684_823), (2, 1_686_071)])
def test_the_reference_has_its_published_number(channels, parameters):
    made = get("minerva-reference")(shape("minerva-reference", channels=channels))
    modules = made.extractor, made.label_head
    assert sum(p.numel() for part in modules for p in part.parameters()) == parameters


@pytest.mark.parametrize("width", [50, 94])
def test_the_small_network_takes_both_sizes_of_image_and_time(width):
    made = AdversarialNetwork(shape("minerva-small", channels=2, width=width), [0, 1])
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
    plan = TowerPlan((3, 4), ((4, 3), (3, 2)), 5, dropout=0.0, merge=2)
    network = ViewsNetwork((("x", 2, 21, 9),), [plan], perceptron((5, 6))).eval()
    rows = torch.rand(300, 2 * 21 * 9)  # more than pass at a time without a gradient
    tower = network.towers[0]
    x = functional.pad(rows.view(300, 2, 21, 9), (0, 0, 0, 1))
    x = x[:, :, 0::2] + x[:, :, 1::2]
    for convolution in tower.convolutions:
        x = functional.relu(functional.conv2d(x, convolution.weight, convolution.bias))
        x = functional.max_pool2d(x, (2, 1), ceil_mode=True)
    expected = network.trunk(functional.relu(tower.linear(x.flatten(1))))
    with torch.no_grad():
        assert torch.allclose(network(rows), expected, atol=1e-5)
    assert torch.allclose(network(rows), expected, atol=1e-5)


def test_bfloat16_is_close_to_float32_and_leaves_weights_and_features_float32():
    torch.manual_seed(2)
    rows = (torch.rand(8, 12_700) < 0.02).float()
    features, slopes = [], []
    for autocast in ("none", "bf16"):
        torch.manual_seed(3)
        made = get("minerva-small")(
            NetworkShape(12_700, 11, network="minerva-small", views=views(), autocast=autocast)
        ).extractor.eval()
        out = made(rows)
        out.square().sum().backward()
        features.append(out.detach())
        slopes.append(made.towers[0].linear.weight.grad)
    assert features[1].dtype == slopes[1].dtype == torch.float32
    assert not torch.equal(*features)
    assert (features[0] - features[1]).norm() < 0.02 * features[0].norm()
    assert (slopes[0] - slopes[1]).norm() < 0.05 * slopes[0].norm()
