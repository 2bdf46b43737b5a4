"""The label wall: truth reaches the oracle, the scores file and the observer, and nothing else."""

import h5py
import numpy as np
import pytest

from hepdann.errors import SchemaError
from hepdann.evaluation import (
    PeekObserver,
    accuracy,
    open_scores,
    open_truth,
    oracle_source,
    write_truth,
)
from hepdann.tensors import Source, Target, is_pseudo, open_tensors


@pytest.fixture(scope="module")
def tensors(make_tensors, tmp_path_factory):
    return open_tensors(make_tensors(tmp_path_factory.mktemp("truth") / "tensors.h5", n=1500))


def test_the_oracle_learns_from_the_labels_of_the_pseudo_data(tensors):
    target = tensors.pseudo_target()
    moved = target.with_features(target.features + 1)
    oracle = oracle_source(open_truth(tensors).pseudo(), moved)
    everything = tensors.source()
    rows = is_pseudo(everything.event_id, tensors.split_config.seed)
    assert isinstance(oracle, Source)
    assert np.array_equal(oracle.label, everything.label[rows])
    assert np.array_equal(oracle.features, moved.features)
    assert oracle.classes == tensors.classes


def test_the_truth_of_simulated_data_is_read_row_by_row(tensors):
    oracle = oracle_source(open_truth(tensors).data(), tensors.target())
    with h5py.File(tensors.path) as file:
        assert np.array_equal(oracle.label, file["truth/data/label"][...])


def test_truth_and_target_must_be_of_the_same_events(tensors):
    truth = open_truth(tensors)
    with pytest.raises(SchemaError, match="other events"):
        oracle_source(truth.pseudo(), tensors.target())
    with pytest.raises(SchemaError, match="other events"):
        PeekObserver(truth.data(), tensors.target().part("train"), np.arange(3))


def test_truth_that_is_not_known_is_refused(make_tensors, tmp_path):
    unknown = open_tensors(make_tensors(tmp_path / "t.h5", n=200, truth=False))
    with pytest.raises(SchemaError, match="no true labels of the data"):
        open_truth(unknown).data()


def test_a_target_and_a_sealed_truth_show_no_label(tensors):
    truth = open_truth(tensors).pseudo()
    target = tensors.pseudo_target()
    assert type(target) is Target
    assert not any("label" in name or "truth" in name for name in dir(target))
    assert not [name for name in dir(truth) if "label" in name and not name.startswith("_")]
    assert "label" not in repr(truth)


def test_the_observer_notes_accuracies_and_returns_nothing(tensors):
    target = tensors.pseudo_target()
    truth = open_truth(tensors).pseudo()
    rows = np.flatnonzero(target.split == 1)[::2]
    labelled = oracle_source(truth, target).take(rows)
    right = np.eye(2)[labelled.label]
    observer = PeekObserver(truth, target, rows)
    assert observer.record(1, [right, 1 - right]) is None
    assert observer.accuracy(1, 0) == pytest.approx(1.0)
    assert observer.accuracy(1, 1) == pytest.approx(0.0)
    assert observer.accuracy(2, 0) is None
    half = np.full_like(right, 0.5)
    observer.record(1, [half])  # the same epoch again, after a resume
    expected = accuracy(half, labelled.label, labelled.weight).value
    assert observer.accuracy(1, 0) == pytest.approx(expected)


def test_stored_truth_is_that_of_the_scored_events(tensors, make_run, tmp_path):
    truth = open_truth(tensors).data()
    folder = make_run(tmp_path / "run", kind="data", n=len(truth))
    with h5py.File(folder / "scores.h5", "r+") as file:
        file["target/event_id"][...] = truth.event_id[::-1]
        with pytest.raises(SchemaError, match="other events"):
            write_truth(file, truth)
        assert "truth" not in file
        file["target/event_id"][...] = truth.event_id
        write_truth(file, truth)
    label = oracle_source(truth, tensors.target()).label
    assert np.array_equal(open_scores(folder).label("target"), label)
