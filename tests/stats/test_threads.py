"""Independent calls side by side: order, bits, one thread each, and no race for scikit-learn."""

import os
import threading
import warnings

import numpy as np
import pytest

from hepdann.stats.reweighting import boosted_trees
from hepdann.stats.threads import side_by_side


def test_results_come_in_the_order_of_the_calls_and_the_first_error_is_raised():
    meeting = threading.Barrier(2)  # passed by two threads alone

    def call(number):
        if len(os.sched_getaffinity(0)) > 1:
            meeting.wait(10)
        return number

    assert side_by_side(lambda n=n: call(n) for n in range(4)) == [0, 1, 2, 3]
    assert side_by_side([]) == []
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1, lambda: 1 / 0])


def test_trees_that_are_fitted_side_by_side_are_the_same_and_leave_the_filters_of_warnings():
    rng = np.random.default_rng(0)
    x = np.floor(rng.uniform(0, 64, (400, 3)))
    y, weight = x[:, 0] > 32, np.ones(400)

    def fitted(seed):
        trees = boosted_trees(x, y, weight, seed=seed, iterations=3, learning_rate=0.1)
        return trees.predict_proba(x)

    filters = list(warnings.filters)
    together = side_by_side(lambda n=n: fitted(n) for n in range(8))
    assert warnings.filters == filters
    for seed, scores in enumerate(together):
        assert np.array_equal(scores, fitted(seed))
