"""``hepdann convert`` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import uproot

from hepdann.tensors import open_tensors


def hepdann(*arguments, cwd):
    """The real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hepdann_cli.main", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def columns(rows=300, seed=1):
    random = np.random.default_rng(seed)
    return {
        "pt": random.exponential(30, rows).astype("f4"),
        "eta": random.normal(size=rows),
        "isb": np.arange(rows, dtype="i4") % 2,
        "event": np.arange(rows) + 1000 * seed,
    }


@pytest.fixture(name="files", autouse=True)
def files_fixture(tmp_path):
    mc, data = columns(), columns(seed=2)
    data.pop("isb")
    for name, tree in (("mc", mc), ("data", data), ("odd", {**mc, "pt": mc["event"]})):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("jets", {key: values.dtype for key, values in tree.items()})
            file["jets"].extend(tree)
    whole = (tmp_path / "mc.root").read_bytes()
    (tmp_path / "short.root").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.root").write_text("not a ROOT file, but quite long all the same")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_two_files_and_nothing_else(tmp_path):
    done = hepdann("convert", "mc.root", "data.root", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    tensors = open_tensors(tmp_path / "tensors.h5")
    assert tensors.features == ("pt", "eta")
    assert (tensors.rows("mc"), tensors.rows("data")) == (300, 300)
    lines = done.stdout.splitlines()
    words = [line.split() for line in lines]
    assert ["mc", "mc", "mc.root", "jets", "300", "300", "100.0", "%"] in words
    assert ["1", "signal", "150", "50.0", "%", "150", "±", "12"] in words
    assert ["data/MC", "1.000", "±", "0.082"] in words
    assert "not a feature, is the label: isb" in lines
    assert "not a feature, looks like an event id: event" in lines
    assert lines[-1] == "next: hepdann train tensors.h5"
    assert sorted(path.suffix for path in tmp_path.iterdir()).count(".h5") == 1


def test_every_flag_reaches_the_file(run, tmp_path):
    truth = {"event": columns(seed=2)["event"], "isb": columns()["isb"]}
    with uproot.recreate(tmp_path / "truth.root") as file:
        file.mktree("jets", {key: values.dtype for key, values in truth.items()})
        file["jets"].extend(truth)
    code, _, err = run(
        "convert", "mc.root", "data.root", "-o", "t.h5", "--tree", "jets",
        "--features", "eta, max(pt, 20)", "--spectators", "pt", "--label", "isb",
        "--classes", "light,b", "--weight", "1 + isb", "--data-weight", "2", "--cut", "pt > 5",
        "--missing", "-999", "--event-id", "event", "--truth", "truth.root", "--split-seed", "7",
    )  # fmt: skip
    assert (code, err) == (0, "")
    tensors = open_tensors(tmp_path / "t.h5")
    assert tensors.features == ("eta", "max(pt, 20)")
    assert tensors.spectators == ("pt",)
    assert tensors.classes == ("light", "b")
    assert tensors.split_config.seed == 7
    assert tensors.has_truth
    assert set(tensors.column("mc", "weight")) == {1.0, 2.0}
    assert set(tensors.column("data", "weight")) == {2.0}
    assert tensors.column("mc", "pt").min() > 5
    with h5py.File(tmp_path / "t.h5") as file:
        provenance = json.loads(file.attrs["provenance"])
    assert [entry["path"] for entry in provenance["inputs"]] == [
        "mc.root", "data.root", "truth.root",
    ]  # fmt: skip
    assert provenance["settings"]["convert"]["missing"] == -999


def test_a_config_gives_samples_and_flags_override_it(run, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "samples:\n"
        "  - {name: b, files: mc.root, class: signal, cut: isb == 1, scale: 2}\n"
        "  - {name: light, files: 'mc.roo?', class: background, cut: isb == 0}\n"
        "  - {name: run1, files: data.root, role: data}\n"
        "convert: {features: [pt], cut: pt > 5}\n"
    )
    assert run("convert", "--config", "c.yaml", "--features", "eta")[0] == 0
    tensors = open_tensors(tmp_path / "tensors.h5")
    assert tensors.features == ("eta",)
    assert tensors.classes == ("background", "signal")
    assert tensors.samples == {"mc": ("b", "light"), "data": ("run1",)}
    code, out, _ = run("convert", "mc.root", "--config", "c.yaml", "--label", "isb")
    assert code == 0
    assert "run1" not in out  # files on the command line replace the samples


BAD = {
    "no such file": (["none.root"], "none.root: no such file"),
    "not ROOT": (["text.root"], "text.root: is not a ROOT file"),
    "truncated": (["short.root"], "short.root: is truncated"),
    "no such tree": (["mc.root", "--tree", "jet"], "no tree 'jet'; did you mean 'jets'?"),
    "branch missing": (["mc.root,data.root", "--label", "isb"],
                       "data.root:jets: branch 'isb' is missing here, mc.root has it"),
    "types differ": (["mc.root,odd.root", "--label", "isb"],
                     "odd.root:jets: branch 'pt' is int64_t here and float in mc.root"),
    "label not integer": (["mc.root", "--label", "eta"], "label 'eta' is not an integer"),
    "no label": (["mc.root", "mc.root"], "--label; candidates: isb (0 to 1)"),
    "empty selection": (["mc.root", "--cut", "pt < 0", "--label", "isb"],
                        "cut 'pt < 0': no MC event passes the cut"),
    "nothing in data": (["mc.root", "data.root", "--cut", "event < 2000"],
                        "none of 300 data events passes"),
    "unknown branch": (["mc.root", "--features", "ptt", "--label", "isb"], "did you mean 'pt'?"),
    "bad cut": (["mc.root", "--cut", "pt >", "--label", "isb"], "cut of sample 'mc' 'pt >': a"),
    "named twice": (["mc.root,./mc.root", "--label", "isb"], "./mc.root: the file is named twice"),
    "output is input": (["mc.root", "-o", "mc.root", "--label", "isb"], "is an input file"),
    "no folder": (["mc.root", "-o", "no/t.h5"], "no/t.h5: its folder does not exist"),
    "output is a pipe": (["mc.root", "-o", "pipe"], "pipe: is no ordinary file"),
    "nothing given": ([], "no MC is given"),
    "no config": (["--config", "none.yaml"], "none.yaml: no such file"),
    "not a number": (["mc.root", "--missing", "x"], "'x' is not a valid float"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_2(run, tmp_path, case):
    (tmp_path / "tensors.h5").write_bytes(b"an earlier result")
    arguments, message = BAD[case]
    code, out, err = run("convert", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("hepdann: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert (tmp_path / "tensors.h5").read_bytes() == b"an earlier result"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_whole_program_ends_with_code_2_too(tmp_path):
    done = hepdann("convert", "short.root", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hepdann: error: short.root: is truncated")
    assert done.stderr.count("\n") == 1


def test_a_whole_new_file_replaces_the_earlier_one(run, tmp_path):
    (tmp_path / "tensors.h5").write_bytes(b"an earlier result")
    assert run("convert", "mc.root", "data.root")[0] == 0
    assert open_tensors(tmp_path / "tensors.h5").rows("mc") == 300


def test_objects_are_found_shown_and_inspected(run, tmp_path):
    from hepdann import samples

    mc, data = samples.write("jets", tmp_path / "toy", 200)
    code, out, err = run(
        "convert", mc, data, "-o", "t.h5", "--features", "", "--objects", "constituent",
        "--objects", "hard:log(constituent_pt),deltaR(constituent_eta, constituent_phi, 0, 0)",
    )  # fmt: skip
    assert (code, err) == (0, "")
    one, hard = open_tensors(tmp_path / "t.h5").objects
    assert one.features == tuple(f"constituent_{name}" for name in ("pt", "eta", "phi", "d0"))
    assert hard.features[0] == "log(constituent_pt)"
    assert "events without" in out
    assert "not a feature, is of the objects" in out
    assert out.splitlines()[-2].startswith(
        "t.h5: 200 MC events, 200 data events, constituent, hard"
    )
    code, out, _ = run("inspect", "t.h5", "--verify")
    assert code == 0
    assert "constituent (at most 64 an event), hard" in out
    code, _, err = run("convert", mc, data, "--objects", "a:jet_eta", "--objects", "a:jet_phi")
    assert (code, "--objects a is given twice" in err) == (2, True)
    code, _, err = run("convert", mc, data, "--objects", "jets")
    assert code == 2
    assert "no lists begin with 'jets_'" in err
