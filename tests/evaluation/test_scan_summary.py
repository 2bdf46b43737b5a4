"""What a scan's summary says follows from its rows, and nothing in it is chosen by a label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepdann.evaluation.scan_judge import Epochs, ScanJudge, choose_lambdas, gap_closed
from hepdann.outputs import jsonable
from hepdann.tensors import Source, Target

shares = st.floats(0.5, 0.95)


@given(
    source=shares, gap=st.floats(0.05, 0.4), error=st.floats(0.001, 0.02), share=st.floats(-1, 2)
)
def test_the_gap_closed_is_0_at_source_only_and_1_at_the_oracle(source, gap, error, share):
    assert gap_closed(source, source, gap, error) == 0
    assert gap_closed(source + gap, source, gap, error) == pytest.approx(1)
    assert gap_closed(source + share * gap, source, gap, error) == pytest.approx(share, abs=1e-9)


@given(gap=st.floats(-0.3, 0.019))
def test_a_gap_within_its_errors_is_neither_closed_nor_open(gap):
    assert gap_closed(0.9, 0.8, gap, 0.01) is None
    assert gap_closed(0.9, 0.8, None, None) is None
    assert gap_closed(None, 0.8, 0.1, 0.01) is None


def judge_of(n=400, truth=True, seed=3):
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n).astype(np.int32)
    fields = {
        "features": rng.normal(size=(n, 3)).astype(np.float32),
        "weight": np.ones(n, np.float32),
        "event_id": np.arange(n, dtype=np.uint64),
        "split": np.full(n, 2, np.uint8),
    }
    mc = Source(**fields, label=label, classes=("a", "b"))
    judge = ScanJudge.of(mc, Target(**fields), None, np.arange(n))
    known = ScanJudge(judge.mc, judge.target, judge.watched, label if truth else None, judge._near)
    signal = np.clip(0.5 + 0.3 * (label - 0.5) + 0.2 * rng.normal(size=n), 0.01, 0.99)
    return known, np.stack([1 - signal, signal], axis=1)


def test_without_truth_target_figures_do_not_exist_and_label_free_ones_do():
    judge, score = judge_of(truth=False)
    found = judge.figures(score, score, score)
    assert found["target_accuracy"] is found["target_auc"] is found["target_loss"] is None
    assert found["mc_auc"] > 0.6
    assert found["consistency"] > 0.5
    assert found["agreement"] == 1.0
    assert judge.roc(score) is None
    assert judge.majority() is None
    assert set(judge.gap(score, score).values()) == {None}


def test_the_gap_of_a_prediction_to_itself_is_nothing():
    judge, score = judge_of()
    gap = judge.gap(score, score)
    assert gap["accuracy"] == gap["auc"] == 0


def test_the_chosen_epoch_is_that_of_the_teacher_and_the_peeked_one_that_of_the_labels():
    judge, score = judge_of()
    seen = Epochs()
    worse = score[:, ::-1]
    for one in (score, worse, score):  # the labels prefer the score, the teacher its opposite
        judge.watch(seen, [one], worse)
    found = seen.of(0)
    assert (found["chosen_epoch"], found["peeked_epoch"]) == (2, 1)
    assert found["peeked_target_accuracy"] > found["chosen_target_accuracy"]
    assert seen.of(0, choose=False)["chosen_epoch"] == 3
    assert Epochs(**jsonable(seen)).of(0) == found
    assert seen.until(1).of(0)["chosen_epoch"] == 1


def test_without_truth_nothing_is_peeked():
    judge, score = judge_of(truth=False)
    seen = Epochs()
    judge.watch(seen, [score], score)
    found = seen.of(0)
    assert found["peeked_epoch"] is found["peeked_target_accuracy"] is None
    assert found["chosen_epoch"] == 1
    assert Epochs(**jsonable(seen)).accuracy[0][0] is None


def group(lambda_, seen, accuracy):
    place = {"method": "dann", "shift": "sine", "t": 3.0, "lambda": lambda_}
    return place | {"ensemble": {"agreement": seen, "target_accuracy": accuracy}}


@given(accuracies=st.permutations([0.6, 0.7, 0.8]))
def test_the_chosen_lambda_does_not_depend_on_target_labels(accuracies):
    groups = [
        group(lambda_, seen, accuracy)
        for lambda_, seen, accuracy in zip(
            (0.1, 1.0, 3.0), (0.8, 0.9, 0.7), accuracies, strict=True
        )
    ]
    (choice,) = choose_lambdas(groups)
    assert choice["lambda"] == 1.0
    assert choice["peeked_lambda"] == (0.1, 1.0, 3.0)[accuracies.index(0.8)]
