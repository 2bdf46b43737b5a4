from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ks_2samp

from hepdann.alignment import Moments, QuantileMap, quantile
from hepdann.errors import SchemaError
from hepdann.tensors.source_and_target import Source, Target

MAPS = [QuantileMap, Moments]


def target(features, weight=None):
    features = np.asarray(features, dtype=np.float32)
    features = features[:, None] if features.ndim == 1 else features
    n = len(features)
    weight = np.ones(n) if weight is None else weight
    return Target(
        features, np.asarray(weight, np.float32), np.arange(n, dtype=np.uint64), np.zeros(n, "u1")
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def spiked(n, seed, at=-1.0, share=0.3):
    """A share of exact values, the rest Gaussian above them."""
    g = rng(seed)
    return np.where(g.random(n) < share, at, np.abs(g.normal(0, 1, n))).astype(np.float32)


columns = hnp.arrays(
    np.float32, st.integers(1, 60), elements=st.integers(-40, 40).map(lambda i: i / 8)
)
weights = st.integers(0, 1000).map(lambda seed: rng(seed).normal(0.8, 1.0, 60))


@given(columns)
def test_the_same_sample_is_mapped_to_itself(x):
    fitted = QuantileMap.fit(target(x), target(x), knots=10_000)
    np.testing.assert_allclose(fitted.apply(x[:, None])[:, 0], x, atol=1e-6)
    np.testing.assert_allclose(Moments.fit(target(x), target(x)).apply(x[:, None])[:, 0], x)


@given(columns, columns, weights, weights)
def test_the_quantile_map_is_monotone_and_within_the_source(x, y, w, v):
    w, v = w[: len(x)], v[: len(y)]
    if w.sum() <= 0.1 or v.sum() <= 0.1:
        return
    fitted = QuantileMap.fit(target(x, w), target(y, v))
    mapped = fitted.apply(np.linspace(-10, 10, 401)[:, None])[:, 0]
    assert np.all(np.diff(mapped) >= 0)
    assert mapped.min() >= y.min()
    assert mapped.max() <= y.max()


@given(columns, columns, weights)
def test_the_quantile_map_forgets_a_monotone_transform_of_the_target(x, y, w):
    w = np.abs(w[: len(x)]) + 0.1
    bent = np.exp(x / 8) * 3 - 1
    straight = QuantileMap.fit(target(x, w), target(y), knots=10_000).apply(x[:, None])
    np.testing.assert_allclose(
        QuantileMap.fit(target(bent, w), target(y), knots=10_000).apply(bent[:, None]), straight
    )


@given(columns, columns)
def test_an_integer_weight_is_so_many_events(x, y):
    times = np.arange(len(x)) % 3
    if times.sum() == 0:
        return
    weighted = QuantileMap.fit(target(x, times), target(y), knots=10_000)
    repeated = QuantileMap.fit(target(np.repeat(x, times)), target(y), knots=10_000)
    seen = np.repeat(x, times)[:, None]
    np.testing.assert_allclose(weighted.apply(seen), repeated.apply(seen), atol=1e-5)


def test_without_a_shift_the_map_is_near_the_identity():
    for draw in (lambda s: rng(s).normal(0, 1, 20_000), lambda s: spiked(20_000, s)):
        x, y = draw(1), draw(2)
        mapped = QuantileMap.fit(target(x), target(y)).apply(x[:, None])[:, 0]
        assert np.mean(np.abs(mapped - x)) < 0.03 * x.std()
        assert np.quantile(np.abs(mapped - x), 0.99) < 0.1 * x.std()


def test_the_mapped_target_is_distributed_as_the_source():
    x, y = rng(1).gamma(2, 1, 30_000), rng(2).normal(5, 2, 30_000)
    fitted = QuantileMap.fit(target(x[:20_000]), target(y[:20_000]))
    assert ks_2samp(fitted.apply(x[20_000:, None])[:, 0], y[20_000:]).pvalue > 1e-3


def test_source_weights_count():
    x, y = rng(1).normal(0, 1, 20_000), rng(2).uniform(0, 1, 20_000)
    fitted = QuantileMap.fit(target(x), target(y, 2 * y))  # density 2y: mean 2/3, median 1/sqrt 2
    mapped = fitted.apply(x[:, None])[:, 0]
    assert mapped.mean() == pytest.approx(2 / 3, abs=0.01)
    assert np.median(mapped) == pytest.approx(0.5**0.5, abs=0.01)


@pytest.mark.parametrize("at", [0.0, -1.0])
def test_a_spike_stays_a_spike(at):
    x, y = spiked(10_000, 1, at), spiked(10_000, 2, at)
    mapped = QuantileMap.fit(target(x), target(y)).apply(x[:, None])[:, 0]
    assert np.all(mapped[x == at] == at)
    # Of the rest, no more joins it than the two spikes differ in size, and none lies between.
    difference = abs(np.mean(x == at) - np.mean(y == at))
    assert np.mean(mapped[x != at] <= 0) <= 1.5 * difference + 1e-3
    assert np.mean((mapped > at) & (mapped <= 0)) <= 2e-4
    np.testing.assert_allclose(np.mean(mapped), np.mean(y), atol=0.01)


def test_a_smeared_spike_is_collected_again():
    y = spiked(10_000, 2)
    x = spiked(10_000, 1) + rng(3).normal(0, 0.01, 10_000)
    mapped = QuantileMap.fit(target(x), target(y)).apply(x[:, None])[:, 0]
    assert np.mean(mapped == -1) == pytest.approx(0.3, abs=0.01)


def test_equal_target_values_stay_equal_where_the_source_has_no_spike():
    x = spiked(10_000, 1, share=0.4)
    y = rng(2).uniform(0, 1, 10_000)
    mapped = QuantileMap.fit(target(x), target(y)).apply(x[:, None])[:, 0]
    (value,) = np.unique(mapped[x == -1])
    assert value == pytest.approx(0.2, abs=0.01)  # the middle of the ranks 0 to 0.4


def test_a_constant_target_goes_to_the_median_and_a_constant_source_takes_all():
    y = rng(1).normal(3, 1, 1001)
    one = QuantileMap.fit(target(np.zeros(10)), target(y)).apply(np.zeros((2, 1)))
    assert np.all(one == np.float32(np.median(y)))
    assert np.all(QuantileMap.fit(target(y), target(np.ones(10))).apply(y[:, None]) == 1)


def test_negative_weights_that_cancel_events_leave_the_map_of_the_rest():
    g = rng(1)
    x, y = g.normal(0, 1, 40_000), g.normal(2, 3, 40_000)
    extra = g.normal(0, 1, 10_000)  # added with weight 1 and, elsewhere in the sample, -1
    again = extra + g.normal(0, 1e-4, 10_000)
    features = np.concatenate([y, extra, again])
    weight = np.concatenate([np.ones(50_000), -np.ones(10_000)])
    plain = QuantileMap.fit(target(x), target(y)).apply(x[:, None])
    signed = QuantileMap.fit(target(x), target(features, weight)).apply(x[:, None])
    assert np.abs(plain - signed)[np.abs(x) < 2.5].max() < 0.15


@pytest.mark.parametrize("map_", MAPS)
def test_missing_values_pass_and_have_no_part(map_):
    g = rng(1)
    x, y = g.normal(0, 1, (500, 2)), g.normal(3, 2, (400, 2))
    holed = x.copy()
    holed[::5, 0] = np.nan
    mapped = map_.fit(target(holed), target(y)).apply(holed)
    np.testing.assert_array_equal(np.isnan(mapped), np.isnan(holed))
    kept = ~np.isnan(holed[:, 0])
    alone = map_.fit(target(x[kept, :1]), target(y[:, :1])).apply(x[kept, :1])
    np.testing.assert_array_equal(mapped[kept, :1], alone)


@pytest.mark.parametrize("map_", MAPS)
def test_a_feature_that_one_side_lacks_is_left_alone(map_):
    x = rng(1).normal(0, 1, (50, 1)).astype(np.float32)
    nothing = target(np.full(50, np.nan))
    np.testing.assert_array_equal(map_.fit(target(x), nothing).apply(x), x)
    np.testing.assert_array_equal(map_.fit(nothing, target(x)).apply(x), x)


@pytest.mark.parametrize("map_", MAPS)
def test_a_stored_map_is_the_same_map_in_moderate_size(map_):
    x, y = rng(1).normal(0, 1, (30_000, 2)), rng(2).exponential(1, (30_000, 2))
    fitted = map_.fit(target(x), target(y))
    text = json.dumps(fitted.to_dict(), allow_nan=False)
    assert len(text) < 400_000
    again = map_.from_dict(json.loads(text))
    np.testing.assert_array_equal(again.apply(x), fitted.apply(x))


def test_thinning_a_large_sample_keeps_the_tails():
    x, y = rng(1).standard_cauchy(100_000), rng(2).standard_cauchy(100_000)
    thin = QuantileMap.fit(target(x), target(y)).apply(x[:, None])
    full = QuantileMap.fit(target(x), target(y), knots=10_000_000).apply(x[:, None])
    assert np.quantile(np.abs(thin - full) / (1 + np.abs(full)), 0.999) < 0.05


def test_labels_are_out_of_reach():
    x, y = rng(1).normal(0, 1, 100), rng(2).normal(1, 1, 100)
    plain = target(y)
    labelled = Source(**vars(plain), label=np.full(100, 7, np.int32), classes=("a", "b"))
    for map_ in MAPS:
        assert map_.fit(target(x), labelled).to_dict() == map_.fit(target(x), plain).to_dict()


def test_moments_give_the_target_mean_and_width_of_the_source():
    g = rng(1)
    x, y = g.normal(0, 1, (5000, 3)), g.normal(5, 2, (4000, 3)) * [1, 10, 0.1]
    w = g.uniform(-0.3, 1, 4000)
    mapped = Moments.fit(target(x), target(y, w)).apply(x).astype(np.float64)
    mean = np.average(y, axis=0, weights=w)
    np.testing.assert_allclose(mapped.mean(axis=0), mean, rtol=1e-4)
    np.testing.assert_allclose(
        mapped.std(axis=0), np.sqrt(np.average((y - mean) ** 2, axis=0, weights=w)), rtol=1e-4
    )


def test_moments_only_move_a_feature_without_width():
    fitted = Moments.fit(target(np.full(9, 2.0)), target(np.arange(9.0)))
    assert fitted.factor[0] == 1
    assert fitted.apply([[2.0]])[0, 0] == 4


@pytest.mark.parametrize("map_", MAPS)
def test_what_cannot_be_aligned_is_refused(map_):
    x = rng(1).normal(0, 1, (10, 2))
    with pytest.raises(SchemaError, match="source has 2 features, the target 1"):
        map_.fit(target(x[:, :1]), target(x))
    with pytest.raises(SchemaError, match="source feature 0: the weights of its 10 events sum"):
        map_.fit(target(x), target(x, -np.ones(10)))


def test_the_compiled_map_is_that_of_numpy_to_the_bit(monkeypatch):
    random = rng(4)
    sides = [random.normal(size=(900, 4)).astype("f4") for _ in range(2)]
    sides[0][:, 1], sides[1][:, 2] = 3, np.nan  # one knot, and none
    fitted = QuantileMap.fit(*map(target, sides))
    x = random.normal(scale=3, size=(1500, 4)).astype("f4")
    x[:6, 0] = [np.nan, np.inf, -np.inf, *fitted.target[0][[0, 1, -1]]]
    mapped = fitted.apply(x)
    monkeypatch.setattr(quantile, "function", lambda *_: None)
    assert mapped.tobytes() == fitted.apply(x).tobytes()


def test_any_knots_are_compiled_to_the_bit(monkeypatch):
    random = rng(5)
    reals = random.normal(size=700)
    wide, far = np.exp(8 * reals), random.uniform(-3e38, 3e38, 700)
    target_knots = [np.unique(k) for k in (reals, np.round(reals, 2), wide, far, reals[:2])]
    fitted = QuantileMap(
        tuple(target_knots), tuple(np.sort(random.normal(size=len(k))) for k in target_knots)
    )
    x = np.stack([random.choice(k, 2000) for k in target_knots], axis=1).astype("f4")
    x = np.nextafter(x, random.choice([-np.inf, np.inf], x.shape).astype("f4"))  # beside a knot
    x[:3] = np.array([np.nan, np.inf, -np.inf])[:, None]
    mapped = fitted.apply(x)
    monkeypatch.setattr(quantile, "function", lambda *_: None)
    assert mapped.tobytes() == fitted.apply(x).tobytes()
