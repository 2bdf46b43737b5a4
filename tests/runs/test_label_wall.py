"""Nothing that trains or chooses can see a target label; these tests try."""

from __future__ import annotations

import gc
import shutil

import h5py
import numpy as np
import pytest
import torch

import hepdann
from hepdann import methods, samples
from hepdann.config import Config
from hepdann.domains import prepare, resident
from hepdann.networks import NetworkShape
from hepdann.readers import convert_files
from hepdann.tensors import Target, open_tensors, seal
from hepdann.training import Member, Settings, StackTrainer

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {"seeds": 1, "epochs": 1, "batch_size": 256, "alignments": ["quantile"]}


def reachable(root):
    """Every object that can be reached from ``root`` through attributes and containers."""
    seen, todo = {}, [root]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, type):
            continue
        seen[id(item)] = item
        todo += list(vars(item).values()) if hasattr(item, "__dict__") else []
        if isinstance(item, list | tuple | set | dict):
            todo += gc.get_referents(item)
    return list(seen.values())


def trainer_of(tensors, method):
    domains = prepare(tensors, None, hepdann.shifts.sine(t=3), 0)
    trainer = StackTrainer(
        [Member(method, 1.0, 0)],
        NetworkShape(6, 2),
        [resident(domains.source, domains.scaling, device="cpu")],
        [resident(domains.target, domains.scaling, device="cpu")],
        Settings(epochs=1, batch_size=64, steps=3),
    )
    return trainer, domains


def test_a_target_has_no_label(toy):
    target = open_tensors(toy / "tensors.h5").pseudo_target()
    assert type(target) is Target
    assert set(vars(target)) == {"features", "weight", "event_id", "split"}


def test_no_target_label_can_be_reached_from_a_trainer(toy):
    tensors = open_tensors(toy / "tensors.h5")
    trainer, domains = trainer_of(tensors, methods.get("dann"))
    trainer.run()
    with h5py.File(tensors.path) as file:
        label, ids = file["mc/label"][...], file["mc/event_id"][...]
    truth = label[np.isin(ids, domains.target.event_id)]
    assert len(truth) == len(domains.target)
    arrays = [
        np.asarray(item.detach() if isinstance(item, torch.Tensor) else item)
        for item in reachable(trainer)
        if isinstance(item, np.ndarray | torch.Tensor)
    ]

    def is_there(wanted):
        return any(a.shape == wanted.shape and np.array_equal(a, wanted) for a in arrays)

    assert is_there(domains.source.part("train").label)  # the search does find labels
    assert not is_there(truth)
    for split in (0, 1, 2):
        assert not is_there(truth[domains.target.split == split])


def test_a_method_that_asks_for_target_labels_finds_none(toy):
    seen = []

    def curious(network, batch, adversary):
        seen.append(
            (
                batch.x.shape[-1],
                batch.label.shape[-1],
                {k for k, v in vars(batch).items() if v is not None},
            )
        )
        return methods.get("dann").phases[0].objective(network, batch, adversary)

    parts = ("extractor", "label_head", "domain_head")
    method = methods.Method("curious", "", (methods.Phase(parts, curious),), True)
    trainer, _ = trainer_of(open_tensors(toy / "tensors.h5"), method)
    trainer.run()
    assert seen[0] == (128, 64, {"x", "label", "weight", "weighted"})  # a flag


COLUMNS = {  # what some methods need besides the features, and a calibration that is quickly fitted
    "nuisance": ["spheri"],
    "calibration": {"families": ["offset"]},
    "mixtures": [
        {"cut": "multip > 0.3", "fraction": 0.3},
        {"cut": "multip <= 0.3", "fraction": 0.2},
    ],
    "check_mixtures": False,
}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Half as many events, for the many methods."""
    folder = tmp_path_factory.mktemp("few")
    samples.write_bjets(folder, 1000, 4, True)
    config = {"convert": {"weight": "weight", "features": list(samples.INPUTS)}}
    mc, data, truth = (str(folder / f"{name}.root") for name in ("mc", "data", "truth"))
    tensors = folder / "tensors.h5"
    convert_files([mc], [data], output=tensors, config=Config.model_validate(config), truth=truth)
    return tensors


@pytest.mark.parametrize(
    ("shift", "trained"), [(None, ["dann"]), ("sine", methods.names())], ids=["data", "sine"]
)
def test_flipped_target_labels_change_no_model_and_no_choice(few, tmp_path, shift, trained):
    flipped = tmp_path / "flipped.h5"
    shutil.copy(few, flipped)
    tensors = open_tensors(few)
    with h5py.File(flipped, "r+") as file:
        if shift is None:
            file["truth/data/label"][...] = 1 - file["truth/data/label"][...]
        else:
            pseudo = np.isin(file["mc/event_id"][...], tensors.pseudo_target().event_id)
            label = file["mc/label"][...]
            label[pseudo] = 1 - label[pseudo]
            file["mc/label"][...] = label
    seal(flipped)
    settings = {
        "shift": None if shift is None else hepdann.shifts.get(shift, 3),
        "method": trained,
        "auxiliaries": [hepdann.shifts.sine_third(t=3)],
        "diagnose": shift is None,
        **(COLUMNS if shift else {}),
        **FAST,
    }
    runs = [
        hepdann.train(path, output=tmp_path / name, **settings)
        for name, path in (("a", tensors.path), ("b", flipped))
    ]
    one, two = (run.model for run in runs)
    x = tensors.target().features[:1000]
    blind = [name for name in one.methods if name != "oracle"]
    assert {*trained, "source-only", "quantile"} <= set(blind)
    for method in blind:
        assert np.array_equal(one.score(x, method).members, two.score(x, method).members)
    assert not np.array_equal(one.score(x, "oracle").mean, two.score(x, "oracle").mean)
    first, second = (run.metrics for run in runs)
    assert first["recommended"] == second["recommended"]
    assert first["diagnosis"] == second["diagnosis"]
    for method in blind:
        a, b = (m["methods"][method] for m in (first, second))
        assert a["chosen"] == b["chosen"]
        assert a["criteria"] == b["criteria"]
        assert a["threshold"]["prior_matched"]["value"] == b["threshold"]["prior_matched"]["value"]
        assert a["target"]["accuracy"] != b["target"]["accuracy"]
