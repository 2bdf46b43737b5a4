"""What docs/predict.md says of ROOT, with ROOT itself."""

from __future__ import annotations

import re
import warnings

import awkward
import numpy as np
import pytest
import uproot

import hepdann

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the wheel says that it is young
    ROOT = pytest.importorskip("ROOT", reason="needs ROOT: pip install root, on CPython 3.11")


@pytest.fixture
def scored(folder, make, write, tmp_path, monkeypatch):
    """``data.root`` with the tree ``jets``, and its friend, where the page has them."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.root", make(500, 21, shift=3), tree="jets")
    (file,) = hepdann.predict(folder / "run", "data.root", output="scores", tree="jets").files
    return file


def blocks(root, language):
    text = (root / "docs" / "predict.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_the_friend_runs_along_event_by_event(scored):
    chain, friend = ROOT.TChain("jets"), ROOT.TChain("jets")
    chain.Add("data.root")
    friend.Add(str(scored.output))
    chain.AddFriend(friend, "scores")
    found = ROOT.RDataFrame(chain).AsNumpy(["event", "scores.event_id", "scores.score_signal"])
    with uproot.open("data.root") as file, uproot.open(scored.output) as other:
        np.testing.assert_array_equal(found["event"], file["jets/event"].array(library="np"))
        rows = other["jets"].arrays(library="np")
    np.testing.assert_array_equal(found["scores.event_id"], rows["event_id"])
    np.testing.assert_array_equal(found["scores.score_signal"], rows["score_signal"])


@pytest.mark.parametrize("marked", [False, True])
def test_the_snippets_of_the_page_run(root, scored, marked):
    """With the mark too that several threads leave on the tree that they wrote."""
    if marked:
        file = ROOT.TFile("data.root", "UPDATE")
        file.Get("jets").SetBit(ROOT.TTree.kEntriesReshuffled)
        file.Get("jets").Write("", ROOT.TObject.kOverwrite)
        file.Close()
    names: dict[str, object] = {}
    for code in blocks(root, "python"):
        exec(compile(code, "docs/predict.md", "exec"), names)
    assert names["histogram"].GetEntries() == scored.selected
    (macro,) = blocks(root, "cpp")
    name = f"friend_of_the_page_{marked}"
    assert ROOT.gInterpreter.Declare(f"void {name}() {{\n{macro}\n}}")
    ROOT.gROOT.SetBatch(True)
    getattr(ROOT, name)()


@pytest.mark.parametrize("parts", [1, 7])
def test_a_copy_is_what_root_reads(folder, make, write, tmp_path, parts):
    content = make(300, 4)
    path = write(tmp_path / "in" / "x.root", content, parts=parts)
    (file,) = hepdann.predict(folder / "run", path, output=tmp_path / "out", into_copy=True).files
    found = ROOT.RDataFrame("events", str(file.output)).AsNumpy(["event", "event_id", "hits"])
    with uproot.open(file.output) as root_file:
        ids = root_file["events/event_id"].array(library="np")
    np.testing.assert_array_equal(found["event"], content["event"])
    np.testing.assert_array_equal(found["event_id"], ids)
    np.testing.assert_array_equal(
        np.concatenate([np.asarray(hits) for hits in found["hits"]]),
        awkward.flatten(content["hits"]),
    )
