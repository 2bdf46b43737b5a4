"""Parameters, class fractions and their errors, where the truth is known."""

import numpy as np
import pytest

from hepdann import shifts
from hepdann.calibration import family, fit_family, marginals
from hepdann.calibration.result import stored_family
from hepdann.errors import ConfigError, HepdannError

NAMES = ("pt", "mass")


def test_t_and_the_fraction_are_measured_together(toys):
    mc, _ = toys(4000)
    true = shifts.get("sine", 4.0).fit(mc.features)
    mc, data = toys(4000, true.apply, fraction=0.2)
    fit = fit_family(family("sine", mc.features, NAMES), mc, data)
    assert abs(fit.theta[0] - 0.25) < 3 * fit.error[0] < 0.03
    assert abs(fit.fractions[1] - 0.2) < 3 * fit.fraction_error[1] < 0.2
    assert fit.fractions.sum() == pytest.approx(1.0)


def test_a_scale_and_a_resolution_are_measured_from_data(toys):
    def detector(x, generator):
        x = x * [1.05, 1.0]
        return x + generator.normal(size=x.shape) * [0.0, 0.5 * x[:, 1].std()]

    mc, data = toys(4000, detector)
    fit = fit_family(family("scale(pt)+smear(mass)", mc.features, NAMES), mc, data)
    assert np.all(np.abs(fit.theta - [0.05, 0.5]) < 3 * fit.error)
    assert np.all(fit.error < [0.02, 0.05])


def test_a_column_that_marks_missing_values_is_left_alone():
    """In the events that a map is fitted to it is 0, and there is nothing to measure."""
    generator = np.random.default_rng(0)
    x = generator.normal(5.0, 1.0, (100, 3))
    x[:, 2] = generator.random(100) < 0.4
    x[x[:, 2] == 1, 1] = np.nan
    names = ("pt", "jet_pt", "jet_pt_missing")
    for kind in ("scale", "offset", "smear"):
        assert family(kind, x, names).names == names[:2]
        assert family(f"{kind}(jet_pt_missing)", x, names).names == names[2:]


def test_a_held_fraction_is_that_of_mc_and_has_no_error(toys):
    mc, data = toys(600, fraction=0.2)
    fit = fit_family(family("offset", mc.features, NAMES), mc, data, held=True)
    assert fit.fractions[1] == pytest.approx(mc.label.mean())
    assert not fit.fraction_error.any()


def test_errors_are_those_of_toys(toys):
    """The spread of the fitted values over toys is what the covariance says."""
    pulls = []
    for seed in range(12):
        mc, data = toys(400, lambda x, _: x * [1.1, 1.0], fraction=0.3, seed=seed)
        fit = fit_family(family("scale(pt)", mc.features, NAMES), mc, data, seed=seed)
        pulls.append(
            [(fit.theta[0] - 0.1) / fit.error[0], (fit.fractions[1] - 0.3) / fit.fraction_error[1]]
        )
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.9)
    assert np.all((np.std(pulls, axis=0) > 0.5) & (np.std(pulls, axis=0) < 1.6))


@pytest.mark.parametrize("compiled", [True, False])
def test_derivatives_of_the_distributions_are_exact(toys, monkeypatch, compiled):
    """With what is compiled, and without it."""
    if not compiled:
        monkeypatch.setattr(marginals, "function", lambda *_: None)
    mc, data = toys(400)
    x, y = (s.features.astype(float) for s in (mc, data))
    known = marginals.Marginals(y, np.ones(len(y)), directions=4)
    weight = np.full(len(x), 1 / len(x))

    def at(step):
        moved = x + step * np.array([1.0, 0.0])
        return known.root * known.distributions(moved, weight)[0]

    below = known.placed(x, weight)[1]
    exact = known.moved(below, np.repeat(weight[:, None], 8, axis=1).astype(np.float32))[..., 5]
    exact = exact * known.directions[0][:, None]
    numerical = (at(1e-7) - at(-1e-7)) / 2e-7
    np.testing.assert_allclose(exact, numerical, atol=1e-4)


def test_a_prior_is_combined_with_what_is_measured(toys):
    mc, data = toys(2000, lambda x, _: x * [1.06, 1.0])
    plain = fit_family(family("scale(pt)", mc.features, NAMES), mc, data)
    error = plain.error[0]
    text = f"scale(pt, prior=1.00±{error:.6f})"
    informed = fit_family(family(text, mc.features, NAMES), mc, data)
    assert informed.theta[0] == pytest.approx(plain.theta[0] / 2, rel=0.01)
    assert informed.error[0] == pytest.approx(error / 2**0.5, rel=0.01)
    chain = family("scale(pt, prior=1.1+-0.02)+smear(mass)", mc.features, NAMES)
    np.testing.assert_allclose(chain.prior, [[0.1, 0.0], [0.02, np.inf]])
    again = stored_family(chain.to_dict())
    np.testing.assert_allclose(again.prior, chain.prior)
    with pytest.raises(ConfigError, match="is no prior"):
        family("scale(pt, prior=1.1)", mc.features, NAMES)


def test_few_events_and_unknown_names_are_refused(toys):
    mc, data = toys(40)
    with pytest.raises(HepdannError, match="too few"):
        fit_family(family("sine", mc.features, NAMES), mc, data)
    with pytest.raises(ConfigError, match="there is no family 'sinus'"):
        family("sinus", mc.features, NAMES)
    with pytest.raises(ConfigError, match="'eta' is no feature"):
        family("scale(eta)", mc.features, NAMES)
