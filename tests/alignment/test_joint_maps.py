"""Maps that act on all features together, chains of maps, and what every map has in common."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann import alignment
from hepdann.alignment.adversary import AdversaryOptions, AffineMap
from hepdann.alignment.linear import GaussianTransport
from hepdann.alignment.quantile import SlicedTransport
from hepdann.errors import ConfigError, SchemaError
from hepdann.registry import ALIGNMENTS
from hepdann.tensors.source_and_target import Source, Target

SHORT = AdversaryOptions(steps=80, batch_size=64)


def rng(seed=0):
    return np.random.default_rng(seed)


def sample(features, weight=None):
    features = np.asarray(features, dtype=np.float32)
    n = len(features)
    weight = np.ones(n) if weight is None else weight
    return Target(
        features, np.asarray(weight, np.float32), np.arange(n, dtype=np.uint64), np.zeros(n, "u1")
    )


def correlated(n, seed):
    """Three features, skewed and correlated: no rotation leaves them alone."""
    g = rng(seed)
    a, b, c = g.exponential(1, n), g.normal(0, 1, n), g.gamma(3, 0.5, n)
    return np.stack([a + 0.5 * b, b, c - 0.3 * a], axis=1)


def turned(x, angle=0.7):
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return ((x - x.mean(0)) / x.std(0)) @ turn.T * x.std(0) + x.mean(0)


def fits():
    names = [*ALIGNMENTS, "sliced+quantile"]
    yield from ((name, alignment.get(name).fit) for name in names if name != "affine")
    yield "affine", lambda t, s, seed=0: AffineMap.fit(t, s, seed=seed, members=1, options=SHORT)


FITS = dict(fits())
every = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())


def test_the_names_of_a_configuration_are_those_of_the_room():
    assert alignment.names() == tuple(ALIGNMENTS)
    for name in (*ALIGNMENTS, "affine+quantile"):
        assert alignment.get(name).name == name
    with pytest.raises(ConfigError, match="did you mean 'quantile'"):
        alignment.get("affine+quantil")


@every
def test_a_map_is_stored_bit_by_bit_and_leaves_holes(fit):
    x, y = turned(correlated(2000, 1)), correlated(2000, 2)
    x[::7, 1] = np.nan
    x[::11, 2] = np.inf
    fitted = fit(sample(x), sample(y))
    mapped = fitted.apply(x)
    assert mapped.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(mapped), np.isnan(x))
    again = alignment.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(again.apply(x), mapped)
    assert again.name == fitted.name


@every
def test_labels_have_no_part(fit):
    x, y = turned(correlated(500, 1)), correlated(500, 2)
    plain = sample(y)
    labelled = Source(**vars(plain), label=np.arange(500, dtype=np.int32) % 2, classes=("a", "b"))
    assert fit(sample(x), labelled).to_dict() == fit(sample(x), plain).to_dict()


@every
def test_sides_that_do_not_fit_are_refused(fit):
    x = correlated(50, 1)
    with pytest.raises(SchemaError, match="source has 3 features, the target 2"):
        fit(sample(x[:, :2]), sample(x))
    with pytest.raises(SchemaError, match="weights of its 50 events sum"):
        fit(sample(x), sample(x, -np.ones(50)))


@every
def test_a_feature_that_one_side_lacks_is_left_alone_and_one_without_width_is_moved(fit):
    x, y = correlated(300, 1), correlated(300, 2)
    lost, constant = x.copy(), x.copy()
    lost[:, 0] = np.nan
    constant[:, 0] = 5.0
    np.testing.assert_array_equal(fit(sample(x), sample(lost)).apply(x)[:, 0], np.float32(x[:, 0]))
    moved = fit(sample(constant), sample(y)).apply(constant)[:, 0]
    assert np.ptp(moved) < 1e-5
    assert y[:, 0].min() < moved[0] < y[:, 0].max()


@every
def test_features_without_any_width_keep_the_value_that_both_sides_have(fit):
    constant = np.full((60, 2), 5.0)
    fitted = fit(sample(constant), sample(constant))
    again = alignment.from_dict(json.loads(json.dumps(fitted.to_dict())))
    for one in (fitted, again):
        np.testing.assert_array_equal(one.apply(constant), np.float32(constant))


@every
def test_two_sets_of_events_that_cancel_change_nothing_much(fit):
    g = rng(3)
    x, y = correlated(4000, 1), correlated(4000, 2)
    x[:, 0] += 3
    ghosts = g.normal(0, 1, (500, 3))
    signed = sample(
        np.concatenate([x, ghosts, ghosts]),
        np.concatenate([np.ones(4000), np.ones(500), -np.ones(500)]),
    )
    plain = fit(sample(x), sample(y)).apply(x)
    with_ghosts = fit(signed, sample(y)).apply(x)
    assert np.median(np.abs(plain - with_ghosts) / y.std(0)) < 0.2


closed = pytest.mark.parametrize("map_", [GaussianTransport, SlicedTransport])


@closed
@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_an_integer_weight_is_so_many_events(map_, seed):
    x, y = turned(correlated(400, seed)), correlated(400, seed + 1)
    times = rng(seed).integers(0, 4, 400)
    weighted = map_.fit(sample(x, times), sample(y, times)).apply(x)
    repeated = map_.fit(
        sample(np.repeat(x, times, axis=0)), sample(np.repeat(y, times, axis=0))
    ).apply(x)
    assert np.quantile(np.abs(weighted - repeated) / y.std(0), 0.9) < 1e-3


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_gaussian_transport_does_not_depend_on_units(seed):
    x, y = turned(correlated(400, seed)), correlated(400, seed + 1)
    units = rng(seed).uniform(0.01, 100, 3)
    plain = GaussianTransport.fit(sample(x), sample(y)).apply(x)
    other = GaussianTransport.fit(sample(x * units), sample(y * units)).apply(x * units)
    np.testing.assert_allclose(other / units, plain, rtol=1e-3, atol=1e-3)


def test_gaussian_transport_gives_mean_and_covariance_of_the_source():
    x, y = turned(correlated(3000, 1)) * 2 + 1, correlated(3000, 2)
    w = rng(4).uniform(-0.2, 1, 3000)
    mapped = GaussianTransport.fit(sample(x), sample(y, w)).apply(x).astype(np.float64)
    mean = np.average(y, axis=0, weights=w)
    np.testing.assert_allclose(mapped.mean(0), mean, atol=1e-4)
    wanted = (w[:, None] * (y - mean)).T @ (y - mean) / w.sum()
    np.testing.assert_allclose(np.cov(mapped.T, bias=True), wanted, atol=2e-3)


def test_gaussian_transport_undoes_scale_and_shear_exactly():
    x = rng(1).normal(0, 1, (500, 2))
    shear = np.array([[2.0, 0.6], [0.6, 1.0]])  # symmetric and positive: a transport map itself
    fitted = GaussianTransport.fit(sample(x @ shear.T), sample(x))
    white = np.linalg.cholesky(np.cov(x.T, bias=True))
    z = x @ np.linalg.inv(white).T  # between white samples the transport is the map's inverse
    undone = GaussianTransport.fit(sample(z * [3, 0.5] + 1), sample(z)).apply(z * [3, 0.5] + 1)
    np.testing.assert_allclose(undone, z, atol=1e-4)
    np.testing.assert_allclose(
        np.cov(fitted.apply(x @ shear.T).T, bias=True), np.cov(x.T, bias=True), atol=1e-3
    )


@pytest.mark.parametrize("name", ["moments", "quantile", "gaussian-ot", "sliced"])
def test_without_a_shift_a_map_is_near_the_identity(name):
    x, y = correlated(8000, 1), correlated(8000, 2)
    mapped = alignment.get(name).fit(sample(x), sample(y)).apply(x)
    assert np.mean(np.abs(mapped - x) / y.std(0)) < (0.12 if name == "sliced" else 0.04)


def test_sliced_transport_brings_unseen_events_to_the_source():
    x, y = turned(correlated(8000, 1)), correlated(8000, 2)
    mapped = SlicedTransport.fit(sample(x[:4000]), sample(y[:4000])).apply(x[4000:])
    axes = rng(5).normal(0, 1, (30, 3))
    u, v = np.sort(mapped @ axes.T, axis=0), np.sort(y[4000:] @ axes.T, axis=0)
    before = np.sort(x[4000:] @ axes.T, axis=0)
    distance = np.abs(u - v).mean(0) / v.std(0)
    assert distance.max() < 0.12
    assert distance.mean() < 0.35 * (np.abs(before - v).mean(0) / v.std(0)).mean()


def test_the_affine_map_undoes_a_rotation_that_no_covariance_shows():
    y, x = correlated(6000, 2), turned(correlated(6000, 1))
    truth = correlated(6000, 1)
    options = AdversaryOptions(batch_size=128)
    mapped = AffineMap.fit(sample(x), sample(y), members=1, options=options).apply(x)
    left = np.sqrt(np.mean((mapped - truth) ** 2, axis=0)) / truth.std(0)
    before = np.sqrt(np.mean((x - truth) ** 2, axis=0)) / truth.std(0)
    assert left[:2].mean() < 0.5 * before[:2].mean()


def test_the_affine_map_is_the_mean_of_those_of_its_seeds():
    x, y = sample(turned(correlated(600, 1))), sample(correlated(600, 2))
    options = AdversaryOptions(steps=40, batch_size=32)
    both, *alone = (
        AffineMap.fit(x, y, seed=seed, members=members, options=options)
        for seed, members in ((3, 2), (3, 1), (4, 1))
    )
    mean = (alone[0].matrix + alone[1].matrix) / 2
    np.testing.assert_allclose(both.matrix, mean, atol=1e-5)
    assert np.abs(alone[0].matrix - alone[1].matrix).max() > 1e-3


def test_an_affine_map_that_an_older_version_stored_is_read():
    x, y = sample(turned(correlated(600, 1))), sample(correlated(600, 2))
    fitted = AffineMap.fit(x, y, members=1, options=SHORT)
    stored = json.loads(json.dumps(fitted.to_dict()))
    older = {"map": "affine", "linear": stored | {"map": "linear"}, "scale": [1.0, 1.0, 1.0]}
    for one in (stored, older):
        again = alignment.from_dict(one)
        np.testing.assert_array_equal(again.apply(x.features), fitted.apply(x.features))


def test_a_chain_fits_each_map_to_what_is_left():
    x, y = sample(turned(correlated(800, 1))), sample(correlated(800, 2))
    chain = alignment.get("gaussian-ot+quantile").fit(x, y)
    first = alignment.get("gaussian-ot").fit(x, y)
    left = x.with_features(first.apply(x.features))
    second = alignment.get("quantile").fit(left, y)
    np.testing.assert_array_equal(chain.apply(x.features), second.apply(left.features))
