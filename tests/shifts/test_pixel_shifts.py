"""Shifts of images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hepdann import shifts
from hepdann.errors import ConfigError
from hepdann.shifts import Draws, FittedShift
from hepdann.tensors import Transform, View

NAMES = ("energy-scale", "energy-smear", "dead-channels")
VIEWS = (View("x", 2, 20, 10, ("energy", "time")), View("u", 2, 20, 5, ("energy", "time")))


def images(n=200, seed=1):
    rng = np.random.default_rng(seed)
    found = {}
    for view in VIEWS:
        hit = rng.random((n, view.height, view.width)) < 0.1
        energy, time = rng.exponential(3, hit.shape) + 0.01, rng.normal(0, 5, hit.shape)
        found[view.name] = np.stack([energy * hit, time * hit], axis=1).astype(np.float32)
    return found, rng.integers(0, 2**63, n).astype(np.uint64)


def shifted(name, t, pixels, ids, seed=0, views=VIEWS):
    copy = {view: values.copy() for view, values in pixels.items()}
    shifts.get(name, t).of_images().apply_images(views, copy, ids, seed)
    return copy


@pytest.mark.parametrize("name", [*NAMES, "identity", "energy-scale+dead-channels"])
def test_infinite_t_is_the_identity(name):
    pixels, ids = images()
    for view, values in shifted(name, float("inf"), pixels, ids).items():
        np.testing.assert_array_equal(values, pixels[view])


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_t_is_a_smaller_shift(name):
    pixels, ids = images()
    sizes = []
    for t in (2.0, 5.0, 20.0, 100.0):
        found = shifted(name, t, pixels, ids)
        sizes.append(np.abs(found["x"][:, 0] - pixels["x"][:, 0]).sum())
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.1 * sizes[0]


def test_the_scale_is_a_factor_on_energies_alone():
    pixels, ids = images()
    found = shifted("energy-scale", 10, pixels, ids)
    np.testing.assert_allclose(found["x"][:, 0], 1.1 * pixels["x"][:, 0], rtol=1e-6)
    np.testing.assert_array_equal(found["x"][:, 1], pixels["x"][:, 1])


def test_smearing_has_the_width_it_says_and_invents_no_hit():
    pixels, ids = images(2000)
    found = shifted("energy-smear", 8, pixels, ids)
    hit = pixels["x"][:, 0] > 0
    ratio = found["x"][:, 0][hit] / pixels["x"][:, 0][hit]
    error = 5 / np.sqrt(len(ratio))
    assert ratio.mean() == pytest.approx(1, abs=error / 8)
    assert ratio.std() == pytest.approx(1 / 8, rel=error)
    assert (found["x"][:, 0][~hit] == 0).all()
    hard = shifted("energy-smear", 0.5, pixels, ids)["x"]
    lost = hit & (hard[:, 0] == 0)
    assert lost.any()
    assert (hard[:, 0] >= 0).all()
    assert (hard[:, 1][lost] == 0).all()  # no energy, no time


def test_a_dead_strip_is_dead_in_every_event_and_the_others_are_untouched():
    pixels, ids = images(1000)
    found = shifted("dead-channels", 5, pixels, ids)
    for view in ("x", "u"):
        hit = pixels[view][:, 0] > 0
        kept = found[view][:, 0] > 0
        alive = kept.sum(0) / np.maximum(1, hit.sum(0))
        assert set(np.unique(alive)) == {0.0, 1.0}
        np.testing.assert_array_equal(found[view][:, :, alive == 1], pixels[view][:, :, alive == 1])
        assert not found[view][:, :, alive == 0].any()
    share = np.mean([(found["x"][:, 0].sum(0) == 0).mean()])
    assert share == pytest.approx(0.2, abs=5 * np.sqrt(0.16 / 200))
    other = shifted("dead-channels", 5, pixels, ids, seed=1)
    assert (other["x"] != found["x"]).any()


@examples(max_examples=20, deadline=None)
@given(st.sampled_from([*NAMES, "energy-smear+dead-channels"]), st.integers(1, 40), st.randoms())
def test_neither_blocks_nor_the_order_of_events_change_anything(name, size, random):
    pixels, ids = images(60)
    whole = shifted(name, 4, pixels, ids)
    order = list(range(60))
    random.shuffle(order)
    for start in range(0, 60, size):
        rows = np.array(order[start : start + size])
        part = {view: values[rows] for view, values in pixels.items()}
        found = shifted(name, 4, part, ids[rows])
        for view, values in found.items():
            np.testing.assert_array_equal(values, whole[view][rows])


def test_energies_are_shifted_in_their_own_units_whatever_is_stored():
    pixels, ids = images()
    log = Transform(clip=(0, 50), log=True, scale=0.5)
    views = tuple(
        View(v.name, *v.shape, v.channel_names, (log, Transform())) for v in VIEWS
    )  # fmt: skip
    stored = {view: values.copy() for view, values in pixels.items()}
    for values in stored.values():
        log.apply(values[:, 0])
    found = shifted("energy-scale", 5, stored, ids, views=views)
    expected = 0.5 * np.log1p(np.minimum(1.2 * np.minimum(pixels["x"][:, 0], 50), 50))
    np.testing.assert_allclose(found["x"][:, 0], expected, rtol=1e-5)


def test_a_fitted_shift_survives_json():
    pixels, ids = images()
    fitted = shifts.get("energy-smear+dead-channels", 4).of_images()
    again = FittedShift.from_dict(fitted.to_dict())
    one, other = ({v: a.copy() for v, a in pixels.items()} for _ in range(2))
    fitted.apply_images(VIEWS, one, ids, 3)
    again.apply_images(VIEWS, other, ids, 3)
    np.testing.assert_array_equal(one["x"], other["x"])


def test_shifts_without_a_meaning_are_refused():
    with pytest.raises(ConfigError, match=r"the shift sine acts on features, and these .* images"):
        shifts.sine(3).of_images()
    with pytest.raises(ConfigError, match="the shift energy-scale acts on pixels"):
        shifts.energy_scale(3).fit(np.ones((5, 2)))
    pixels, ids = images(5)
    times = tuple(View(v.name, *v.shape, ("time", "other")) for v in VIEWS)
    with pytest.raises(ConfigError, match="no energies to shift"):
        shifted("energy-scale", 3, pixels, ids, views=times)


def test_a_shift_of_ones_own_acts_on_hits():
    @shifts.register("test-upper-half-quenched", pixels=True)
    def quench(hits, t, draws):
        assert isinstance(draws, Draws)
        return np.where(hits.energy > 3, hits.energy * (1 - 1 / t), hits.energy)

    pixels, ids = images()
    found = shifted("test-upper-half-quenched", 2, pixels, ids)
    energy = pixels["x"][:, 0]
    expected = np.where(energy > 3, energy / 2, energy)
    np.testing.assert_allclose(found["x"][:, 0], expected, rtol=1e-6)


def test_draws_are_uniform_normal_and_known_by_their_keys():
    keys = np.arange(100_000, dtype=np.uint64)
    uniform, normal = Draws(1).uniform(keys), Draws(1).normal(keys)
    assert 0 < uniform.min() < uniform.max() < 1
    counts = np.histogram(uniform, 20, (0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 50  # 19 degrees of freedom
    assert normal.mean() == pytest.approx(0, abs=0.016)
    assert normal.std() == pytest.approx(1, abs=0.012)
    np.testing.assert_array_equal(Draws(1).uniform(keys[::-1]), uniform[::-1])
    assert abs(np.corrcoef(Draws(2).uniform(keys), uniform)[0, 1]) < 0.016
