"""What kind of shift it is: each kind is planted, and found."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hepdann.alignment import FractionEstimate
from hepdann.evaluation import (
    Diagnosis,
    QuickClassifier,
    compare_feature,
    diagnose,
    diagnosis,
    label_shift,
    score_effect,
)
from hepdann.evaluation.diagnosis import _against, shift_verdict
from hepdann.plotting import feature_shifts, plot_diagnosis
from hepdann.stats.two_sample import FeatureShift, TwoSample, smallest_p_value
from hepdann.tensors import Source, Target

NAMES = ("pt", "eta", "iso")
N = 4000


def jets(seed, n=N, fraction=0.5):
    """Signal lies higher in the first two features; the third one is noise."""
    generator = np.random.default_rng(seed)
    label = (generator.random(n) < fraction).astype(np.int32)
    x = generator.normal(size=(n, 3))
    x[:, :2] += 1.5 * label[:, None]
    return x, label


def source(seed=0, **settings):
    x, label = jets(seed, **settings)
    n = len(x)
    return Source(
        x.astype(np.float32),
        np.ones(n, np.float32),
        np.arange(n, dtype=np.uint64),
        (np.arange(n) % 3).astype(np.uint8),
        label,
        ("background", "signal"),
    )


def target(seed=1, change=lambda x: x, **settings):
    x = change(jets(seed, **settings)[0])
    n = len(x)
    ids = np.arange(10**6, 10**6 + n, dtype=np.uint64)
    split = (np.arange(n) % 3).astype(np.uint8)
    return Target(x.astype(np.float32), np.ones(n, np.float32), ids, split)


def found(change=lambda x: x, **settings):
    return diagnose(source(), target(change=change, **settings), NAMES, permutations=199)


def moved(x):
    return x + np.array([0.8, 0.0, 0.0])


def rotated(x):
    c = np.sqrt(0.5)
    return x @ np.array([[c, 0, c], [0, 1, 0], [-c, 0, c]])


def folded(x):
    return np.abs(x - 0.7) * [1, 1, 0] + x * [0, 0, 1]


def test_no_shift():
    nothing = found()
    assert nothing.kind == "none"
    assert "adapting can only cost you" in nothing.sentence


def test_other_class_fractions_are_a_label_shift():
    mixture = found(fraction=0.2)
    assert mixture.kind == "label"
    assert mixture.labels.target[1] == pytest.approx(0.2, abs=3 * mixture.labels.error[1])
    assert mixture.labels.error[1] < 0.03
    assert "against 5" in mixture.sentence  # of about one half
    assert "do not align" in mixture.sentence
    assert mixture.fractions.shift
    np.testing.assert_array_equal(mixture.fractions.value, mixture.labels.target)
    assert mixture.to_json()["fractions"]["target"] == list(mixture.labels.target)


def test_a_shift_is_found_by_any_of_the_tests():
    """A few per cent more signal: the classifier on all features is the weakest of the tests."""
    shift = found(fraction=0.44)
    assert shift.test.p_value > 0.01
    assert shift.shift
    assert shift.kind == "label"
    parts = [shift.test.p_value, smallest_p_value(shift.features), shift.score.p_value]
    assert shift.p_value == pytest.approx(3 * min(parts))


def test_a_moved_feature_is_a_shift_that_a_map_removes():
    shift = found(moved)
    assert shift.kind in ("threshold", "per-feature")
    assert "a per-feature map removes it" in shift.sentence
    assert shift.differing[0].name == "pt"
    assert shift.features[0].wasserstein == pytest.approx(0.8 / np.std(jets(0)[0][:, 0]), rel=0.1)
    assert shift.closures[-1].auc.value < 0.53
    assert shift.score.accepted_target > shift.score.accepted_mc + 5 * shift.score.error


def test_a_shift_that_the_score_does_not_see_is_not_worth_adapting():
    harmless = found(lambda x: x + np.array([0.0, 0.0, 1.0]))
    assert harmless.kind == "harmless"
    assert "adapting can gain little" in harmless.sentence
    assert harmless.differing[0].name == "iso"


@pytest.mark.parametrize(("change", "shift"), [([0, 0, 1], False), ([0.8, 0, 0], True)])
def test_no_other_class_fractions_are_claimed_where_the_score_does_not_move(
    monkeypatch, change, shift
):
    """A smearing imitates other fractions; those would move the score."""
    half, estimate = np.array([0.5, 0.5]), np.array([0.6, 0.4])
    claim = FractionEstimate(estimate, np.full(2, 0.01), half, (0.7, 0.55), shift=True)
    monkeypatch.setattr(diagnosis, "estimate_fractions", lambda *_, **__: claim)
    estimated = found(lambda x: x + np.array(change)).fractions
    assert estimated.shift is shift
    np.testing.assert_array_equal(estimated.fractions, estimate if shift else half)


@pytest.mark.parametrize("change", [rotated, folded])
def test_what_no_map_of_single_features_closes_is_told(change):
    remains = found(lambda x: change(x) @ np.array([[1, 0, 0.9], [0, 1, 0], [0, 0, 1]]))
    assert remains.kind == "remains"
    assert "A shift remains that no per-feature map closes" in remains.sentence


def test_the_diagnosis_is_json():
    content = found(moved).to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["closures"]["quantile"]["auc"] < content["closures"]["moments"]["auc"] + 0.05
    assert content["kind"] in content["sentence"].lower() or content["kind"] == "per-feature"


def test_without_labels_the_score_is_left_out():
    mc = source()
    bare = Target(mc.features, mc.weight, mc.event_id, mc.split)
    shift = diagnose(bare, target(change=moved), NAMES, permutations=199)
    assert shift.score is None
    assert shift.labels is None
    assert len(shift.closures) == 2


def trained_on(events):
    """The same events, all in the training split: no map can be judged on others."""
    return replace(events, split=np.zeros(len(events), np.uint8))


@pytest.mark.parametrize(("error", "text"), [(0.012, "s 55 ± 1 % "), (0.003, "s 54.8 ± 0.3 % ")])
def test_a_share_has_the_decimals_of_its_error(error, text):
    assert _against(["b", "s"], [0.452, 0.548], [error] * 2, [0.5] * 2).startswith(text)


def test_the_sentence_says_what_was_found():
    same = diagnose(target(), target(seed=2), NAMES, permutations=99)
    assert same.sentence.startswith("No shift found")
    sides = trained_on(target()), trained_on(target(seed=2, change=moved))
    shift = diagnose(*sides, NAMES, permutations=199)
    assert "most in pt" in shift.sentence
    assert "source-only" in shift.sentence
    far = replace(shift, test=replace(shift.test, p_value=0.0))
    assert "p < 1e-300 of all tests" in shift_verdict(far)[1]


def test_a_difference_in_how_features_go_together_is_found():
    generator = np.random.default_rng(2)
    x, y = (generator.normal(size=(3000, 3)) for _ in range(2))
    y[:, 1] = 0.6 * y[:, 0] + 0.8 * y[:, 1]
    sides = (trained_on(target(n=3000, change=lambda _, v=v: v)) for v in (x, y))
    found = diagnose(*sides, NAMES, permutations=499)
    assert found.shift
    assert not found.differing
    assert "how features go together" in found.sentence


def test_a_feature_that_differs_among_tests_that_do_not_is_named():
    test = TwoSample(0.501, 0.01, 0.4, shift=False, n_mc=100, n_target=100)
    x = FeatureShift("x", 0.06, 0.004, 0.1, 0.5, 0.1, 0.0, 0.0)
    y = FeatureShift("y", 0.05, 0.5, 0.1, 0.003, 0.1, 0.0, 0.0)
    assert not Diagnosis(test, (x, y)).shift
    assert "x (KS 0.060) differs by itself" in Diagnosis(test, (x,)).sentence
    assert "x (KS 0.060) and y (KS 0.050) differ by themselves" in Diagnosis(test, (x, y)).sentence


def test_the_estimate_of_a_label_shift_counts_signed_weights():
    mc = source()
    twice = np.flatnonzero(mc.label == 1)[:500]  # signal that is added and taken off again
    rows = np.concatenate([np.arange(len(mc)), twice, twice])
    signed = mc.take(rows)
    signed.weight[-len(twice) :] = -1.0
    classifier = QuickClassifier(mc.part("train"))
    shift = label_shift(classifier, signed, target(fraction=0.3), NAMES)
    assert shift.target[1] == pytest.approx(0.3, abs=3 * shift.error[1])
    assert shift.mc == pytest.approx([0.5, 0.5], abs=0.03)


def test_several_classes_and_missing_features_pass():
    mc = source()
    three = Source(mc.features, mc.weight, mc.event_id, mc.split, mc.label + 0, ("a", "b", "c"))
    three.label[::4] = 2
    three.features[:, 2] = np.nan
    classifier = QuickClassifier(three)
    other = target(change=moved)
    effect = score_effect(classifier, three, other)
    assert 0 <= effect.p_value <= 1
    assert sum(label_shift(classifier, three, other, NAMES).target) == pytest.approx(1.0)


def test_figures_of_a_diagnosis(tmp_path):
    mc, data = source(), target(change=moved)
    shift = diagnose(mc, data, NAMES, permutations=99)
    numbers, folded = compare_feature(mc, data, 0)
    assert folded
    assert numbers.mc.sumw.sum() == pytest.approx(numbers.data.sumw.sum())
    made = plot_diagnosis(shift.features, {"pt": (numbers, folded)}, tmp_path / "figures")
    names = ["feature_shifts.pdf", "feature_shifts.png", "data_mc_pt.pdf", "data_mc_pt.png"]
    assert [path.name for path in made] == names
    assert all(path.stat().st_size > 1000 for path in made)
    ax = feature_shifts(shift.features)
    assert [t.get_text() for t in ax.get_yticklabels()] == [f.name for f in shift.features]
