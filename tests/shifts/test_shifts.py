from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hepdann import shifts
from hepdann.config import ShiftConfig
from hepdann.errors import ConfigError
from hepdann.registry import SHIFTS

NAMES = ("identity", "sine", "sine-third", "sine-cubed", "sine-fifth", "cosine", "gaussian")
PIXELS = ("energy-scale", "energy-smear", "dead-channels")
OBJECTS = ("missing-objects", "pt-scale", "dead-region")
SINE_FAMILY = {
    "sine": lambda u, t: u + np.sin(2 * np.pi * u) / t,
    "sine-third": lambda u, t: u + np.sin(2 * np.pi * u) / (3 * t),
    "sine-cubed": lambda u, t: u + np.sin(2 * np.pi * u) ** 3 / t,
    "sine-fifth": lambda u, t: u + np.sin(2 * np.pi * u) ** 5 / t,
    "cosine": lambda u, t: u + np.cos(2 * np.pi * u) / t,
}

tables = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.floats(-1000, 1000, width=32) | st.just(float("nan")),
)


def rng(seed=1):
    return np.random.default_rng(seed)


def features(n=4000, seed=0):
    g = rng(seed)
    return np.stack([g.random(n), g.normal(3, 2, n), -g.exponential(0.1, n)], 1).astype(np.float32)


def test_the_names_are_those_of_the_documentation():
    assert shifts.names()[: len(NAMES) + 6] == (*NAMES, *PIXELS, *OBJECTS)


@given(tables, st.sampled_from(NAMES), st.integers(0, 99))
def test_infinite_t_is_the_identity(x, name, seed):
    shift = shifts.get(name, float("inf")).fit(x)
    np.testing.assert_array_equal(shift.apply(x, rng(seed)), x)


@given(tables, st.floats(0.01, 1e6))
def test_identity_is_the_identity_at_every_t(x, t):
    np.testing.assert_array_equal(shifts.identity(t).fit(x).apply(x, rng()), x)


@pytest.mark.parametrize("name", SINE_FAMILY)
@pytest.mark.parametrize("t", [1.0, 3.0, 8.0])
def test_the_sine_family_is_its_formula_in_units_of_the_largest_value(name, t):
    x = features()
    scale = np.abs(x.astype(np.float64)).max(axis=0)
    u = x / scale
    centre = SINE_FAMILY[name](u, t) * (1 + 1 / t)
    pull = (shifts.get(name, t).fit(x).apply(x, rng()) / scale - centre) / (np.abs(u) / (25 * t))
    pull = pull[np.abs(u) > 0.05]  # where float32 resolves the smearing
    assert abs(pull.mean()) < 0.05
    assert abs(pull.std() - 1) < 0.05
    assert np.abs(pull).max() < 6


@pytest.mark.parametrize("t", [1.0, 3.0, 8.0])
def test_gaussian_has_the_moments_of_its_formula(t):
    x = features(40_000)
    sigma = x.astype(np.float64).std(axis=0)
    moved = shifts.gaussian(t).fit(x).apply(x, rng()) - x.astype(np.float64)
    # x U(0,1)/t + N(0, σ/t): mean x/2t, variance x²/12t² + σ²/t²
    pull = (moved - x / (2 * t)) / np.sqrt((x**2 / 12 + sigma**2) / t**2)
    assert np.all(np.abs(pull.mean(axis=0)) < 5 / np.sqrt(len(x)))
    assert np.allclose(pull.std(axis=0), 1, atol=0.02)
    assert abs(np.corrcoef(pull.T)[0, 1]) < 0.03  # one draw an entry, not one an event


def test_a_shift_is_smaller_at_larger_t():
    x = features()
    for name in NAMES[1:]:
        size = [
            np.abs(shifts.get(name, t).fit(x).apply(x, rng()) - x).mean() for t in (1, 3, 8, 30)
        ]
        assert size == sorted(size, reverse=True)


@given(tables, st.sampled_from(NAMES), st.floats(0.5, 100))
def test_a_shift_is_a_pure_function_of_features_and_generator(x, name, t):
    shift = shifts.get(name, t).fit(x)
    before = x.copy()
    first = shift.apply(x, rng(7))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(first, shift.apply(x, rng(7)))
    assert first.dtype == np.float32
    assert first.shape == x.shape


def test_another_seed_smears_differently():
    x = features()
    shift = shifts.sine(3).fit(x)
    assert not np.array_equal(shift.apply(x, rng(1)), shift.apply(x, rng(2)))


@given(tables, st.sampled_from(NAMES))
def test_missing_values_pass_and_leave_the_others_alone(x, name):
    filled = np.where(np.isnan(x), np.float32(0.5), x)
    shift = shifts.get(name, 3).fit(filled)
    moved = shift.apply(x, rng())
    np.testing.assert_array_equal(np.isnan(moved), np.isnan(x))
    here = ~np.isnan(x)
    np.testing.assert_array_equal(moved[here], shift.apply(filled, rng())[here])


@pytest.mark.parametrize("name", ["sine", "gaussian", "cosine"])
def test_a_constant_feature_passes_unshifted(name):
    x = np.array([[5.0, 1.0], [5.0, 2.0], [5.0, np.nan]], np.float32)
    moved = shifts.get(name, 3).fit(x).apply(x, rng())
    np.testing.assert_array_equal(moved[:, 0], x[:, 0])
    assert not np.array_equal(moved[:2, 1], x[:2, 1])


def test_missing_and_infinite_values_are_left_out_of_the_scales():
    x = np.array([[1.0, np.nan], [-4.0, np.nan], [np.nan, 1.0], [np.inf, 2.0]])
    (step,) = shifts.sine(3).fit(x).steps
    assert step.scale.tolist() == [4.0, 2.0]
    assert step.sigma.tolist() == [2.5, 0.5]
    moved = shifts.gaussian(3).fit(x).apply(x, rng())
    assert moved[3, 0] == np.inf


def test_a_feature_without_scale_passes_unshifted():
    x = np.stack([np.zeros(50), np.full(50, np.nan), np.linspace(0, 1, 50)], 1)
    for name in ("sine", "cosine"):
        shift = shifts.get(name, 1).fit(x)
        assert shift.steps[0].scale[:2].tolist() == [0.0, 0.0]
        later = np.stack([np.linspace(-1, 1, 9)] * 3, 1)
        moved = shift.apply(later, rng())
        np.testing.assert_array_equal(moved[:, :2], later[:, :2].astype(np.float32))
        assert not np.allclose(moved[:, 2], later[:, 2])


def test_the_scale_of_the_training_split_holds_for_every_split():
    train, later = features(), features(seed=9) * 5
    scale = np.abs(train.astype(np.float64)).max(axis=0)
    shift = shifts.sine(8).fit(train)
    np.testing.assert_array_equal(shift.steps[0].scale, scale)
    centre = SINE_FAMILY["sine"](later / scale, 8) * (1 + 1 / 8) * scale
    assert np.all(np.abs(shift.apply(later, rng()) - centre) <= 6 * np.abs(later) / 200)


def test_one_outlier_does_not_freeze_a_shift_scaled_by_a_quantile():
    x = np.append(np.linspace(0, 1, 1001), 1e6)[:, None]
    by_max = shifts.sine(3).fit(x).apply(x, rng())[:-1]
    by_quantile = shifts.sine(3, quantile=0.99).fit(x)
    assert by_quantile.steps[0].scale[0] == pytest.approx(0.99, abs=0.01)
    u = x[:-1] / by_quantile.steps[0].scale
    # To first order in x/s the first is a plain factor (1 + 2π/t)(1 + 1/t).
    assert np.allclose(by_max[500] / x[500], (1 + 2 * np.pi / 3) * 4 / 3, rtol=0.1)
    assert np.corrcoef((by_quantile.apply(x, rng())[:-1] / (4 / 3) - x[:-1])[:, 0],
                       np.sin(2 * np.pi * u)[:, 0])[0, 1] > 0.99  # fmt: skip


def test_a_quantile_that_falls_on_zero_gives_way_to_the_maximum():
    x = np.append(np.zeros(99), 3.0)[:, None]
    assert shifts.sine(3, quantile=0.5).fit(x).steps[0].scale[0] == 3.0


def test_integers_become_real():
    x = np.arange(12).reshape(6, 2)
    moved = shifts.sine(8).fit(x).apply(x, rng())
    assert moved.dtype == np.float32
    assert not np.array_equal(moved, np.round(moved))


@pytest.mark.parametrize("second", NAMES)
def test_composing_shifts_is_composing_functions(second):
    x = features()
    a, b = shifts.sine(3), shifts.get(second, 8)
    both, g = shifts.compose(a, b), rng(5)
    one_by_one = b.fit(x).apply(a.fit(x).apply(x, g), g)
    np.testing.assert_array_equal(both.fit(x).apply(x, rng(5)), one_by_one)
    assert both.name == f"sine+{second}"
    assert both.t is None


def test_a_composition_composes_further_and_has_a_name_on_the_command_line():
    three = shifts.compose(shifts.compose(shifts.sine(3), shifts.gaussian(3)), shifts.sine_third(3))
    assert three == shifts.get("sine+gaussian+sine-third", 3)
    assert three.t == 3


def test_each_part_of_a_composition_may_have_its_own_strength():
    both = shifts.compose(shifts.sine(3, quantile=0.9), shifts.gaussian(8))
    assert shifts.get("sine+gaussian", [3, 8], quantile=[0.9, 1.0]) == both
    with pytest.raises(ConfigError, match="t: 3 values for the 2 shifts of sine"):
        shifts.get("sine+gaussian", [3, 8, 9])


def test_a_configuration_takes_what_get_takes(registered):
    for name in (*shifts.names(), "sine+gaussian", "stretch+sine"):
        config = ShiftConfig(name=name, t=3)
        assert shifts.get(config.name, config.t, quantile=config.quantile).name == name
    with pytest.raises(ValueError, match="unknown shift 'gausian'"):
        ShiftConfig(name="sine+gausian", t=3)


@given(tables, st.sampled_from(["sine", "gaussian", "sine+gaussian"]), st.floats(0.5, 1e6))
def test_a_stored_shift_is_the_same_shift(x, name, t):
    shift = shifts.get(name, t, quantile=0.9).fit(x)
    again = shifts.FittedShift.from_dict(json.loads(json.dumps(shift.to_dict(), allow_nan=False)))
    assert again.name == shift.name
    np.testing.assert_array_equal(again.apply(x, rng()), shift.apply(x, rng()))


def test_infinite_t_can_be_stored():
    stored = shifts.sine(float("inf")).fit(features(9)).to_dict()
    again = shifts.FittedShift.from_dict(json.loads(json.dumps(stored, allow_nan=False)))
    assert again.steps[0].t == float("inf")


def test_more_rows_than_a_tile_are_shifted_like_few():
    x = np.linspace(0, 1, 150_001)[:, None]
    moved = shifts.sine(3).fit(x).apply(x, rng())[:, 0]
    centre = SINE_FAMILY["sine"](x[:, 0], 3) * 4 / 3
    pull = (moved - centre)[1:] / (x[1:, 0] / 75)
    assert np.abs(pull.mean()) < 0.02
    assert np.abs(pull[1:] @ pull[:-1]) / len(pull) < 0.02


@pytest.fixture
def registered():
    @shifts.register("stretch")
    def stretch(x, t, generator):
        return x * (1 + 1 / t)

    @shifts.register("smear", raw=True)
    def smear(x, t, generator, sigma):
        return x + generator.normal(size=x.shape) * sigma / t

    yield stretch
    SHIFTS._registered.clear()


def test_a_shift_of_ones_own_works_by_its_name(registered):
    x = features()
    np.testing.assert_allclose(shifts.get("stretch", 4).fit(x).apply(x, rng()), 1.25 * x, rtol=1e-6)
    smeared = shifts.get("smear", 2).fit(x).apply(x, rng()) - x
    np.testing.assert_allclose(smeared.std(axis=0), x.std(axis=0) / 2, rtol=0.1)
    assert {"stretch", "smear"} <= set(shifts.names())
    assert registered(2.0, 2.0, None) == 3.0  # the decorator gives the function back


def test_a_name_of_hepdanns_own_cannot_be_taken():
    with pytest.raises(ConfigError, match="'sine' is one of hepdann's own"):
        shifts.register("sine")
    with pytest.raises(ConfigError, match="cannot name a shift"):
        shifts.register("a+b")


def test_a_shift_that_loses_events_is_refused(registered):
    shifts.register("loses")(lambda x, t, generator: x[:-1])
    with pytest.raises(ConfigError, match=r"'loses' turned an array of shape \(9, 3\)"):
        shifts.get("loses", 1).fit(features(9)).apply(features(9), rng())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shifts.get("gausian", 3), "unknown shift 'gausian'; did you mean 'gaussian'"),
        (lambda: shifts.get("sine+", 3), "known: identity, sine"),
        (lambda: shifts.sine(0), "positive, not 0"),
        (lambda: shifts.sine(1e-320), "positive, at least 1e-06, not 1e-320"),
        (lambda: shifts.sine(float("nan")), "positive, not nan"),
        (lambda: shifts.sine(3, quantile=0), "quantile"),
        (lambda: shifts.sine(3).fit(np.zeros((2, 3, 4))), r"not on an array of shape \(2, 3, 4\)"),
        (lambda: shifts.sine(3).fit(np.ones((2, 3))).apply(np.ones((2, 4)), rng()), "3 features"),
    ],
)
def test_what_cannot_be_shifted_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@settings(max_examples=25)
@given(st.sampled_from(NAMES[1:]), st.floats(0.3, 30))
def test_zero_stays_zero_where_the_map_is_odd(name, t):
    x = np.append(features(50), np.zeros((1, 3), np.float32), axis=0)
    moved = shifts.get(name, t).fit(x).apply(x, rng())[-1]
    assert np.all(moved == 0) == name.startswith("sine")
