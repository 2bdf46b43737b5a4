"""Bins with equally many events."""

import numpy as np

from hepdann.stats.reweighting import bin_edges, binned


def test_bins_hold_equally_many_events_and_a_missing_value_is_in_the_last():
    x = np.random.default_rng(0).normal(size=(1600, 2))
    edges = bin_edges(x, 16)
    assert all(
        np.bincount(column.astype(int)).tolist() == [100] * 16 for column in binned(x, edges).T
    )
    assert binned(np.array([[np.nan, np.inf]]), edges).tolist() == [[15.0, 15.0]]


def test_a_spike_is_apart_from_what_is_above_it():
    x = np.maximum(np.random.default_rng(1).normal(size=(500, 1)), 0.0)
    edges = bin_edges(x, 8)
    spike = x[:, 0] == 0
    assert set(binned(x, edges, side="left")[spike, 0]) == {0.0}
    assert (binned(x, edges, side="left")[~spike, 0] > 0).all()


def test_a_feature_without_values_has_one_bin():
    x = np.full((10, 1), np.nan)
    assert bin_edges(x, 4)[0].size == 0
    assert binned(x, bin_edges(x, 4)).tolist() == [[0.0]] * 10
