"""Lists become objects: what is found, what is computed of them, and what is refused."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
import uproot

from hepdann.config import Config
from hepdann.errors import ConfigError, ReadError
from hepdann.expressions import parse
from hepdann.readers import convert_files as convert_files
from hepdann.readers.conversion_record import Conversion
from hepdann.readers.files import FileRef
from hepdann.readers.planning.columns import Columns, ObjectColumns
from hepdann.readers.planning.features import with_objects
from hepdann.readers.planning.input_samples import gather
from hepdann.readers.prescan import Branch, scan
from hepdann.readers.row_reader import RowReader
from hepdann.tensors import open_tensors, read_images

EVENTS = 60


def columns(seed=0):
    """Events of a NanoAOD: jets in disorder, some events without; an axis; further lists."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 7, EVENTS)

    def lists(values, kind=np.float32):
        return ak.unflatten(values.astype(kind), counts)

    total = counts.sum()
    return {
        "Jet_pt": lists(rng.exponential(30, total)),
        "Jet_eta": lists(rng.normal(size=total), np.float64),
        "Jet_phi": lists(rng.uniform(-np.pi, np.pi, total)),
        "Jet_nTracks": lists(rng.integers(0, 9, total), np.int32),
        "Jet_genPt": lists(rng.exponential(30, total)),
        "Tau_pt": ak.unflatten(rng.exponential(9, 2 * EVENTS).astype(np.float32), [2] * EVENTS),
        "axis_eta": rng.normal(size=EVENTS),
        "axis_phi": rng.uniform(-np.pi, np.pi, EVENTS),
        "met": rng.exponential(20, EVENTS).astype(np.float32),
        "isb": np.arange(EVENTS, dtype=np.int32) % 2,
        "event": np.arange(EVENTS, dtype=np.int64),
    }


def write(path, content, kind="TTree"):
    with uproot.recreate(path) as file:
        if kind == "RNTuple":
            tree = file.mkrntuple("Events", {n: v[:25] for n, v in content.items()})
            tree.extend({n: v[25:] for n, v in content.items()})
            return path
        types = {n: v.type.content if isinstance(v, ak.Array) else v.dtype
                 for n, v in content.items()}  # fmt: skip
        tree = file.mktree("Events", types)
        for part in (slice(0, 25), slice(25, None)):
            tree.extend({n: v[part] for n, v in content.items()})
    return path


@pytest.fixture(scope="module", params=["TTree", "RNTuple"])
def nano(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("nano") / "mc.root", columns(), request.param)


def converted(path, tmp_path, name="t.h5", reader="auto", **convert):
    config = Config(convert={"label": "isb", "block_size": 17} | convert)
    summary = convert_files([str(path)], [], output=tmp_path / name, config=config, reader=reader)
    return open_tensors(tmp_path / name), summary


def stored(tensors, number=0):
    """The objects of a collection as lists of an event, each object a list of features."""
    part = read_images(tensors, "mc").parts[number]
    return [rows.tolist() for rows in np.split(part.values, part.start[1:-1])]


SETTINGS = {
    "Jet": {
        "features": ["Jet_pt", "log(Jet_pt)", "deltaR(Jet_eta, Jet_phi, axis_eta, axis_phi)",
                     "Jet_pt / Jet_pt[0]"],
        "cut": "Jet_pt > 8 && abs(Jet_eta) < 2",
        "sort": "Jet_pt",
        "max": 3,
    },
    "Tau": {"features": ["Tau_pt"]},
}  # fmt: skip


def expected_jets():
    events = ak.Array(columns())[columns()["met"] > 5]
    pt, eta, phi = events.Jet_pt, events.Jet_eta, events.Jet_phi
    leading = ak.fill_none(ak.firsts(pt), 1)
    turned = np.remainder(phi - events.axis_phi + np.pi, 2 * np.pi) - np.pi
    features = ak.zip({
        "0": pt, "1": np.log(pt), "2": np.hypot(eta - events.axis_eta, turned), "3": pt / leading
    })  # fmt: skip
    chosen = (pt > 8) & (abs(eta) < 2)
    order = ak.argsort(pt[chosen], ascending=False)
    return [
        [list(jet.values()) for jet in jets] for jets in features[chosen][order][:, :3].tolist()
    ]


@pytest.mark.parametrize("reader", ["auto", "uproot"])
def test_objects_are_those_of_awkward_whoever_reads(nano, tmp_path, reader):
    tensors, summary = converted(
        nano, tmp_path, reader=reader, objects=SETTINGS, features=["met"], cut="met > 5"
    )
    for jets, expected in zip(stored(tensors), expected_jets(), strict=True):
        np.testing.assert_allclose(jets, expected, rtol=1e-5)
    assert [one.most for one in tensors.objects] == [3, 64]
    assert {len(taus) for taus in stored(tensors, 1)} == {2}
    assert tensors.column("mc", "met").tolist() == [m for m in columns()["met"].tolist() if m > 5]
    assert any("events (" in note and "more than 3 Jet" in note for note in summary.notes)
    reasons = {one.name: one.reason for one in summary.left_out}
    assert reasons["Jet_pt"] == "is of the objects Jet"


def test_neither_blocks_nor_threads_nor_reader_change_a_byte(nano, tmp_path):
    files = []
    for number, (size, reader) in enumerate(((7, "uproot"), (60, "auto"))):
        settings = {"objects": SETTINGS, "block_size": size, "features": ["met"]}
        tensors, _ = converted(nano, tmp_path, f"{number}.h5", reader, **settings)
        assert tensors.verify() == []
        files.append(read_images(tensors, "mc")[:].tobytes())
    assert files[0] == files[1]


def test_lists_of_numbers_are_found_by_the_name_of_the_objects(nano, tmp_path):
    tensors, _ = converted(nano, tmp_path, objects={"Jet": {}})
    assert set(tensors.objects[0].features) == {"Jet_pt", "Jet_eta", "Jet_phi", "Jet_nTracks"}
    assert "met" in tensors.features  # flat inputs stand beside them
    assert Conversion.of(tensors).objects["Jet"].features == [*tensors.objects[0].features]
    with pytest.raises(ConfigError, match=r"no lists begin with 'Jets_'.*did you mean 'Jet'"):
        converted(nano, tmp_path, objects={"Jets": {}})


@pytest.mark.parametrize("begin", ["Jets/Jets.", "JetsAuxDyn.", "Jets_"])
def test_members_of_edm4hep_physlite_and_nanoaod_are_found(nano, begin):
    file = scan(str(nano))[0]
    number = np.dtype(np.float32)
    for name, element in (
        ("momentum.x", number),
        ("energy", number),
        ("tag", None),
        ("truth", number),
    ):
        branch = Branch(begin + name, "std::vector", None, (), "its length varies", element)
        file.branches[branch.name] = branch  # type: ignore[index]
    (entry,) = gather([str(nano)], [], Config())
    object.__setattr__(entry, "files", (file,))
    found = with_objects([entry], Config(convert={"objects": {"Jets": {}}})).convert.objects
    assert found["Jets"].features == [begin + "momentum.x", begin + "energy"]


@pytest.mark.parametrize(("kind", "dot"), [("TTree", "."), ("RNTuple", ":")])
def test_lists_of_physlite_are_converted_by_the_name_of_the_objects(tmp_path, kind, dot):
    content, counts = columns(), ak.num(columns()["Jet_pt"])
    renamed = {n.replace("Jet_", f"AnalysisJetsAuxDyn{dot}"): v for n, v in content.items()}
    path = write(tmp_path / "mc.root", renamed, kind)
    pt = f"AnalysisJetsAuxDyn{dot}pt"
    jets = {"cut": f"`{pt}` > 20", "sort": pt}
    tensors, _ = converted(path, tmp_path, objects={"AnalysisJets": jets}, features=[])
    assert f"AnalysisJetsAuxDyn{dot}eta" in tensors.objects[0].features
    hard = ak.sum(content["Jet_pt"] > 20, axis=1)
    assert [len(one) for one in stored(tensors)] == hard.tolist() != counts.tolist()


def test_what_is_no_list_of_numbers_is_refused_by_name(tmp_path):
    content = columns() | {
        "Jet_hits": ak.Array([[[1.0, 2.0]]] * EVENTS),
        "Jet_name": ak.Array([["a"]] * EVENTS),
    }
    path = write(tmp_path / "mc.root", content, "RNTuple")
    for text, message in (
        ("Jet_hits", r"'Jet_hits' \(std::vector<std::vector<double>>\).*one number for each"),
        ("Jet_name", r"'Jet_name' \(std::vector<std::string>\).*write the branch as a list"),
        ("Jet_pt + Jet_ptt", r"no branch 'Jet_ptt'.*did you mean 'Jet_pt'"),
        ("met", "reads no list.*--features"),
        ("isb * Jet_pt", "is the label, or made of it"),
    ):
        with pytest.raises(ConfigError, match=message):
            converted(path, tmp_path, objects={"Jet": {"features": [text]}})
    with pytest.raises(ValueError, match="objects do not vary"):
        converted(path, tmp_path, objects={"Jet": {}}, variations={"up": {"tree": "t"}})
    with pytest.raises(ReadError, match="lists of the objects 'Jet' run along"):
        converted(path, tmp_path, objects={"Jet": {"features": ["Jet_pt", "Tau_pt"]}})
    with pytest.raises(ConfigError, match="no object of 'Jet' is in MC"):
        converted(path, tmp_path, objects={"Jet": {"cut": "Jet_pt < 0"}})


def test_further_files_are_read_as_those_of_a_conversion(nano, tmp_path):
    tensors, _ = converted(nano, tmp_path, objects=SETTINGS, features=[])
    assert tensors.features == ()
    reader = RowReader(FileRef(str(nano)), Conversion.of(tensors))
    (rows,) = reader.read(lambda block: block)
    (inputs,) = rows.inputs
    whole = read_images(tensors, "mc")
    np.testing.assert_array_equal(inputs.objects["Jet"].values, whole.parts[0].values)
    np.testing.assert_array_equal(inputs.objects["Tau"].start, whole.parts[1].start)
    summary = convert_files([], [str(nano)], output=tmp_path / "new.h5", like=tensors.path)
    new = open_tensors(summary.output)
    np.testing.assert_array_equal(read_images(new, "data")[:], whole[:])


def test_expressions_of_objects_are_those_of_awkward():
    """Two hundred random ones, of two lists and a number of the event."""
    rng = np.random.default_rng(5)
    content = {name: columns()[name] for name in ("Jet_pt", "Jet_eta", "met")}
    branches = {
        name: Branch(name, "", None, (), "", np.dtype(np.float64))
        if isinstance(values, ak.Array)
        else Branch(name, "", np.dtype(np.float32))
        for name, values in content.items()
    }
    offered = ObjectColumns(**vars(Columns.of(branches)))
    lookup = offered.lookup(content)
    event = np.repeat(np.arange(EVENTS), ak.num(content["Jet_pt"]))

    def values(name):
        return lookup(name) if offered.is_list(name) else lookup(name)[event]

    wide = {name: ak.values_astype(values, np.float64) for name, values in content.items()}

    def made(depth):
        kind = rng.integers(0, 4) if depth else 3
        if kind == 3:
            return rng.choice(["Jet_pt", "Jet_eta", "met", f"{rng.uniform(0.1, 5):.3f}"])
        if kind == 2:
            name = rng.choice(["sqrt", "exp", "log", "tanh", "abs", "cos"])
            return f"{name}({made(depth - 1)})"
        return f"({made(depth - 1)} {rng.choice(list('+-*/'))} {made(depth - 1)})"

    functions = {n: getattr(np, n) for n in ("sqrt", "exp", "log", "tanh", "abs", "cos")}
    done = 0
    with np.errstate(all="ignore"):
        while done < 200:
            text = f"{made(3)} + 0 * Jet_pt"
            expected = ak.flatten(eval(text, functions | wide)).to_numpy()
            np.testing.assert_allclose(
                parse(text).evaluate(values, len(event)), expected, rtol=1e-9, equal_nan=True
            )
            done += 1
    assert math.isclose(parse("deltaPhi(3, -3)").evaluate(values, 1)[0], 6 - 2 * math.pi)
