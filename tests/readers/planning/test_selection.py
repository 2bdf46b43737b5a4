"""Certified luminosity, duplicates, counters and splits of one's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files
from hepdann.tensors import open_tensors


@pytest.fixture(name="run")
def run_fixture(tmp_path):
    def run(samples, **settings):
        config = Config(convert={"features": ["pt"], "label": "isb", **settings}, samples=samples)
        summary = convert_files(output=tmp_path / "t.h5", config=config)
        return summary, open_tensors(tmp_path / "t.h5")

    return run


@pytest.fixture(name="two")
def two_fixture(write, sample):
    """MC and data of two datasets that share half of their events, with runs and blocks."""

    def make(**data):
        numbers = {
            "run": np.repeat(np.int32([1, 2]), 100),
            "luminosityBlock": np.tile(np.arange(1, 101, dtype="u4"), 2),
        }
        columns = sample(seed=2, isb=None, **numbers, **data)
        mc = sample(luminosityBlock=np.ones(200, "u4"))
        muon = {name: values[:150] for name, values in columns.items()}
        electron = {name: values[50:] for name, values in columns.items()}
        files = [str(write(f"{n}.root", c, parts=3))
                 for n, c in (("mc", mc), ("mu", muon), ("el", electron))]  # fmt: skip
        roles = ["mc", "data", "data"]
        names = ["mc", "muon", "electron"]
        samples = [{"name": n, "files": f, "role": r}
                   for n, f, r in zip(names, files, roles, strict=True)]  # fmt: skip
        return samples, columns

    return make


def test_the_lumi_mask_acts_on_data_alone_and_is_counted(two, run, tmp_path):
    samples, columns = two()
    mask = {"1": [[1, 3], [2, 10], [11, 12]], "2": [[40, 60], [100, 100]], "9": [[1, 2]]}
    (tmp_path / "golden.json").write_text(json.dumps(mask))
    summary, tensors = run(samples[:2], lumi_mask=str(tmp_path / "golden.json"), cut="pt > 1")
    run_, block = columns["run"][:150], columns["luminosityBlock"][:150]
    good = ((run_ == 1) & (block <= 12)) | (
        (run_ == 2) & (((block >= 40) & (block <= 60)) | (block == 100))
    )
    kept = good & (columns["pt"][:150] > 1)
    np.testing.assert_array_equal(tensors.column("data", "pt"), columns["pt"][:150][kept])
    mc, data = summary.files
    assert (mc.outside_mask, data.outside_mask, data.passed) == (0, np.sum(~good), kept.sum())
    (entry,) = [one for one in tensors.provenance["inputs"] if one["path"].endswith("golden.json")]
    assert len(entry["sha256"]) == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "certifies none of 150 data events"),
        ("{", "is no lumi mask"),
        ("[1]", "is no lumi mask"),
        ('{"1": [[1]]}', "is no lumi mask"),
        ('{"1": [["a", 2]]}', "is no lumi mask"),
        ('{"-1": [[1, 2]]}', "run -1 has the block 1"),
    ],
)
def test_what_is_no_mask_is_refused(two, run, tmp_path, text, message):
    (tmp_path / "golden.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        run(two()[0][:2], lumi_mask=str(tmp_path / "golden.json"))


def test_an_event_of_two_datasets_is_taken_once_and_the_first_that_passes_wins(two, run):
    samples, columns = two(pass_mu=(np.arange(200) % 2).astype("i4"))
    samples[1]["cut"] = "pass_mu == 1"
    summary, tensors = run(samples, drop_duplicates=True, block_size=37)
    muon = np.arange(200)[(np.arange(200) % 2 == 1) & (np.arange(200) < 150)]
    electron = np.setdiff1d(np.arange(50, 200), muon)
    expected = np.concatenate([columns["pt"][muon], columns["pt"][electron]])
    np.testing.assert_array_equal(tensors.column("data", "pt"), expected)
    np.testing.assert_array_equal(
        tensors.column("data", "sample"), np.repeat([0, 1], [len(muon), len(electron)])
    )
    assert [file.duplicates for file in summary.files] == [0, 0, 50]
    assert tensors.rows("mc") == 200
    run(samples, drop_duplicates=True, event_id=["run", "eta"])
    samples, _ = two(event=None)
    with pytest.raises(ConfigError, match="no branches number the events"):
        run(samples[:2], drop_duplicates=True)


def test_scale_is_divided_by_the_counter_of_all_files_of_a_process(write, sample, run, tmp_path):
    paths = [str(write(f"{i}.root", sample(seed=i), parts=2)) for i in (1, 2)]
    for path, sums in zip(paths, ([1.5, 2.5], [4.0]), strict=True):
        with uproot.update(path) as file:
            file.mktree("Runs", {"genEventSumw": "f8"}).extend({"genEventSumw": np.array(sums)})
    samples = [
        {"name": "tt", "files": paths[0], "scale": "2 * 6", "sumw": {}, "cut": "isb == 1"},
        {"name": "tt", "files": paths, "scale": 12.0, "sumw": {}, "cut": "isb == 0", "weight": "2"},
    ]
    summary, tensors = run(samples)
    assert set(tensors.column("mc", "weight")) == {1.5, 3.0}
    assert any(
        "scale 1.5 is 12 over 8, the sum of Runs/genEventSumw in 2" in n for n in summary.notes
    )
    samples[1]["sumw"] = {"branch": "genEventSumv"}
    with pytest.raises(ReadError, match=r"no branch 'genEventSumv'.*did you mean 'genEventSumw'"):
        run(samples)
    samples[1]["sumw"] = {"tree": "Lumi"}
    with pytest.raises(ReadError, match="no tree 'Lumi', of sumw"):
        run(samples)
    with pytest.raises(ValueError, match="names 'sumw', and there are only numbers"):
        Config(samples=[{**samples[0], "scale": "1/sumw"}])


def test_a_split_of_ones_own_follows_from_the_event_id(two, run):
    samples, columns = two()
    _, tensors = run(samples[:2], split={"by": "event % 5"})
    rest = columns["event"][:150] % 5
    expected = np.where(rest == 0, 2, np.where(rest == 1, 1, 0))
    np.testing.assert_array_equal(tensors.column("data", "split"), expected)
    assert tensors.split_config.by == "event % 5"
    with pytest.raises(ConfigError, match="reads pt, which is no branch of the event id"):
        run(samples[:2], split={"by": "pt > 3"})
    with pytest.raises(ConfigError, match="no event falls into the validation split"):
        run(samples[:2], split={"by": "2 * (event % 2)"})
    with pytest.raises(ConfigError, match=r"'event / 5': gives .*, and splits are whole numbers"):
        run(samples[:2], split={"by": "event / 5"})


def test_a_conversion_reweights_its_mc_and_tables_stay(two, run):
    samples, _ = two()
    _, plain = run(samples[:2])
    before = plain.column("mc", "weight")
    one = {"name": "pt", "variables": {"pt": [10.0, 30.0]}}
    summary, tensors = run(samples[:2], reweight=[one], compress="gzip")
    assert tensors.weights == ("pt_off",)
    np.testing.assert_array_equal(tensors.column("mc", "weights/pt_off"), before)
    assert tensors.column("mc", "weight").sum() == pytest.approx(before.sum(), rel=1e-6)
    assert any("pt: weights of background, signal follow data in pt" in n for n in summary.notes)
    assert summary.output == tensors.path
    assert [path.name for path in tensors.path.parent.iterdir() if path.is_dir()] == []
