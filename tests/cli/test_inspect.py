from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot

from hepdann.config.samples import SplitConfig
from hepdann.provenance import describe_file, provenance
from hepdann.tensors import Block, Layout, TensorWriter

EVENTS = 1000
WEIGHT = np.where(np.arange(EVENTS) % 3 == 0, 2.0, -0.5).astype(np.float32)


@pytest.fixture
def tensor_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path / "tensors.h5"
    (tmp_path / "mc.root").write_bytes(b"root")
    features = rng.uniform(20, 80, (EVENTS, 2)).astype(np.float32)
    features[:100, 0] = np.nan
    features[0, 1] = np.inf
    features[1, 1] = -7.5

    def block(n: int, mc: bool) -> Block:
        return Block(
            features=features[:n],
            spectators=np.full((n, 1), 3.0, np.float32),
            weight=WEIGHT[:n],
            sample=np.arange(n, dtype=np.uint16) % (2 if mc else 1),
            event_id=rng.integers(0, 2**64, n, dtype=np.uint64),
            label=(np.arange(n) < 250).astype(np.int32) if mc else None,
        )

    layout = Layout(
        features=("pt", "mass"),
        units=("GeV", ""),
        spectators=("nbjet",),
        classes=("background", "signal"),
        samples={"mc": ("ttbar", "wjets"), "data": ("2012B",)},
    )
    capacity = {"mc": EVENTS, "data": 200}
    with TensorWriter(path, layout, capacity=capacity, split=SplitConfig()) as writer:
        writer.append("mc", block(EVENTS, mc=True))
        writer.append("data", block(200, mc=False))
        writer.finish(provenance([describe_file(tmp_path / "mc.root")], {"cut": "pt > 20"}))
    return path


def test_a_tensor_file_for_a_person(typed, tensor_file):
    done = typed("inspect", tensor_file)
    assert (done.code, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    for fact in (
        "1,000 mc, 200 data events, 2 features, 1 spectator",
        "mc all 1,000 335 ± 39",
        "mc class signal 250 85 ± 19",
        "mc sample wjets 500 168 ± 27",
        "data sample 2012B 200 68 ± 17",
        "data/MC: 0.201 ± 0.057",
        "weighted mean",
        "70 % / 15 % / 15 %",
        "mc.root 4 bytes",
    ):
        assert fact in said
    rows = [line.split() for line in done.stdout.splitlines()]
    pt = next(row for row in rows if row[:2] == ["pt", "GeV"])
    assert pt[-2:] == ["100", "0"]  # missing, infinite
    assert "checksums" not in said


def test_a_tensor_file_as_json(typed, tensor_file):
    found = json.loads(typed("inspect", tensor_file, "--json", "--verify").stdout)
    assert found["kind"] == "tensors"
    assert found["verified"]
    assert [entry["name"] for entry in found["features"]] == ["pt", "mass"]
    assert found["provenance"]["settings"] == {"cut": "pt > 20"}
    mc = found["domains"]["mc"]
    error = pytest.approx(np.sqrt((WEIGHT**2).sum()))
    assert mc["total"] == {"events": EVENTS, "sum_weight": 335.0, "error": error}
    assert found["data_mc"]["value"] == pytest.approx(67.5 / 335)
    assert sum(count["events"] for count in mc["splits"].values()) == EVENTS
    assert mc["classes"]["background"]["events"] == 750
    assert found["domains"]["data"]["classes"] == {}
    pt, mass = mc["features"]
    assert (pt["missing"], pt["infinite"]) == (100, 0)
    assert (mass["missing"], mass["infinite"], mass["minimum"]) == (0, 1, -7.5)
    with h5py.File(tensor_file) as file:
        values = file["mc/features"][:, 0]
    known = np.isfinite(values)
    assert pt["mean"] == pytest.approx(np.average(values[known], weights=WEIGHT[known]))
    assert (pt["minimum"], pt["maximum"]) == (np.nanmin(values), np.nanmax(values))
    assert mc["spectators"][0]["mean"] == 3.0


def test_verify_names_what_is_damaged(typed, tensor_file):
    assert typed("inspect", tensor_file, "--verify").stdout.endswith("as it was written\n")
    with h5py.File(tensor_file) as file:
        position = file["mc/weight"].id.get_offset() + 17
    with tensor_file.open("r+b") as file:
        file.seek(position)
        file.write(b"\xff")
    done = typed("inspect", tensor_file, "--verify")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hepdann: error: {tensor_file}: damaged: mc/weight rows 0-999; ")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def root_file(tmp_path: Path) -> Path:
    path = tmp_path / "mc.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", {"pt": "float32", "q": ("int16", (3,))})
        tree.extend({"pt": np.ones(7, np.float32), "q": np.ones((7, 3), np.int16)})
        file.mktree("Runs", {"run": "uint64"}).extend({"run": np.arange(2, dtype=np.uint64)})
        file.mkrntuple("ntuple", {"x": np.zeros(3)})
    return path


def test_a_root_file(typed, root_file):
    done = typed("inspect", root_file)
    assert (done.code, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    for fact in ("Events: 7 entries", "Runs: 2 entries", "ntuple: 3 entries", "pt float"):
        assert fact in said
    found = json.loads(typed("inspect", root_file, "--json").stdout)["files"][0]
    assert found["trees"] == {"Events": 7, "Runs": 2, "ntuple": 3}
    branches = {branch["name"]: branch for branch in found["branches"]}
    assert branches["pt"]["dtype"] == "float32"
    assert branches["q"]["shape"] == [3]
    other = json.loads(typed("inspect", f"{root_file}:ntuple", "--json").stdout)["files"][0]
    assert (other["tree"], other["format"], other["entries"]) == ("ntuple", "RNTuple", 3)


SPREAD = {"mean": None, "std": None}
REST = {
    "chosen": {"criterion": "last-epoch", "epoch": 20},
    "members": {
        "n": 5,
        "mc_accuracy": SPREAD,
        "mc_auc": SPREAD,
        "target_accuracy": SPREAD | {"peeked_max": None},
        "target_auc": SPREAD,
    },
    "threshold": {"fixed": {}, "prior_matched": {}},
    "domain": {},
    "criteria": {},
}
METRICS = {
    "format_version": 1,
    "target": {"kind": "pseudo-data", "shift": {"name": "sine", "t": 3}},
    "majority": {"mc": 0.775, "target": None},
    "methods": {
        "source-only": REST
        | {
            "mc": {"accuracy": 0.905, "accuracy_error": 0.002, "auc": 0.931},
            "target": {"accuracy": 0.518, "auc": 0.911, "consistency": None},
        },
        "dann": REST | {"mc": {"accuracy": 0.9}, "target": {"accuracy": None, "auc": 0.917}},
    },
    "recommended": "dann",
    "recommendation": {"method": "dann", "sentence": "it does"},
    "diagnosis": {
        "auc_inputs": 0.999,
        "p_value": 0.005,
        "shift": True,
        "sentence": "MC and data differ",
        "features": [],
    },
    "hepdann": "0.1.0",
}


def test_a_run(typed, tmp_path):
    folder = tmp_path / "sine-t3-1"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "config.yaml").write_text("train: {lambda: 0.3, seeds: 2}\n")
    done = typed("inspect", folder)
    assert (done.code, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    for fact in (
        "target is pseudo-data, shift sine t = 3; test split",
        "lambda 0.3, seeds 2",
        "source-only 0.9050 ± 0.0020 0.9310 0.5180 0.9110 -",
        "dann * 0.9000 - - 0.9170 -",
        "* recommended without labels: dann; it does",
        "diagnosis: MC and data differ",
        "no plots: hepdann plot",
    ):
        assert fact in said
    found = json.loads(typed("inspect", folder, "--json").stdout)
    assert found["metrics"] == METRICS
    assert found["config"]["train"]["lambda"] == 0.3


def test_other_files_are_refused(typed, tmp_path, root_file):
    (tmp_path / "notes").write_text("nothing of ours")
    (tmp_path / "empty").mkdir()
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    for arguments, message in (
        (["notes"], "notes: is neither a ROOT file nor a tensor file"),
        (["other.h5"], "not a tensor file"),
        (["none.root"], "no such file"),
        (["empty"], "not a run folder"),
        (["none.h5", "--verify"], "no such file"),
        ([root_file, "--verify"], "--verify is for tensor files"),
    ):
        done = typed("inspect", *arguments)
        assert (done.code, done.stdout) == (2, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
