"""Data/MC: sums are conserved, errors follow the weights, p-values are uniform."""

import math

import numpy as np
import pytest
from scipy.stats import kstest

from hepdann.evaluation import data_mc
from hepdann.stats import garwood


def toy(seed, n_mc=4000, n_data=1000, shift=0.0):
    generator = np.random.default_rng(seed)
    return {
        "values_mc": generator.normal(size=n_mc),
        "weight_mc": np.where(generator.random(n_mc) < 0.1, -1.0, 1.0) * n_data / n_mc / 0.8,
        "process": generator.integers(0, 2, n_mc),
        "names": ["a", "b", "none"],
        "values_data": generator.normal(shift, size=generator.poisson(n_data)),
        "weight_data": None,
        "edges": np.linspace(-3, 3, 21),
    }


def test_the_stack_adds_up_to_mc():
    result = data_mc(**toy(0))
    assert sum(h.sumw for h in result.stack) == pytest.approx(result.mc.sumw)
    assert sum(h.sumw2 for h in result.stack) == pytest.approx(result.mc.sumw2)
    assert result.stack[2].total.value == 0
    assert result.ratio == pytest.approx(result.data.sumw / result.mc.sumw)
    assert result.ratio_band == pytest.approx(np.sqrt(result.mc.sumw2) / result.mc.sumw)


def test_data_errors_follow_the_weights():
    arguments = toy(1)
    counted = data_mc(**arguments)
    assert counted.data_error == pytest.approx(np.stack(garwood(counted.data.sumw)))
    weighted = data_mc(**{**arguments, "weight_data": np.full(len(arguments["values_data"]), 0.5)})
    assert weighted.data_error == pytest.approx(np.stack([weighted.data.error] * 2))


def test_a_ratio_without_mc_is_nan():
    result = data_mc([0.5], None, [0], ["a"], [1.5], None, [0.0, 1.0, 2.0])
    assert result.ratio[0] == 0.0
    assert math.isnan(result.ratio[1])
    assert (result.bins, result.ndf) == (0, 0)  # one event of each is no χ²
    assert math.isnan(result.p_value)


def test_yields_count_what_lies_outside_the_bins():
    arguments = toy(2) | {"edges": [-0.5, 0.0, 0.5]}
    result = data_mc(**arguments)
    assert result.data_yield.value == len(arguments["values_data"])
    assert result.yield_ratio.value == pytest.approx(
        len(arguments["values_data"]) / arguments["weight_mc"].sum()
    )
    assert data_mc(**arguments, normalise=True).yield_ratio.value == pytest.approx(1.0)


@pytest.mark.parametrize("n_data", [50, 1000])  # in 60 bins that is one event a bin
@pytest.mark.parametrize("weighted", [False, True])
def test_p_values_without_a_difference_are_uniform(n_data, weighted):
    p = []
    for seed in range(200):
        arguments = toy(seed, n_data=n_data) | {"edges": np.linspace(-4, 4, 61)}
        if weighted:
            generator = np.random.default_rng(seed)
            weight = generator.uniform(0.5, 1.5, len(arguments["values_data"]))
            arguments["weight_data"] = weight
        p.append(data_mc(**arguments).p_value)
    assert kstest(p, "uniform").pvalue > 0.01


def test_sparse_bins_are_merged_and_counted():
    arguments = toy(4, n_data=100) | {"edges": np.linspace(-4, 4, 61)}
    result = data_mc(**arguments)
    assert 8 < result.bins < 20
    assert result.ndf == result.bins
    assert data_mc(**arguments, normalise=True).ndf == result.bins - 1
    full = data_mc(**toy(4, n_mc=40_000, n_data=10_000))
    assert full.bins == 20
    assert full.chi2 == pytest.approx(np.sum(full.pull**2))


def test_a_difference_is_found():
    assert data_mc(**toy(3, shift=0.3)).p_value < 1e-6
