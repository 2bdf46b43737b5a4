"""Runs that learn from mixed samples within the target, without a label."""

from __future__ import annotations

import numpy as np
import pytest

import hepdann
from hepdann import samples
from hepdann.domains import Wanted, prepare
from hepdann.errors import ConfigError, HepdannError
from hepdann.methods.mixtures import unmixed
from hepdann.runs import resume

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {
    "seeds": 2, "epochs": 3, "batch_size": 256, "alignments": [], "diagnose": False,
    "oracle": False,
}  # fmt: skip
CUTS = [{"cut": "bag == 1", "fraction": 0.7}, {"cut": "bag == 0", "fraction": 0.4}]
METHODS = ["cwola", "llp", "llp-unbiased"]


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    """Bags of which the first has more signal, and a column that tells nothing."""
    folder = tmp_path_factory.mktemp("proportions")
    mc, data, truth = samples.write("proportions", folder, 6_000, 1, truth=True)
    hepdann.convert(
        mc, data, truth=truth, spectators=["bag"], features=["x1", "x2", "x3"],
        output=folder / "t.h5",
    )  # fmt: skip
    return hepdann.open_tensors(folder / "t.h5")


@pytest.fixture(scope="module")
def run(tensors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return hepdann.train(tensors, method=METHODS, mixtures=CUTS, output=folder, **FAST)


def test_classes_are_distinguished_without_a_label(run):
    for name in METHODS:
        assert run.metrics["methods"][name]["mc"]["auc"] > 0.9, name
        assert run.metrics["methods"][name]["target"]["auc"] > 0.9, name
    block = run.metrics["mixtures"]
    assert block["fractions"] == [0.7, 0.4]
    for name in METHODS:
        one = block["methods"][name]
        assert one["means"][0] > one["means"][1]
        assert not one["flipped"]
        assert one["members_flipped"] == 0


def test_a_run_on_mixtures_that_was_killed_resumes_to_the_same_bits(run, tensors, tmp_path, killed):
    killed(
        lambda stop: hepdann.train(
            tensors, method=METHODS, mixtures=CUTS, output=tmp_path / "run", stop=stop, **FAST
        ),
        25,
    )
    assert list((tmp_path / "run" / "checkpoint").glob("stack-*.safetensors"))
    again = resume(tmp_path / "run")
    for name in ("model.safetensors", "history.csv", "scores.h5"):
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes(), name


def test_a_scan_trains_them_too(tensors, tmp_path):
    scan = hepdann.scan(
        tensors, methods=["cwola", "llp"], mixtures=CUTS, lambda_=[1.0],
        output=tmp_path / "scan", **(FAST | {"epochs": 1, "seeds": 1}),
    )  # fmt: skip
    assert {"cwola", "llp"} <= {group["method"] for group in scan.summary["groups"]}


@pytest.mark.parametrize(
    ("method", "mixtures", "message"),
    [
        ("cwola", None, "--mixture"),
        ("llp", [{"cut": "bag == 1"}, {"cut": "bag == 0"}], "--fraction"),
        ("llp", [c | {"fraction": 0.4} for c in CUTS], "all bags have one signal fraction"),
        ("llp", [CUTS[0], {"cut": "bag == 7", "fraction": 0.1}], "is in bag 2"),
        ("cwola", [{"cut": "bag == 7"}, {"cut": "bag == 0"}], "is in mixture 1"),
        ("cwola", [{"cut": "x1 > 0"}, {"cut": "colour > 0"}], "no column 'colour'"),
    ],
)
def test_what_cannot_be_learnt_is_said_in_one_line(tensors, tmp_path, method, mixtures, message):
    with pytest.raises(HepdannError) as caught:
        hepdann.train(tensors, method=method, mixtures=mixtures, output=tmp_path / "run", **FAST)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_mixtures_of_equal_fractions_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    columns, label = {"x": rng.normal(size=3000)}, rng.integers(0, 2, 3000)
    side = rng.integers(0, 2, 3000)
    tensors = hepdann.Tensors.from_arrays(columns, label, data=columns, data_weight=1 + 1e-3 * side)
    halves = [{"cut": "weight > 1"}, {"cut": "weight <= 1"}]
    with pytest.raises(ConfigError, match="the two mixtures are not distinguished"):
        hepdann.train(tensors, method="cwola", mixtures=halves, output=tmp_path / "run", **FAST)


def test_unmixed_weights_give_the_densities_of_the_classes(tensors):
    """Histograms of events that weigh as signal are those of the signal, within their errors."""
    wanted = Wanted(mixtures=("bag == 1", "bag == 0"), fractions=(0.7, 0.4))
    source = unmixed(prepare(tensors, None, None, 0, wanted=wanted)).part("train")
    assert (source.weight < 0).any()
    mc = tensors.source().part("train")
    edges = np.linspace(-4, 4, 9)
    for label in (0, 1):
        rows = source.label == label
        got = np.histogram(source.features[rows, 0], edges, weights=source.weight[rows])[0]
        want = np.histogram(mc.features[mc.label == label, 0], edges)[0]
        assert np.allclose(got / got.sum(), want / want.sum(), atol=0.05)
    sums = [source.weight[source.label == label].sum() for label in (0, 1)]
    assert sums[0] == pytest.approx(sums[1], rel=0.01)
