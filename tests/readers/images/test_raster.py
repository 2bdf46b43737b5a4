"""Hits to pixels, against a loop that nobody can misread."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hepdann.expressions import parse
from hepdann.readers.pipeline.hits import HitColumns, rasterise
from hepdann.tensors import Transform, View

VIEWS = (
    View("x", 2, 4, 3, ("energy", "time")),
    View("u", 2, 4, 2, ("energy", "time")),
    View("v", 2, 4, 2, ("energy", "time")),
)
number = st.floats(-100, 100, width=32)
hit = st.tuples(
    st.integers(-1, 3),
    st.integers(-1, 4),
    st.integers(-1, 5),
    st.one_of(number, st.sampled_from([float("nan"), float("inf")])),
    number,
)


def of(events):
    """Lists of (view, column, strip, energy, time) as flat arrays."""
    flat = [each for event in events for each in event]
    columns = list(zip(*flat, strict=True)) if flat else [[]] * 5
    view, column, strip = (np.array(values, np.int64) for values in columns[:3])
    energy, time = (np.array(values, np.float32) for values in columns[3:])
    counts = np.array([len(event) for event in events], np.int64)
    return HitColumns(counts, view, column, strip, {"energy": energy, "time": time})


def naive(events):
    images = {view.name: np.zeros((len(events), *view.shape), np.float64) for view in VIEWS}
    seen, lost = set(), {}
    for row, event in enumerate(events):
        for view, column, strip, energy, time in event:
            reason = None
            if not (np.isfinite(energy) and np.isfinite(time)):
                reason = "hits are not finite"
            elif not 0 <= view < 3:
                reason = "hits are of no known view"
            elif not (0 <= column < VIEWS[view].width and 0 <= strip < VIEWS[view].height):
                reason = "hits lie outside the image"
            if reason:
                lost[reason] = lost.get(reason, 0) + 1
                continue
            image = images[VIEWS[view].name][row]
            image[0, strip, column] += energy
            first = (row, view, strip, column) not in seen
            image[1, strip, column] = time if first else min(time, image[1, strip, column])
            seen.add((row, view, strip, column))
    return {name: values.astype(np.float32) for name, values in images.items()}, lost


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(hit, max_size=12), max_size=5))
def test_the_images_are_those_of_a_loop_over_the_hits(events):
    images, lost = rasterise(of(events), VIEWS)
    expected, left_out = naive(events)
    assert lost == left_out
    for name, values in expected.items():
        assert images[name].dtype == np.float32
        np.testing.assert_array_equal(images[name], values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(hit, max_size=8), min_size=1, max_size=5), st.integers(0, 4))
def test_events_do_not_see_each_other(events, cut):
    whole, _ = rasterise(of(events), VIEWS)
    parts = [rasterise(of(part), VIEWS)[0] for part in (events[:cut], events[cut:])]
    for name, values in whole.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in parts]))


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20))
def test_transforms_keep_order_sign_and_zero(values):
    pixels = np.array(values, np.float32).reshape(1, 1, -1)
    before = pixels.copy()
    Transform().apply(pixels)
    np.testing.assert_array_equal(pixels, before)
    Transform(clip=(-50, 50), log=True, scale=2).apply(pixels)
    assert (np.sign(pixels) == np.sign(before)).all()
    assert (np.diff(pixels[0, 0, np.argsort(before[0, 0])]) >= 0).all()
    assert np.abs(pixels).max() <= 2 * np.log1p(np.float32(50)) * (1 + 1e-6)


def test_segments_of_plane_codes():
    codes = np.array([1, 8, 9, 10, 17, 18, 19, 26, 27, 28, 43, 44, 45, 48, 49, 50, 67, 173])
    expected = [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10, 10]
    unknown = np.array([0, -1, 174, 65535])
    segment = parse("segment(code)", what="label")
    found = segment.evaluate(lambda _: codes, len(codes))
    assert found.tolist() == expected
    assert (segment.evaluate(lambda _: unknown, 4) == -1).all()
