"""The noise of a map is that of an event, whatever else is mapped."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann import shifts
from hepdann.calibration.families import family
from hepdann.shifts.noise import EventSeed, identities, noise, seed_of_table
from hepdann.tensors import Collection, Jagged, Objects, mix64

IDS = mix64(np.arange(20_000, dtype=np.uint64))


@pytest.mark.parametrize("text", ["gaussian", "sine", "smear", "smear+cosine"])
@pytest.mark.parametrize("tile", [4096, 65_536])
def test_an_event_has_the_same_noise_in_any_company(text, tile, monkeypatch):
    monkeypatch.setattr("hepdann.shifts.fitting._TILE", tile)
    x = np.random.default_rng(0).normal(size=(len(IDS), 3))
    one = family(text, x, ["a", "b", "c"])
    theta = np.full(len(one.table), 0.3)
    moved = one.apply(x, theta, EventSeed(7, IDS))
    rows = np.random.default_rng(1).permutation(len(IDS))[:999]
    np.testing.assert_array_equal(one.apply(x[rows], theta, EventSeed(7, IDS[rows])), moved[rows])
    assert not np.allclose(one.apply(x, theta, EventSeed(8, IDS)), moved)


def test_the_noise_is_distributed_as_numpys():
    drawn = noise(EventSeed(0, IDS), 1)
    z, u = drawn.standard_normal((len(IDS), 4)), drawn.random((len(IDS),))
    assert np.abs(z.mean(axis=0)).max() < 4 / len(IDS) ** 0.5
    assert np.abs(np.corrcoef(np.column_stack([z, u]).T) - np.eye(5)).max() < 0.03
    assert z.std(axis=0) == pytest.approx(1, abs=0.02)
    assert (u.mean(), u.std()) == pytest.approx((0.5, 12**-0.5), abs=0.01)
    assert np.array_equal(drawn.normal(size=3), np.random.Generator(
        np.random.Philox([0, 1])).standard_normal(3))  # fmt: skip
    assert noise(3, 1).random() == np.random.default_rng([3, 1]).random()


def test_rows_of_one_event_have_noise_of_their_own():
    rows = np.array([[1, np.nan], [1, np.nan], [1, 2], [2, 1]], np.float32)
    one, again, other, last = identities(np.full(4, 5, np.uint64), rows)
    assert one == again
    assert len({one, other, last, *identities(np.full(4, 6, np.uint64), rows)}) == 6


def test_objects_of_an_event_have_noise_of_their_own():
    counts = np.array([2, 0, 3])
    parts = tuple(Jagged.of(np.zeros((5, 1), np.float32), counts) for _ in range(2))
    shown = (Collection("jets", ("pt",), 3), Collection("taus", ("pt",), 3))
    objects = Objects(np.zeros((3, 1), np.float32), parts, shown)
    seeds = [seed_of_table(EventSeed(0, IDS[:3]), objects, number) for number in range(3)]
    assert len({int(one) for seed in seeds for one in seed.event_id}) == 3 + 5 + 5
    later = seed_of_table(EventSeed(0, IDS[2:3]), objects.take(np.array([2])), 1)
    np.testing.assert_array_equal(later.event_id, seeds[1].event_id[2:])
    assert seed_of_table(4, objects, 1) == 4


@pytest.mark.parametrize("name", ["gaussian", "sine", "sine+gaussian+missing-objects"])
def test_objects_are_shifted_alike_in_any_company(name):
    random = np.random.default_rng(3)
    counts = random.poisson(3, 500)
    part = Jagged.of(random.normal(1, 1, (counts.sum(), 2)).astype(np.float32), counts)
    features = random.normal(size=(500, 1)).astype(np.float32)
    objects = Objects(features, (part,), (Collection("jets", ("a", "b"), 9),))
    fitted = shifts.get(name, 3).of_objects(objects)
    moved = fitted.apply_objects(objects, IDS[:500], 1)
    rows = random.permutation(500)[:77]
    some = fitted.apply_objects(objects.take(rows), IDS[rows], 1)
    for one, same in zip(some.tables, moved.take(rows).tables, strict=True):
        np.testing.assert_array_equal(one, same)
    noise_of = (moved.features - features)[:, 0]
    assert np.std(noise_of) > 0.01
    assert not fitted.drawn_in_turn


def test_rows_of_one_event_with_other_objects_have_noise_of_their_own():
    part = Jagged.of(np.array([[1], [2], [2], [1]], np.float32), np.array([2, 2, 0]))
    objects = Objects(np.zeros((3, 0), np.float32), (part,), (Collection("jets", ("pt",), 2),))
    assert len(set(identities(np.full(3, 5, np.uint64), objects))) == 3
