"""Scores beside any file: what is in them, and that they run along."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import awkward
import h5py
import numpy as np
import pytest
import uproot

import hepdann
from hepdann.errors import ConfigError, ReadError, RunError
from hepdann.evaluation import open_scores
from hepdann.inference import row_scores
from hepdann.store.training_record import TrainingRecord
from hepdann.tensors import open_tensors


def arrays(path, tree="events"):
    with uproot.open(path) as file:
        return file[tree].arrays(library="np")


def by_identity(run, domain, method):
    scores = open_scores(run)
    ids = scores.column(domain, "event_id")
    return dict(zip(ids.tolist(), scores.score(domain, method), strict=True))


@pytest.fixture(scope="module")
def scored(folder):
    done = hepdann.predict(
        folder / "run", [folder / f"{n}.root" for n in ("sig", "bkg", "data")],
        output=folder / "scores", method="dann", keep=["pt", "vector", "good"], block=128,
    )  # fmt: skip
    return {file.path.rpartition("/")[2].removesuffix(".root"): file for file in done.files}


def test_a_row_for_each_of_the_input_in_its_order(folder, scored):
    for name, file in scored.items():
        rows, given = arrays(file.output), arrays(folder / f"{name}.root")
        assert len(rows["event_id"]) == len(given["pt"]) == file.rows
        for column in ("pt", "vector", "good"):
            np.testing.assert_array_equal(rows[column], given[column])
            assert rows[column].dtype == given[column].dtype


def test_the_scores_are_those_of_the_run(folder, scored):
    mc, data = (by_identity(folder / "run", d, "dann") for d in ("mc", "target"))
    for name, known in (("sig", mc), ("bkg", mc), ("data", mc | data)):
        rows = arrays(scored[name].output)
        chosen = rows["selected"] == 1
        assert chosen.sum() == scored[name].selected > 300
        expected = np.array([known[i] for i in rows["event_id"][chosen].tolist()])
        np.testing.assert_allclose(rows["score_background"][chosen], expected[:, 0], atol=1e-6)
        np.testing.assert_allclose(rows["score_signal"][chosen], expected[:, 1], atol=1e-6)
        assert np.isfinite(rows["domain_score"][chosen]).all()
        assert (rows["spread"][chosen] > 0).all()
        for column in ("score_signal", "score_background", "domain_score", "spread"):
            assert np.isnan(rows[column][~chosen]).all()


@pytest.mark.parametrize("ending", ["root", "h5", "parquet"])
def test_a_file_of_scores_says_which_network_wrote_it(folder, tmp_path, typed, ending):
    output = tmp_path / f"scores.{ending}"
    hepdann.predict(folder / "run", [folder / "data.root"], output=output, method="dann")
    digest = hashlib.sha256((folder / "run" / "model.safetensors").read_bytes()).hexdigest()
    said = typed("inspect", output).stdout
    assert f"hepdann predict {hepdann.__version__}: dann of a model.safetensors" in said
    assert digest in said
    assert "hepdann predict" not in typed("inspect", folder / "data.root").stdout


def test_numbers_are_read_and_perceptrons_score_without_importing_torch(folder, tmp_path):
    run, output = str(folder / "run"), str(tmp_path / "scores.root")
    reading = [["evaluate", run], ["inspect", run], ["compare", run], ["workingpoints", run]]
    wrong = [["train", "--lambda", "-1"], ["scan", "--shift", "sine", "--t", "0"]]
    scoring = [["predict", run, str(folder / "data.root"), "-o", output, "--method", "dann"]]
    scoring += [["histogram", run, "-o", str(tmp_path / "templates.root")]]
    code = (
        "import contextlib, io, sys\nfrom hepdann_cli.main import hepdann\n"
        f"for lines in ({reading}, {wrong}, {scoring}):\n"
        "    for line in lines:\n"
        "        with contextlib.redirect_stdout(io.StringIO()):\n"
        f"            with contextlib.suppress(*[Exception] * (line in {wrong})):\n"
        "                hepdann(line, standalone_mode=False)\n"
        "    print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    read, refused, predicted = (set(line.split()) for line in done.stdout.splitlines())
    assert "hepdann.config" in refused
    assert not (read | refused) & {"torch", "sklearn", "awkward", "uproot", "matplotlib"}
    assert not predicted & {"torch", "sklearn", "matplotlib"}
    assert len(arrays(output)["event_id"]) == 1000


def test_an_event_is_of_the_sample_whose_cut_it_passes(folder, scored):
    """The data file gives data (q > 0) and a template (q < 0), which is scored as MC."""
    rows, given = arrays(scored["data"].output), arrays(folder / "data.root")
    passed = (given["q"] < 0) | (given["pt"] > 8)
    np.testing.assert_array_equal(rows["selected"] == 1, passed)
    tensors = open_tensors(folder / "tensors.h5")
    names = np.array(tensors.samples["mc"])[tensors.column("mc", "sample")]
    template = tensors.column("mc", "event_id")[names == "qcd"]
    np.testing.assert_array_equal(np.isin(rows["event_id"], template), given["q"] < 0)
    ids = np.concatenate([tensors.column("data", "event_id"), template])
    assert set(rows["event_id"][passed].tolist()) == set(ids.tolist())


def test_the_rows_that_were_trained_on_are_marked(folder, scored):
    tensors = open_tensors(folder / "tensors.h5")
    train = {
        int(i)
        for domain in ("mc", "data")
        for i, split in zip(
            tensors.column(domain, "event_id"), tensors.column(domain, "split"), strict=True
        )
        if split == 0
    }
    count = 0
    for file in scored.values():
        rows = arrays(file.output)
        marked = rows["event_id"][rows["trained_on"] == 1].tolist()
        assert len(marked) == file.trained > 0
        assert set(marked) == train & set(rows["event_id"].tolist())
        count += len(marked)
    assert count == len(train)


def test_events_that_the_run_never_saw(folder, make, write, tmp_path):
    """Of the same run and event numbers as an MC sample, and yet others: they are data."""
    path = write(tmp_path / "new.root", make(300, 1, shift=3))
    (file,) = hepdann.predict(folder / "run", path, output=tmp_path / "out").files
    assert (file.sample, file.known, file.trained) == ("data", False, 0)
    like = hepdann.predict(folder / "run", path, output=tmp_path / "like", sample="sig").files[0]
    assert like.trained > 0
    one, other = (arrays(f.output)["event_id"] for f in (file, like))
    assert not np.isin(one, other).any()


def test_a_file_is_known_wherever_it_lies_and_whatever_it_is_called(folder, scored, tmp_path):
    path = tmp_path / "elsewhere.root"
    shutil.copy(folder / "sig.root", path)
    (file,) = hepdann.predict(
        folder / "run", path, output=tmp_path / "copy.root", method="dann"
    ).files
    assert (file.sample, file.known, file.output) == ("sig", True, tmp_path / "copy.root")
    np.testing.assert_allclose(
        arrays(file.output)["score_signal"], arrays(scored["sig"].output)["score_signal"], atol=1e-6
    )


@pytest.mark.parametrize("kind", ["rntuple", "parquet", "hdf5"])
def test_every_format_holds_the_same(folder, scored, tmp_path, kind):
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    (file,) = hepdann.predict(
        folder / "run", folder / "data.root", output=tmp_path, format=kind, method="dann",
        keep=["pt", "vector", "good"],
    ).files  # fmt: skip
    expected = arrays(scored["data"].output)
    if kind == "hdf5":
        with h5py.File(file.output) as h5:
            found = {name: h5[name][...] for name in h5}
    elif kind == "parquet":
        table = parquet.read_table(file.output)
        found = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    else:
        with uproot.open(file.output) as root:
            rows = root["events"].arrays()
            found = {name: awkward.to_numpy(rows[name]) for name in rows.fields}
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)
    before = hepdann.predict(
        folder / "run", folder / "data.root", output=tmp_path, format=kind, method="dann",
        keep=["pt", "vector", "good"],
    ).files[0]  # fmt: skip
    assert before.before


def test_an_rntuple_is_read_too(folder, make, write, tmp_path):
    content = make(300, 9, shift=3)
    paths = [write(tmp_path / f"{kind}.root", content, kind=kind) for kind in ("TTree", "RNTuple")]
    one, other = hepdann.predict(folder / "run", paths, output=tmp_path / "out").files
    for name, values in arrays(one.output).items():
        np.testing.assert_allclose(arrays(other.output)[name], values, atol=1e-6)


def test_workers_and_parts_do_the_same_as_one(folder, scored, tmp_path):
    files = [folder / f"{n}.root" for n in ("sig", "bkg", "data")]
    options = {"output": tmp_path, "method": "dann", "keep": ["pt", "vector", "good"]}
    first = hepdann.predict(folder / "run", files, part=(1, 2), **options).files
    assert [file.path for file in first] == [str(files[0]), str(files[2])]
    assert [path.name for path in tmp_path.iterdir()] != []
    reports = []
    options["progress"] = lambda *counts: reports.append(counts)
    whole = hepdann.predict(folder / "run", files, workers=2, **options).files
    rows = sum(file.rows for file in whole)
    assert reports[-1] == (rows, rows)
    assert [file.before for file in whole] == [True, False, True]
    for file in whole:
        name = file.path.rpartition("/")[2].removesuffix(".root")
        for column, values in arrays(scored[name].output).items():
            np.testing.assert_allclose(arrays(file.output)[column], values, atol=1e-6)


def test_two_inputs_of_one_name_have_two_outputs(folder, make, write, tmp_path):
    for number in (1, 2):
        write(tmp_path / f"20{number}" / "x.root", make(50, number))
    done = hepdann.predict(folder / "run", str(tmp_path / "20*" / "x.root"), output=tmp_path / "o")
    assert [path.name for path in done.outputs] == ["201_x.scores.root", "202_x.scores.root"]


def test_a_finished_file_is_left_alone_until_something_changes(folder, make, write, tmp_path):
    path, out = write(tmp_path / "x.root", make(60, 5)), tmp_path / "out"
    (file,) = hepdann.predict(folder / "run", path, output=out).files
    stamp = file.output.stat().st_mtime_ns
    (again,) = hepdann.predict(folder / "run", path, output=out).files
    assert again.before
    assert again.output.stat().st_mtime_ns == stamp
    assert (again.selected, again.outside) == (file.selected, file.outside)
    (other,) = hepdann.predict(folder / "run", path, output=out, method="source-only").files
    assert not other.before
    write(path, make(70, 5))
    (changed,) = hepdann.predict(folder / "run", path, output=out, method="source-only").files
    assert (changed.before, changed.rows) == (False, 70)


def test_what_is_there_and_not_ours_is_never_replaced(folder, make, write, tmp_path):
    path = write(tmp_path / "x.root", make(60, 5))
    other = write(tmp_path / "out" / "x.scores.root", make(10, 6))
    content = other.read_bytes()
    with pytest.raises(ConfigError, match="exists, and is not what hepdann predict writes"):
        hepdann.predict(folder / "run", path, output=tmp_path / "out")
    assert other.read_bytes() == content
    with pytest.raises(ConfigError, match="is an input, which is never written to"):
        hepdann.predict(folder / "run", path, output=tmp_path, into_copy=True)
    with pytest.raises(ConfigError, match="is an input"):
        hepdann.predict(folder / "run", path, output=path)


@pytest.mark.parametrize("parts", [1, 7])
def test_a_copy_has_the_branches_in_its_tree(folder, make, write, tmp_path, parts):
    content = make(300, 4)
    path = write(tmp_path / "in" / "x.root", content, tree="folder/events", parts=parts)
    with uproot.update(path) as file:
        file["other"] = np.histogram(content["pt"])
    given = path.read_bytes()
    options = {"method": "dann", "tree": "folder/events"}
    (file,) = hepdann.predict(
        folder / "run", path, output=tmp_path / "out", into_copy=True, **options
    ).files
    (friend,) = hepdann.predict(folder / "run", path, output=tmp_path / "f", **options).files
    assert path.read_bytes() == given
    assert file.output == tmp_path / "out" / "x.root"
    with uproot.open(file.output) as root:
        assert "other" in root
        trees = [key for key in root if key.startswith("folder/events")]
        assert len(trees) == 1  # ROOT opens whichever cycle stands first in the directory
        rows = root["folder/events"].arrays()
    expected = arrays(friend.output, "folder/events")
    assert set(content) | set(expected) <= set(rows.fields)
    for name, values in {**content, **expected}.items():
        np.testing.assert_array_equal(
            awkward.flatten(rows[name], None), awkward.flatten(values, None)
        )
    again = hepdann.predict(
        folder / "run", path, output=tmp_path / "out", into_copy=True, **options
    ).files[0]
    assert again.before


def test_values_beyond_those_of_training_are_counted(folder, make, write, tmp_path):
    content = make(60, 5)
    content["pt"][:4] = 1e6
    content["q"][:] = 1
    content["eta"][:] = np.where(content["eta"] == -999, -999, 0)
    content["vector"][:] = 0
    path = write(tmp_path / "x.root", content)
    (file,) = hepdann.predict(folder / "run", path, output=tmp_path / "out").files
    assert file.outside == {"pt": 4, "logpt": 4}


def faulty(folder, make, write, place):
    """Inputs that do not fit, and what is said of them."""
    content = make(200, 5)
    whole = write(place / "whole.root", content)
    cut = place / "cut.root"
    cut.write_bytes(whole.read_bytes()[:-2000])
    yield cut, {}, "is truncated"
    yield write(place / "tree.root", content, tree="other"), {}, "no tree 'events'"
    short = {name: values for name, values in content.items() if name != "eta"}
    yield write(place / "missing.root", short), {}, "no branch 'eta', of feature"
    path = write(place / "renamed.root", content, renamed={"pt": "ptt"})
    yield path, {}, "no branch 'pt', of feature 'pt'; did you mean 'ptt'"
    short = {name: values for name, values in content.items() if name != "event"}
    yield write(place / "ids.root", short), {}, "no scalar branch 'event', by which the run"
    yield place / "absent.root", {}, "no such file"
    yield whole, {"keep": "hits"}, "cannot be kept: its length varies"
    yield whole, {"keep": "ptx"}, "no branch 'ptx', of --keep; did you mean 'pt'"
    yield whole, {"method": "danm"}, "has no method 'danm'"
    yield whole, {"sample": "sigg"}, "no sample 'sigg'.* did you mean 'sig'"
    yield whole, {"part": "3/2"}, "'3/2' is not k/n"
    yield whole, {"device": "gpu"}, "torch sees no gpu device"


def test_every_fault_is_one_line_and_code_2_and_leaves_nothing(
    folder, make, write, tmp_path, typed
):
    for path, options, said in faulty(folder, make, write, tmp_path / "in"):
        flags = [f"--{key}={value}" for key, value in options.items()]
        done = typed("predict", folder / "run", path, "-o", tmp_path / "out", *flags)
        assert done.code == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("hepdann: error: ")
        assert re.search(said, done.stderr), done.stderr
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_command_says_what_it_did(folder, make, write, tmp_path, typed):
    write(tmp_path / "x.root", make(60, 5))
    done = typed("predict", folder / "run", folder / "sig.root", "x.root", "-o", "out")
    assert (done.code, done.stderr) == (0, "")
    assert "out/x.scores.root" in done.stdout
    assert "data (new)" in done.stdout
    assert "trained_on = 1" in done.stdout
    again = typed("predict", folder / "run", folder / "sig.root", "x.root", "-o", "out")
    assert again.stdout.replace("\n", " ").count("(was") == 2


def test_a_run_of_an_older_version_needs_its_tensor_file(folder, scored, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    (run / "conversion.json").unlink()
    options = {"output": tmp_path / "out", "method": "dann"}
    (file,) = hepdann.predict(run, folder / "sig.root", **options).files
    assert file.trained == scored["sig"].trained
    origin = json.loads((run / "origin.json").read_text())
    origin["tensors"] = str(tmp_path / "gone.h5")
    (run / "origin.json").write_text(json.dumps(origin))
    with pytest.raises(
        RunError, match=r"older version and does not hold how .* back, or train anew"
    ):
        hepdann.predict(run, folder / "sig.root", **options)


def test_a_run_on_arrays_says_that_it_knows_no_files(folder, tmp_path):
    table = np.random.default_rng(0).normal(size=(400, 2))
    tensors = hepdann.Tensors.from_arrays(table, table[:, 0] > 0, data=table)
    record = TrainingRecord.of([tensors], pseudo=False, folds=False)
    assert record.conversion is None
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    record.write(run)
    with pytest.raises(RunError, match=r"trained on arrays.*run\.predict"):
        hepdann.predict(run, folder / "sig.root", output=tmp_path / "out")


@pytest.mark.parametrize("damage", ["conversion.json", "trained_events.npy"])
def test_a_damaged_record_is_refused(folder, tmp_path, damage):
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    path = run / damage
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match=damage):
        hepdann.predict(run, folder / "sig.root", output=tmp_path / "out")


def test_a_killed_prediction_leaves_no_half_file_and_goes_on(folder, make, write, tmp_path):
    """Killed at any time: outputs are whole or absent, and those that are whole are kept."""
    paths = [write(tmp_path / f"x{i}.root", make(1500, 10 + i), parts=15) for i in range(10)]
    code = (
        "import sys, hepdann\n"
        "hepdann.predict(sys.argv[1], sys.argv[3:], output=sys.argv[2], block=100)"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, folder / "run", out, *paths]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + 120
    while (
        time.monotonic() < deadline and len(list(out.glob("x*.root")) if out.exists() else []) < 2
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("x*.root")}
    assert 2 <= len(whole) < 10
    for name in whole:
        assert len(arrays(out / name)["event_id"]) == 1500
    done = hepdann.predict(folder / "run", paths, output=out)
    assert [file.before for file in done.files] == [p.name in whole for p in done.outputs]
    assert {n: (out / n).stat().st_mtime_ns for n in whole} == whole
    assert sorted(path.name for path in out.iterdir()) == sorted(p.name for p in done.outputs)


def test_a_row_that_is_not_in_its_place_is_noticed(folder, make, write, tmp_path, monkeypatch):
    """What is written is read back before it gets its name."""
    from hepdann.inference import row_files

    path = write(tmp_path / "x.root", make(60, 5))
    right = row_files._RootFile._write
    monkeypatch.setattr(
        row_files._RootFile, "_write",
        lambda self, rows: right(self, {name: values[::-1] for name, values in rows.items()}),
    )  # fmt: skip
    with pytest.raises(RunError, match="does not hold the rows in their order"):
        hepdann.predict(folder / "run", path, output=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_no_branch_is_kept_under_the_name_of_a_score(folder, make, write, tmp_path):
    content = make(60, 5)
    path = write(tmp_path / "x.root", content | {"spread": content["pt"]})
    with pytest.raises(ConfigError, match="beside the column 'spread'"):
        hepdann.predict(folder / "run", path, output=tmp_path / "out", keep=["spread"])
    with pytest.raises(ConfigError, match="has a branch 'spread' already"):
        hepdann.predict(folder / "run", path, output=tmp_path / "out", into_copy=True)


def test_files_without_events_have_outputs_without_rows(folder, make, write, tmp_path):
    path = write(tmp_path / "x.root", make(0, 5), parts=1)
    for kind in ("tree", "hdf5"):
        (file,) = hepdann.predict(folder / "run", path, output=tmp_path / kind, format=kind).files
        assert (file.rows, file.selected) == (0, 0)


def test_a_file_that_changes_while_it_is_read_is_refused(folder, make, write, tmp_path):
    path = write(tmp_path / "x.root", make(3000, 5), parts=30)

    def change(done, total):
        del done, total
        os.utime(path)

    with pytest.raises(ReadError, match="changed"):
        hepdann.predict(folder / "run", path, output=tmp_path / "out", block=100, progress=change)
    assert not list((tmp_path / "out").iterdir())


def test_the_columns_that_are_asked_for_are_those_of_all(folder, scored, tmp_path):
    given, asked = folder / "data.root", ("score_signal", "selected")
    (only,) = hepdann.predict(
        folder / "run", given, output=tmp_path, method="dann", columns=asked
    ).files
    rows, whole = arrays(only.output), arrays(scored["data"].output)
    assert set(rows) == {*asked, "event_id"}  # by which the rows are compared
    for name, values in rows.items():
        np.testing.assert_array_equal(values, whole[name])
    with pytest.raises(ConfigError, match="'typo' is no column of the scores"):
        hepdann.predict(folder / "run", given, output=tmp_path, columns=["typo"])


def test_a_run_in_folds_scores_each_event_by_the_fold_that_did_not_see_it(folder, tmp_path):
    run = hepdann.train(
        folder / "tensors.h5", folds=2, seeds=1, epochs=1, batch_size=64, alignments=[],
        diagnose=False, output=tmp_path / "run",
    )  # fmt: skip
    (file,) = hepdann.predict(run.folder, folder / "sig.root", output=tmp_path, method="dann").files
    rows, known = arrays(file.output), by_identity(run.folder, "mc", "dann")
    chosen = rows["selected"] == 1
    assert set(rows["fold"][chosen]) == {0, 1}
    assert not rows["trained_on"][chosen].any()
    expected = np.array([known[i] for i in rows["event_id"][chosen].tolist()])
    np.testing.assert_allclose(rows["score_signal"][chosen], expected[:, 1], atol=1e-6)


def test_identities_are_looked_up():
    ids = np.unique(np.random.default_rng(2).integers(0, 2**64, 1000, np.uint64))
    ids[0], ids[-1] = 0, 2**64 - 1
    known = row_scores.Known(ids[::2])
    np.testing.assert_array_equal(known.among(ids), np.arange(len(ids)) % 2 == 0)
    assert not known.among(ids[::2] ^ np.uint64(1)).any()
    assert not row_scores.Known(ids[:0]).among(ids).any()


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".root"])
def test_the_ending_of_an_output_names_its_format(folder, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet")
    data, run, path = folder / "data.root", folder / "run", tmp_path / f"one{suffix}"
    (file,) = hepdann.predict(run, data, output=path, method="dann").files
    assert file.output == path
    assert path.is_file()
    wrong = "hdf5" if suffix != ".h5" else "tree"
    with pytest.raises(ConfigError, match=r"name of a file of another format"):
        hepdann.predict(run, data, output=tmp_path / f"two{suffix}", format=wrong)
    with pytest.raises(ConfigError, match="is the name of a file, and there are 2 inputs"):
        hepdann.predict(run, [data, folder / "sig.root"], output=tmp_path / f"two{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_options_without_effect_are_refused(folder, tmp_path):
    given = {"output": tmp_path / "out"}
    run, data = folder / "run", folder / "data.root"
    with pytest.raises(ConfigError, match=r"--sample: the run has no sample 'sgi'.*sig"):
        hepdann.predict(run, data, sample="sgi", **given)


def test_all_samples_of_a_file_are_named(scored):
    assert scored["data"].sample == "data, qcd"


def test_the_command_prints_what_it_did_as_json(folder, typed, tmp_path):
    given = (folder / "run", folder / "data.root", "-o", tmp_path / "one.h5", "--method", "dann")
    (file,) = json.loads(typed("predict", *given, "--json").stdout)["files"]
    assert (file["output"], file["rows"]) == (str(tmp_path / "one.h5"), 1000)
    assert file["before"] is False
    assert json.loads(typed("predict", *given, "--json").stdout)["files"][0]["before"] is True
