"""Exported scores are hepdann's, from the branches of an ntuple on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
import uproot
from torch import nn

import hepdann
from hepdann import networks
from hepdann.alignment import AffineMap, GaussianTransport, SlicedTransport
from hepdann.calibration import Calibration, FamilyFit, family
from hepdann.deploy import export, exporting
from hepdann.deploy.features import add_features, plan
from hepdann.deploy.formulas import Formula, exact, supported
from hepdann.deploy.graph import OPERATORS, Graph, evaluate, onnx_model
from hepdann.deploy.steps import Scorer
from hepdann.domains import Scaling
from hepdann.errors import ConfigError, RunError
from hepdann.evaluation import open_scores, point_rows
from hepdann.expressions import parse
from hepdann.inference import MethodMean, Model, Part
from hepdann.networks import AdversarialNetwork, NetworkShape
from hepdann.store.working_points import write_working_points
from hepdann.tensors import Target

# from the list in tmva/sofie/README.md of ROOT
SOFIE = {
    "Abs", "Add", "AveragePool", "BatchNormalization", "Concat", "Conv", "Cos", "Div", "Elu",
    "Equal", "Erf", "Exp", "Flatten", "Gemm", "Greater", "Less", "Log", "MaxPool", "Mul", "Pow",
    "Relu", "Reshape", "Sigmoid", "Sin", "Softmax", "Split", "Sqrt", "Sub", "Tanh", "Where",
}  # fmt: skip
METHODS = ["source-only", "quantile", "gaussian-ot+quantile", "dann", "moments+dann"]


def scored(model, method, features, domain="target"):
    """The graph's scores of features (N, F)."""
    graph = Graph()
    layout = plan(model.features, model.missing, model.indicators, {})
    table = graph.input("inputs", (len(layout.inputs),))
    graph.output("scores", Scorer(graph, add_features(graph, layout, table)).add(
        model.steps(method, domain)
    ))  # fmt: skip
    blob = onnx_model(graph, "test", 15, {}).SerializeToString()
    columns = [model.features.index(one.name) for one in layout.inputs]
    return evaluate(blob, {"inputs": np.ascontiguousarray(features[:, columns])})[0]


@pytest.fixture(scope="module")
def events(ntuples, run):
    """Branches of the data, and the features that the run scored."""
    with uproot.open({ntuples / "data.root": "Events"}) as tree:
        arrays = tree.arrays(["a", "c", "b"], library="np")
    features = hepdann.store.scores_reader.open_scores(run.folder).column("target", "features")
    return np.stack(list(arrays.values()), axis=1), features


@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_from_the_branches_on(run, events, method, tmp_path):
    made = export(run, tmp_path / "model.onnx", method=method)
    assert made.agreement.events == 900
    assert made.agreement.largest <= 1e-6
    assert made.computed[:2] == ("mix", "step")
    assert [one.name for one in made.inputs][:3] == ["a", "c", "b"]
    branches, features = events
    if "rough" not in made.computed:  # a quantile map is steep: the last bit of log(b) counts
        assert "quantile" in method
        assert made.note.startswith("rough: computed outside")
        branches = np.column_stack([branches, features[:, run.model.features.index("rough")]])
    outputs = evaluate((tmp_path / "model.onnx").read_bytes(), {"inputs": branches})
    np.testing.assert_allclose(outputs[0], run.predict(features, method=method), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_only_operators_of_sofie_and_float32_are_used(run, method, tmp_path):
    export(run, tmp_path / "model.onnx", method=method)
    model = onnx.load(tmp_path / "model.onnx")
    assert {node.op_type for node in model.graph.node} <= SOFIE
    assert OPERATORS <= SOFIE
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param == "batch_size"


def test_mc_is_scored_by_its_own_statistics(run, tmp_path):
    export(run, tmp_path / "mc.onnx", method="dann", domain="source")
    features = hepdann.store.scores_reader.open_scores(run.folder).column("mc", "features")
    expected = run.predict(features, "source", "dann")
    assert np.abs(scored(run.model, "dann", features, "source") - expected).max() < 1e-6
    assert np.abs(scored(run.model, "dann", features) - expected).max() > 1e-3


def test_nan_infinity_and_the_sentinel_are_missing_values(run):
    x = np.array(
        [
            [90, np.nan, 0, 1, 2, 3],
            [np.inf, 0.5, 0, -np.inf, 1, 4],
            [91, -999, 0, -999, 3, -999],
            [np.nan] * 6,
            [88, 0.1, 0, 3e4, -3e3, 3e2],
        ],
        np.float32,
    )
    for method in ("quantile", "gaussian-ot+quantile", "moments+dann"):
        np.testing.assert_allclose(
            scored(run.model, method, x), run.predict(x, method=method), atol=1e-6
        )


def test_learned_and_sliced_maps_agree(run, events):
    """A map that is steep somewhere, behind another, would show a last bit that is lost."""
    features = events[1]
    sides = [
        Target(x, np.ones(len(x), "f4"), np.arange(len(x), dtype="u8"), np.zeros(len(x), "u1"))
        for x in (features, features[:500] * np.float32(1.1))
    ]
    linear = GaussianTransport.fit(*sides)
    maps = {
        "affine": AffineMap(linear.matrix, linear.offset, linear.centre),
        "sliced": SlicedTransport.fit(*sides, steps=3),
    }
    model = replace(run.model, alignments=maps)
    for name in maps:
        expected = model.score(features, name).mean
        np.testing.assert_allclose(scored(model, name, features), expected, atol=1e-6)


def test_mc_behind_a_scale_and_an_offset_agrees(run, events):
    features = events[1]
    kind = family("scale(a)+offset(c)", features, run.model.features)
    fit = FamilyFit(kind, np.array([0.05, -0.3]), np.ones(2) / 2, np.eye(2), 0.0, True)
    for one in (fit, None):
        known = Calibration(one, ("background", "signal"), *[np.ones(2) / 2] * 3)
        parts = run.model.parts | {"calibrated": run.model.parts["source-only"]}
        model = replace(run.model, parts=parts, calibrations={"calibrated": known})
        expected = model.score(features, "calibrated", "source").mean
        np.testing.assert_allclose(
            scored(model, "calibrated", features, "source"), expected, atol=1e-6
        )
        apart = np.abs(expected - model.score(features, "source-only", "source").mean).max()
        assert (apart > 1e-3) == (one is not None)


def test_maps_and_networks_of_ones_own_are_refused(run):
    class Centre:
        name = "centre"

    x = np.zeros((1, 6), np.float32)
    model = replace(run.model, alignments={"centre": Centre()})
    with pytest.raises(RunError, match="alignment 'centre' is one of your own"):
        scored(model, "centre", x)
    shape = NetworkShape(6, 2, network="gated", normalisation="none")
    network = AdversarialNetwork(shape, [0])
    part = Part(shape, network.arrays(), 0, (1.0,), (0,))
    with pytest.raises(RunError, match="has a layer GLU, which this export does not know"):
        scored(replace(run.model, parts={"dann": part}), "dann", x)


def gated(shape):
    return nn.Sequential(nn.Linear(shape.inputs, 8), nn.GLU())


networks.register("gated", gated)


SHAPES = [
    {"activation": "elu", "normalisation": "layer"},
    {"activation": "gelu", "normalisation": "none", "residual": True},
    {"activation": "tanh", "normalisation": "shared", "residual": True},
    {"activation": "relu", "normalisation": "domain", "domains": 3, "label_head": ()},
    {"activation": "sigmoid", "classes": 3},
]


@pytest.mark.parametrize("settings", SHAPES, ids=lambda s: "-".join(map(str, s.values())))
def test_networks_of_every_shape_agree(settings):
    g = np.random.default_rng(1)
    shape = NetworkShape(**{"inputs": 4, "classes": 2, "extractor": (9, 9), **settings})
    network = AdversarialNetwork(shape, [1, 2, 3])
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.copy_(torch.rand_like(value) + (0.5 if "variance" in name else -0.3))
    scaling = Scaling(np.zeros(4), g.normal(size=4), g.random(4) + 0.5)
    classes = tuple("abc"[: shape.classes])
    part = Part(shape, network.arrays(), 1, (1.0,) * 3, (1, 2, 3))
    model = Model(tuple("pqrs"), classes, scaling, {}, {"dann": part})
    x = g.normal(size=(300, 4)).astype(np.float32)
    for domain in ("target", "source"):
        expected = model.score(x, "dann", domain).mean
        np.testing.assert_allclose(scored(model, "dann", x, domain), expected, atol=1e-6)


EXACT = [
    "a - b/3", "hypot(a, b)*c", "b**3 + a^2", "c > 0.1", "0.1 < c && !(a <= 90)", "min(a, b, c)",
    "c < 0 || b >= 0.2 ? a : -b", "abs(c)/b", "sqrt(c)", "pow(b, 0.5) - 1/a", "isnan(sqrt(c)) + c",
]  # fmt: skip
ROUGH = ["log10(b) + log1p(b)", "sin(a)*cos(b)", "exp(-b)", "tanh(c)", "b**1.3", "tan(b)"]


@pytest.mark.parametrize("text", [*EXACT, *ROUGH])
def test_expressions_are_those_of_the_conversion(text):
    g = np.random.default_rng(2)
    columns = {"a": g.normal(90, 3, 2000), "b": g.exponential(1, 2000), "c": g.normal(size=2000)}
    columns = {name: values.astype(np.float32) for name, values in columns.items()}
    graph = Graph()
    parts = graph.split(graph.input("inputs", (3,)), [1, 1, 1])
    expression = parse(text)
    assert supported(expression)
    assert exact(expression) == (text in EXACT)
    column = Formula(graph, dict(zip(columns, parts, strict=True))).add(expression)
    graph.output("y", graph.add(column, 0.0))
    blob = onnx_model(graph, "test", 15, {}).SerializeToString()
    got = evaluate(blob, {"inputs": np.stack(list(columns.values()), axis=1)})[0][:, 0]
    with np.errstate(all="ignore"):
        wanted = expression.evaluate(columns.__getitem__, 2000).astype(np.float32)
    if text in EXACT:
        np.testing.assert_array_equal(got, wanted)
    else:
        np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("text", ["atan2(a, b)", "floor(a)", "a % 2", "~a", "segment(a)"])
def test_expressions_without_operators_are_inputs(text):
    assert not supported(parse(text))
    layout = plan(["a", "f"], {}, {}, {"a": {"expression": "a"}, "f": {"expression": text}})
    assert [(i.name, i.kind) for i in layout.inputs] == [("a", "branch"), ("f", "feature")]


@pytest.mark.parametrize("weights", [(), (0.7, 0.2, 0.1)])
def test_mixtures_and_corrections_agree(run, events, weights):
    mixture = MethodMean(
        ("source-only", "quantile", "dann"), ((0.1, -0.2), (0.0, 0.3), (0.0, 0.0)), weights
    )
    model = replace(run.model, mixtures={"guard": mixture}, correction=(0.3, -0.4))
    for method in ("guard", "quantile"):
        for domain in ("target", "source"):
            expected = model.score(events[1], method, domain).mean
            got = scored(model, method, events[1], domain)
            np.testing.assert_allclose(got, expected, atol=1e-6)


def test_what_differs_is_refused_and_listed(run, tmp_path, monkeypatch):
    real = exporting.compare_scores
    moved = lambda *given: real(*given[:3], given[3] + 1e-4)  # noqa: E731
    monkeypatch.setattr(exporting, "compare_scores", moved)
    with pytest.raises(RunError, match=r"up to 0.0001, .* worst events .*\(0\.\d{9}, 0\.\d{9}\)"):
        export(run, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    assert export(run, tmp_path / "model.onnx", tolerance=1e-3).files


def test_the_model_describes_itself(run, tmp_path):
    points = [row.stored() for row in point_rows(open_scores(run.folder), [0.6], methods=["dann"])]
    write_working_points(run.folder, points)
    export(run, tmp_path / "model.onnx", method="dann")
    entries = {e.key: e.value for e in onnx.load(tmp_path / "model.onnx").metadata_props}
    said = json.loads(entries["hepdann"])
    assert said["hepdann"] == hepdann.__version__
    assert said["inputs"][0] == {"name": "a", "kind": "branch", "unit": "GeV", "missing": None}
    assert said["inputs"][1]["missing"] == -999
    assert (said["method"], said["domain"], said["classes"]) == (
        "dann", "target", ["background", "signal"],
    )  # fmt: skip
    mix = next(f for f in said["features"] if f["name"] == "mix")
    assert mix["expression"] == "sqrt(b) + 0.5*a"
    assert mix["range"][0] < mix["range"][1]
    assert len(said["model_sha256"]) == 64
    assert said["check"]["largest_difference"] <= 1e-6
    (point,) = said["working_points"]
    assert point["efficiency"] == 0.6
    assert point["threshold"]["value"] == points[0].threshold.value


def test_athena_gets_scalars_and_salts_metadata(run, tmp_path):
    export(run, tmp_path / "my_tagger.onnx", "athena", "dann")
    model = onnx.load(tmp_path / "my_tagger.onnx")
    assert model.opset_import[0].version == 20
    config = json.loads({e.key: e.value for e in model.metadata_props}["gnn_config"])
    assert config["output_names"] == ["mytagger_pbackground", "mytagger_psignal"]
    assert config["onnx_model_version"] == "v1"
    assert config["inputs"] == [
        {
            "name": "jet_var",
            "variables": [{"name": n, "offset": 0.0, "scale": 1.0} for n in ("a", "c", "b")],
        }
    ]
    assert [output.name for output in model.graph.output] == config["output_names"]
    assert all(not output.type.tensor_type.shape.dim for output in model.graph.output)
    assert model.graph.input[0].name == "jet_features"


def test_cms_gets_weavers_file_beside_the_model(run, events, tmp_path):
    made = export(run, tmp_path / "model.onnx", "cms", "dann")
    assert made.files == (tmp_path / "model.onnx", tmp_path / "preprocess.json")
    weaver = json.loads((tmp_path / "preprocess.json").read_text())
    assert weaver["input_names"] == ["inputs"]
    assert weaver["output_names"] == ["background", "signal"]
    block = weaver["inputs"]
    assert (block["var_names"], block["var_length"]) == (["a", "c", "b"], 1)
    assert block["var_infos"]["c"]["replace_inf_value"] == -999
    model = onnx.load(tmp_path / "model.onnx")
    assert model.opset_import[0].version == 15
    branches, features = events
    outputs = evaluate(model.SerializeToString(), {"inputs": branches[:, :, None]})
    expected = run.predict(features, method="dann")
    np.testing.assert_allclose(outputs[0], expected, atol=1e-6)


MAIN = """
#include "a_model.hpp"
#include <cstdio>
int main() {
  float x[a_model::n_inputs], p[a_model::n_classes];
  while (std::fread(x, sizeof x, 1, stdin) == 1) {
    a_model::score(x, p);
    std::fwrite(p, sizeof p, 1, stdout);
  }
}
"""


def test_the_header_compiles_and_agrees(run, events, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    export(run, tmp_path / "a-model.hpp", "cpp", "gaussian-ot+quantile")
    (tmp_path / "a-model.hpp").rename(tmp_path / "a_model.hpp")
    (tmp_path / "main.cpp").write_text(MAIN)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"]
    done = subprocess.run(
        ["g++", *flags, "main.cpp", "-o", "main"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    branches, features = events
    branches = np.column_stack([branches, features[:, run.model.features.index("rough")]])
    scores = subprocess.run([tmp_path / "main"], input=branches.tobytes(), capture_output=True)
    got = np.frombuffer(scores.stdout, np.float32).reshape(-1, 2)
    expected = run.predict(features, method="gaussian-ot+quantile")
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_word_of_cpp_is_no_name_of_a_namespace(run, tmp_path):
    for stem, name in (("class", "class_"), ("std", "std_"), ("tagger", "tagger")):
        export(run, tmp_path / f"{stem}.hpp", "cpp", "source-only")
        assert f"namespace {name} {{" in (tmp_path / f"{stem}.hpp").read_text()


def test_without_the_tensor_file_nothing_can_be_checked(run, tmp_path):
    alone = tmp_path / "run"
    shutil.copytree(run.folder, alone)
    record = json.loads((alone / "origin.json").read_text())
    record["tensors"] = str(tmp_path / "gone.h5")
    (alone / "origin.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="put that file back"):
        export(alone, tmp_path / "model.onnx", method="quantile")
    assert not (tmp_path / "model.onnx").exists()


def test_the_command_shows_inputs_and_the_worst_events(typed, run, tmp_path):
    done = typed("export", run.folder, "-o", "model.onnx", "--method", "quantile")
    assert (done.code, done.stderr) == (0, "")
    assert "computed inside: mix, step" in done.stdout
    assert "note: rough: computed outside" in done.stdout
    assert "GeV" in done.stdout
    assert "900 events agree to" in done.stdout
    assert (tmp_path / "model.onnx").is_file()


def test_the_command_prints_the_same_as_json(typed, run):
    done = typed("export", run.folder, "-o", "m.onnx", "--method", "quantile", "--json")
    said = json.loads(done.stdout)
    assert (said["files"], said["method"], said["domain"]) == (["m.onnx"], "quantile", "target")
    assert said["computed"] == ["mix", "step"]
    assert said["agreement"]["events"] == 900


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "model.root"), "model.root: the name does not end in .onnx; write -o model.onnx"),
        (("-o", "m.onnx", "--for", "cpp"), "does not end in .hpp"),
        (("-o", "m.onnx", "--for", "atlas"), "no framework 'atlas'; there are onnx, athena"),
        (("-o", "m.onnx", "--method", "dan"), "no method 'dan'; there are source-only"),
        (("-o", "m.onnx", "--domain", "mc"), "no domain 'mc'"),
        (("-o", "none/m.onnx"), "No such file"),
        (("-o", "m.onnx", "--tolerance", "nan"), "--tolerance: must be a finite number"),
        (("-o", "m.onnx", "--tolerance", "-1"), "--tolerance: must be a finite number, 0 or more"),
    ],
)
def test_wrong_requests_end_in_one_line(typed, run, arguments, said):
    done = typed("export", run.folder, *arguments)
    assert done.code == 2
    assert done.stderr.startswith("hepdann: error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra_it_says_what_to_install(run, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'package {package}; pip install "hepdann\[onnx\]"'):
        export(run, tmp_path / "m.onnx")
