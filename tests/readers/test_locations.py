"""The pre-scan remembers where baskets are, so that no tree is opened twice."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepdann import readers
from hepdann.config import Config
from hepdann.readers import convert_files, scan
from hepdann.readers.root.baskets import Locations
from hepdann.tensors import open_tensors


@pytest.fixture(name="opened")
def opened_fixture(monkeypatch):
    """The files that uproot opens."""
    original, paths = uproot.open, []

    def opening(files, **more):
        paths.extend(files)
        return original(files, **more)

    monkeypatch.setattr(uproot, "open", opening)
    return paths


@pytest.fixture(name="paths")
def paths_fixture(write, sample):
    return [str(write(f"mc_{n}.root", sample(seed=n), parts=3)) for n in range(3)]


def features(path):
    return open_tensors(path).source().features


def test_each_tree_is_opened_once(paths, opened, tmp_path):
    config = Config(convert={"label": "isb"})
    convert_files(paths, output=tmp_path / "t.h5", config=config)
    assert sorted(opened) == paths


def test_beyond_what_is_kept_trees_are_opened_again_with_the_same_result(
    paths, opened, tmp_path, monkeypatch
):
    config = Config(convert={"label": "isb"})
    convert_files(paths, output=tmp_path / "all.h5", config=config)
    opened.clear()
    monkeypatch.setattr(readers.convert, "Locations", lambda: Locations(most=1))
    convert_files(paths, output=tmp_path / "one.h5", config=config)
    assert opened.count(paths[0]) == 1
    assert opened.count(paths[2]) == 3  # the pre-scan, the classes, the events
    np.testing.assert_array_equal(features(tmp_path / "all.h5"), features(tmp_path / "one.h5"))


def test_what_is_kept_is_bounded(paths):
    locations = Locations(most=100)
    kept = [scan(path, locations=locations)[0].baskets for path in paths]
    assert kept[0] is not None
    assert kept[1:] == [None, None]


def test_a_branch_that_uproot_stumbles_over_is_looked_up_when_it_is_needed(paths, monkeypatch):
    def broken(*_):
        raise KeyError("no such member")

    monkeypatch.setattr("hepdann.readers.root.baskets.locate", broken)
    assert scan(paths[0], locations=Locations())[0].baskets is None
