"""Jets of constituents: what is known of them in closed form."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepdann.samples import constituent_jets, log_likelihood_ratio, write
from hepdann.samples.constituents import Response
from hepdann.stats import auc


@pytest.fixture(scope="module")
def mc():
    return constituent_jets(10_000)


def test_the_likelihood_ratio_is_one_and_no_mean_comes_near_it(mc):
    """The mean of exp(LLR) over the background is 1; so is that of exp(-LLR) over the signal."""
    jets, constituents = mc
    ratio, signal = log_likelihood_ratio(jets, constituents), jets["is_signal"] == 1
    assert np.exp(ratio[~signal]).mean() == pytest.approx(1, abs=0.15)
    assert np.exp(-ratio[signal]).mean() == pytest.approx(1, abs=0.15)
    # that a score is a likelihood ratio shows in the share of signal at each of its values
    bins = np.digitize(ratio, [-2, -1, 0, 1, 2])
    for one in range(6):
        inside = bins == one
        expected = 1 / (1 + np.exp(-ratio[inside]))
        assert signal[inside].mean() == pytest.approx(expected.mean(), abs=0.04)
    assert auc(ratio, signal).value == pytest.approx(0.889, abs=0.01)
    for name in ("n_constituent", "sum_pt", "mean_pt", "mean_dr", "mean_d0"):
        assert auc(jets[name], signal).value < 0.65


def test_data_lose_constituents_and_momentum(mc):
    jets, constituents = mc
    seen, tracks = constituent_jets(10_000, 0, "data", Response(0.2, 0.7, 0.1))
    expected = 0.8 * 0.9 * jets["n_constituent"].mean()
    assert seen["n_constituent"].mean() == pytest.approx(expected, rel=0.02)
    median = np.median(tracks["pt"]) / np.median(constituents["pt"])
    assert median == pytest.approx(0.7, rel=0.02)
    assert not ((tracks["phi"] >= 0) & (tracks["phi"] < 0.2 * np.pi)).any()


def test_files_are_jagged_a_prefix_of_more_events_and_data_have_no_label(tmp_path):
    paths = write("jets", tmp_path, 300, 3, truth=True, missing=0.5)
    mc, data, truth = (uproot.open(path)["jets"].arrays() for path in paths)
    longer, constituents = constituent_jets(400, 3, "data", Response(missing=0.5))
    count = longer["n_constituent"][:300]
    assert data["nconstituent"].to_list() == count.tolist()
    flat = ak.flatten(data["constituent_pt"]).to_numpy()
    assert np.array_equal(flat, constituents["pt"][: count.sum()])
    assert "is_signal" in mc.fields
    assert "is_signal" not in data.fields
    assert truth["is_signal"].to_list() == longer["is_signal"][:300].tolist()
