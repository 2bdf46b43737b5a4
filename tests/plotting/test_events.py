"""Pictures of events show the hits where they are, and the truth only where there is some."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import LogNorm

from hepdann.config import PlotConfig
from hepdann.evaluation import event_pictures
from hepdann.plotting import event, plot_events
from hepdann.samples import minerva
from hepdann.samples.minerva.writing import rasterised

VIEWS = ("x", "u", "v")


@pytest.fixture(scope="module")
def events():
    return minerva.simulate("mc", 500, seed=3)[:20]


@pytest.fixture(scope="module")
def images(events):
    return {view: rasterised(events, number)[:, 0] for number, view in enumerate(VIEWS)}


def test_the_vertex_lies_before_the_first_plane_of_its_muon(events, images):
    pictures = event_pictures(images, events.columns, truth=True)
    assert len(pictures) == 20
    for row, picture in enumerate(pictures):
        segment = events.columns["segment"][row]
        assert picture.title.startswith(f"event 1|0|{row + 1}|1, segment {segment}")
        assert ("target" in picture.title) == (segment in (1, 3, 5, 7, 9))
        for view, image in picture.images.items():
            behind = int(np.ceil(picture.vertex[view] + 0.5))
            assert image[:, behind:].any(axis=0).mean() > 0.9


def test_plane_codes_give_the_vertex_as_well(events, images):
    given = event_pictures(images, events.columns, truth=True)
    codes = {"planecodes": events.columns["planecode"]}
    for one, other in zip(given, event_pictures(images, codes, truth=True), strict=True):
        for view in VIEWS:
            assert other.vertex[view] == pytest.approx(one.vertex[view], abs=1.0)


def test_no_truth_is_shown_of_data(events, images):
    for picture in event_pictures(images, events.columns, truth=False):
        assert picture.vertex == {}
        assert "segment" not in picture.title
        assert "GeV" not in picture.title


def test_images_of_another_size_have_hits_and_no_marks(events, images):
    cut = {view: image[..., :20] for view, image in images.items()}
    (picture, *_) = event_pictures(cut, events.columns, truth=True)
    assert (picture.vertex, picture.targets) == ({}, {})
    assert len(event(picture)) == 3


def test_three_views_side_by_side_with_energies_as_colours(events, images):
    columns = events.columns | {"track_z": minerva.find_tracks(events).z}
    picture = event_pictures(images, columns, truth=True)[3]
    axes = event(picture)
    assert [ax.get_xlabel() for ax in axes] == [f"Plane of view {view}" for view in "XUV"]
    for ax, view in zip(axes, VIEWS, strict=True):
        (mesh,) = ax.collections
        drawn = np.ma.filled(mesh.get_array(), 0).reshape(picture.images[view].shape)
        np.testing.assert_array_equal(drawn, picture.images[view])
        assert isinstance(mesh.norm, LogNorm)
        marks = [line.get_xdata()[0] for line in ax.lines]
        assert marks == [picture.vertex[view], picture.track[view]]
    texts = [text.get_text() for text in axes[-1].get_legend().get_texts()]
    assert texts == ["true vertex", "vertex from tracks"]


def test_transformed_energies_are_not_said_to_be_mev(images, events):
    quantity = "Energy, transformed"
    picture = event_pictures(images, events.columns, quantity=quantity, truth=True)[0]
    axes = event(picture)
    labels = {ax.get_ylabel() for ax in axes[-1].child_axes}
    assert labels == {"Energy, transformed"}


def test_one_figure_an_event(tmp_path, events, images):
    pictures = event_pictures(images, events.columns, truth=True)[:1]
    look = PlotConfig(formats=["png"], experiment="MINERvA")
    made = plot_events(pictures, tmp_path / "events", config=look, simulation=True)
    assert [path.name for path in made] == ["event_0.png"]
    labelled = look.model_copy(update={"year": 2012})
    (again,) = plot_events(pictures, tmp_path / "2012", config=labelled, simulation=True)
    assert again.read_bytes() != made[0].read_bytes()  # the year is printed
    assert all(path.stat().st_size > 10_000 for path in made)
