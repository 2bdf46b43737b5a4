"""Bad input, command by command: one line that names the place and the mend, and nothing lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import matplotlib.font_manager  # noqa: F401 (its cache must not meet a full disk)
import numpy as np
import pytest
import uproot
from safetensors.torch import save

import hepdann as library
from hepdann.config import Config
from hepdann.errors import HepdannError
from hepdann.inputs import read_tensors
from hepdann.readers import convert_files
from hepdann.tensors import seal

TINY = (
    "--seeds",
    "1",
    "--epochs",
    "1",
    "--batch-size",
    "64",
    "--no-oracle",
    "--alignment",
    "quantile",
)


def write(path, columns, tree="jets"):
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: values.dtype for name, values in columns.items()})
        file[tree].extend(columns)


def columns(seed, rows=400):
    random = np.random.default_rng(seed)
    label = np.arange(rows, dtype="i4") % 2
    return {
        "pt": random.exponential(30, rows).astype("f4"),
        "eta": random.normal(size=rows) + label,
        "isb": label,
        "event": np.arange(rows) + 1000 * seed,
    }


def tamper(path, **attributes):
    """Set attributes of an HDF5 file; ``None`` removes one."""
    with h5py.File(path, "r+") as file:
        for name, value in attributes.items():
            if value is None:
                del file.attrs[name]
            else:
                file.attrs[name] = value
    seal(path)


@pytest.fixture(scope="module", name="origin")
def origin_fixture(tmp_path_factory):
    """A folder with good input, and with every kind of bad input."""
    home = tmp_path_factory.mktemp("origin")
    mc, data = columns(1), columns(2)
    del data["isb"]
    write(home / "mc.root", mc)
    write(home / "data.root", data)
    write(home / "odd.root", {**mc, "pt": mc["event"]})
    write(home / "nan.root", {**mc, "eta": np.full(400, np.nan)})
    write(home / "other.root", {"phi": data["eta"], "event": data["event"]})
    whole = (home / "mc.root").read_bytes()
    (home / "short.root").write_bytes(whole[: len(whole) // 2])
    (home / "text.root").write_text("not a ROOT file, but quite long all the same")
    old = Path.cwd()
    os.chdir(home)  # the run shall remember its tensors by a relative name
    try:
        config = Config(convert={"features": ["pt", "eta"], "label": "isb"})
        convert_files(["mc.root"], ["data.root"], output=Path("tensors.h5"), config=config)
        convert_files(["mc.root"], output=Path("mc.h5"), config=config)
        small = Config(convert={"features": ["pt"], "label": "isb"})
        convert_files(["mc.root"], ["data.root"], output=Path("pt.h5"), config=small)
        small = {
            "seeds": 1,
            "epochs": 1,
            "batch_size": 64,
            "oracle": False,
            "alignments": ["quantile"],
        }
        library.train("tensors.h5", output="run", **small)
    finally:
        os.chdir(old)
    shutil.copy(home / "tensors.h5", home / "part.h5")
    tamper(home / "part.h5", complete=None)
    shutil.copy(home / "tensors.h5", home / "next.h5")
    tamper(home / "next.h5", format_version=99)
    for name in ("metrics", "origin"):
        shutil.copytree(home / "run", home / f"old_{name}")
        path = home / f"old_{name}" / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    shutil.copytree(home / "run", home / "old_scores")
    tamper(home / "old_scores" / "scores.h5", format_version=99)
    shutil.copytree(home / "run", home / "misspelt")
    (home / "misspelt" / "config.yaml").write_text("plots: {stile: CMS}\n")
    shutil.copytree(home / "run", home / "damaged")
    (home / "damaged" / "history.csv").write_bytes(b"method,\xff")
    shutil.copytree(home / "run", home / "unfinished")
    for name in ("metrics.json", "scores.h5"):
        (home / "unfinished" / name).unlink()
    (home / "empty").mkdir()
    (home / "loop").symlink_to("loop")
    (home / "convert.yaml").write_text("convert:\n  feature: [pt]\n")
    (home / "train.yaml").write_text("train: {epoch: 3}\n")
    return home


@pytest.fixture(name="place")
def place_fixture(origin, tmp_path):
    """A copy of it, for one test."""
    shutil.copytree(origin, tmp_path / "place", symlinks=True)
    return tmp_path / "place"


@pytest.fixture(name="run")
def run_fixture(typed):
    """``main`` in this process: exit code, stdout, stderr."""

    def run(*arguments, cwd):
        done = typed(*arguments, cwd=cwd)
        return done.code, done.stdout, done.stderr

    return run


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


BAD = {
    "no such file": ("convert none.root", "none.root: no such file; check"),
    "not a ROOT file": ("convert text.root", "text.root: is not a ROOT file; name"),
    "truncated file": ("convert short.root", "short.root: is truncated: it has"),
    "no such tree": ("convert mc.root --tree jet", "mc.root: no tree 'jet'; did you mean 'jets'?"),
    "branch missing in one file": (
        "convert mc.root,data.root --label isb",
        "data.root:jets: branch 'isb' is missing here, mc.root has it; remove",
    ),
    "branch types that differ": (
        "convert mc.root,odd.root --label isb",
        "odd.root:jets: branch 'pt' is int64_t here and float in mc.root; convert",
    ),
    "label not integer": (
        "convert mc.root --label eta",
        "mc.root:jets: label 'eta' is not an integer",
    ),
    "no common features": (
        "convert mc.root other.root",
        "mc.root, other.root: the files have no numeric scalar branch in common",
    ),
    "empty selection": (
        "convert mc.root --label isb --cut pt<0",
        "cut 'pt<0': no MC event passes the cut; loosen",
    ),
    "all-NaN feature": (
        "convert nan.root --label isb",
        "nan.root: feature 'eta' has no finite value in MC; leave",
    ),
    "a loop of links as a run": ("train -o loop", "loop: cannot be made: File exists; name"),
    "an input as output": ("convert mc.root -o mc.root --label isb", "mc.root: is an input file"),
    "output in no folder": ("convert mc.root -o no/t.h5 --label isb", "no/t.h5: its folder does"),
    "an empty name": ("convert '' --label isb", "a file name is empty"),
    "like an incomplete file": ("convert --like part.h5 data.root -o n.h5", "part.h5: is not comp"),
    "like, with a cut": (
        "convert --like tensors.h5 data.root -o n.h5 --cut pt>1",
        "convert.cut: cannot be combined with --like: tensors.h5 decides it",
    ),
    "like, with MC": ("convert --like tensors.h5 mc.root data.root", "--like takes DATA alone"),
    "misspelt key, convert": (
        "convert mc.root --config convert.yaml",
        "convert.yaml:2: convert.feature: unknown key; did you mean 'features'?",
    ),
    "misspelt key, train": (
        "train --config train.yaml",
        "train.yaml:1: train.epoch: unknown key; did you mean 'epochs'?",
    ),
    "misspelt key, plot": (
        "plot misspelt",
        "misspelt/config.yaml:1: plots.stile: unknown key; did you mean 'style'?",
    ),
    **{
        f"{what}, {name}": (f"{name} {file}", f"{file}: {message}")
        for name in ("train", "diagnose", "inspect")
        for what, file, message in (
            ("incomplete tensors", "part.h5", "is not complete, its conversion was cut off; conv"),
            ("tensors of another version", "next.h5", "has format version 99, this hepdann reads"),
        )
    },
    "no tensors": ("train nothing.h5", "nothing.h5: no such file; make it with hepdann convert"),
    "a ROOT file as tensors": ("train mc.root", "mc.root: is not an HDF5 file; tensor files come"),
    **{
        f"run of another version, {name}": (
            f"{name} old_metrics",
            "old_metrics/metrics.json: run of format version 99, this hepdann reads 1; read it",
        )
        for name in ("evaluate", "plot", "inspect", "train --resume -o")
    },
    "unfinished run of another version": (
        "train --resume -o old_origin",
        "old_origin/origin.json: run of format version 99",
    ),
    **{
        f"scores of another version, {name}": (
            f"{name} old_scores",
            "old_scores/scores.h5: has format version 99, this hepdann reads up to 2; train again",
        )
        for name in ("evaluate --recompute", "plot")
    },
    **{f"no run, {name}": (f"{name} none", "none: no such") for name in ("evaluate", "plot")},
    **{
        f"unfinished run, {name}": (
            f"{name} unfinished",
            "unfinished: the training has not finished; go on with: hepdann train --resume -o unf",
        )
        for name in ("evaluate", "plot", "inspect")
    },
    **{
        f"damaged history, {name}": (f"{name} damaged", "damaged/history.csv: is damaged")
        for name in ("evaluate --recompute", "plot --only loss")
    },
    "an empty folder as a run": ("inspect empty", "empty: not a run folder: no metrics.json"),
    "nothing to resume": ("train --resume -o empty", "empty: no run to resume; give"),
    "another grid at a resume": (
        "scan --resume -o empty --epochs 3",
        "--resume takes everything from the scan's folder; leave out --epochs",
    ),
    "resume without -o": ("train --resume", "--resume needs the run's folder: -o runs/NAME"),
    "a shift without --t": ("train --shift sine", "a shift needs both --shift and --t; --t is"),
    "t without a shift": ("train --t 3", "a shift needs both --shift and --t; --shift is"),
    "unknown shift": ("train --shift sin --t 3", "unknown shift 'sin'; did you mean 'sine'?"),
    "t of zero": ("train --shift sine --t 0", "train.shift.t: must be more than 0, got 0.0"),
    "negative t": ("train --shift sine --t -2", "train.shift.t: must be more than 0, got -2.0"),
    "unknown method": ("train --method dan", "unknown method 'dan'; did you mean 'dann'?"),
    "data do not say which copies": (
        "train --method hybrid-dann",
        "train.auxiliary_shifts: hybrid-dann trains on copies of the MC under other shifts; dat",
    ),
    "a copy under the target's shift": (
        "train --shift sine --t 3 --method hybrid-dann --auxiliary sine:8",
        "train.auxiliary_shifts: sine is the shift of the target itself",
    ),
    "a copy without t": ("train --auxiliary sine-third", "--auxiliary takes NAME:T, for example"),
    "no seeds": ("train --seeds 0", "train.seeds: must be at least 1, got 0"),
    "huge batch": ("train --batch-size 100000", "train.batch_size: batch of 100000 events, but"),
    "negative lambda": ("train --lambda -1", "train.lambda: must be at least 0, got -1.0"),
    "no data and no shift": ("train mc.h5", "mc.h5: holds no data domain; name a shift"),
    "no data, diagnose": ("diagnose mc.h5", "mc.h5: holds no detector events; convert"),
    "data and a shift": ("train tensors.h5 mc.h5 --shift sine --t 3", "train.shift: a shift makes"),
    "other features": ("train tensors.h5 pt.h5", "pt.h5: features differ from those of tensors.h5"),
    "other features, diagnose": ("diagnose tensors.h5 pt.h5", "tensors.h5: eta; make it with"),
    "an existing run": ("train -o run", "run: exists already, and a run is never overwritten; t"),
    "a run below a file": ("train -o mc.h5/run", "mc.h5/run: cannot be made: Not a directory; nam"),
    "figures below a file": ("plot run -o mc.h5/x", "mc.h5/x: the figures cannot be written: Not"),
    "unknown style": ("plot run --style CDF", "plots.style: unknown style 'CDF'; known: ATLAS"),
    "unknown figure": ("plot run --only rok", "--only: no figure 'rok' in this run; did you mean"),
    "unknown command": ("trian", "No such command 'trian'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_one_line_and_nothing_lost(run, place, case):
    line, message = BAD[case]
    before = contents(place)
    arguments = [word.strip("'") for word in line.split()]
    code, out, err = run(*arguments, cwd=place)
    assert (code, out) == (2, "")
    assert err.startswith("hepdann: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert contents(place) == before
    assert not (place / "runs").exists()


def replaced(how):
    """A damage that leaves no JSON, no table and no HDF5."""

    def damage(path):
        path.unlink()
        how(path)

    return damage


def changed(*keys, to):
    """A damage to one value of a JSON file, or of the JSON in the header of a model."""

    def damage(path):
        text = path.suffix == ".json"
        header, tensors = ({"": path.read_text()}, {}) if text else read_tensors(path)
        (name,) = header
        content = inner = json.loads(header[name])
        for key in keys[:-1]:
            inner = inner[key]
        if to is GONE:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = to
        if text:
            path.write_text(json.dumps(content))
        else:
            path.write_bytes(save(tensors, {name: json.dumps(content)}))

    return damage


def column(name, values):
    """A damage to one dataset of an HDF5 file; ``None`` removes it."""

    def damage(path):
        with h5py.File(path, "r+") as file:
            attributes = dict(file[name].attrs)
            del file[name]
            if values is GROUP:
                file.create_group(name)
            elif values is not None:
                file[name] = values
            if isinstance(values, np.ndarray):
                file[name].attrs.update(attributes)

    return damage


def predicted(folder):
    """Scores from Python; the error as the command line says it."""
    try:
        library.open_run(folder).predict(np.zeros((2, 2)))
    except HepdannError as error:
        return 2, "", f"hepdann: error: {error}\n"
    return 0, "", ""


GONE, GROUP = object(), object()
ANEW = "evaluate --recompute"
DAMAGES = {  # the file, what happens to it, the commands that meet it
    **{
        f"{name}, {what}": (name, replaced(how), lines)
        for name, lines in {
            "metrics.json": ("inspect", "evaluate", "report", "train --resume -o"),
            "config.yaml": ("inspect", ANEW),
            "scores.h5": (ANEW,),
            "history.csv": (ANEW, "plot --only loss"),
            "health.json": (ANEW,),
            "diagnosis.json": (ANEW,),
            "recommendation.json": (ANEW,),
            "model.safetensors": ("predict",),
            "origin.json": ("train --resume -o",),
        }.items()
        for what, how in {
            "a pipe": os.mkfifo,
            "a folder": Path.mkdir,
            "a password file": lambda path: path.symlink_to("/etc/passwd"),
            "binary": lambda path: path.write_bytes(b"\x00\xff\n" * 9),
        }.items()
    },
    **{
        f"{'.'.join(keys)} in {name}": (name, changed(*keys, to=to), lines)
        for name, keys, to, lines in (
            ("metrics.json", ("methods",), [], ("inspect", "compare", "report")),
            ("metrics.json", ("methods", "dann", "mc"), GONE, ("inspect", "compare")),
            ("metrics.json", ("methods", "dann", "mc", "auc"), "0.9", ("inspect", "compare")),
            ("metrics.json", ("methods", "dann", "members", "n"), -1, ("compare",)),
            ("metrics.json", ("target", "shift"), {"name": 3}, ("inspect", "compare")),
            ("diagnosis.json", ("auc",), "high", (ANEW,)),
            ("recommendation.json", ("method",), ["dann"], (ANEW,)),
            ("health.json", ("looks",), {"dann": 1}, (ANEW,)),
            ("health.json", ("figures",), {}, (ANEW,)),
            ("origin.json", ("tensors",), GONE, ("train --resume -o",)),
            ("origin.json", ("content",), [7], ("train --resume -o",)),
            ("origin.json", ("config", "train", "epochs"), "x", ("train --resume -o",)),
            ("model.safetensors", ("scaling", "mean"), [0.0], ("predict",)),
            ("model.safetensors", ("scaling", "std"), [0, 0], ("predict",)),
            ("model.safetensors", ("alignments", "quantile", "target"), [[1]], ("predict",)),
            ("model.safetensors", ("alignments", "quantile"), {}, ("predict",)),
            ("model.safetensors", ("methods", "dann", "shape", "depth"), 3, ("predict",)),
            ("model.safetensors", ("methods", "dann", "shape", "extractor"), [10**6] * 2,
             ("predict",)),
            ("model.safetensors", ("methods", "dann", "seeds"), [0, 1], ("predict",)),
            ("model.safetensors", ("classes",), ["a", "b", "c"], ("predict",)),
            ("model.safetensors", ("features",), ["a"], ("predict",)),
        )
    },
    **{
        f"{name}, {what}": ("scores.h5", column(name, values), (ANEW,))
        for name, what, values in (
            ("mc/label", "gone", None),
            ("mc/label", "of no class", np.full(400, 7)),
            ("mc/weight", "short", np.ones(3, "f4")),
            ("target/weight", "not numbers", np.full(400, np.nan, "f4")),
            ("target/split", "of no split", np.full(400, 9, "u1")),
            ("target/latent/dann", "a group", GROUP),
            ("target/latent/dann", "empty", np.ones((0, 4), "f4")),
            ("target/latent", "no group", np.ones((400, 4), "f4")),
            ("mc/event_id", "a group", GROUP),
            ("target/latent/dann", "flat", np.ones(400, "f4")),
            ("mc/members/dann", "complex", np.ones((1, 400, 1), "c8")),
            ("mc/row", "elsewhere", h5py.ExternalLink("/dev/zero", "x")),
            ("mc/row", "linked", h5py.SoftLink("/mc/row")),
            ("mc/row", "backwards", np.arange(400)[::-1]),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_run_is_one_line_that_names_the_file(run, place, case):
    name, damage, lines = DAMAGES[case]
    damage(place / "run" / name)
    for line in lines:
        if line == "predict":
            code, out, err = predicted(place / "run")
        else:
            code, out, err = run(*line.split(), "run", cwd=place)
        assert (code, out) == (2, ""), line
        assert err.startswith("hepdann: error: ")
        assert err.count("\n") == 1
        assert name in err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda texts, tensors: texts.pop("epoch"), "'epoch'"),
        (lambda texts, tensors: texts.update(epoch="1e9"), "epoch"),
        (lambda texts, tensors: texts.update(position="-1"), "position"),
        (lambda texts, tensors: texts.update(history="[{}]"), "history.0.method"),
        (lambda texts, tensors: texts.update(best="[]"), "best"),
        (lambda texts, tensors: tensors.pop("sums"), "'sums'"),
        (lambda texts, tensors: tensors.update(sums=tensors["sums"][:1]), "size"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_that_names_the_file(run, place, damage, message):
    (place / "run" / "metrics.json").unlink()
    path = place / "run" / "checkpoint" / "stack-0.safetensors"
    texts, tensors = read_tensors(path)
    damage(texts, tensors)
    path.write_bytes(save({key: value.clone() for key, value in tensors.items()}, texts))
    code, out, err = run("train", "--resume", "-o", "run", cwd=place)
    assert (code, out) == (2, "")
    assert "stack-0.safetensors" in complaint(err)
    assert message in err


def test_a_process_of_its_own_says_the_same(hepdann, place):
    done = hepdann("inspect", "part.h5", cwd=place, env={"COLUMNS": "20"})
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == (
        "hepdann: error: part.h5: is not complete, its conversion was cut off; convert again\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(run, place):
    (place / "empty").chmod(0o500)
    for line in (
        "convert mc.root data.root -o empty/t.h5",
        "train -o empty/run",
        "plot run -o empty/plots",
    ):
        code, _, err = run(*line.split(), cwd=place)
        assert code == 2
        assert err.startswith("hepdann: error: empty/")
        assert "Permission denied" in err


@contextmanager
def room(size):
    """No file may grow past ``size`` bytes: a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writes = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # of what is imported here, Python would keep the beginning
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = writes
        signal.signal(signal.SIGXFSZ, ignored)


def complaint(err):
    """The one line about what is wrong, after lines of progress."""
    *progress, last = err.splitlines()
    assert last.startswith("hepdann: error: ")
    assert not any("error" in line or "Traceback" in line for line in progress)
    return last


def test_a_full_disk_leaves_the_earlier_tensors(run, place):
    before = contents(place)
    for size in (100, 5_000, 12_000):
        with room(size):
            code, out, err = run("convert", "mc.root", "data.root", cwd=place)
        assert (code, out) == (2, "")
        assert "tensors.h5: cannot be written: File too large; make room" in complaint(err)
        assert contents(place) == before


@pytest.mark.parametrize("size", [100, 3_000, 30_000, 60_000])
def test_a_full_disk_leaves_no_half_run(run, place, size):
    with room(size):
        code, out, err = run("train", *TINY, "-o", "new", cwd=place)
    assert (code, out) == (2, "")
    assert "new/" in complaint(err)
    assert "cannot be written: File too large" in complaint(err)
    files = contents(place / "new")
    assert "metrics.json" not in files
    assert not [name for name in files if name.endswith(".part")]
    if "origin.json" in files:
        assert run("train", "--resume", "-o", "new", cwd=place)[0] == 0
        assert library.open_run(place / "new").metrics["interrupted"] is False


def test_a_full_disk_leaves_the_earlier_figures(run, place):
    assert run("plot", "run", "--only", "loss", "--formats", "png", cwd=place)[0] == 0
    before = contents(place)
    with room(4_000):
        code, out, err = run("plot", "run", "--only", "loss,roc", "--formats", "png", cwd=place)
    assert (code, out) == (2, "")
    assert "run/plots: the figures cannot be written: File too large; make" in complaint(err)
    assert contents(place) == before


@pytest.mark.parametrize("line", ["inspect tensors.h5", "compare run"])
def test_a_reader_that_leaves_is_no_error(executable, place, line):
    process = subprocess.Popen(
        [executable, *line.split()], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    with process.stderr as said:
        assert said.read() == b""
    assert process.wait(timeout=120) == 141


def test_a_file_of_one_class_is_refused_by_train_in_one_line(place, run):
    with h5py.File(place / "tensors.h5", "r+") as file:
        file["mc"].attrs["classes"] = ["all"]
        file["mc/label"][...] = 0
    code, _, err = run("train", "tensors.h5", *TINY, cwd=place)
    assert code == 2
    assert err.splitlines()[-1].startswith("hepdann: error: tensors.h5: holds one class of MC")
