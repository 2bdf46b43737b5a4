"""Images on their way from the collaboration's files, or from ROOT hits, into a tensor file."""

from __future__ import annotations

import dataclasses
import json

import h5py
import numpy as np
import pytest

from hepdann.config import Config, ConvertConfig, ImagesConfig, parse_config
from hepdann.errors import ConfigError, HepdannError, ReadError
from hepdann.evaluation import open_truth
from hepdann.readers import convert_files
from hepdann.readers.planning.initial_config import init_config
from hepdann.tensors import open_tensors


def written(folder, hits, events, form, name="mc", **changes):
    """Write events in one of the forms; returns the path."""
    own = events[name]
    if form in ("TTree", "RNTuple"):
        return str(hits.write_root(folder / f"{name}.root", own, kind=form, **changes))
    write = hits.write_grouped if form == "grouped" else hits.write_flat
    if form == "split":
        changes["split"] = True
    return str(write(folder / f"{name}.h5", own, **changes))


def config_of(**images):
    """A configuration with these settings of images."""
    return Config(convert=ConvertConfig(images=ImagesConfig(**images)))


SIZE = {"size": (13, 8, 4)}


def converted(folder, hits, events, form, config=None, data=True, **options):
    """Convert MC (and data, without the truth) of one form."""
    mc = written(folder, hits, events, form)
    more = [written(folder, hits, events, form, "data", vertex=False)] if data else []
    root = form in ("TTree", "RNTuple")
    config = config or (config_of(**SIZE) if root else None)
    summary = convert_files([mc], more, output=folder / "t.h5", config=config, threads=1, **options)
    return summary, open_tensors(folder / "t.h5")


@pytest.mark.parametrize("form", ["flat", "split", "grouped", "TTree", "RNTuple"])
def test_pixels_labels_and_identity_are_what_was_written(tmp_path, hits, events, form):
    summary, tensors = converted(tmp_path, hits, events, form)
    assert [view.channel_names for view in tensors.views] == [("energy", "time")] * 3
    for domain in ("mc", "data"):
        found = tensors.read_views(domain, slice(None))
        for view, images in events[domain]["images"].items():
            np.testing.assert_array_equal(found[view], images)
    assert tensors.features == ()
    assert tensors.classes == tuple(f"segment {number}" for number in range(11))
    np.testing.assert_array_equal(tensors.source().label, events["mc"]["segments"])
    assert summary.passed("mc") == 300
    assert tensors.verify() == []
    # the same events have the same identity, and so the same split, in whatever form they come
    first = tmp_path / "flat"
    first.mkdir()
    _, other = converted(first, hits, events, "flat")
    for name in ("event_id", "split"):
        np.testing.assert_array_equal(other.column("mc", name), tensors.column("mc", name))
    assert len(np.unique(tensors.column("mc", "event_id"))) == 300


@pytest.mark.parametrize("form", ["grouped", "TTree"])
def test_what_else_there_is_becomes_spectators(tmp_path, hits, events, form):
    _, tensors = converted(tmp_path, hits, events, form)
    z, code = ("vtx_z", "planecode") if form == "TTree" else ("zs", "planecodes")
    assert set(tensors.spectators) == {"W", z, code}
    mc = events["mc"]
    np.testing.assert_array_equal(tensors.column("mc", "W"), mc["W"].astype(np.float32))
    np.testing.assert_array_equal(tensors.column("mc", code), mc["planecodes"])
    data = events["data"]["W"].astype(np.float32)
    np.testing.assert_array_equal(tensors.column("data", "W"), data)
    assert np.isnan(tensors.column("data", z)).all()


@pytest.mark.parametrize("form", ["flat", "TTree"])
def test_the_vertex_of_a_simulated_target_is_no_spectator(tmp_path, hits, events, form):
    """It would be the label under another name."""
    mc = written(tmp_path, hits, events, form)
    data = written(tmp_path, hits, events, form, "data")  # with its vertices
    config = config_of(**SIZE)
    summary = convert_files(
        [mc], [data], truth=data, output=tmp_path / "t.h5", config=config, threads=1
    )
    tensors = open_tensors(tmp_path / "t.h5")
    for name in ("planecode", "planecodes", "vtx_z", "zs"):
        if name in tensors.spectators:
            assert np.isnan(tensors.column("data", name)).all()
            assert np.isfinite(tensors.column("mc", name)).all()
    assert not {"segment", "segments"} & set(tensors.spectators)
    assert tensors.has_truth
    truth = open_truth(tensors).data()
    assert truth is not None
    assert any("named with --truth" in note for note in summary.notes)


def test_neither_block_size_nor_threads_change_what_is_written(tmp_path, hits, events):
    mc = written(tmp_path, hits, events, "TTree")
    files = []
    for size, threads in ((100_000, 1), (17, 3)):
        images = ImagesConfig(size=(13, 8, 4))
        config = Config(convert=ConvertConfig(images=images, block_size=size))
        convert_files([mc], output=tmp_path / f"{size}.h5", config=config, threads=threads)
        with h5py.File(tmp_path / f"{size}.h5") as file:
            found = {}
            file.visititems(
                lambda name, item, to=found: (
                    to.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
            files.append(found)
    assert files[0].keys() == files[1].keys()
    for name, values in files[0].items():
        np.testing.assert_array_equal(values, files[1][name])


# What can be chosen.


def test_channels_size_and_transforms(tmp_path, hits, events):
    config = config_of(
        channels=["energy"], size=(12, 7, 4), energy={"clip": (0, 10), "log": True, "scale": 0.5}
    )
    summary, tensors = converted(tmp_path, hits, events, "flat", config)
    assert [view.shape for view in tensors.views] == [(1, 12, 7), (1, 12, 4), (1, 12, 4)]
    energy = events["mc"]["images"]["x"][:, :1]
    expected = 0.5 * np.log1p(np.clip(energy[:, :, :12, :7], 0, 10))
    found = tensors.read_views("mc", slice(None))["x"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    lost = sum(
        np.count_nonzero(images[:, :1])
        - np.count_nonzero(images[:, :1, :12, : 7 if view == "x" else 4])
        for view, images in events["mc"]["images"].items()
    )
    assert f"mc: {lost:,} hits lie outside the image" in summary.notes


def test_a_transform_moves_hits_alone(tmp_path, hits, events):
    config = config_of(time={"clip": (1, 2)})
    _, tensors = converted(tmp_path, hits, events, "flat", config)
    time = events["mc"]["images"]["x"][:, 1]
    found = tensors.read_views("mc", slice(None))["x"][:, 1]
    np.testing.assert_array_equal(found, np.where(time != 0, np.clip(time, 1, 2), 0))


def label_of(tmp_path, hits, events, label, **more):
    config = Config(convert=ConvertConfig(label=label, **more))
    _, tensors = converted(tmp_path, hits, events, "grouped", config, data=False)
    return tensors


def test_plane_codes_are_classes_or_give_segments(tmp_path, hits, events):
    planes = label_of(tmp_path, hits, events, "planecodes")
    codes = events["mc"]["planecodes"]
    assert planes.classes == tuple(f"plane {code}" for code in range(1, 68))
    np.testing.assert_array_equal(planes.source().label, codes - 1)
    segments = label_of(tmp_path, hits, events, "segment(planecodes)")
    np.testing.assert_array_equal(segments.source().label, events["mc"]["segments"])
    assert segments.classes == tuple(f"segment {number}" for number in range(11))
    assert "planecodes" in segments.spectators


def test_any_integer_dataset_is_a_label(tmp_path, hits, events):
    path = tmp_path / "with_flavour.h5"
    hits.write_flat(path, events["mc"])
    with h5py.File(path, "r+") as file:
        file["gen_data/current"] = (np.arange(300) % 3).astype("u1")
    config = Config(convert=ConvertConfig(label="current"))
    convert_files([str(path)], output=tmp_path / "t.h5", config=config)
    tensors = open_tensors(tmp_path / "t.h5")
    assert tensors.classes == ("class-0", "class-1", "class-2")
    assert {"segments", "planecodes"} < set(tensors.spectators)


def test_datasets_and_branches_of_other_names(tmp_path, hits, events):
    path = tmp_path / "mine.h5"
    hits.write_flat(path, events["mc"])
    with h5py.File(path, "r+") as file:
        for view in "xuv":
            file.move(f"hitimes-{view}", f"picture_{view}")
    with pytest.raises(ReadError, match=r"holds no images that are known: .*picture_x"):
        convert_files([str(path)], output=tmp_path / "t.h5")
    config = config_of(datasets={view: f"picture_{view}" for view in "xuv"})
    convert_files([str(path)], output=tmp_path / "t.h5", config=config)
    found = open_tensors(tmp_path / "t.h5").read_views("mc", slice(None))
    np.testing.assert_array_equal(found["u"], events["mc"]["images"]["u"])


def test_a_cut_takes_images_with_it(tmp_path, hits, events):
    config = Config(convert=ConvertConfig(cut="planecodes > 40"))
    _, tensors = converted(tmp_path, hits, events, "flat", config, data=False)
    keep = events["mc"]["planecodes"] > 40
    found = tensors.read_views("mc", slice(None))
    np.testing.assert_array_equal(found["v"], events["mc"]["images"]["v"][keep])


def test_new_data_are_converted_like_the_old(tmp_path, hits, events):
    config = config_of(channels=["energy"], size=(12, 7, 4), energy={"log": True})
    _, tensors = converted(tmp_path, hits, events, "flat", config)
    new = written(tmp_path, hits, {"data": events["data"]}, "grouped", "data", vertex=False)
    convert_files(data=[new], like=tmp_path / "t.h5", output=tmp_path / "new.h5")
    other = open_tensors(tmp_path / "new.h5")
    tensors.check_features(other)
    np.testing.assert_array_equal(
        other.column("data", "event_id"), tensors.column("data", "event_id")
    )
    for view, images in tensors.read_views("data", slice(None)).items():
        np.testing.assert_array_equal(other.read_views("data", slice(None))[view], images)


def test_the_same_file_without_images_is_a_table(tmp_path, hits, events):
    mc = written(tmp_path, hits, events, "TTree")
    config = Config(convert=ConvertConfig(features=["W"], label="segment"))
    convert_files([mc], output=tmp_path / "t.h5", config=config)
    tensors = open_tensors(tmp_path / "t.h5")
    assert tensors.features == ("W",)
    assert tensors.views == ()


@pytest.mark.parametrize(("name", "width"), [("SMALL", 50), ("LARGE", 94)])
def test_both_sizes_of_the_collaboration_need_no_setting(tmp_path, hits, name, width):
    own = hits.make_events(15, sizes=getattr(hits, name))
    files = [
        hits.write_grouped(tmp_path / "mc.h5", own),
        hits.write_root(tmp_path / "mc.root", own),
    ]
    for file in files:
        convert_files([str(file)], output=tmp_path / "t.h5", threads=1)
        tensors = open_tensors(tmp_path / "t.h5")
        assert [view.width for view in tensors.views] == [width, width // 2, width // 2]
        found = tensors.read_views("mc", slice(None))
        for view, images in own["images"].items():
            np.testing.assert_array_equal(found[view], images)


def test_a_module_is_a_plane_of_x_and_of_u_or_v(tmp_path, hits):
    import awkward
    import uproot

    counts = [3, 0, 2]
    columns = {
        "hit_view": [0, 1, 2, 0, 2], "hit_module": [7, 7, 6, 0, 1], "hit_strip": [0, 1, 2, 3, 4],
        "hit_energy": [1.0, 2.0, 3.0, 4.0, 5.0],
    }  # fmt: skip
    with uproot.recreate(tmp_path / "mc.root") as file:
        jagged = {name: awkward.unflatten(values, counts) for name, values in columns.items()}
        event, kind = np.arange(3), {"event": "int64", "kind": "int32"}
        tree = file.mktree("hits", {name: "var * float32" if "energy" in name else "var * int32"
                                    for name in jagged} | kind)  # fmt: skip
        tree.extend({**jagged, "event": event, "kind": np.array([0, 1, 1], np.int32)})
    config = Config(convert=ConvertConfig(label="kind", images=ImagesConfig(size=(5, 8, 4))))
    summary = convert_files([str(tmp_path / "mc.root")], output=tmp_path / "t.h5", config=config)
    images = open_tensors(tmp_path / "t.h5").read_views("mc", slice(None))
    assert images["x"][0, 0, 0, 7] == 1
    assert images["u"][0, 0, 1, 3] == 2
    assert images["v"][0, 0, 2, 3] == 3
    assert images["x"][2, 0, 3, 0] == 4
    assert images["v"][2, 0, 4, 0] == 5
    assert sum(view.sum() for view in images.values()) == 15
    assert "mc: 1 events have empty images" in summary.notes


# What is wrong with files.


def changed(events, **changes):
    return {**events, "mc": {**events["mc"], **changes}}


def test_hits_outside_the_image_and_empty_images_are_counted(tmp_path, hits, events):
    images = {view: pixels.copy() for view, pixels in events["mc"]["images"].items()}
    for pixels in images.values():
        pixels[:5] = 0
    images["x"][7, 0, 12, 7] = np.inf
    images["x"][8, 1, 12, 7] = -np.inf
    some = changed(events, images=images)
    summary, tensors = converted(tmp_path, hits, some, "flat", data=False)
    assert "mc: 2 pixels are not finite" in summary.notes
    empty = sum(not any(pixels[row].any() for pixels in images.values()) for row in range(300))
    assert empty >= 5
    assert f"mc: {empty} events have empty images" in summary.notes
    assert tensors.read_views("mc", slice(7, 8))["x"][0, 0, 12, 7] == 0
    assert tensors.provenance["notes"] == list(summary.notes)
    folder = tmp_path / "root"
    folder.mkdir()
    summary, _ = converted(folder, hits, events, "TTree", config_of(size=(13, 6, 4)))
    lost = np.count_nonzero(events["mc"]["images"]["x"][:, 0, :, 6:])
    assert f"mc: {lost} hits lie outside the image" in summary.notes


def edit(change):
    def damage(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def shorter(name):
    def change(file):
        values = file[name][:-1]
        del file[name]
        file[name] = values

    return edit(change)


def replaced(name, values):
    def change(file):
        del file[name]
        if values is not None:
            file[name] = values

    return edit(change)


def stored(**how):
    def change(file):
        del file["segments"]
        file.create_dataset("segments", dtype="u1", **how)

    return edit(change)


def virtual(file):
    rows = h5py.VirtualLayout((300,), "u1")
    rows[:] = h5py.VirtualSource("other.h5", "segments", (300,))
    del file["segments"]
    file.create_virtual_dataset("segments", rows)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-2000])


def zeroed(path):
    with h5py.File(path) as file:
        chunk = file["hitimes-u"].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))


def headless(path):
    with path.open("r+b") as file:
        file.seek(70)
        file.write(bytes(512))


DAMAGE = {
    "a damaged root group": (headless, "cannot be (listed|opened)"),
    "views of different length": (shorter("hitimes-u"), "hitimes-u has 299 events, .* has 300"),
    "labels of another length": (shorter("segments"), r"segments.*cannot be used: it has 299 ent"),
    "a view is missing": (
        replaced("hitimes-v", None), "has no energy of view v|no label",
    ),
    "another shape": (
        replaced("hitimes-u", np.ones((300, 2, 12, 4), "f4")), "12×4, expected 13×4",
    ),
    "no images": (replaced("hitimes-x", np.ones((300, 3), "f4")), "no images: expected"),
    "three channels": (replaced("hitimes-u", np.ones((300, 3, 13, 4), "f4")), "has 3 channels"),
    "bytes of another file": (
        stored(shape=(300,), external=[("/etc/passwd", 0, 300)]), "segments are in other files",
    ),
    "a virtual dataset": (edit(virtual), "the rows of /segments are in other files"),
    "rows that are not there": (
        stored(shape=(2**50,), chunks=(64,)), "claims 1125899906842624 bytes of rows",
    ),
    "truncated": (cut_off, "is truncated"),
    "a damaged chunk": (zeroed, r"hitimes-u: entries 0-255 cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_an_error_that_names_the_file_and_can_be_skipped(tmp_path, hits, events, case):
    damage, message = DAMAGE[case]
    good = hits.write_flat(tmp_path / "good.h5", events["mc"])
    bad = hits.write_flat(tmp_path / "bad.h5", events["mc"])
    damage(bad)
    with pytest.raises(HepdannError, match=message) as caught:
        convert_files([str(good), str(bad)], output=tmp_path / "t.h5")
    assert str(bad) in str(caught.value)
    assert not (tmp_path / "t.h5").exists()
    summary = convert_files([str(good), str(bad)], output=tmp_path / "t.h5", skip_bad=True)
    assert [skipped.path for skipped in summary.skipped] == [str(bad)]
    tensors = open_tensors(tmp_path / "t.h5")
    assert tensors.rows("mc") == 300
    np.testing.assert_array_equal(
        tensors.read_views("mc", slice(None))["u"], events["mc"]["images"]["u"]
    )


def test_an_unknown_plane_code_is_an_error_with_a_mend(tmp_path, hits, events):
    for code in (0, 300):
        some = changed(events, planecodes=np.where(np.arange(300) == 7, code, 20))
        config = Config(convert=ConvertConfig(label="segment(planecodes)"))
        with pytest.raises(ReadError, match=r"label 'segment\(planecodes\)' is -1.*--cut"):
            converted(tmp_path, hits, some, "flat", config, data=False)


def test_mc_and_data_of_different_size_are_refused(tmp_path, hits, events):
    mc = written(tmp_path, hits, events, "flat")
    other = hits.make_events(50, 3, {"x": (13, 6), "u": (13, 4), "v": (13, 4)})
    data = hits.write_flat(tmp_path / "data.h5", other)
    with pytest.raises(ReadError, match=r"data\.h5:hitimes-x: images are 13×6, expected 13×8"):
        convert_files([mc], [str(data)], output=tmp_path / "t.h5")
    config = config_of(size=(13, 6, 4))
    convert_files([mc], [str(data)], output=tmp_path / "t.h5", config=config)
    assert open_tensors(tmp_path / "t.h5").views[0].shape == (2, 13, 6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"channels": ["energy", "energy"]}, "channel 'energy' given more than once"),
        ({"energy": {"clip": [5, 1]}}, "clips at 5 and 1"),
        ({"size": [127, 50]}, "size"),
        ({"datasets": {"w": "a"}}, "datasets"),
        ({"energies": {}}, "energies"),
    ],
)
def test_settings_that_cannot_be_are_refused(images, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(json.dumps({"convert": {"images": images}}))


def test_files_without_events_are_an_error(tmp_path, hits):
    path = hits.write_flat(tmp_path / "mc.h5", hits.make_events(1))
    with h5py.File(path, "r+") as file:
        for name in list(file):
            values = file[name][:0]
            del file[name]
            file[name] = values
    with pytest.raises(ConfigError, match="the MC files hold no events"):
        convert_files([str(path)], output=tmp_path / "t.h5")


def test_config_init_says_that_images_need_none(tmp_path, hits, events):
    with pytest.raises(ConfigError, match=r"mc\.h5: holds images, which need no configuration"):
        init_config(written(tmp_path, hits, events, "flat"))


def test_a_tensor_file_is_no_input(tmp_path, hits, events):
    _, tensors = converted(tmp_path, hits, events, "flat", data=False)
    with pytest.raises(ReadError, match="is a tensor file already"):
        convert_files([str(tensors.path)], output=tmp_path / "again.h5")


def test_the_command_needs_no_configuration(tmp_path, hits, events, typed):
    written(tmp_path, hits, events, "flat")
    written(tmp_path, hits, events, "flat", "data", vertex=False)
    done = typed("convert", "mc.h5", "data.h5")
    assert done.code == 0, done.stderr
    assert "note: images of energy and time: x 2×13×8, u 2×13×4, v 2×13×4" in done.stdout
    assert "300 MC events, 90 data events, images of 3 views" in done.stdout
    assert "x energy" in typed("inspect", "tensors.h5", "--verify").stdout
    alone = typed("convert", "mc.h5", "-o", "mc_alone.h5").stdout
    assert "next: hepdann train mc_alone.h5 --shift energy-scale --t 8" in alone
    inspected = typed("inspect", "mc.h5")
    assert inspected.code == 0
    assert "hitimes-x" in inspected.stdout
    done = typed("convert", "mc.h5", "nowhere.h5")
    assert (done.code, done.stderr.count("\n")) == (2, 1)


def test_summaries_are_plain_data(tmp_path, hits, events):
    summary, _ = converted(tmp_path, hits, events, "flat")
    assert dataclasses.asdict(summary)["images"]["mc"][0]["view"] == "x"
