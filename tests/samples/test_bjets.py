from __future__ import annotations

import resource
import signal

import numpy as np
import pytest
import uproot
from scipy.stats import ks_2samp, spearmanr
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from hepdann import samples
from hepdann.errors import ConfigError

INPUTS = ["prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel"]
SPIKES = {"prob_b": 0.0, "spheri": -1.0, "bqvjet": -0.02, "ptlrel": -0.0003}


@pytest.fixture(scope="module")
def sample():
    return samples.bjets(50_000, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "deep" / "toy"
    samples.write_bjets(folder, 501, seed=3, truth=True)
    return folder


def table(columns):
    return np.stack([columns[name] for name in INPUTS], axis=1)


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# --- the files ---------------------------------------------------------------------------------


def test_the_files_are_zstd_trees_with_the_label_in_mc_only(folder):
    types = dict.fromkeys([*INPUTS, "energy", "cTheta", "weight"], "float")
    types |= {"run": "int32_t", "event": "int64_t"}
    expected = {
        "mc": types | {"isb": "int32_t"},
        "data": types,
        "truth": {"run": "int32_t", "event": "int64_t", "isb": "int32_t"},
    }
    assert {path.name for path in folder.iterdir()} == {f"{name}.root" for name in expected}
    for name, branches in expected.items():
        with uproot.open(folder / f"{name}.root") as file:
            assert file.classnames() == {"jets;1": "TTree"}
            assert file["jets"].typenames() == branches
            assert file["jets"].num_entries == 501
            for branch in file["jets"].branches:  # the baskets themselves: uproot's fCompress is 0
                assert {code for code, *_ in branch.basket(0).block_compression_info} == {"ZSTD"}


def test_the_files_hold_what_the_call_returns(folder):
    sample = samples.bjets(501, seed=3)
    for name, columns in (("mc", sample.mc), ("data", sample.data), ("truth", sample.truth)):
        with uproot.open(folder / f"{name}.root") as file:
            same(file["jets"].arrays(library="np"), columns)


def test_the_truth_is_aligned_with_the_data_row_by_row(folder):
    with uproot.open(folder / "data.root") as data, uproot.open(folder / "truth.root") as truth:
        for name in ("run", "event"):
            np.testing.assert_array_equal(data["jets"][name].array(), truth["jets"][name].array())


# --- the seed ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_sample_and_more_events_extend_fewer():
    few, more = samples.bjets(777, seed=5), samples.bjets(50_777, seed=5)
    assert len(more.mc["run"]) == 50_777  # across the end of a block
    for one, other in ((few.mc, more.mc), (few.data, more.data), (few.truth, more.truth)):
        same(one, {name: column[:777] for name, column in other.items()})


def test_another_seed_gives_other_jets_and_other_runs():
    one, other = samples.bjets(100, seed=1), samples.bjets(100, seed=2)
    for name in INPUTS[:4]:
        assert not np.array_equal(one.mc[name], other.mc[name])
    # Event numbers repeat; that the runs differ gives away a truth file of another sample.
    assert not set(one.data["run"]) & set(other.data["run"])


def test_mc_and_data_are_different_jets(sample):
    assert not np.array_equal(sample.mc["energy"], sample.data["energy"])
    assert abs(np.corrcoef(sample.mc["energy"], sample.data["energy"])[0, 1]) < 0.02


# --- the physics -------------------------------------------------------------------------------


def test_an_event_is_two_jets_of_one_flavour_back_to_back(sample):
    event, isb, cos = sample.mc["event"], sample.mc["isb"], sample.mc["cTheta"]
    np.testing.assert_array_equal(event[::2], event[1::2])
    assert len(np.unique(event)) == len(event) / 2
    np.testing.assert_array_equal(isb[::2], isb[1::2])
    assert np.abs(cos[::2] + cos[1::2]).mean() < 0.05
    np.testing.assert_array_equal(sample.mc["weight"][::2], sample.mc["weight"][1::2])


def test_the_b_fraction_is_alephs_in_mc_and_a_little_smaller_in_data(sample):
    assert sample.mc["isb"].mean() == pytest.approx(0.226, abs=0.008)
    assert sample.truth["isb"].mean() == pytest.approx(0.216, abs=0.008)


def test_mc_weights_have_mean_one_and_four_per_cent_are_negative(sample):
    weight = sample.mc["weight"]
    assert weight.mean(dtype=float) == pytest.approx(1, abs=0.01)
    assert np.mean(weight < 0) == pytest.approx(0.04, abs=0.004)
    assert np.average(sample.mc["isb"], weights=weight) == pytest.approx(0.226, abs=0.009)
    assert np.all(sample.data["weight"] == 1)


@pytest.mark.parametrize("domain", ["mc", "data"])
def test_inputs_are_bounded_finite_and_rounded_to_four_decimals(sample, domain):
    columns = getattr(sample, domain)
    x = table(columns).astype(np.float64)
    assert np.isfinite(x).all()
    np.testing.assert_allclose(x, x.round(4), atol=1e-7)
    lowest, highest = [0, -1, 0, 0, -0.02, -0.0003], [2.0, 1, 0.7, 1.2, 1.6, 1.5]
    assert np.all(x.min(axis=0) >= np.float32(lowest))
    assert np.all(x.max(axis=0) <= highest)
    assert np.abs(columns["cTheta"]).max() < 0.93
    assert columns["energy"].min() > 10


@pytest.mark.parametrize(
    ("name", "light", "b"),
    [("prob_b", 0.0111, 0.0037), ("bqvjet", 0.0084, 0.0059), ("ptlrel", 0.9022, 0.6826)],
)
def test_spikes_are_as_high_as_alephs(sample, name, light, b):
    for flavour, share in ((0, light), (1, b)):
        values = sample.mc[name][sample.mc["isb"] == flavour]
        error = np.sqrt(share * (1 - share) / len(values))
        assert np.mean(values == np.float32(SPIKES[name])) == pytest.approx(share, abs=5 * error)
    assert np.any(sample.data[name] == np.float32(SPIKES[name]))  # data have it at the same place


def test_medians_and_correlations_are_alephs(sample):
    light, b = [0.0252, 0.3125, 0.0438, 0.3402, 0.0455], [0.1881, 0.4514, 0.051, 0.3977, 0.2225]
    for flavour, expected in ((0, light), (1, b)):
        x = table(sample.mc)[sample.mc["isb"] == flavour]
        np.testing.assert_allclose(np.median(x[:, :5], axis=0), expected, rtol=0.05)
        rank = spearmanr(x).statistic
        # prob_b with bqvjet, pt2rel with multip
        assert rank[0, 4] == pytest.approx((0.264, 0.781)[flavour], abs=0.04)
        assert rank[2, 3] == pytest.approx((0.435, 0.224)[flavour], abs=0.04)


def test_a_classifier_separates_b_jets_as_well_as_in_aleph(sample):
    x, y, half = table(sample.mc), sample.mc["isb"], 25_000
    trees = HistGradientBoostingClassifier(max_iter=80, random_state=0).fit(x[:half], y[:half])
    score = trees.predict_proba(x[half:])[:, 1]
    assert 0.90 < roc_auc_score(y[half:], score) < 0.94
    assert np.mean((score > 0.5) == y[half:]) == pytest.approx(0.90, abs=0.015)


def test_data_differ_from_mc_in_what_is_documented_and_in_nothing_else(sample):
    change = samples.MISMODELLING
    for flavour, factors in ((0, change.light), (1, change.b)):
        mc = {k: v[sample.mc["isb"] == flavour] for k, v in sample.mc.items() if k != "isb"}
        data = {k: v[sample.truth["isb"] == flavour] for k, v in sample.data.items()}
        for name in (*INPUTS[:5], "energy", "cTheta"):
            ratio = np.median(data[name]) / np.median(mc[name])
            if name in factors:
                assert ratio == pytest.approx(factors[name], rel=0.06)
            elif name == "cTheta":
                assert ks_2samp(data[name], mc[name]).pvalue > 1e-4
            else:
                assert ks_2samp(data[name][::2], mc[name][::2]).pvalue > 1e-4
        lepton = [np.mean(side["ptlrel"] > 0) for side in (data, mc)]
        assert lepton[0] / lepton[1] == pytest.approx(change.lepton, abs=0.06)
        rank = [spearmanr(side["pt2rel"], side["multip"]).statistic for side in (data, mc)]
        assert rank[0] / rank[1] == pytest.approx(change.correlation["multip", "pt2rel"], abs=0.1)


# --- whole or not at all -----------------------------------------------------------------------


def stop(done, total):
    raise KeyboardInterrupt


def test_an_interrupted_run_leaves_the_earlier_files_and_nothing_else(tmp_path):
    samples.write_bjets(tmp_path, 20, truth=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        samples.write_bjets(tmp_path, 30, truth=True, progress=stop)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_interrupted_run_leaves_no_folders_that_it_made(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        samples.write_bjets(tmp_path / "deep" / "toy", 30, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path):
    samples.write_bjets(tmp_path, 20)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written: File too large") as caught:
            samples.write_bjets(tmp_path, 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.where == str(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_earlier_files_are_replaced_by_whole_new_ones(tmp_path):
    samples.write_bjets(tmp_path, 20, truth=True)
    steps = []
    paths = samples.write_bjets(
        tmp_path, 30, seed=1, truth=True, progress=lambda *step: steps.append(step)
    )
    assert steps == [(30, 60), (60, 60)]
    for path in paths:
        with uproot.open(path) as file:
            assert file["jets"].num_entries == 30


def test_data_do_not_appear_beside_the_truth_of_other_data(tmp_path):
    samples.write_bjets(tmp_path, 20, truth=True)
    with pytest.raises(ConfigError, match=r"truth\.root: is the truth of an earlier sample"):
        samples.write_bjets(tmp_path, 20, seed=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda folder: samples.write_bjets(folder, 0), "at least one event, not 0"),
        (lambda folder: samples.write_bjets(folder, 10, seed=-1), "seed is not negative"),
        (lambda folder: samples.write("bjet", folder), "no sample 'bjet'; did you mean 'bjets'"),
    ],
)
def test_impossible_samples_are_refused_before_anything_is_written(tmp_path, call, message):
    with pytest.raises(ConfigError, match=message):
        call(tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
