"""The recommendation: simple where that is enough, honest where nothing is."""

import pytest

from hepdann.criteria import (
    GUARD,
    Adapted,
    Residual,
    recommend,
    recommend_adapted,
    teacher,
)
from hepdann.stats import Figure


def left(error=0.01, **values):
    """Residuals by map; ``source_only`` stands for source-only."""
    return {name.replace("_", "-"): Residual(value, error) for name, value in values.items()}


@pytest.mark.parametrize(
    ("residuals", "expected"),
    [
        (left(source_only=0.515, moments=0.50, quantile=0.47), "source-only"),
        (left(source_only=0.53, moments=0.515, quantile=0.50), "moments"),
        (left(source_only=0.9, quantile=0.6), "quantile"),
        (left(source_only=0.6, quantile=0.55, error=0.08), "source-only"),
        ({}, None),
    ],
)
def test_the_teacher_is_the_simplest_map_within_the_tolerance(residuals, expected):
    assert teacher(residuals) == expected


@pytest.mark.parametrize(
    ("single", "joint", "expected"),
    [(0.86, 0.77, "affine+quantile"), (0.86, 0.84, "quantile"), (0.525, 0.51, "quantile")],
)
def test_a_map_of_all_features_together_must_leave_clearly_less(single, joint, expected):
    residuals = left(source_only=0.98, quantile=single) | {"affine+quantile": Residual(joint, 0.01)}
    assert teacher(residuals) == expected


def test_where_a_shift_was_found_source_only_does_not_close_it():
    """What few events cannot show is there nevertheless: 'cannot tell' is not 'closed'."""
    residuals = left(source_only=0.51, quantile=0.5, error=0.05)
    assert recommend(residuals, {}, shift=None).method == "source-only"
    found = recommend(residuals, {}, shift=True)
    assert (found.method, found.teacher) == (GUARD, "quantile")
    alone = recommend(left(source_only=0.51), {}, shift=True)
    assert alone.method == "source-only"
    assert "leaves the least" in alone.sentence


def test_where_little_is_seen_source_only_joins_the_mean():
    """What a small shift can win is little, and a map can lose as much."""
    for raw, weight in ((0.51, 1.0), (0.545, 0.5), (0.57, None)):
        advice = recommend(left(source_only=raw, quantile=0.5), {"dann": 0.99}, shift=True)
        if weight is None:
            assert (advice.method, advice.parts) == ("quantile", ())
        else:
            assert (advice.method, advice.parts) == (GUARD, ("quantile", "source-only"))
            assert advice.weights == pytest.approx((1.0, weight))
            assert "hardly distinguished" in advice.sentence


def test_source_only_joins_networks_too_where_little_is_seen():
    residuals = left(source_only=0.545, quantile=0.54)
    advice = recommend(residuals, {"dann": 0.99}, shift=True)
    assert advice.parts == ("quantile", "dann", "source-only")
    assert not advice.large_residual


def test_source_only_with_other_class_fractions_can_close_a_shift():
    residuals = left(source_only=0.6) | {"source-only+prior": Residual(0.505, 0.01)}
    found = recommend(residuals | left(quantile=0.5), {"dann": 0.99}, shift=True)
    assert found.method == "source-only+prior"


def test_without_a_shift_nothing_is_adapted_whatever_the_residuals_say():
    found = recommend(left(source_only=0.56, quantile=0.5), {"dann": 0.99}, shift=False)
    assert found.method == "source-only"
    assert "no shift" in found.sentence
    assert not found.large_residual


def test_a_closed_shift_needs_no_network():
    found = recommend(left(source_only=0.9, quantile=0.51), {"dann": 0.99}, shift=True)
    assert (found.method, found.parts) == ("quantile", ())
    assert "quantile closes the shift" in found.sentence


def test_networks_that_agree_with_the_teacher_join_it_where_it_leaves_something():
    agreements = {"dann": 0.955, "mmd": 0.8, "coral": None, "cdan": 0.99}
    found = recommend(left(source_only=0.9, quantile=0.6), agreements, shift=True)
    assert found.method == GUARD
    assert found.parts == ("quantile", "dann", "cdan")
    assert found.weights == pytest.approx((1, 0.5, 1))
    assert not found.large_residual
    assert "dann and cdan agree with it" in found.sentence


def test_a_little_less_agreement_changes_a_weight_a_little():
    weights = []
    for agreement in (0.9399, 0.9401, 0.9549, 0.9551, 0.9699, 0.9701):
        found = recommend(left(source_only=0.9, quantile=0.6), {"dann": agreement}, shift=True)
        weights.append(dict(zip(found.parts, found.weights, strict=True)).get("dann", 0.0))
    assert weights == pytest.approx([0, 0, 0.5, 0.5, 1, 1], abs=0.01)


@pytest.mark.parametrize(
    ("residual", "agreement"),
    [(0.72, 0.95), (0.60, 0.76), (0.9, 0.5)],
)
def test_a_large_residual_is_told(residual, agreement):
    found = recommend(left(source_only=1.0, quantile=residual), {"dann": agreement}, shift=True)
    assert found.large_residual
    assert "A large shift remains that none of the methods closes" in found.sentence
    assert found.method == (GUARD if agreement > 0.94 else "quantile")


def test_few_events_do_not_make_a_shift_large():
    found = recommend(left(source_only=0.9, quantile=0.62, error=0.08), {"dann": 0.95})
    assert found.method == "quantile"
    assert not found.large_residual


def test_candidates_are_listed_and_nothing_is_recommended_without_any():
    found = recommend(left(source_only=0.9, quantile=0.6), {"dann": 0.95, "mmd": None})
    assert found.candidates == {
        "source-only": {"residual_auc": 0.9, "error": 0.01},
        "quantile": {"residual_auc": 0.6, "error": 0.01},
        "dann": {"agreement": 0.95},
    }
    assert recommend({}, {}).method == "source-only"
    assert "too few events" in recommend({}, {}).sentence
    assert recommend({}, {}, fallback=None).method is None


@pytest.mark.parametrize(
    ("accuracy", "expected", "method"),
    [
        (0.98, 0.82, "dann"),
        (0.98, 0.51, "source-only"),  # within the error
        (0.90, 0.82, "dann"),  # wins more than it costs on MC
        (0.60, 0.82, "source-only"),
        (0.98, None, "source-only"),
    ],
)
def test_of_pictures_that_no_layer_makes_alike_the_surest_is_recommended(
    accuracy, expected, method
):
    def adapted(accuracy, expected):
        figure = None if expected is None else Figure(expected, 0.01, 1000)
        return Adapted(accuracy, 0.003, Residual(0.998, 0.001), figure)

    found = {
        "source-only": adapted(0.985, None if expected is None else 0.5),
        "dann": adapted(accuracy, expected),
    }
    advice = recommend_adapted(found, shift=True)
    assert advice.method == method
    assert advice.large_residual
    assert ("expected to be right on 0.820" in advice.sentence) == (method == "dann")
    assert recommend_adapted(found, shift=False).method == "source-only"


@pytest.mark.parametrize(
    ("separation", "method"), [(0.52, "calibrated"), (0.55, "dann"), (0.71, "dann")]
)
def test_a_calibration_costs_nothing_on_mc_that_it_changed(separation, method):
    found = {
        "source-only": Adapted(0.85, 0.003, Residual(0.70, 0.01)),
        "dann": Adapted(0.85, 0.003, Residual(0.51, 0.01)),
        "calibrated": Adapted(0.80, 0.003, Residual(separation, 0.01)),
    }
    advice = recommend_adapted(found, shift=True)
    assert advice.method == method
    assert ("leaves data as they are" in advice.sentence) == (method == "calibrated")
