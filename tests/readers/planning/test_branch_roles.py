"""Without a configuration: tree, features, label and event id are chosen as documented."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files, looks_like, scan
from hepdann.readers.pipeline.blocks import read_blocks
from hepdann.tensors import open_tensors


@pytest.fixture(name="run")
def run_fixture(tmp_path):
    def run(mc, data=None, **settings):
        output = tmp_path / "t.h5"
        config = Config(convert=settings)
        summary = convert_files(
            [str(mc)], [str(data)] if data else [], output=output, config=config
        )
        return summary, open_tensors(output)

    return run


def test_common_scalars_are_features_and_the_one_small_integer_of_mc_is_the_label(
    write, sample, run
):
    mc = write("mc.root", sample(vector=np.ones((200, 2)), sim=np.ones(200) * 0.5))
    data = write("data.root", sample(seed=2, isb=None, vector=np.ones((200, 2)), qc=np.ones(200)))
    summary, tensors = run(mc, data)
    assert tensors.features == ("pt", "eta", "njets")
    assert tensors.classes == ("background", "signal")
    assert summary.label == "isb"
    assert {branch.name: branch.reason for branch in summary.left_out} == {
        "isb": "is the label",
        "run": "looks like an event id",
        "event": "looks like an event id",
        "weight": "looks like a weight, which is used if --weight names it",
        "vector": "an array of 2: name it to take it",
        "sim": "only in mc",
        "qc": "only in data",
    }
    assert set(tensors.column("mc", "weight")) == {1.0}
    assert tensors.rows("data") == 200


def test_mc_alone_needs_one_integer_that_could_be_the_label(write, sample, run):
    _, tensors = run(write("mc.root", sample(njets=None)))
    assert not tensors.has_data
    assert tensors.features == ("pt", "eta")
    with pytest.raises(ConfigError, match=r"candidates: njets \(0 to 8\), isb \(0 to 1\)"):
        run(write("mc2.root", sample()))


def test_the_length_of_a_list_is_no_label(tmp_path, run):
    length, isb = np.arange(200) % 4, np.arange(200) % 2
    jets = ak.zip({"pt": ak.unflatten(np.ones(length.sum()), length)})
    with uproot.recreate(tmp_path / "mc.root") as file:
        file.mktree("t", {"x": "f8", "isb": "i4", "Jet": jets.type.content})
        file["t"].extend({"x": length * 0.1, "isb": isb, "Jet": jets})
    assert scan(str(tmp_path / "mc.root"))[0].branches["Jet_pt"].counter == "nJet"
    summary, tensors = run(tmp_path / "mc.root")
    assert summary.label == "isb"
    assert set(tensors.features) == {"nJet", "x"}


def test_the_length_of_one_list_alone_is_no_feature_unless_it_is_named(tmp_path, run):
    length = np.arange(200) % 4
    values = ak.unflatten(np.ones(length.sum()), length)
    with uproot.recreate(tmp_path / "mc.root") as file:
        file.mktree("t", {"x": "f8", "isb": "i4", "jet_pt": values.type.content})
        file["t"].extend({"x": length * 0.1, "isb": np.arange(200) % 2, "jet_pt": values})
    summary, tensors = run(tmp_path / "mc.root")
    assert tensors.features == ("x",)
    reasons = {branch.name: branch.reason for branch in summary.left_out}
    assert reasons["njet_pt"] == "is the length of jet_pt alone: name it to take it"
    _, tensors = run(tmp_path / "mc.root", features=["x", "njet_pt"])
    assert tensors.features == ("x", "njet_pt")


def test_a_label_in_both_files_must_be_named(write, sample, run):
    mc, data = write("mc.root", sample()), write("data.root", sample(seed=2))
    with pytest.raises(ConfigError, match=r"--label; candidates: .*isb"):
        run(mc, data)
    _, tensors = run(mc, data, label="isb")
    assert tensors.features == ("pt", "eta", "njets")


def test_the_largest_tree_is_taken_and_a_named_one_goes_before(tmp_path, run):
    small, large = np.arange(4), np.arange(40)
    for name in ("mc", "data"):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            for tree, values in (("meta", small), ("dir/jets", large)):
                file.mktree(tree, {"x": "f8", "y": "i4"})
                file[tree].extend({"x": values * 0.1, "y": values % 2})
    files = tmp_path / "mc.root", tmp_path / "data.root"
    assert [scan(str(f))[0].tree for f in files] == ["dir/jets"] * 2
    assert run(*files, label="y")[1].rows("mc") == 40
    assert run(*files, label="y", tree="meta")[1].rows("data") == 4
    assert run(f"{files[0]}:meta", files[1], label="y")[0].files[0].tree == "meta"


def test_event_ids_are_the_branches_named_so(write, sample, run):
    columns = sample()
    everything = {**columns, "pt": columns["pt"] * 2}
    a = run(write("a.root", columns), label="isb")[1].column("mc", "event_id")
    b = run(write("b.root", everything), label="isb")[1].column("mc", "event_id")
    np.testing.assert_array_equal(a, b)  # the identity of an event is not in its features
    assert len(set(a.tolist())) == 200
    two_jets = {**columns, "event": columns["event"] // 2}
    c = run(write("c.root", two_jets), label="isb")[1].column("mc", "event_id")
    np.testing.assert_array_equal(c[::2], c[1::2])  # the jets of one event share it


def test_a_run_alone_names_no_event(write, sample, run):
    columns = sample(event=None)
    summary, tensors = run(write("a.root", columns), label="isb")
    ids = tensors.column("mc", "event_id")
    assert len(set(ids.tolist())) == 200
    assert any("run alone names no event" in note for note in summary.notes)
    fewer = run(write("b.root", columns), label="isb", features=["pt"])[1]
    np.testing.assert_array_equal(ids, fewer.column("mc", "event_id"))
    with pytest.raises(ConfigError, match="run alone name no event"):
        run(write("c.root", columns), label="isb", event_id=["run"])


def test_ids_that_tell_nothing_apart_are_refused(write, sample, run):
    columns = sample(rows=500, event=np.zeros(500, dtype=np.int64))
    with pytest.raises(ConfigError, match="run, event do not distinguish events"):
        run(write("a.root", columns), label="isb")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("weight", "a weight"), ("mcEventWeight", "a weight"), ("genWeight", "a weight"),
        ("xsec", "a weight"), ("run", "an event id"), ("luminosityBlock", "an event id"),
        ("EventNumber", "an event id"), ("event_number", "an event id"), ("isb", "a label"),
        ("gen_match", "a label"), ("truthLabel", "a label"), ("hadronFlavour", "a label"),
        ("pt_1", None), ("general", None), ("nnbjet", None), ("height", None), ("events_per", None),
        ("mass", None), ("class_score", None), ("W", None),
    ],
)  # fmt: skip
def test_names_are_judged_by_their_words(name, kind):
    assert looks_like(name) == kind


def test_no_common_branch_is_told(write, sample, run):
    mc = write("mc.root", sample())
    data = write("data.root", {"energy": np.ones(5)})
    with pytest.raises(ConfigError, match="no numeric scalar branch in common"):
        run(mc, data, label="isb")


def test_a_branch_that_one_of_several_files_lacks_is_told(write, sample, run, tmp_path):
    write("mc1.root", sample())
    write("mc2.root", sample(seed=2, eta=None))
    with pytest.raises(ReadError, match=r"mc2.root:events: branch 'eta' is missing here, .*mc1"):
        run(f"{tmp_path}/mc?.root", label="isb")
    with pytest.raises(ReadError, match=r"mc2.root:events: branch 'eta' is missing here"):
        run(f"{tmp_path}/mc?.root", label="isb", features=["pt", "eta"])
    _, tensors = run(f"{tmp_path}/mc?.root", label="isb", features=["pt"])
    assert tensors.rows("mc") == 400


def test_types_that_differ_between_files_are_told(write, sample, run, tmp_path):
    write("mc1.root", sample())
    write("mc2.root", sample(seed=2, pt=np.ones(200, dtype=np.int32)))
    message = r"mc2.root:events: branch 'pt' is int32_t here and float in .*mc1.root"
    with pytest.raises(ReadError, match=message):
        run(f"{tmp_path}/mc?.root", label="isb")
    with pytest.raises(ReadError, match="branch 'pt' is int32_t here and float in"):
        run(tmp_path / "mc1.root", tmp_path / "mc2.root", label="isb")


def test_mc_and_data_may_differ_in_precision(write, sample, run):
    data = sample(seed=2)
    data["pt"] = data["pt"].astype(np.float64)
    _, tensors = run(write("mc.root", sample()), write("data.root", data), label="isb")
    np.testing.assert_array_equal(tensors.column("data", "pt"), data["pt"].astype(np.float32))


def test_the_label_cannot_be_a_feature(write, sample, run):
    data = write("data.root", sample(seed=2, isb=None))
    with pytest.raises(ConfigError, match="'isb' is the label"):
        run(write("mc.root", sample()), data, features=["pt", "isb"])


def test_a_misspelt_feature_names_the_nearest_branch(write, sample, run):
    with pytest.raises(ConfigError, match="no branch 'ptt', of feature 'ptt'; did you mean 'pt'"):
        run(write("mc.root", sample()), label="isb", features=["ptt"])
    with pytest.raises(ConfigError, match=r"no branch 'etta', of cut .*; did you mean 'eta'"):
        run(write("mc.root", sample()), label="isb", cut="abs(etta) < 1")


def test_a_thousand_branches_are_looked_at_together(tmp_path, write, sample):
    flags = {f"HLT_{number}": np.arange(200) % 2 == 0 for number in range(40)}
    names = (("mc.root", {}), ("data.root", {"seed": 2, "isb": None}))
    files = [write(name, sample(**flags, **more)) for name, more in names]
    looks = []

    def read(file, branches, size):
        looks.append(len(branches))
        return read_blocks(file, branches, size)

    made = convert_files([str(files[0])], [str(files[1])], output=tmp_path / "t.h5", reader=read)
    assert made.label == "isb"
    assert max(looks) < 50
    assert len(looks) < 10  # a file of CMS has 1,500 branches and takes a quarter second to open


def test_a_line_lists_no_thousand_candidates(write, sample, run):
    mc = write("mc.root", sample(**{f"HLT_{n}": np.arange(200) % 2 for n in range(40)}))
    with pytest.raises(ConfigError, match=r"candidates: .*HLT_7 \(0 to 1\) and 32 more"):
        run(mc)


CLASS = np.arange(200) % 2


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "no branch is in MC alone.*give each sample its class"),
        (CLASS * 0.5, "it holds 0.5, which is no whole number; .*--label 'truth > 0'"),
        (2 * CLASS - 1, "it holds -1, and labels are 0, 1, …; .*--label 'truth > 0'"),
        (np.ones(200, "i4"), "it is 1 in every event; add the MC of the other classes"),
        (CLASS * 5, "it has the values 0, 5, not 0, 1, …; .*--label 'truth == 5'"),
        (np.arange(200), "it has values from 20 on, too many for classes"),
    ],
)
def test_why_the_only_branch_of_mc_is_no_label(write, sample, run, label, message):
    mc = write("mc.root", sample(isb=None, njets=None, truth=label))
    data = write("data.root", sample(seed=2, isb=None, njets=None))
    with pytest.raises(ConfigError, match=message):
        run(mc, data)


def test_several_labels_in_mc_alone_are_listed(write, sample, run):
    mc, data = write("mc.root", sample(isc=CLASS)), write("data.root", sample(2, isb=None))
    with pytest.raises(ConfigError, match=r"several branches could be the label; .*isb .*, isc"):
        run(mc, data)


def test_scores_and_weights_are_warned_of(write, sample, run):
    more = {"nnbjet": np.ones(200), "known": np.where(CLASS, 0.9, 0.2), "y": 7.5 * CLASS}
    mc = write("mc.root", sample(**more))
    data = write("data.root", sample(seed=2, isb=None, **more))
    summary, tensors = run(mc, data)
    assert {"nnbjet", "known", "y"} < set(tensors.features)
    nn, known, weight = summary.warnings
    assert "'nnbjet' looks like the output of another classifier" in nn
    assert nn.endswith("--spectators nnbjet")
    assert "'known'" in known
    assert "AUC of 1.00" in known
    assert weight.startswith("'weight' looks like an event weight, and every MC event counts 1")
    assert weight.endswith("--weight weight")
    spectators = ["nnbjet", "known"]
    assert not run(mc, data, weight="weight", spectators=spectators)[0].warnings
    assert not run(mc, data, weight="weight", features=["nnbjet"])[0].warnings
