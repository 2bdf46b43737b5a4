"""The toy of MINERvA: its detector, its events, and what each shift does."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import uproot

from hepdann import samples
from hepdann.errors import ConfigError
from hepdann.samples import minerva
from hepdann.samples.minerva.geometry import in_hexagon
from hepdann.samples.minerva.kinematics import draw_vertices, layer_masses
from hepdann.samples.minerva.transport import dead_strips

N = 1500
TARGETS = (9, 18, 27, 44, 49)


@pytest.fixture(scope="module")
def mc():
    return minerva.simulate("mc", N, seed=5)


def data(**changes):
    return minerva.simulate("data", 500, seed=5, conditions=minerva.Conditions(**changes))


@pytest.fixture(scope="module")
def plain():
    """Data without any shift."""
    return data()


def per_event(events, values):
    return np.bincount(events.hits.event, weights=values, minlength=len(events))


# --- the detector ------------------------------------------------------------------------------


def test_planes_and_codes_are_those_of_the_collaborations_files():
    for image, modules, codes in (("127x50", 50, 67), ("127x94", 94, 173)):
        detector = minerva.geometry(image)
        assert (detector.planes, detector.codes) == (2 * modules, codes)
        assert [detector.image_shape(view) for view in range(3)] == [
            (127, modules), (127, modules // 2), (127, modules // 2),
        ]  # fmt: skip
        assert (np.diff(detector.edges) > 0).all()
        assert (np.diff(detector.depth) > 0).all()
        codes = detector.code[detector.code > 0]
        np.testing.assert_array_equal(codes, np.arange(1, len(codes) + 1))
        targets = (detector.code > 0) & (detector.plane < 0)
        assert tuple(detector.code[targets]) == TARGETS
        # modules are UX and VX in turn
        assert set(zip(detector.view[::2], detector.view[1::2], strict=True)) == {(1, 0), (2, 0)}
    tracker = minerva.geometry("127x94").middle[44:168]
    assert tracker[8] - 22.385 / 2 == pytest.approx(5991.29, abs=0.1)  # module 27
    assert tracker[115] + 22.385 / 2 == pytest.approx(8408.91, abs=0.1)  # module 80


def test_segments_follow_the_plane_codes():
    codes = np.array([1, 8, 9, 10, 17, 18, 19, 26, 27, 28, 43, 44, 45, 48, 49, 50, 173])
    expected = [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10]
    assert minerva.segment_of(codes).tolist() == expected


def test_vertices_follow_the_matter():
    """Counts per plane code, and per material inside a target, go with areal mass and area."""
    detector = minerva.geometry()
    n = 60_000
    vertices = draw_vertices(detector, n, np.random.default_rng(2))
    mass = layer_masses(detector)
    expected = n * mass / mass.sum()
    counts = np.bincount(vertices.code, minlength=detector.codes + 1)[1:]
    assert np.sum((counts - expected) ** 2 / expected) < detector.codes + 4 * np.sqrt(
        2 * detector.codes
    )
    assert in_hexagon(vertices.x, vertices.y, 850.001).all()
    plain = vertices.section == 0
    assert vertices.x[plain].mean() == pytest.approx(0, abs=4 * 400 / np.sqrt(plain.sum()))
    assert vertices.y[plain].mean() == pytest.approx(0, abs=4 * 400 / np.sqrt(plain.sum()))
    iron, lead = detector.sections.mass[1:3]  # of target 1
    # published: 15999 and 9029 cm² of the hexagon, less a gap between them
    ratio = np.sum(vertices.section == 2) / np.sum(vertices.section == 1)
    assert ratio == pytest.approx(lead * 9029 / (iron * 15999), rel=0.15)


# --- the events --------------------------------------------------------------------------------


def test_a_muon_crosses_every_plane_behind_the_vertex(mc):
    detector = mc.geometry
    hit = np.zeros((len(mc), detector.planes), dtype=bool)
    hit[mc.hits.event, mc.hits.plane] = True
    behind = detector.middle > mc.columns["vtx_z"][:, None] + 25
    assert np.mean(hit[behind]) > 0.995  # the rest are dead strips and gaps of light
    assert behind.sum(axis=1).min() > 30


def test_the_kinematics_are_consistent(mc):
    c = mc.columns
    transfer = c["y"] * c["E"]
    np.testing.assert_allclose(c["Q2"], 2 * 0.93892 * transfer * c["x"], rtol=1e-9)
    np.testing.assert_allclose(
        c["W"] ** 2, 0.93892**2 + 2 * 0.93892 * transfer - c["Q2"], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(c["muon_E"], c["E"] - transfer, rtol=1e-9)
    assert (c["muon_E"] > 1.5).all()
    assert (c["Q2"] > 0).all()
    momentum = np.sqrt(c["muon_E"] ** 2 - 0.10566**2)
    along = c["muon_E"] - momentum * np.cos(c["muon_angle"])  # the angle is to the neutrino
    np.testing.assert_allclose(c["Q2"], 2 * c["E"] * along - 0.10566**2, rtol=1e-6, atol=1e-9)
    assert (c["muon_angle"] < np.radians(20)).all()


def test_a_muon_leaves_about_four_mev_in_a_plane(mc):
    """Within 10 % of 2.1 MeV cm²/g times 17 mm of plastic: minimum ionising and a little more."""
    quiet = np.flatnonzero(mc.columns["y"] < 0.05)
    last = mc.hits.plane >= mc.geometry.planes - 20
    rows = last & np.isin(mc.hits.event, quiet)
    a_plane = mc.hits.energy[rows].sum() / (20 * len(quiet))
    assert a_plane == pytest.approx(2.1 * 1.05 * 1.7, rel=0.1)


def test_light_is_shared_by_two_strips_and_gives_millimetres(mc):
    """Residuals of clusters to a straight line; the detector paper quotes 3 mm a plane."""
    rows = (mc.geometry.view[mc.hits.plane] == 0) & (mc.hits.plane >= mc.geometry.planes - 24)
    quiet = (mc.columns["y"] < 0.05) & (mc.columns["muon_angle"] < 0.1)
    rows &= quiet[mc.hits.event] & (mc.hits.energy > 0.5)
    key = mc.hits.event[rows] * mc.geometry.planes + mc.hits.plane[rows]
    energy = np.bincount(key, weights=mc.hits.energy[rows])
    place = np.bincount(key, weights=mc.hits.energy[rows] * mc.hits.strip[rows] * 16.5)
    cells = np.flatnonzero(energy)
    event, plane = np.divmod(cells, mc.geometry.planes)
    residuals = []
    for number in np.unique(event)[:100]:
        here = event == number
        z, x = mc.geometry.middle[plane[here]], (place[cells] / energy[cells])[here]
        residuals.append(x - np.polyval(np.polyfit(z, x, 1), z))
    spread = np.median(np.abs(np.concatenate(residuals))) / 0.6745
    assert 1.5 < spread < 4.5


def test_the_same_seed_gives_the_same_events_and_more_extend_fewer(mc):
    again = minerva.simulate("mc", 700, seed=5)
    end = again.offsets[-1]
    for name in mc.columns:
        np.testing.assert_array_equal(again.columns[name], mc.columns[name][:700])
    for name in ("event", "plane", "strip", "energy", "time"):
        np.testing.assert_array_equal(getattr(again.hits, name), getattr(mc.hits, name)[:end])
    other = minerva.simulate("mc", 500, seed=6)
    assert not np.array_equal(other.columns["E"], mc.columns["E"][:500])


# --- the shifts --------------------------------------------------------------------------------


def test_the_energy_scale_scales_every_energy_and_nothing_else(plain):
    scaled = data(energy_scale=1.1)
    for name in ("event", "plane", "strip", "time"):
        np.testing.assert_array_equal(getattr(scaled.hits, name), getattr(plain.hits, name))
    np.testing.assert_allclose(scaled.hits.energy, 1.1 * plain.hits.energy, atol=0.009)


def test_smearing_widens_and_does_not_move(plain):
    smeared = data(smearing=0.2)
    ratio = smeared.hits.energy / plain.hits.energy
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert ratio[plain.hits.energy > 1].std() == pytest.approx(0.2, abs=0.01)


def test_dead_strips_are_silent_and_the_others_are_as_before(plain):
    dead = dead_strips(plain.geometry.planes, 0.1)
    always = dead_strips(plain.geometry.planes)
    assert dead.mean() == pytest.approx(0.102, abs=0.01)
    assert dead[always].all()
    assert not always[plain.hits.plane, plain.hits.strip].any()
    fewer = data(dead=0.1)
    kept = ~dead[plain.hits.plane, plain.hits.strip]
    for name in ("event", "plane", "strip", "energy", "time"):
        np.testing.assert_array_equal(getattr(fewer.hits, name), getattr(plain.hits, name)[kept])


def test_fsi_off_changes_hadrons_and_leaves_vertex_and_kinematics(plain):
    off = data(fsi=False)
    for name in plain.columns:
        np.testing.assert_array_equal(off.columns[name], plain.columns[name])

    def upstream(events):
        rows = events.geometry.middle[events.hits.plane] < events.columns["vtx_z"][
            events.hits.event
        ] - 25  # fmt: skip
        return np.mean(per_event(events, rows & (events.hits.energy > 1)) > 0)

    assert upstream(plain) > 1.3 * upstream(off)  # knocked-out nucleons go backwards


def test_the_flux_moves_the_energy_and_the_vertices_stay(plain):
    low = data(flux="LE")
    assert np.median(low.columns["E"]) < 0.7 * np.median(plain.columns["E"])
    for name in ("planecode", "vtx_x", "vtx_y", "vtx_z"):
        np.testing.assert_array_equal(low.columns[name], plain.columns[name])


def test_the_tuned_model_has_fewer_resonances_at_low_q2_and_less_at_low_w(plain):
    def shares(events):
        c = events.columns
        low = (c["process"] == 1) & (c["Q2"] < 0.1)
        few = (c["process"] == 2) & (c["W"] < 2)
        return np.mean(low), np.mean(few)

    nominal = shares(minerva.simulate("mc", N, seed=5))
    tuned = shares(minerva.simulate("mc", N, seed=5, conditions=minerva.Conditions(model="tuned")))
    assert tuned[0] < 0.85 * nominal[0]
    assert tuned[1] == pytest.approx(0.43 / 0.9 * nominal[1], rel=0.25)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"flux": "HE"}, "flux"),
        ({"model": "best"}, "model"),
        ({"energy_scale": 0.0}, "energy_scale"),
        ({"smearing": -0.1}, "smearing"),
        ({"dead": 1.0}, "dead"),
    ],
)
def test_impossible_conditions_are_named(settings, where):
    with pytest.raises(ConfigError) as caught:
        minerva.Conditions(**settings)
    assert caught.value.where == where


# --- tracking ----------------------------------------------------------------------------------


def test_tracking_finds_most_vertices_and_is_fooled_upstream(mc):
    track = minerva.find_tracks(mc)
    code, true = track.plane_code, mc.columns["planecode"]
    assert 0.65 < np.mean(track.segment == mc.columns["segment"]) < 0.9
    assert np.mean(np.abs(code - true) <= 2) > 0.8
    assert np.mean(code < true - 2) > 3 * np.mean(code > true + 2)
    np.testing.assert_array_equal(track.segment, minerva.segment_of(code))


def test_tracking_sees_no_truth(mc):
    """Other truth beside the same hits gives the same vertices."""
    few = mc[:300]
    wrong = {name: np.roll(column, 1) for name, column in few.columns.items()}
    other = minerva.SimulatedEvents(wrong, few.hits, few.offsets, few.geometry)
    for name in ("segment", "plane_code", "z", "length"):
        np.testing.assert_array_equal(
            getattr(minerva.find_tracks(few), name), getattr(minerva.find_tracks(other), name)
        )


def test_tracking_of_events_without_hits_finds_no_line(mc):
    hits = type(mc.hits)(*(np.zeros(0, dtype=np.int64) for _ in range(5)))
    empty = minerva.SimulatedEvents({}, hits, np.zeros(4, dtype=np.int64), mc.geometry)
    track = minerva.find_tracks(empty)
    assert track.segment.tolist() == [-1, -1, -1]
    assert np.isnan(track.z).all()


# --- the files ---------------------------------------------------------------------------------


def test_the_root_files_read_back_and_only_the_mc_has_truth(tmp_path, mc):
    paths = minerva.write_minerva(tmp_path, 510, seed=5, truth=True)
    assert [path.name for path in paths] == ["mc.root", "data.root", "truth.root"]
    trees = {path.stem: uproot.open(path)["minerva"] for path in paths}
    assert {tree.num_entries for tree in trees.values()} == {510}
    hidden = set(trees["truth"].keys()) - {"run", "subrun", "gate", "slice"}
    assert {"segment", "planecode", "vtx_z", "W", "Q2", "E"} <= hidden
    assert not hidden & set(trees["data"].keys())
    assert trees["mc"]["hit_energy"].typename == "float[]"
    assert trees["mc"]["hit_plane"].typename == "int32_t[]"
    read = trees["mc"].arrays(library="np")
    part = mc[:510]
    np.testing.assert_array_equal(np.concatenate(read["hit_strip"]), part.hits.strip)
    np.testing.assert_array_equal(np.concatenate(read["hit_view"]), part.hit_view)
    np.testing.assert_array_equal(np.concatenate(read["hit_plane"]), part.hit_column)
    np.testing.assert_array_equal(np.concatenate(read["hit_energy"]), part.hits.energy)
    np.testing.assert_array_equal(read["segment"], part.columns["segment"])
    np.testing.assert_array_equal(read["track_segment"], minerva.find_tracks(part).segment)
    ids = [trees[kind].arrays(["run", "gate"], library="np") for kind in ("data", "truth")]
    np.testing.assert_array_equal(ids[0]["gate"], ids[1]["gate"])
    assert (ids[0]["run"] != read["run"]).all()


def test_the_hdf5_files_hold_the_same_events(tmp_path, mc):
    minerva.write_minerva(tmp_path, 120, seed=5, truth=True, form="hdf5")
    part = mc[:120]
    with h5py.File(tmp_path / "mc.h5") as file, h5py.File(tmp_path / "data.h5") as other:
        name = "hits-x"
        assert file[name].shape == (120, 1, 127, 50)
        assert file[name].chunks == (64, *file[name].shape[1:])
        assert not file[name].shuffle
        image = file[name][:, 0]
        rows = part.hit_view == 0
        where = part.hits.event[rows], part.hits.strip[rows], part.hit_column[rows]
        np.testing.assert_array_equal(image[where], part.hits.energy[rows])
        assert image.sum() == pytest.approx(part.hits.energy[rows].sum(), rel=1e-5)
        np.testing.assert_array_equal(file["planecodes"][:], part.columns["planecode"])
        assert "segments" not in other
        event = file["eventids"]
        assert event.dtype == np.uint64
        assert event[7] == 1_0000_0008_01  # run 1, subrun 0, gate 8, slice 1


def test_an_old_truth_is_never_left_beside_new_data(tmp_path):
    samples.write("minerva", tmp_path, 3, truth=True)
    with pytest.raises(ConfigError, match="is the truth of an earlier sample"):
        samples.write("minerva", tmp_path, 3, seed=1)
