"""A pure label shift: it is measured, and source-only corrected for it is what is recommended."""

from __future__ import annotations

import numpy as np
import pytest

import hepdann
from hepdann.evaluation import TemplateSettings, fill_templates, open_scores


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A quarter of signal in MC and half of it in data, everything else alike."""
    folder = tmp_path_factory.mktemp("label-shift")
    write(folder / "tensors.h5", 4000, 0.25, 0.5)
    return hepdann.train(
        folder / "tensors.h5", method="dann", alignments=["quantile"], seeds=1, epochs=6,
        output=folder / "run",
    )  # fmt: skip


def write(path, n, mc, data):
    from hepdann.config.samples import SplitConfig
    from hepdann.tensors import Block, Layout, TensorWriter

    generator = np.random.default_rng(7)
    layout = Layout(
        features=("a", "b"), classes=("b", "s"), samples={"mc": ("mc",), "data": ("data",)},
        has_truth=True,
    )  # fmt: skip
    capacity = {"mc": n, "data": n}
    with TensorWriter(path, layout, capacity=capacity, split=SplitConfig()) as writer:
        for number, (domain, fraction) in enumerate((("mc", mc), ("data", data))):
            label = (generator.random(n) < fraction).astype(np.int32)
            x = generator.normal(size=(n, 2)) + 1.3 * label[:, None]
            block = Block(
                features=x.astype(np.float32),
                spectators=np.empty((n, 0), np.float32),
                weight=np.ones(n, np.float32),
                sample=np.zeros(n, np.uint16),
                event_id=np.arange(number * n, (number + 1) * n, dtype=np.uint64),
                label=label if domain == "mc" else None,
                truth=label if domain == "data" else None,
            )
            writer.append(domain, block)
        writer.finish({})


def test_source_only_with_the_targets_fractions_is_recommended(run):
    assert run.metrics["diagnosis"]["kind"] == "label"
    assert run.metrics["diagnosis"]["fractions"]["target"][1] == pytest.approx(0.5, abs=0.06)
    assert run.metrics["recommended"] == "source-only+prior"
    reached = {name: block["target"]["accuracy"] for name, block in run.metrics["methods"].items()}
    assert reached["source-only+prior"] > reached["source-only"] + 0.02
    assert reached["source-only+prior"] > reached["oracle"] - 0.03


def test_its_scores_are_those_of_source_only_by_bayes(run):
    scores = open_scores(run.folder)
    fractions = run.metrics["diagnosis"]["fractions"]
    factor = np.array(fractions["target"]) / fractions["mc"]
    for domain in ("mc", "target"):
        plain, moved = (scores.score(domain, n) for n in ("source-only", "source-only+prior"))
        expected = plain * factor / (plain * factor).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_a_score_is_distributed_in_each_class_of_mc_as_in_the_data(run):
    """Or MC would be no template for the data, and a fit of the signal strength wrong."""
    scores = open_scores(run.folder)
    truth, label = scores.label("target"), scores.label("mc")
    held_out = scores.rows("mc", "test")
    for method in scores.methods:
        if method == "oracle":
            continue
        mc, data = (
            scores.score(domain, method)[:, 1].astype(np.float64) for domain in ("mc", "target")
        )
        for number in (0, 1):
            known = mc[held_out & (label == number)]
            error = np.hypot(known.std() / len(known) ** 0.5, 0.02)
            assert known.mean() == pytest.approx(data[truth == number].mean(), abs=3 * float(error))


def test_templates_say_at_which_fractions_a_score_was_fitted_to_the_data(run):
    """Which a fit of the signal strength gives back; of source-only there are none."""
    fractions = run.metrics["diagnosis"]["fractions"]
    assumed = f"s at {fractions['target'][1] / fractions['mc'][1]:.2f} of its fraction in MC"
    for method, said in (("source-only", False), ("quantile", True), ("dann", True)):
        notes = fill_templates(run.folder, TemplateSettings(method=method)).notes
        assert any(assumed in note for note in notes) == said


def test_maps_and_networks_are_fitted_at_the_estimated_fractions(run):
    """Aligned with MC of half signal, not pulled back to a quarter."""
    reached = {name: block["target"]["accuracy"] for name, block in run.metrics["methods"].items()}
    assert reached["quantile"] > reached["source-only"]
    assert reached["dann"] > reached["source-only"]


def test_a_scan_has_the_figures_of_the_run(run, tmp_path):
    scan = hepdann.scan(
        run.folder.parent / "tensors.h5", methods=["dann"], lambda_=[1.0],
        alignments=["quantile"], seeds=1, epochs=6, output=tmp_path / "scan",
    )  # fmt: skip
    methods = [str(name) for name in scan.table["method"]]
    for name in ("source-only", "quantile", "source-only+prior"):
        for domain in ("mc", "target"):
            expected = run.metrics["methods"][name][domain]["accuracy"]
            reached = scan.table[f"{domain}_accuracy"][methods.index(name)]
            assert reached == pytest.approx(expected, abs=1e-6)
