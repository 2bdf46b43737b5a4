"""The compiled pass over the features does what NumPy does."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hepdann.config import Config
from hepdann.readers import convert_files
from hepdann.readers.pipeline import summary as tiles

needs_compiler = pytest.mark.skipif(not tiles.compiled(), reason="installed without a C compiler")
BITS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 0x80000000, 1, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFFFFFFF]),
)


@pytest.fixture
def plain(monkeypatch):
    """As if there had been no compiler."""
    monkeypatch.setattr(tiles, "function", lambda *_: None)


@st.composite
def events(draw):
    """Features as baskets hold them: any bits, any alignment, either byte order."""
    count, size = draw(st.integers(1, 40)), draw(st.integers(1, 300))
    bits = draw(hnp.arrays(np.uint32, (count, size), elements=BITS, fill=BITS))
    features = []
    for row in bits:
        shift, order = draw(st.integers(0, 3)), draw(st.sampled_from("<>"))
        content = bytes(shift) + row.astype(f"{order}u4").tobytes()
        features.append(np.frombuffer(content, f"{order}f4", offset=shift))
    several = st.lists(st.booleans(), min_size=count, max_size=count)
    indicators = draw(st.one_of(st.just([False] * count), several))
    train = draw(hnp.arrays(np.bool_, size, fill=st.booleans())).astype(np.float64)
    return features, indicators, train


def laid_out(features, indicators, train):
    out = np.full((len(train), len(features) + sum(indicators)), -7, np.float32)
    figures = tiles.Tiles(indicators, len(train)).lay_out(features, train, out)
    return out, figures


@needs_compiler
@settings(deadline=None)
@given(events())
def test_compiled_and_numpy_agree(given_events):
    features, *_ = given_events
    out, figures = laid_out(*given_events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "function", lambda *_: None)
        expected_out, expected = laid_out(*given_events)
    assert out.tobytes() == expected_out.tobytes()
    for name in ("low", "high", "valid"):
        np.testing.assert_array_equal(getattr(figures, name), getattr(expected, name))
    size = [np.abs(f[np.isfinite(f)].astype(np.float64)).sum() for f in features]
    assert (np.abs(figures.sums - expected.sums) <= 1e-12 * np.array(size)).all()


@pytest.mark.parametrize("how", ["compiled", "plain"])
def test_figures_are_those_of_the_finite_values(how, request):
    if how == "plain":
        request.getfixturevalue("plain")
    elif not tiles.compiled():
        pytest.skip("installed without a C compiler")
    nan, inf = np.nan, np.inf
    features = [np.array(v, ">f4") for v in ([1, nan, 3, -5], [inf, -inf, nan, nan], [4, 4, 4, 4])]
    out, figures = laid_out(features, [True, False, False], np.array([1.0, 1.0, 0.0, 0.0]))
    expected = [[1, 0, nan, 4], [nan, 1, nan, 4], [3, 0, nan, 4], [-5, 0, nan, 4]]
    np.testing.assert_array_equal(out, np.array(expected, np.float32))
    assert figures.low.tolist() == [-5, inf, 4]
    assert figures.high.tolist() == [3, -inf, 4]
    assert figures.sums.tolist() == [[-1, 0, 16], [1, 0, 8]]
    assert figures.valid.tolist() == [[3, 0, 4], [1, 0, 2]]


@needs_compiler
@pytest.mark.parametrize("features", [["x0", "x1", "x2"], ["x0", "y", "log(y)", "x2"]])
def test_the_tensor_file_is_the_same_without_a_compiler(features, write, tmp_path, monkeypatch):
    random = np.random.default_rng(3)
    columns = {f"x{number}": random.normal(size=20_000).astype("f4") for number in range(3)}
    columns["x0"][::9] = np.nan
    columns["y"] = random.exponential(size=20_000)
    columns["label"] = np.arange(20_000, dtype="i4") % 2
    path = write("mc.root", columns, parts=3)
    config = Config(convert={"label": "label", "features": features})
    found = []
    for compiled in (tiles.function, lambda *_: None):
        monkeypatch.setattr(tiles, "function", compiled)
        summary = convert_files([str(path)], output=tmp_path / "tensors.h5", config=config)
        with h5py.File(tmp_path / "tensors.h5") as file:
            found.append((file["mc/features"][...].tobytes(), summary.impute))
        assert [one.nonfinite for one in summary.features] == [2223, 0, 0, 0][: len(features)]
    assert found[0] == found[1]
