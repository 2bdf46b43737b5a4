"""Events in memory become a tensor file on which everything works."""

from __future__ import annotations

import gc
import pickle

import awkward as ak
import h5py
import numpy as np
import pytest

import hepdann
from hepdann import Tensors
from hepdann.errors import HepdannError, SchemaError

RNG = np.random.default_rng(7)
X = RNG.normal(size=(600, 2)).astype(np.float32)
Y = (X[:, 0] + RNG.normal(size=600) > 0).astype(int)
D = RNG.normal(0.3, 1, size=(500, 2)).astype(np.float32)
COLUMNS = {"pt": X[:, 0], "eta": X[:, 1]}


class Frame:
    """A DataFrame as far as it matters here."""

    def __init__(self, columns):
        self._columns = columns

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return self._columns[name]


def structured(columns):
    table = np.empty(600, [(name, np.float64) for name in columns])
    for name, values in columns.items():
        table[name] = values
    return table


@pytest.mark.parametrize("kind", [dict, Frame, structured, ak.Array])
def test_tables_of_every_kind_give_the_same_file(kind):
    tensors = Tensors.from_arrays(kind(COLUMNS), Y, weight=np.full(600, 0.5))
    assert (tensors.features, tensors.classes) == (("pt", "eta"), ("background", "signal"))
    source = tensors.source()
    assert source.features.tolist() == X.tolist()
    assert source.label.tolist() == Y.tolist()
    assert set(source.weight) == {0.5}
    plain = Tensors.from_arrays(X, Y, weight=np.full(600, 0.5), names=["pt", "eta"])
    assert plain.source().event_id.tolist() == source.event_id.tolist()


def test_labels_weights_and_ids_may_be_columns_of_the_table(tmp_path):
    table = COLUMNS | {"y": Y, "w": np.arange(1, 601), "event": np.arange(600)}
    data = {"eta": D[:, 1], "pt": D[:, 0], "other": D[:, 0], "y": D[:, 1] > 0}
    tensors = Tensors.from_arrays(
        table, "y", "w", data, event_id="event", truth="y", output=str(tmp_path / "t.h5")
    )
    assert tensors.path == tmp_path / "t.h5"
    assert tensors.features == ("pt", "eta")
    assert tensors.target().features.tolist() == D.tolist()
    with h5py.File(tensors.path) as file:
        assert file["truth/data/label"][:].tolist() == (D[:, 1] > 0).tolist()


def test_what_is_missing_is_imputed_by_the_mean():
    x = X.astype(np.float64)
    x[:100, 0], x[100, 0], x[101, 0] = np.nan, np.inf, 1e300
    tensors = Tensors.from_arrays(x, Y, data=np.ma.masked_greater(D, 3))
    assert tensors.features == ("x0", "x1")
    source = tensors.source()
    assert np.isnan(source.features[:102, 0]).all()
    train = source.part("train").features[:, 0]
    assert tensors.impute[0] == pytest.approx(np.nanmean(train), abs=1e-6)


def test_a_temporary_file_lives_as_long_as_what_refers_to_it():
    tensors = Tensors.from_arrays(X, Y)
    path = tensors.path
    copy = pickle.loads(pickle.dumps(tensors))
    del copy
    gc.collect()
    assert path.exists()
    del tensors
    gc.collect()
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": X[:, 0]}, "features of mc have shape"),
        ({"features": {"pt": list("abc") * 200}}, "cannot be read as numbers"),
        ({"features": COLUMNS, "names": ["pt", "phi"]}, "no column phi"),
        ({"names": ["pt"]}, "2 features, and there are 1 names"),
        ({"names": ["pt", "pt"]}, "features named twice: pt"),
        ({"label": Y[:-1]}, r"label has shape \(599,\)"),
        ({"label": Y - 1}, "label -1 is no class"),
        ({"label": Y + 0.5}, "is no class"),
        ({"label": Y * 2}, "class 'class-1' .label 1. has no events"),
        ({"label": "y"}, "there is no column 'y'"),
        ({"label": None}, "no label is given"),
        ({"weight": np.full(600, np.nan)}, "a weight of mc is not finite"),
        ({"weight": -np.ones(600)}, "do not add up to a positive sum"),
        ({"classes": ["a", "b", "c"]}, "class 'c' .label 2. has no events"),
        ({"data": D[:, :1]}, "data has 1 features, and there are 2 names"),
        ({"data": D[:0]}, "data has no events"),
        ({"data": D * np.nan}, "'x0' has no finite value in data"),
        ({"truth": Y}, "true labels of data are given, but there is no data"),
        ({"event_id": np.zeros(600, int)}, "no event of mc falls into the"),
        ({"event_id": np.zeros(6, int)}, "event ids of mc have shape"),
        ({"output": "/nowhere/t.h5"}, "cannot be written"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(HepdannError, match=message):
        Tensors.from_arrays(**{"features": X, "label": Y} | arguments)


def test_a_tensor_file_shows_itself(tmp_path):
    names = ["<b>", "eta"]
    tensors = Tensors.from_arrays(X, Y, data=D, names=names, output=tmp_path / "t.h5")
    for part in ("600 MC events", "500 data events", "background, signal", "2 features"):
        assert part in repr(tensors)
    html = tensors._repr_html_()
    assert "<td>MC events</td><td>600</td>" in html
    assert "&lt;b&gt;, eta" in html


def test_diagnose_takes_tensors_texts_and_paths(few_trees, tmp_path):
    tensors = Tensors.from_arrays(X, Y, data=D, output=tmp_path / "t.h5")
    new = Tensors.from_arrays(X, Y, data=X + 3)
    found = hepdann.diagnose(tensors)
    assert found.sentence
    assert hepdann.diagnose(str(tensors.path)).sentence == found.sentence
    assert hepdann.diagnose(tensors.path, data=new.path).test.auc > 0.95
    with pytest.raises(SchemaError, match="holds no detector events"):
        hepdann.diagnose(Tensors.from_arrays(X, Y))


def test_spectators_are_kept_and_are_no_inputs():
    random = np.random.default_rng(1)
    mc = {"x": random.normal(size=300), "y": np.arange(300) % 2, "mass": random.normal(size=300)}
    data = {"x": random.normal(size=200)}
    tensors = Tensors.from_arrays(mc, "y", data=data, spectators=["mass"])
    assert (tensors.features, tensors.spectators) == (("x",), ("mass",))
    np.testing.assert_array_equal(tensors.column("mc", "mass"), mc["mass"].astype("f4"))
    assert np.isnan(tensors.column("data", "mass")).all()
    with pytest.raises(SchemaError, match="a spectator of mc: there is no column 'met'"):
        Tensors.from_arrays(mc, "y", spectators=["met"])
