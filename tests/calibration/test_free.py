"""The free map: its derivatives, and the identity where nothing is to be mended."""

import numpy as np

from hepdann.calibration.free import _Free, _identity, fit_free


def test_derivatives_are_those_of_finite_differences(toys):
    mc, data = toys(300)
    problem = _Free(mc, data, _identity(mc), 0, 4, 1e-3)
    point = problem.identity + 0.01 * np.random.default_rng(0).normal(size=problem.identity.size)
    steps = 1e-7 * np.eye(len(point))
    numerical = [(problem.residual(point + s) - problem.residual(point - s)) / 2e-7 for s in steps]
    np.testing.assert_allclose(problem.jacobian(point), np.stack(numerical, axis=1), atol=1e-4)


def test_without_a_shift_the_map_is_near_the_identity(toys):
    mc, data = toys(3000)
    fitted, _ = fit_free(mc, data, directions=8)
    x = mc.features.astype(float)
    moved = fitted.apply(x, fitted.theta, 0)
    assert np.sqrt(np.mean(((moved - x) / x.std(axis=0)) ** 2)) < 0.25
