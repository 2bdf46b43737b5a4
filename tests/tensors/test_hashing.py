from __future__ import annotations

import struct

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hepdann.config.samples import SplitConfig
from hepdann.errors import ConfigError, SchemaError
from hepdann.tensors import SPLITS, event_ids, fold_of, is_pseudo, mix64, split_of

GAMMA = 0x9E3779B97F4A7C15
ids = hnp.arrays(np.uint64, st.integers(0, 300), elements=st.integers(0, 2**64 - 1))


def test_mix64_is_the_finaliser_of_splitmix64():
    # The generator's published output for seed 1234567: the finaliser of seed + k gamma.
    state = np.array([(1234567 + k * GAMMA) % 2**64 for k in range(1, 6)], dtype=np.uint64)
    assert mix64(state).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    # and for seed 0, as in the reference code of java.util.SplittableRandom
    assert mix64(np.array([GAMMA], np.uint64)).tolist() == [0xE220A8397B1DCDAF]


@given(ids)
def test_mix64_leaves_its_argument_and_loses_nothing(x):
    before = x.copy()
    assert len(np.unique(mix64(x))) == len(np.unique(x))
    np.testing.assert_array_equal(x, before)


@given(ids, st.integers(1, 50), st.randoms(use_true_random=False), st.integers(0, 2**64 - 1))
def test_the_split_depends_neither_on_blocks_nor_on_order(x, size, random, seed):
    config = SplitConfig(seed=seed)
    whole = split_of(x, config)
    pieces = [split_of(x[i : i + size], config) for i in range(0, len(x), size)]
    np.testing.assert_array_equal(np.concatenate([*pieces, whole[:0]]), whole)
    order = list(range(len(x)))
    random.shuffle(order)
    np.testing.assert_array_equal(split_of(x[order], config), whole[order])


@pytest.mark.parametrize("folds", [2, 3, 5, 8])
def test_folds_are_equal_and_know_nothing_of_splits_and_halves(folds):
    n = 200_000
    x = np.arange(n, dtype=np.uint64)
    fold = fold_of(x, folds, 7)
    split, pseudo = split_of(x, SplitConfig(seed=7)), is_pseudo(x, 7)
    sigma = np.sqrt(n / folds)
    counts = np.bincount(fold, minlength=folds)
    assert (np.abs(counts - n / folds) < 5 * sigma).all()
    for chosen, share in ((split == 0, 0.7), (split == 1, 0.15), (pseudo, 0.5)):
        inside = np.bincount(fold[chosen], minlength=folds)
        assert (np.abs(inside - share * n / folds) < 5 * sigma).all()
    np.testing.assert_array_equal(fold, mix64(x ^ np.uint64(7)) % folds)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.15), (0.1, 0.2, 0.7), (1 / 3, 1 / 3, 1 / 3)])
def test_shares_and_halves_are_those_asked_for(shares, seed):
    n = 200_000
    config = SplitConfig(train=shares[0], validation=shares[1], test=shares[2], seed=seed)
    x = np.arange(n, dtype=np.uint64)  # consecutive numbers: the worst that a hash is given
    split, pseudo = split_of(x, config), is_pseudo(x, seed)
    for index, share in enumerate(shares):
        part = split == index
        assert part.mean() == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / n))
        half = pseudo[part]
        assert half.mean() == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / len(half))), SPLITS[index]


def test_another_seed_is_another_split():
    x = np.arange(10_000, dtype=np.uint64)
    first, second = (split_of(x, SplitConfig(seed=seed)) for seed in (0, 1))
    expected = 0.7**2 + 2 * 0.15**2  # two independent draws agree this often
    assert (first == second).mean() == pytest.approx(expected, abs=0.025)
    assert (is_pseudo(x, 0) == is_pseudo(x, 1)).mean() == pytest.approx(0.5, abs=0.025)


def test_shares_that_do_not_add_up_are_refused():
    config = SplitConfig.model_construct(train=0.7, validation=0.3, test=0.3, seed=0)
    with pytest.raises(ConfigError, match=r"convert\.split: .* add up to 1\.3"):
        split_of(np.zeros(1, np.uint64), config)


@given(
    hnp.arrays(np.int16, st.integers(0, 100), elements=st.integers(-(2**15), 2**15 - 1)),
    st.sampled_from([np.int32, np.int64, ">i2", ">i8"]),
)
def test_ids_do_not_depend_on_the_width_of_integers(column, dtype):
    np.testing.assert_array_equal(event_ids("s", [column]), event_ids("s", [column.astype(dtype)]))
    positive = np.abs(column.astype(np.int64))
    expected = event_ids("s", [positive])
    for unsigned in (np.uint16, np.uint32, np.uint64):
        np.testing.assert_array_equal(event_ids("s", [positive.astype(unsigned)]), expected)


@given(hnp.arrays(np.float32, st.integers(0, 100), elements=st.floats(width=32)))
def test_ids_do_not_depend_on_the_width_of_floats(column):
    np.testing.assert_array_equal(
        event_ids("s", [column]), event_ids("s", [column.astype(np.float64)])
    )


def test_equal_floats_are_one_number():
    zeros = event_ids("s", [np.array([0.0, -0.0])])
    nans = event_ids("s", [np.array([0x7FF8000000000000, 0xFFF8000000000001], "u8").view("f8")])
    assert len(np.unique(zeros)) == len(np.unique(nans)) == 1


def test_ids_tell_samples_and_columns_apart():
    run = np.repeat(np.arange(100), 100)
    event = np.tile(np.arange(100), 100)
    named = [event_ids(name, [run, event]) for name in ("ttbar", "wjets")]
    swapped = event_ids("ttbar", [event, run])
    assert len(np.unique(np.concatenate(named))) == 20_000
    assert (swapped == named[0]).mean() == pytest.approx(0.01)  # where run = event
    assert len(np.unique(event_ids("ttbar", [run]))) == 100  # one event, one id, however many rows


def test_the_sign_matters():
    assert len(np.unique(event_ids("s", [np.array([-1, 1, 0])]))) == 3


def test_ids_are_fixed_for_ever():
    """A change here would move events between the splits of published studies."""

    def mix(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    start = xxhash.xxh64_intdigest(b"mc")
    event = (-2) % 2**64
    real = int.from_bytes(struct.pack("<d", 7.5), "little")
    expected = mix(((mix(((start ^ event) + GAMMA) % 2**64) ^ real) + GAMMA) % 2**64)
    assert event_ids("mc", [np.array([-2]), np.array([7.5])]).tolist() == [expected]
    assert expected == 14781500837545634895


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "at least one column"),
        ([np.zeros(2), np.zeros(3)], r"different lengths: \[2, 3\]"),
        ([np.zeros((2, 2))], "1 more axes"),
        ([np.array(["a"])], "type <U1"),
    ],
)
def test_ids_of_what_is_no_number_are_refused(columns, message):
    with pytest.raises(SchemaError, match=message):
        event_ids("s", columns)
