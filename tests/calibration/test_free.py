"""The free map: its derivatives, and the identity where nothing is to be mended."""

from dataclasses import replace

import numpy as np

from hepdann.calibration import free_fit, marginals
from hepdann.calibration.free import FreeMap, FreeProblem
from hepdann.calibration.free_fit import _maps_of, fit_free


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
    np.testing.assert_allclose(problem.jacobian(point), np.stack(numerical, axis=1), atol=1e-4)


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
    change = variation()
    assert 0 < np.abs(change).max() < 1
    error = fitted.apply(x, fitted.flat() + change, 0) - moved
    assert np.abs(error).max() > 0  # an error of the parameters is one of the features


def test_what_is_compiled_says_what_numpy_says(monkeypatch):
    """Of weights of either sign, two classes, and values beyond all knots."""
    x = np.random.default_rng(0).standard_normal((500, 2)) * [1.0, 30.0]
    x[:2] = [1e30, -1e30], [-1e9, 1e9]
    data = marginals.Marginals(x[::-1] / 3, np.ones(500), directions=4)
    weight, label = np.where(np.arange(500) % 5, 0.004, -0.001), np.arange(500) % 2
    columns = np.repeat(weight[:, None], 8, axis=1).astype(np.float32)
    values, known = np.stack([x[:, 0], -x[:, 1]]), np.sort(x[:, 0] / 3)

    def summed():
        matched = free_fit._matched(values, known)
        cdf, below = data.placed(x, weight)
        moved = data.moved(below, columns)
        return data.distributions(x, weight, label, 2), cdf, moved, below, matched

    compiled = summed()
    for module in (marginals, free_fit):
        monkeypatch.setattr(module, "function", lambda *_: None)
    plain = summed()
    for one, other in zip(compiled[:3], plain[:3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.array_equal(compiled[3], plain[3])
    assert np.array_equal(np.sort(compiled[4]), np.sort(plain[4]))
    assert np.mean(compiled[4][0] == plain[4][0]) > 0.9  # what is nearly equal, in any order
