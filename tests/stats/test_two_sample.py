"""The two-sample test: exact without a shift, blind to rounding, deaf to nothing else."""

import sys

import numpy as np
import pytest
from scipy.stats import kstest

from hepdann.errors import HepdannError
from hepdann.stats import Sample, correlation, rank_features, separation, two_sample
from hepdann.stats.granularity import common_granularity, lattice

NAMES = ("x", "y", "z")
MODULE = sys.modules["hepdann.stats.two_sample"]  # its function has the same name


def target(x, weight=None, event_id=None, start=0):
    n = len(x)
    return Sample(
        features=np.asarray(x, dtype=np.float32),
        weight=np.asarray(np.ones(n) if weight is None else weight, dtype=np.float32),
        event_id=np.arange(start, start + n, dtype=np.uint64) if event_id is None else event_id,
    )


def gauss(generator, n, moved=0.0):
    x = generator.normal(size=(n, 3))
    x[:, 1] += 0.8 * x[:, 0]
    x[:, 0] += moved
    return x


def draw(seed, n, kind, moved=0.0):
    """Two samples of one distribution (if ``moved`` is 0), made in different ways."""
    generator = np.random.default_rng([seed, n])
    data = gauss(generator, n, moved)
    if kind == "plain":
        return target(gauss(generator, n)), target(data, start=n)
    if kind == "signed":  # MC has too many events at large x, and takes them off again
        more, less = (np.abs(gauss(generator, n // 5)) for _ in range(2))
        mc = np.concatenate([gauss(generator, n), more, less])
        weight = np.repeat([0.01, 0.01, -0.01], [n, n // 5, n // 5])
        return target(mc, weight), target(data, start=2 * n)
    # clusters: two nearly equal rows an event
    mc, data = (np.repeat(x[: n // 2], 2, axis=0) for x in (gauss(generator, n), data))
    ids = np.repeat(np.arange(n, dtype=np.uint64), 2)
    mc, data = (x + generator.normal(0, 0.1, x.shape) for x in (mc, data))
    return target(mc, event_id=ids[:n]), target(data, event_id=ids[n:])


@pytest.mark.parametrize("kind", ["plain", "signed", "clusters"])
def test_p_values_without_a_shift_are_uniform(kind):
    p = [two_sample(*draw(i, 200, kind), seed=i, permutations=59).p_value for i in range(40)]
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", ["plain", "signed", "clusters"])
def test_a_moved_feature_is_found(kind):
    found = two_sample(*draw(1, 3000, kind, moved=0.5), permutations=199)
    assert found.shift
    assert found.p_value == pytest.approx(1 / 200)
    assert found.auc > 0.5 + 3 * found.auc_error


def test_permutations_that_cannot_be_beyond_are_left_out(monkeypatch):
    drawn, clustered = [], MODULE._clustered
    monkeypatch.setattr(MODULE, "_clustered", lambda *given: drawn.append(0) or clustered(*given))
    found = two_sample(*draw(1, 3000, "plain", moved=0.5))
    assert len(drawn) < 60
    assert found.p_value == pytest.approx(1 / 501)


def spiked(generator, n):
    """Like the b jets: four decimals, hard bounds, a spike at a default value, an integer."""
    x = np.round(generator.beta(1.0, 4.0, n), 4)
    spike = np.where(generator.random(n) < 0.8, -0.0003, np.round(generator.random(n), 4))
    return np.stack([x, spike, generator.poisson(6, n)], axis=1)


def test_a_harmless_smearing_of_rounded_values_is_no_shift():
    generator = np.random.default_rng(3)
    x, y = spiked(generator, 6000), spiked(generator, 6000)
    y = y + 0.02 * y.std(axis=0) * generator.normal(size=y.shape)
    mc, data = target(x), target(y, start=6000)
    assert two_sample(mc, data, coarsen=False, permutations=1).auc > 0.9
    found = two_sample(mc, data, permutations=199)
    assert not found.shift
    assert abs(found.auc - 0.5) < 4 * found.auc_error
    assert all(f.p_value > 0.01 for f in rank_features(mc, data, NAMES))


def test_a_spike_is_wide_as_the_feature_that_it_is_part_of():
    """Smearing proportional to the value leaves a spike near 0 a spike: no physics moved it."""
    generator = np.random.default_rng(3)
    x, y = (
        np.where(generator.random((3000, 1)) < 0.9, -0.0003, generator.random((3000, 1)))
        * (1 + 0.02 * generator.standard_normal((3000, 1)))
        for _ in range(2)
    )
    y += 2e-5
    assert not two_sample(target(x), target(y, start=3000), permutations=199).shift
    x += 1e-3 * generator.standard_normal(x.shape)  # a spike in the target alone
    assert not two_sample(target(x), target(y, start=3000), permutations=199).shift


def test_a_shift_of_rounded_values_is_still_found():
    generator = np.random.default_rng(4)
    x, y = spiked(generator, 6000), spiked(generator, 6000)
    y[:, 0] += 0.1 * y[:, 0].std()
    assert two_sample(target(x), target(y, start=6000), permutations=199).shift


def test_missing_values_are_compared_as_such():
    generator = np.random.default_rng(5)
    x, y = gauss(generator, 2000), gauss(generator, 2000)
    x[generator.random(2000) < 0.1, 2] = np.nan
    y[generator.random(2000) < 0.3, 2] = np.nan
    x[:, 1] = y[:, 1] = np.nan
    mc, data = target(x), target(y, start=2000)
    assert two_sample(mc, data, permutations=199).shift
    by_name = {f.name: f for f in rank_features(mc, data, NAMES)}
    assert by_name["z"].missing_target == pytest.approx(0.3, abs=0.05)
    assert by_name["z"].p_value > 0.01  # what is there does not differ
    assert by_name["y"].missing_mc == 1.0


def test_the_rows_that_are_used_are_capped_by_whole_events():
    mc, data = draw(6, 4000, "clusters")
    found = two_sample(mc, data, max_events=1000, permutations=9)
    assert found.n_mc == found.n_target == 1000


def test_separation_has_an_honest_error():
    drawn = [separation(*draw(seed, 400, "plain"), seed=seed) for seed in range(25)]
    spread = np.std([f.value for f in drawn])
    assert 0.6 * spread < np.mean([f.error for f in drawn]) < 2.0 * spread
    assert np.mean([f.value for f in drawn]) == pytest.approx(0.5, abs=0.02)


def test_the_same_seed_gives_the_same_result():
    mc, data = draw(7, 500, "plain")
    assert two_sample(mc, data, permutations=20) == two_sample(mc, data, permutations=20)


def test_too_few_events_are_refused():
    with pytest.raises(HepdannError, match="too few events"):
        two_sample(*draw(8, 30, "plain"))


@pytest.mark.parametrize(
    ("step", "origin", "offset"),
    [(1e-4, 0.0, 0.0), (0.5, 0.0, 0.0), (1.0, 0.0, 3.0), (0.0437, 0.0, 0.0), (0.31, 0.017, 0.0)],
)
def test_a_lattice_is_found_in_float32(step, origin, offset):
    generator = np.random.default_rng(9)
    x = origin + step * generator.integers(-500, 500, 5000) + offset
    found, at = lattice(x.astype(np.float32).astype(np.float64))
    assert found == pytest.approx(step, rel=1e-4)
    distance = (at - origin - offset) / step
    assert distance == pytest.approx(round(distance), abs=0.01)


def test_continuous_values_have_no_lattice():
    generator = np.random.default_rng(10)
    for x in (generator.random(5000), generator.normal(size=5000) * 1e5, np.full(10, 0.3)):
        assert lattice(x.astype(np.float32).astype(np.float64)) == (0.0, 0.0)


def test_the_finer_sample_is_brought_to_the_coarser_step():
    generator = np.random.default_rng(11)
    fine, coarse = generator.normal(size=(4000, 1)), np.round(generator.normal(size=(4000, 1)))
    first, second, finest = common_granularity(fine, coarse, generator)
    assert finest.tolist() == [1.0]
    # what is left of both is the same lattice, equally blurred
    assert kstest(first[:, 0], second[:, 0]).pvalue > 0.01


def test_features_are_ranked_by_their_distance():
    generator = np.random.default_rng(13)
    x, y = gauss(generator, 3000), gauss(generator, 3000)
    y += [0.0, 0.2, 1.0]
    ranked = rank_features(target(x), target(y, start=3000), NAMES)
    assert [f.name for f in ranked] == ["z", "y", "x"]
    assert ranked[0].mean_shift == pytest.approx(1.0, abs=0.1)
    assert ranked[0].p_value < 1e-6 < ranked[2].p_value


def test_correlation_is_numpys_where_nothing_is_missing():
    x = gauss(np.random.default_rng(15), 500) + 1e6
    assert correlation(x) == pytest.approx(np.corrcoef(x.T), abs=1e-6)


def test_a_pair_is_correlated_over_the_events_where_both_are_known():
    generator = np.random.default_rng(16)
    x = gauss(generator, 500)
    weight = generator.normal(1.0, 0.5, 500)
    x[:100, 0] = np.nan
    known = np.cov(x[100:, :2].T, aweights=np.abs(weight[100:]))
    expected = known[0, 1] / np.sqrt(known[0, 0] * known[1, 1])
    assert correlation(x, np.abs(weight))[0, 1] == pytest.approx(expected)
    assert correlation(x, weight) == pytest.approx(correlation(x, weight).T)
