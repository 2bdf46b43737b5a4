"""Work on threads comes back in its order, however long each piece takes."""

from __future__ import annotations

import threading
import time
from functools import partial

import numpy as np
import pytest

from hepdann.readers.pipeline.blocks import Scratch
from hepdann.readers.pipeline.job_stream import JobStream


def late(value):
    time.sleep(0.002 * (value % 3))
    return value


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_and_by_group(threads):
    jobs = ((number // 10, partial(late, number)) for number in range(40))
    with JobStream(jobs, threads) as stream:
        for group in range(4):
            assert list(stream.take(group)) == list(range(10 * group, 10 * group + 10))
        assert list(stream.take(4)) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_little_is_drawn_ahead(threads):
    drawn = []
    jobs = ((0, partial(late, drawn.append(number) or number)) for number in range(100))
    with JobStream(jobs, threads) as stream:
        for taken, _ in enumerate(stream.take(0), start=1):
            assert len(drawn) <= taken + threads + 2


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_in_its_turn_and_the_rest_of_its_group_can_be_left(threads):
    def fail():
        raise ValueError("bad")

    jobs = [(0, partial(late, 1)), (0, fail), (0, partial(late, 2)), (1, partial(late, 3))]
    with JobStream(iter(jobs), threads) as stream:
        results = stream.take(0)
        assert next(results) == 1
        with pytest.raises(ValueError, match="bad"):
            next(results)
        assert list(stream.take(1)) == [3]


def test_leaving_early_waits_for_what_runs_and_forgets_the_rest():
    running = []

    def work(number):
        running.append(number)
        time.sleep(0.02)
        running.remove(number)

    with JobStream(((0, partial(work, n)) for n in range(50)), 2) as stream:
        next(stream.take(0))
        assert len(running) == 2
    assert running == []


def test_one_thread_is_the_callers():
    with JobStream(iter([(0, threading.get_ident)]), 1) as stream:
        assert list(stream.take(0)) == [threading.get_ident()]


def test_scratch_arrays_do_not_overlap_and_are_used_again():
    scratch = Scratch()
    for _ in range(2):
        arrays = [scratch((7, 3), np.float32), scratch((5,), np.uint8), scratch((0,), np.int64)]
        for value, array in enumerate(arrays):
            array[...] = value
        assert [array.dtype for array in arrays] == [np.float32, np.uint8, np.int64]
        assert all((array == value).all() for value, array in enumerate(arrays))
        scratch.clear()
    first, second = scratch((7, 3), np.float32), scratch((5,), np.uint8)
    assert first.base is second.base is not None
