"""The free map: its derivatives, and the identity where nothing is to be mended."""

from dataclasses import replace

import numpy as np

from hepdann.calibration.free import FreeMap
from hepdann.calibration.free_fit import _maps_of, fit_free
from hepdann.calibration.free_problem import FreeProblem


def test_derivatives_are_those_of_finite_differences(toys):
    mc, data = toys(300)
    problem = FreeProblem(
        mc,
        data,
        FreeMap.identity(mc.features.astype(float)),
        seed=0,
        directions=4,
        pull=1e-3,
    )
    point = problem.identity + 0.01 * np.random.default_rng(0).normal(size=problem.identity.size)
    steps = 1e-7 * np.eye(len(point))
    numerical = [(problem.at(point + s).left - problem.at(point - s).left) / 2e-7 for s in steps]
    for features in ([0, 1], [1]):
        exact = problem.jacobian(point, features)
        at = problem.columns(features)
        np.testing.assert_allclose(exact, np.stack(numerical, axis=1)[:, at], atol=1e-4)


def test_maps_of_single_features_are_those_of_weighted_events(toys):
    """Half of the MC weigh nothing: the map is that of the others."""
    mc, _ = toys(2000)
    few = mc.take(np.flatnonzero(mc.features[:, 0] > np.median(mc.features[:, 0])))
    weight = (mc.features[:, 0] > np.median(mc.features[:, 0])).astype(np.float32)
    identity = FreeMap.identity(mc.features.astype(float))
    weighted = replace(mc, weight=weight)
    problem = FreeProblem(weighted, few, identity, seed=0, directions=4, pull=1e-3)
    rising = _maps_of(problem, 0, problem.y[:, 0], np.random.default_rng(0), 4)[0]
    moved = problem.basis[:, : len(rising)] @ rising
    assert np.abs(moved[weight > 0]).mean() < 0.05


def test_without_a_shift_the_map_is_near_the_identity(toys):
    mc, data = toys(3000)
    fitted, _, variation = fit_free(mc, data, directions=8)
    x = mc.features.astype(float)
    moved = fitted.apply(x, fitted.flat(), 0)
    assert np.sqrt(np.mean(((moved - x) / x.std(axis=0)) ** 2)) < 0.25
    assert 0 < np.abs(variation).max() < 1
    error = fitted.apply(x, fitted.flat() + variation, 0) - moved
    assert np.abs(error).max() > 0  # an error of the parameters is one of the features
