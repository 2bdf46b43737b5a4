"""The networks of the DANN paper: sizes as published, and what they make of pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from hepdann.errors import ConfigError
from hepdann.networks import AdversarialNetwork, NetworkShape
from hepdann.networks import pictures as ganin

# weights and biases, layer by layer, of JMLR 17 (2016) 59, figure 4
MNIST = (
    (3 * 25 + 1) * 32 + (32 * 25 + 1) * 48,
    769 * 100 + 101 * 100 + 101 * 10,
    769 * 100 + 101,
)
SVHN = (
    (3 * 25 + 1) * 64 + (64 * 25 + 1) * 64 + (64 * 25 + 1) * 128,
    129 * 3072 + 3073 * 2048 + 2049 * 10,
    129 * 1024 + 1025 * 1024 + 1025,
)
GTSRB = (
    (3 * 25 + 1) * 96 + (96 * 9 + 1) * 144 + (144 * 25 + 1) * 256,
    1025 * 512 + 513 * 43,
    1025 * 1024 + 1025 * 1024 + 1025,
)


PARTS = ("extractor", "label_head", "domain_head")


def shape_of(name, size, classes=10, normalisation="none", channels=3):
    return NetworkShape(
        channels * size * size, classes, normalisation=normalisation, network=name,
        views=(("image", channels, size, size),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size", "classes", "counts"),
    [
        ("ganin-mnist", 28, 10, MNIST),
        ("ganin-svhn", 32, 10, SVHN),
        ("ganin-gtsrb", 40, 43, GTSRB),
    ],
)
def test_the_layers_have_the_published_sizes(name, size, classes, counts):
    network = AdversarialNetwork(shape_of(name, size, classes), [0])
    parts = [sum(p.numel() for p in network.part(part)) for part in PARTS]
    assert tuple(parts) == counts


def test_the_fully_connected_network_of_shapes_has_788995_parameters():
    network = AdversarialNetwork(shape_of("shapes-fc", 32, 3, channels=1), [0])
    extractor, label_head, _ = (sum(p.numel() for p in network.part(part)) for part in PARTS)
    assert extractor + label_head == 788_995
    convolutional = AdversarialNetwork(shape_of("shapes-cnn", 32, 3, channels=1), [0])
    assert sum(p.numel() for p in convolutional.parameters()) < 788_995 / 10


def test_the_mean_of_each_channel_of_a_picture_is_subtracted():
    network = AdversarialNetwork(shape_of("ganin-mnist", 28), [0, 1])
    pictures = torch.rand(2, 3 * 28 * 28, 16, generator=torch.Generator().manual_seed(0))
    brighter = pictures + torch.tensor([0.5, 0.1, 0.3]).repeat_interleave(784).view(1, -1, 1)
    dark, light = network.features(torch.cat([pictures, brighter], dim=-1)).chunk(2, dim=-1)
    torch.testing.assert_close(dark, light, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(dark, network.features(2 * pictures), atol=1e-2)


@pytest.mark.parametrize("normalisation", ["domain", "shared", "layer", "none"])
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (45, 3)])
@pytest.mark.parametrize("name", ["ganin-mnist", "shapes-fc"])
def test_pictures_of_any_size_and_colour_pass(name, normalisation, size, channels):
    shape = shape_of(name, size, normalisation=normalisation, channels=channels)
    network = AdversarialNetwork(shape, [3])
    x = torch.rand(1, shape.inputs, 8)
    logits = network.label_logits(network.features(x))
    assert logits.shape == (1, 10, 8)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.part("extractor"))


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(ConfigError, match="16 × 16 pixels are too small"):
        AdversarialNetwork(shape_of("ganin-svhn", 16), [0])


def test_features_and_several_views_are_refused():
    with pytest.raises(ConfigError, match="network of pictures"):
        AdversarialNetwork(replace(shape_of("ganin-mnist", 28), views=()), [0])
    with pytest.raises(ConfigError, match="events have 0 views"):
        AdversarialNetwork(replace(shape_of("shapes-fc", 28), views=()), [0])
    two = (("image", 1, 28, 28), ("other", 1, 28, 28))
    shape = replace(shape_of("ganin-mnist", 28, channels=1), inputs=2 * 28 * 28, views=two)
    with pytest.raises(ConfigError, match="events have 2 views"):
        AdversarialNetwork(shape, [0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width", "size"), [(8, 6, 2), (7, 5, 2), (7, 9, 3)])
def test_compiled_pooling_is_that_of_torch_in_values_and_gradients(dtype, height, width, size):
    numbers = torch.Generator().manual_seed(0)
    pictures = torch.randn(3, 5, height, width, generator=numbers).to(dtype)
    x, y = (pictures.to(memory_format=torch.channels_last).requires_grad_() for _ in range(2))
    compiled = ganin.relu_pool(x, size, size)
    expected = functional.relu(functional.max_pool2d(y, size, size, ceil_mode=True))
    assert torch.equal(compiled, expected)
    weight = torch.randn(expected.shape, generator=numbers).to(dtype)
    (compiled * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.equal(x.grad, y.grad)
    assert ganin._compiled("pool", dtype) is None or "ReluPool" in compiled.grad_fn.name()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_no_number_does_not_vanish_in_pooling(dtype, sign):
    pictures = torch.ones(1, 2, 2, 2, dtype=dtype)
    pictures[0, 1, 1, 0] = torch.copysign(torch.tensor(torch.nan), torch.tensor(float(sign)))
    assert ganin.relu_pool(pictures, 2, 2).isnan().flatten().tolist() == [False, True]


def test_a_convolution_to_few_pixels_is_a_product_of_matrices_in_bfloat16():
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(6, 8, 5)
    pictures = torch.rand(4, 6, 8, 7).to(memory_format=torch.channels_last)
    x, y = (pictures.clone().requires_grad_() for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        product, expected = ganin.convolve(layer, x), layer(y)
    assert "Windows" in product.grad_fn.name()
    assert "Windows" not in ganin.convolve(layer, x).grad_fn.name()  # in single precision
    values = [x, layer.weight, layer.bias], [y, layer.weight, layer.bias]
    weight = torch.rand(expected.shape).to(torch.bfloat16)
    slopes = [
        torch.autograd.grad(z, v, weight) for z, v in zip((product, expected), values, strict=True)
    ]
    for ours, theirs in zip((product, *slopes[0]), (expected, *slopes[1]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)
