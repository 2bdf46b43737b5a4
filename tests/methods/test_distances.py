"""Laws of the distances between weighted samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hepdann.methods.distance import covariance_distance, squared_mmd

DISTANCES = [squared_mmd, covariance_distance]


def sample(seed, n, features=3, members=2, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(members, features, n, generator=generator, dtype=torch.float64) + shift
    weight = torch.rand(members, n, generator=generator, dtype=torch.float64) * 2 - 0.3
    return x, weight / weight.mean(-1, keepdim=True)


@pytest.mark.parametrize("distance", DISTANCES)
@given(seed=st.integers(0, 1000), n=st.integers(2, 20))
def test_equal_samples_are_at_no_distance(distance, seed, n):
    x, weight = sample(seed, n)
    assert distance(x, x, weight, weight).abs().max() < 1e-10 * weight.abs().max() ** 2


@pytest.mark.parametrize("distance", DISTANCES)
@given(seed=st.integers(0, 1000), n=st.integers(2, 20))
def test_the_order_of_events_and_of_domains_does_not_matter(distance, seed, n):
    (x, w), (y, v) = sample(seed, n), sample(seed + 1, n, shift=1.0)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    value = distance(x, y, w, v)
    other = distance(x[..., order], y[..., order], w[:, order], v[:, order])
    assert torch.allclose(value, other, rtol=1e-8, atol=1e-10)
    assert torch.allclose(value, distance(y, x, v, w), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("distance", DISTANCES)
def test_it_grows_with_what_separates_the_samples(distance):
    x, w = sample(0, 200)
    values = [distance(x, factor * x + factor - 1, w, w) for factor in (1.0, 1.2, 1.5, 2.0)]
    assert all((a < b).all() for a, b in itertools.pairwise(values))


@given(seed=st.integers(0, 100))
def test_covariance_counts_a_weight_of_three_as_three_events(seed):
    x, _ = sample(seed, 4)
    y, v = sample(seed + 1, 8)
    weight = torch.tensor([[3.0, 1.0, 2.0, 2.0]] * 2, dtype=torch.float64)
    times = torch.tensor([3, 1, 2, 2])
    ones = torch.ones(2, 8, dtype=torch.float64)
    repeated = torch.repeat_interleave(x, times, dim=-1)
    twice = torch.cat([x, x], dim=-1)  # both samples have 8 events, as in a batch
    half = torch.cat([weight, weight], dim=-1) / 2
    one = covariance_distance(twice, y, half, v)
    assert torch.allclose(one, covariance_distance(repeated, y, ones, v), rtol=1e-9)


def test_mmd_of_few_events_is_right_on_average_over_all_draws():
    """Unbiased with weights of both signs: the mean over every draw is the population's MMD²."""
    population = [sample(seed, 3, members=1, shift=seed) for seed in (0, 1)]
    (x, w), (y, v) = population
    events, weights = torch.cat([x, y], -1)[0].T, torch.cat([w[0], -v[0]]) / 3
    apart = torch.cdist(events, events) ** 2
    kernel = sum(torch.exp(-apart / (2.0**u * 1.7)) for u in range(-2, 3)) / 5
    exact = weights @ kernel @ weights
    draws = list(itertools.product(range(3), repeat=2))
    values = [
        squared_mmd(x[..., i], y[..., j], w[:, i], v[:, j], bandwidth=1.7)
        for i in map(list, draws)
        for j in map(list, draws)
    ]
    assert torch.stack(values).mean() == pytest.approx(float(exact), rel=1e-9)


def test_mmd_of_a_large_batch_is_the_mean_of_its_blocks():
    (x, w), (y, v) = sample(0, 600), sample(1, 600, shift=0.3)
    blocks = [
        squared_mmd(x[..., s], y[..., s], w[:, s], v[:, s])
        for s in (slice(0, 300), slice(300, 600))
    ]
    assert torch.allclose(squared_mmd(x, y, w, v), torch.stack(blocks).mean(0), rtol=1e-9)


@pytest.mark.parametrize("in_cache", [1, 1 << 17])
def test_the_gradient_of_mmd_is_that_of_finite_differences(monkeypatch, in_cache):
    monkeypatch.setattr("hepdann.methods.distance._IN_CACHE", in_cache)
    (x, w), (y, v) = sample(0, 6, members=3), sample(1, 6, members=3, shift=0.3)
    x.requires_grad_(), y.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: squared_mmd(a, b, w, v, bandwidth=1.7), (x, y))


@pytest.mark.parametrize("distance", DISTANCES)
def test_features_that_are_all_equal_have_a_gradient(distance):
    x = torch.zeros(1, 3, 5, requires_grad=True)
    ones = torch.ones(1, 5)
    distance(x, torch.zeros(1, 3, 5), ones, ones).sum().backward()
    assert torch.isfinite(x.grad).all()
