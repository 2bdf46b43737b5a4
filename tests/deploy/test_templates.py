"""Templates in ROOT and in pyhf say the same, and a fit of them runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import uproot

from hepdann.deploy import pyhf_workspace, write_histograms, write_workspace
from hepdann.errors import RunError
from hepdann.evaluation import TemplateSettings, fill_templates

from ..template_run import write_template_run

# pyhf 0.7.6 and cabinetry 0.6.0 use it; jsonschema warns of it
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

REGIONS = {"SR": "njets >= 2", "CR": "njets < 2"}
SETTINGS = TemplateSettings(method="dann", bins=6, regions=REGIONS, variations=True)


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
    return write_template_run(tmp_path_factory.mktemp("templates") / "run")


@pytest.fixture(name="templates", scope="module")
def templates_fixture(folder):
    return fill_templates(folder, SETTINGS)


def modifiers(workspace, region, sample):
    channel = next(c for c in workspace["channels"] if c["name"] == region)
    found = next(s for s in channel["samples"] if s["name"] == sample)["modifiers"]
    return {(m["name"], m["type"]): m["data"] for m in found}


def test_root_reads_the_histograms_with_their_errors_and_what_lies_outside(templates, tmp_path):
    write_histograms(templates, tmp_path / "t.root")
    with uproot.open(tmp_path / "t.root") as file:
        names = {f"{r}/{s}/{v}" for (r, s), each in templates.mc.items() for v in each}
        names |= {f"{region}/data/nominal" for region in REGIONS}
        assert {n for n in file.keys(cycle=False, filter_classname="TH1D")} == names  # noqa: C416
        for (region, sample), each in templates.mc.items():
            for variation, one in each.items():
                read = file[f"{region}/{sample}/{variation}"]
                np.testing.assert_array_equal(read.axis().edges(), one.edges)
                np.testing.assert_array_equal(read.values(), one.sumw)
                np.testing.assert_array_equal(read.variances(), one.sumw2)
    outside = fill_templates(
        write_template_run(tmp_path / "run", n=600),
        TemplateSettings(of="x", method="dann", bins=[0, 1]),
    )
    write_histograms(outside, tmp_path / "t.root")
    with uproot.open(tmp_path / "t.root") as file:
        one = outside.mc["all", "top_signal"]["nominal"]
        read = file["all/top_signal/nominal"].values(flow=True)
        np.testing.assert_array_equal(read, [one.underflow[0], *one.sumw, one.overflow[0]])


def test_only_templates_are_replaced(templates, tmp_path):
    write_histograms(templates, tmp_path / "t.root")
    write_histograms(templates, tmp_path / "t.root")
    (tmp_path / "notes.txt").write_text("mine")
    with uproot.recreate(tmp_path / "data.root") as file:
        file.mktree("jets", {"x": np.float32})
    for name in ("notes.txt", "data.root"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(RunError, match=rf"{name}: exists, and holds other things than"):
            write_histograms(templates, tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_the_workspace_holds_the_same_numbers(templates):
    workspace = pyhf_workspace(templates)
    assert [c["name"] for c in workspace["channels"]] == list(REGIONS)
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            one = templates.mc[channel["name"], sample["name"]]["nominal"]
            np.testing.assert_array_equal(sample["data"], np.maximum(one.sumw, 0))
    for observed in workspace["observations"]:
        np.testing.assert_array_equal(observed["data"], templates.data[observed["name"]].sumw)


def test_variations_are_yield_and_shape_of_one_parameter(templates):
    workspace = pyhf_workspace(templates)
    found = modifiers(workspace, "SR", "top_signal")
    assert {name for name, kind in found if kind == "normfactor"} == {"mu"}
    assert ("mu", "normfactor") not in modifiers(workspace, "SR", "W_jets")
    assert found["yield", "normsys"] == pytest.approx({"hi": 1.1, "lo": 0.9}, rel=1e-5)
    assert ("yield", "histosys") not in found
    nominal = templates.mc["SR", "top_signal"]
    for name, side in (("tune_up", "hi"), ("tune_down", "lo")):
        whole = found["tune", "normsys"][side] * np.array(found["tune", "histosys"][f"{side}_data"])
        np.testing.assert_allclose(whole, nominal[name].sumw, rtol=1e-6)
    high, low = (
        found["pileup", "normsys"][s] * np.array(found["pileup", "histosys"][f"{s}_data"])
        for s in ("hi", "lo")
    )
    np.testing.assert_allclose(high, nominal["pileup"].sumw, rtol=1e-6)
    np.testing.assert_allclose(high + low, 2 * nominal["nominal"].sumw, rtol=1e-6)


def test_pyhf_fits_the_signal_strength(templates, tmp_path):
    """The data are half as many events as MC, so that mu comes out near one half."""
    pyhf = pytest.importorskip("pyhf")
    write_workspace(templates, tmp_path / "w.json")
    workspace = pyhf.Workspace(json.loads((tmp_path / "w.json").read_text()))
    model = workspace.model()
    assert model.config.poi_name == "mu"
    fit = pyhf.infer.mle.fit(workspace.data(model), model)
    assert np.isfinite(fit).all()
    assert 0.2 < fit[model.config.poi_index] < 1.2
    asimov = pyhf_workspace(replace(templates, data=None))
    closed = pyhf.Workspace(asimov)
    fit = pyhf.infer.mle.fit(closed.data(closed.model()), closed.model())
    assert fit[closed.model().config.poi_index] == pytest.approx(1.0, abs=1e-3)


def test_cabinetry_fits_it_with_an_error(templates):
    cabinetry = pytest.importorskip("cabinetry")
    workspace = pyhf_workspace(replace(templates, data=None))
    model, data = cabinetry.model_utils.model_and_data(workspace)
    fit = cabinetry.fit.fit(model, data)
    index = model.config.poi_index
    assert fit.bestfit[index] == pytest.approx(1.0, abs=1e-3)
    assert 0.01 < fit.uncertainty[index] < 1.0


def test_blind_bins_are_in_no_fit(folder, tmp_path):
    templates = fill_templates(folder, replace(SETTINGS, blind=[(0.5, 0.9)]))
    workspace = pyhf_workspace(templates)
    assert {len(o["data"]) for o in workspace["observations"]} == {3}
    assert {len(s["data"]) for c in workspace["channels"] for s in c["samples"]} == {3}
    write_histograms(templates, tmp_path / "t.root")
    with uproot.open(tmp_path / "t.root") as file:
        assert not file["SR/data/nominal"].values()[3:].any()
        assert file["SR/data/nominal"].title == "score, blind bins are empty"
    with pytest.raises(RunError, match="every bin is blind"):
        pyhf_workspace(fill_templates(folder, replace(SETTINGS, blind=[(0, 1)])))


def test_data_where_no_mc_is_expected_are_in_no_workspace(templates):
    """Their probability is 0, whatever the parameters are."""
    mc = {key: dict(each) for key, each in templates.mc.items()}
    for sample in templates.samples:
        for name, one in mc["SR", sample.name].items():
            mc["SR", sample.name][name] = replace(
                one, sumw=np.where(np.arange(6) == 1, -1, one.sumw)
            )
    with pytest.raises(
        RunError, match=r"region SR: \d+ data events in bins without MC.*merge bins"
    ):
        pyhf_workspace(replace(templates, mc=mc))


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (("pileup", "jes_up", "jes_down"), {"pileup", "jes"}),
        (("jesUp", "jesDown", "Up"), {"jes", "Up"}),
        (("jer__1up", "jer__1down"), {"jer_"}),
    ],
)
def test_the_names_of_sides(names, stems):
    from hepdann.deploy.templates import _pairs

    nominal = np.ones(2)
    assert set(_pairs(dict.fromkeys(names, 1.1 * nominal), nominal)) == stems
    with pytest.raises(RunError, match="'jesUp' is up of 'jes', which something else is"):
        _pairs({"jes_up": nominal, "jesUp": nominal}, nominal)
