"""``hepdann.sklearn.DANNClassifier`` among the tools of scikit-learn."""

from __future__ import annotations

import pickle
from importlib.util import find_spec

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from hepdann.sklearn import DANNClassifier

pytestmark = pytest.mark.usefixtures("few_trees")

COMPILED = find_spec("hepdann._compiled") is not None
LEARNS = "check_classifiers_train"  # needs more than a glance at the events
CANNOT_HOLD = {
    "check_sample_weight_equivalence_on_dense_data": "batches are drawn at random: an event of "
    "weight 2 is not in the batches of two events",
}
if not COMPILED:
    CANNOT_HOLD["check_methods_sample_order_invariance"] = (
        "float32 sums of a product of matrices may depend on the row"
    )


@pytest.mark.filterwarnings("ignore:no X_target:UserWarning")
@parametrize_with_checks(
    [DANNClassifier(seeds=1, epochs=2)],
    expected_failed_checks=lambda _: CANNOT_HOLD,
    xfail_strict=COMPILED,  # elsewhere, with some memory, rows are summed alike
)
def test_it_is_an_estimator(estimator, check):
    if check.func.__name__ == LEARNS:
        estimator.set_params(epochs=6, settings={"learning_rate": 0.02})
    check(estimator)


@pytest.fixture(scope="module")
def events():
    """MC, its labels, and data that are moved by two standard deviations, with truth."""
    random = np.random.default_rng(1)

    def sample(n):
        label = random.integers(0, 2, n)
        return (random.normal(0, 1, (n, 2)) + 2 * label[:, None]).astype(np.float32), label

    (mc, y), (data, truth) = sample(600), sample(500)
    return mc, np.array(["background", "signal"])[y], data + 2, truth


@pytest.fixture(scope="module")
def fitted(events):
    mc, y, data, _ = events
    return DANNClassifier("quantile", seeds=2, epochs=5).fit(mc, y, data)


def test_the_target_is_adapted_to(events, fitted):
    *_, data, truth = events
    names = np.array(["background", "signal"])
    assert np.mean(fitted.predict(data) == names[truth]) > 0.8
    plain = DANNClassifier("source-only", seeds=2, epochs=5).fit(*events[:3])
    assert np.mean(plain.predict(data) == names[truth]) < 0.7
    assert fitted.method_ == "quantile"
    assert set(fitted.metrics_["methods"]) == {"source-only", "quantile"}


def test_mc_is_scored_as_mc(events, fitted):
    mc, y, *_ = events
    source = DANNClassifier("quantile", domain="source", seeds=2, epochs=5).fit(*events[:3])
    assert source.score(mc, y) > 0.85 > fitted.score(mc, y)


def test_a_copy_by_pickle_scores_the_same(events, fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(events[2]), fitted.predict_proba(events[2]))
    assert np.isfinite(again.predictor_.scores(events[2]).spread).all()


def test_events_are_scored_by_the_networks_that_did_not_see_them(events):
    mc, y, data, _ = events
    classifier = DANNClassifier(domain="source", seeds=1, epochs=5)
    scores = cross_val_predict(
        classifier, mc, y, cv=2, params={"X_target": data}, method="predict_proba"
    )
    assert np.mean((scores[:, 1] > 0.5) == (y == "signal")) > 0.8


def test_a_pipeline_transforms_the_target_too(events):
    mc, y, data, _ = events
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = DANNClassifier("quantile", seeds=2, epochs=5).set_fit_request(X_target=True)
        pipeline = make_pipeline(StandardScaler(), classifier, transform_input=["X_target"])
        pipeline.fit(mc, y, X_target=data)
        alone = classifier.fit(
            *(pipeline[0].transform(mc), y), X_target=pipeline[0].transform(data)
        )
        expected = alone.predict_proba(pipeline[0].transform(data))
        assert np.array_equal(pipeline.predict_proba(data), expected)


def test_without_a_target_it_says_that_nothing_is_adapted(events):
    with pytest.warns(UserWarning, match="no X_target: nothing is adapted, source-only is trained"):
        DANNClassifier(seeds=1, epochs=1).fit(*events[:2])


def test_settings_are_those_of_train(events):
    mc, y, data, _ = events
    classifier = DANNClassifier(
        "recommended", seeds=1, epochs=1, settings={"alignments": ["moments"], "diagnose": False}
    )
    assert classifier.fit(mc, y, data).method_ == classifier.metrics_["recommended"]
    assert "moments" in classifier.metrics_["methods"]
    for wrong, message in (
        ({"settings": {"epoch": 3}}, "epoch"),
        ({"method": "done"}, "unknown method 'done'"),
        ({"domain": "mc"}, "no domain 'mc'"),
    ):
        with pytest.raises(ValueError, match=message):
            DANNClassifier(seeds=1, epochs=1).set_params(**wrong).fit(mc, y, data)
