"""Tensor files joined and cut."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from hepdann._version import __version__
from hepdann.config.samples import SplitConfig
from hepdann.errors import ConfigError, SchemaError
from hepdann.tensors import merge, open_tensors, slice_rows


@pytest.fixture(name="file")
def file_fixture(tmp_path, make_block, make_writer):
    """``file("a.h5", mc=300, seed=1)`` and its path."""

    def make(name, *, mc=300, data=200, seed=0, **changes):
        path = tmp_path / name
        with make_writer(path, mc=mc, data=data, truth=True, **changes) as writer:
            writer.append("mc", make_block(mc, seed=seed))
            writer.append("data", make_block(data, seed=seed, domain="data", truth=True))
            writer.finish({"inputs": [{"path": f"{name}.root"}], "settings": {}}, impute=[1, 2, 3])
        return path

    return make


def rows(path):
    with h5py.File(path) as h5:
        found: list[str] = []
        h5.visititems(lambda name, item: found.append(name) if hasattr(item, "shape") else None)
        return {name: h5[name][...] for name in found}


def test_merged_files_hold_all_rows_in_order_and_one_mean(tmp_path, file, make_block, make_writer):
    infos = [{"impute": "mean"}, {"impute": -1.0}, {"impute": "mean"}]
    parts = [file(f"{i}.h5", mc=300 + i, seed=i, feature_info=infos) for i in range(3)]
    tensors = merge(parts, tmp_path / "all.h5")
    whole = tmp_path / "whole.h5"
    with make_writer(whole, mc=903, data=600, truth=True, feature_info=infos) as writer:
        for i in range(3):
            writer.append("mc", make_block(300 + i, seed=i))
            writer.append("data", make_block(200, seed=i, domain="data", truth=True))
        writer.finish({})
    expected, joined = rows(whole), rows(tmp_path / "all.h5")
    assert expected.keys() == joined.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(values, joined[name], err_msg=name)
    assert tensors.verify() == []
    x = tensors.column("mc", "pt")[(tensors.column("mc", "split") == 0)]
    assert tensors.impute[0] == pytest.approx(np.nanmean(x.astype(float)), rel=1e-7)
    assert tensors.impute[1] == 2
    assert [entry["path"] for entry in tensors.provenance["inputs"]] == [
        "0.h5.root", "1.h5.root", "2.h5.root",
    ]  # fmt: skip
    assert tensors.provenance["hepdann"] == __version__


def test_samples_keep_their_names_in_a_merged_file(tmp_path, file):
    one = file("a.h5", samples={"mc": ["ttbar", "wjets"], "data": ["A"]})
    two = file("b.h5", seed=1, samples={"mc": ["dy", "ttbar"], "data": ["B"]})
    tensors = merge([one, two], tmp_path / "c.h5")
    assert tensors.samples == {"mc": ("ttbar", "wjets", "dy"), "data": ("A", "B")}
    second = open_tensors(two).column("mc", "sample")
    np.testing.assert_array_equal(tensors.column("mc", "sample")[300:], np.where(second == 0, 2, 0))
    np.testing.assert_array_equal(tensors.column("data", "sample"), np.repeat([0, 1], 200))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["pt", "eta", "m"]}, r"features \(m, mass\) differ from those of .*a.h5"),
        ({"classes": ["b", "light"]}, "classes .* differ"),
        ({"units": ["GeV", "", "MeV"]}, r"units \(mass\) differ"),
        ({"feature_info": [{}, {"missing": -9}, {}]}, r"the settings of features \(pt, eta, mass"),
        ({"split": SplitConfig(seed=4)}, "the rules of the split differ"),
    ],
)
def test_files_that_differ_are_not_merged(tmp_path, file, changes, message):
    one = file("a.h5")
    two = file("b.h5", seed=len(changes), **changes)
    with pytest.raises(SchemaError, match=message):
        merge([one, two], tmp_path / "c.h5")
    with pytest.raises(SchemaError, match=r"the same as .*a\.h5, and its events"):
        merge([one, one], tmp_path / "c.h5")
    assert not (tmp_path / "c.h5").exists()


def test_a_slice_holds_what_passes_and_keeps_ids_splits_and_imputed_values(tmp_path, file):
    path = file("a.h5")
    before = open_tensors(path)
    after = slice_rows(path, tmp_path / "b.h5", cut="pt > 0 && nbjet < 2")
    for domain in ("mc", "data"):
        passed = (before.column(domain, "pt") > 0) & (before.column(domain, "nbjet") < 2)
        for name in ("pt", "eta", "weight", "event_id", "split"):
            expected = before.column(domain, name)[passed]
            np.testing.assert_array_equal(after.column(domain, name), expected)
    assert after.impute.tolist() == [1, 2, 3]
    assert after.has_truth
    assert after.provenance["sliced"]["cut"] == "pt > 0 && nbjet < 2"
    assert slice_rows(path, tmp_path / "d.h5", domain="data").domains == ("data",)
    assert set(
        slice_rows(path, tmp_path / "d.h5", cut="label == 1", domain="mc").source().label
    ) == {1}
    with pytest.raises(ConfigError, match="no column 'label' in data"):
        slice_rows(path, tmp_path / "e.h5", cut="label == 1")
    with pytest.raises(SchemaError, match="no event of mc is left"):
        slice_rows(path, tmp_path / "e.h5", cut="weight > 1e9")


def test_the_commands_join_cut_and_show(tmp_path, file):
    from hepdann_cli.main import hepdann as command

    paths = [str(file(f"{i}.h5", seed=i)) for i in (1, 2)]
    done = CliRunner().invoke(command, ["tensors", "merge", *paths, "-o", str(tmp_path / "c.h5")])
    assert "600 MC events, 400 data events" in done.output
    done = CliRunner().invoke(
        command, ["tensors", "slice", paths[0], "-o", str(tmp_path / "d.h5"), "--domain", "mc"]
    )
    assert "300 MC events" in done.output
    assert (
        "300 mc events"
        in CliRunner().invoke(command, ["tensors", "info", str(tmp_path / "d.h5")]).output
    )
