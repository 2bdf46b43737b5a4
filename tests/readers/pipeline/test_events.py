"""Cut, weight, label, missing values, spectators and truth of the converted events."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files
from hepdann.tensors import open_tensors, yield_ratio


@pytest.fixture(name="run")
def run_fixture(tmp_path):
    def run(mc=(), data=(), *, truth=None, samples=(), **settings):
        output = tmp_path / "t.h5"
        config = Config(convert=settings, samples=list(samples))
        summary = convert_files(
            [str(mc)] if mc else [], [str(data)] if data else [],
            output=output, config=config, truth=truth and str(truth),
        )  # fmt: skip
        return summary, open_tensors(output)

    return run


def test_the_cut_selects_and_is_counted(write, sample, run):
    columns = sample()
    path = write("mc.root", columns, parts=3)
    cut = "pt > 20 && !(njets == 3) and abs(eta) < 1.5"
    summary, tensors = run(path, label="isb", cut=cut, features=["pt"])
    passed = (columns["pt"] > 20) & (columns["njets"] != 3) & (np.abs(columns["eta"]) < 1.5)
    np.testing.assert_array_equal(tensors.column("mc", "pt"), columns["pt"][passed])
    (file,) = summary.files
    assert (file.read, file.passed) == (200, passed.sum())
    assert [c.events for c in summary.classes] == [
        np.sum(passed & (columns["isb"] == label)) for label in (0, 1)
    ]


def test_weights_are_expression_times_scale(write, sample, run):
    columns = sample()
    path = str(write("mc.root", columns))
    data = str(write("data.root", sample(seed=2)))
    samples = [
        {"name": "sig", "files": path, "class": "signal", "cut": "isb == 1", "scale": 0.25},
        {"name": "bkg", "files": path, "class": "background", "cut": "isb == 0", "weight": "-2"},
        {"name": "bkg", "files": path, "class": "background", "cut": "isb == 0 && pt > 0",
         "weight": "3"},
        {"name": "run", "files": data, "role": "data"},
    ]  # fmt: skip
    _, tensors = run(samples=samples, weight="weight*2", weights={"up": "1.1*weight"})
    weight, signal = tensors.column("mc", "weight"), columns["isb"] == 1
    assert tensors.classes == ("background", "signal")
    assert tensors.samples == {"mc": ("sig", "bkg"), "data": ("run",)}
    sample_ = tensors.column("mc", "sample")
    expected = (columns["weight"].astype(float) * 2 * 0.25)[signal].astype("f4")
    np.testing.assert_array_equal(weight[sample_ == 0], expected)
    assert set(weight[sample_ == 1]) == {-2.0, 3.0}
    up = (columns["weight"].astype(float) * 1.1 * 0.25)[signal].astype("f4")
    np.testing.assert_array_equal(tensors.column("mc", "weights/up")[sample_ == 0], up)
    assert set(tensors.column("data", "weight")) == {1.0}
    np.testing.assert_array_equal(tensors.source().label, np.where(sample_ == 0, 1, 0))


def test_a_template_of_data_has_the_weight_of_data_and_mc_is_subtracted(write, sample, run):
    columns = sample(q=np.where(np.arange(200) % 5, -1, 1).astype("i4"))
    mc = str(write("mc.root", columns))
    charge = np.where(np.arange(200) % 2, -1, 1).astype("i4")
    data = str(write("data.root", sample(seed=2, isb=None, weight=None, q=charge)))
    samples = [
        {"name": "mc", "files": mc},
        {"name": "qcd", "files": data, "role": "template", "class": "background", "cut": "q > 0"},
        {"name": "qcd", "files": mc, "role": "template", "class": "background", "cut": "q > 0",
         "scale": -1},
        {"name": "data", "files": data, "role": "data"},
    ]  # fmt: skip
    settings = {"label": "isb", "weight": "weight", "cut": "q < 0", "features": ["pt", "eta"],
                "classes": ["background", "signal"], "weights": {"up": "2*weight"}}  # fmt: skip
    _, tensors = run(samples=samples, **settings)
    qcd = tensors.column("mc", "sample") == 1
    weight = tensors.column("mc", "weight")[qcd]
    assert np.sum(weight == 1) == 100
    assert np.sum(weight < 0) == 40
    up = tensors.column("mc", "weights/up")[qcd]
    np.testing.assert_array_equal(up, np.where(weight == 1, 1, 2 * weight))
    assert not tensors.source().label[qcd].any()
    assert tensors.rows("data") == 100


def test_a_class_whose_weights_do_not_add_up_is_refused(write, sample, run):
    path = write("mc.root", sample())
    message = "the weights of class 'signal' add up to -"
    with pytest.raises(ConfigError, match=message):
        run(path, label="isb", features=["pt"], weight="isb == 1 ? -1 : 1")
    with pytest.raises(ReadError, match=r"mc.root:events: weight .* is not finite in 100 of the"):
        run(path, label="isb", features=["pt"], weight="1/isb")


@pytest.mark.parametrize(
    ("label", "classes", "expected"),
    [
        ("isb", None, ("background", "signal")),
        ("isb", ["light", "b"], ("light", "b")),
        ("njets % 3", None, ("class-0", "class-1", "class-2")),
        ("njets > 4", None, ("background", "signal")),
        ("half * 2", None, ("background", "signal")),
    ],
)
def test_labels_are_branches_or_expressions(write, sample, run, label, classes, expected):
    columns = sample()
    columns["half"] = columns["isb"] / 2
    path = write("mc.root", columns)
    _, tensors = run(path, label=label, classes=classes, features=["pt"])
    assert tensors.classes == expected
    truth = {
        "isb": columns["isb"], "njets % 3": columns["njets"] % 3, "half * 2": columns["isb"],
        "njets > 4": columns["njets"] > 4,
    }[label]  # fmt: skip
    np.testing.assert_array_equal(tensors.source().label, truth)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "eta"}, "label 'eta' is not an integer"),
        ({"label": "isb + 1"}, r"label 'isb \+ 1' has the values 1, 2; it must be 0, 1"),
        ({"label": "2*isb"}, "has the values 0, 2; it must be"),
        ({"label": "1 - 2*isb"}, "has the values -1, 1"),
        ({"label": "isb", "cut": "isb == 1"}, "has the value 1; it must be"),
        ({"label": "isb", "cut": "pt < 0"}, "cut 'pt < 0': no MC event passes the cut"),
        ({"label": "event"}, "has the values 1000, 1001, .*…; it must be"),
        ({"label": "isb", "classes": ["a", "b", "c"]}, r"class 'c' \(label 2\) has no events"),
        ({"label": "njets", "classes": ["a", "b"]}, "there are classes 0 to 1"),
        ({"label": "isb", "classes": ["a"]}, "one class only"),
        ({"label": "isb", "classes": ["a", "b"], "cut": "pt<0"}, "none of 200 MC events passes"),
        ({"label": "nan"}, "label 'nan' is not an integer: nan in entries 0-199"),
    ],
)
def test_labels_that_are_none_are_refused(write, sample, run, settings, message):
    path = write("mc.root", sample(nan=np.full(200, np.nan)))
    with pytest.raises((ConfigError, ReadError), match=message):
        run(path, features=["pt"], **settings)


def test_missing_values_become_nan_and_are_counted(write, sample, run):
    random = np.random.default_rng(5)
    columns = sample()
    f4 = random.normal(size=200).astype("f4")
    f4[::4] = -999.9  # not a float32: compared as the branch holds it
    f4[1::50] = np.inf
    i4 = np.where(np.arange(200) % 10 == 0, -9, np.arange(200)).astype("i4")
    f8 = random.normal(size=200)
    f8[3] = 1e300  # too large for float32
    path = write("mc.root", columns | {"f4": f4, "i4": i4, "f8": f8})
    features = [
        {"name": "f4", "missing": -999.9, "indicator": True, "impute": 7.5, "unit": "GeV"},
        {"name": "i4", "missing": -9},
        {"name": "f8"},
        {"name": "sum", "expression": "f8 + 2*i4", "missing": -9},
    ]
    summary, tensors = run(path, label="isb", features=features)
    assert tensors.features == ("f4", "f4_missing", "i4", "f8", "sum")
    assert tensors.units == ("GeV", "", "", "", "")
    stats = {s.name: s for s in summary.of("mc")}
    assert (stats["f4"].missing, stats["f4"].nonfinite) == (50, np.isinf(f4).sum())
    assert (stats["i4"].missing, stats["i4"].nonfinite) == (20, 0)
    assert (stats["f8"].missing, stats["f8"].nonfinite) == (0, 1)
    assert (stats["sum"].missing, stats["sum"].nonfinite) == (20, 1)
    gone = (f4 == np.float32(-999.9)) | np.isinf(f4)
    found = tensors.column("mc", "f4")
    np.testing.assert_array_equal(np.isnan(found), gone)
    np.testing.assert_array_equal(found[~gone], f4[~gone])
    np.testing.assert_array_equal(tensors.column("mc", "f4_missing"), gone)
    np.testing.assert_array_equal(np.isnan(tensors.column("mc", "sum"))[4:], (i4 == -9)[4:])
    train = tensors.column("mc", "split") == 0
    mean = np.float32(i4[train & (i4 != -9)].mean())
    assert tensors.impute.tolist()[:3] == [7.5, 0.0, mean]
    assert tensors.feature_info[0]["missing"] == -999.9
    assert stats["i4"].minimum == 1
    assert stats["i4"].mean == pytest.approx(i4[i4 != -9].mean())


@pytest.mark.parametrize("weight", ["isb + 0.25", "2 - 0*isb"])
def test_means_and_yields_are_those_of_the_weights(write, sample, run, weight):
    columns, other = sample(), sample(rows=150, seed=2)
    columns["pt"][::7] = np.nan
    features = [{"name": "pt", "indicator": True}, "eta"]
    summary, _ = run(
        write("mc.root", columns, parts=3), write("data.root", other),
        label="isb", weight=weight, features=features,
    )  # fmt: skip
    weights = np.where(weight.startswith("2"), 2.0, columns["isb"] + 0.25)
    known = np.isfinite(columns["pt"])
    means = {s.name: s.mean for s in summary.of("mc")}
    assert means["pt"] == pytest.approx(np.average(columns["pt"][known], weights=weights[known]))
    assert means["eta"] == pytest.approx(np.average(columns["eta"], weights=weights))
    count = summary.yields("mc")["mc"]
    assert (count.events, count.sum_weight) == (200, pytest.approx(weights.sum()))
    assert count.error == pytest.approx(np.sqrt((weights**2).sum()))
    assert summary.classes[1].error == pytest.approx(np.sqrt((weights**2) @ columns["isb"]))
    ratio, error = yield_ratio(summary.total("data"), summary.total("mc"))
    assert ratio == pytest.approx(150 / weights.sum())
    assert error / ratio == pytest.approx(np.hypot(1 / 150**0.5, count.error / weights.sum()))


def test_one_sentinel_for_all_and_a_hint_where_none_is_declared(write, sample, run):
    columns = sample()
    columns["pt"][::3] = -999
    path = write("mc.root", columns)
    summary, _ = run(path, label="isb")
    assert any("the minimum is -999; if that marks a missing" in note for note in summary.notes)
    summary, tensors = run(path, label="isb", missing=-999)
    assert np.isnan(tensors.column("mc", "pt")).sum() == 67
    assert not any("-999" in note for note in summary.notes)


def test_a_feature_without_a_finite_value_is_refused(write, sample, run):
    mc = write("mc.root", sample())
    data = write("data.root", sample(seed=2, pt=np.full(200, np.nan, dtype="f4")))
    with pytest.raises(ConfigError, match=r"data.root: feature 'pt' has no finite value in data"):
        run(mc, data, label="isb")
    features = [{"name": "log", "expression": "log(-pt)"}]
    with pytest.raises(ConfigError, match="feature 'log' has no finite value in MC"):
        run(mc, label="isb", features=features)


def test_spectators_are_kept_as_they_are_and_nan_where_data_has_none(write, sample, run):
    columns = sample(nnbjet=np.linspace(-999, 1, 200))
    mc, data = write("mc.root", columns), write("data.root", sample(seed=2, isb=None))
    summary, tensors = run(mc, data, spectators=["nnbjet", "eta", "pt/2"], missing=-999)
    assert tensors.spectators == ("nnbjet", "eta", "pt/2")
    assert tensors.features == ("pt", "njets")
    expected = columns["nnbjet"].astype("f4")
    np.testing.assert_array_equal(tensors.column("mc", "nnbjet"), expected)
    assert np.isnan(tensors.column("data", "nnbjet")).all()
    assert any("data: spectator nnbjet is NaN" in note for note in summary.notes)
    with pytest.raises(ConfigError, match="did you mean 'nnbjet'"):
        run(mc, data, spectators=["nnbjett"])


def test_samples_that_contradict_each_other_are_refused(write, sample, run):
    path = str(write("mc.root", sample()))
    one = {"name": "a", "files": path, "class": "x"}
    for other, message in (
        ({"name": "b", "files": path, "class": "y"}, "take the same events of this file"),
        ({"name": "a", "files": path, "class": "y", "cut": "pt > 1"}, "class 'x' and of class 'y'"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(samples=[one, other], features=["pt"])
    with pytest.raises(ConfigError, match="one class only, 'x'"):
        run(samples=[one], features=["pt"])
    with pytest.raises(ConfigError, match="no MC is given"):
        run(data=path)


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_truth_runs_along_the_data(write, sample, run, kind):
    mc, columns = write("mc.root", sample()), sample(seed=2)
    label = columns.pop("isb")
    data = write("data.root", columns, parts=3)
    truth = write("truth.root", {"event": columns["event"], "isb": label}, kind=kind, parts=2)
    _, tensors = run(mc, data, truth=truth, cut="pt > 20", block_size=37)
    passed = columns["pt"] > 20
    assert tensors.has_truth
    with h5py.File(tensors.path) as file:
        np.testing.assert_array_equal(file["truth/data/label"], label[passed])


def test_truth_that_does_not_fit_is_refused(write, sample, run):
    mc, columns = write("mc.root", sample()), sample(seed=2)
    label = columns.pop("isb")
    data = write("data.root", columns)
    shifted = np.roll(columns["event"], 1)
    for number, (truth, message) in enumerate((
        ({"isb": label[1:]}, "has 199 entries, the data has 200"),
        ({"isb": label, "event": shifted}, "entry 0 of .* is event 2000, the truth has 2199"),
        ({"x": label * 0.5}, "no branch is clearly the label, none is an integer"),
        ({"x": label, "y": label}, "x, y could be; call it 'isb'"),
        ({"isb": label + 1}, "true label is 2 in entries 0-199"),
    )):  # fmt: skip
        path = write(f"truth{number}.root", truth)
        with pytest.raises(ReadError, match=message):
            run(mc, data, truth=path)
    only = write("only.root", {"y": label})
    run(mc, data, truth=only)
    with pytest.raises(ConfigError, match="no data that it could belong to"):
        run(mc, truth=only, label="isb")
