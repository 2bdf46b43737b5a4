"""Tensors that do not fit into memory: the same events, in blocks."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np
import pytest
import torch

import hepdann
from hepdann.config import TrainConfig
from hepdann.domains import Scaling, images, prepare
from hepdann.domains.event_stream import EventStream, StreamReader
from hepdann.domains.reading import ResampledBlocks
from hepdann.errors import Interrupted
from hepdann.runs import resume
from hepdann.runs.stacks.shards import Stacks
from hepdann.tensors import BLOCK_ROWS, EventBlocks, Source, column_at, open_tensors

pytestmark = pytest.mark.usefixtures("few_trees")

FAST = {
    "seeds": 1,
    "epochs": 2,
    "batch_size": 32,
    "memory": "blocks",
    "alignments": ["quantile"],
    "diagnose": False,
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("hepdann.tensors.blocks.BLOCK_ROWS", 300)
    monkeypatch.setattr("hepdann.domains.event_stream._WINDOW", 20_000)


def test_blocks_hold_the_events_of_the_domain(toy, small_blocks):
    tensors = open_tensors(toy / "tensors.h5")
    for blocks, whole in (
        (EventBlocks(tensors, "mc", pseudo=False, labelled=True), tensors.source(half=True)),
        (EventBlocks(tensors, "mc", pseudo=True), tensors.pseudo_target()),
        (EventBlocks(tensors, "data"), tensors.target()),
    ):
        parts = [blocks.read(number) for number in range(len(blocks))]
        assert {type(part) for part in parts} == {type(whole)}
        for name, value in vars(whole).items():
            if isinstance(value, np.ndarray):
                together = np.concatenate([getattr(part, name) for part in parts])
                assert np.array_equal(together, value, equal_nan=value.dtype.kind == "f"), name
        train = whole.part("train")
        assert blocks.n_train == len(train)
        assert blocks.weight == pytest.approx(train.weight.mean(), rel=1e-6)
        everything, rows = blocks.sample(10**9)
        assert np.array_equal(everything.event_id, whole.event_id)
        some, rows = blocks.sample(500)
        assert 300 < len(some) < 700
        domain = "data" if whole.event_id[0] == tensors.target().event_id[0] else "mc"
        assert np.array_equal(column_at(tensors, domain, "event_id", rows), some.event_id)


def test_blocks_of_a_file_that_another_program_chunked(toy, tmp_path):
    tensors = open_tensors(toy / "tensors.h5")
    with h5py.File(tensors.path) as old, h5py.File(tmp_path / "chunked.h5", "w") as new:
        new.attrs.update(old.attrs)
        for name in old:
            old.copy(name, new)
        features, attrs = new["data/features"][...], dict(new["data/features"].attrs)
        del new["data/features"]
        new["data"].create_dataset("features", data=features, chunks=(100, 2)).attrs.update(attrs)
    blocks = EventBlocks(open_tensors(tmp_path / "chunked.h5"), "data")
    assert np.array_equal(blocks.read(0).features, features[:BLOCK_ROWS], equal_nan=True)


@dataclass
class Numbered:
    """Blocks whose only feature is the number of the event."""

    counts: np.ndarray
    weight: float = 1.0
    size: float = 1.0

    def train(self, block):
        first = int(self.counts[:block].sum())
        number = np.arange(first, first + self.counts[block])
        ones = np.ones(len(number), np.float32)
        split = np.zeros(len(number), np.uint8)
        x = number[:, None].astype(np.float32)
        return Source(x, ones, number.astype(np.uint64), split, number.astype(np.int32), ("a", "b"))


def stream_of(counts, window):
    one = np.ones(1)
    scaling = Scaling(one, 0 * one, one)
    return EventStream(Numbered(np.asarray(counts)), scaling, window=window)


def reader(stream, seeds, first=0, epoch=0):
    return StreamReader(stream, seeds, epoch=epoch, number=0, first=first)


@pytest.mark.parametrize("window", [1, 400, 10**6])
def test_a_stream_shows_every_event_equally_often_in_an_order_of_its_seed(window):
    stream = stream_of([30, 0, 17, 40, 5], window)
    (one, labels, *_), (two, *_) = reader(stream, [1, 2]).take(3 * 92)
    assert (np.bincount(one[:, 0].int()) == 3).all()
    assert (np.bincount(two[:, 0].int()) == 3).all()
    assert torch.equal(labels, one[:, 0].long())
    assert not torch.equal(one, two)
    assert torch.equal(reader(stream, [2]).take(3 * 92)[0][0], two)  # whoever is beside it
    assert not torch.equal(reader(stream, [1], epoch=1).take(3 * 92)[0][0], one)


@pytest.mark.parametrize("first", [0, 1, 35, 91, 92, 100, 200])
def test_a_stream_goes_on_where_it_was_left(first):
    stream = stream_of([30, 0, 17, 40, 5], 400)
    whole = reader(stream, [1]).take(250)[0][0]
    rest = reader(stream, [1], first=first)
    assert torch.equal(
        torch.cat([rest.take(7)[0][0], rest.take(20)[0][0]]), whole[first : first + 27]
    )


@pytest.mark.parametrize("shift", [None, hepdann.shifts.sine(t=3)])
def test_a_training_in_blocks_resumes_to_the_same_bits(toy, tmp_path, shift, small_blocks):
    whole = hepdann.train(toy / "tensors.h5", shift=shift, output=tmp_path / "whole", **FAST)
    assert whole.config.train.memory == "blocks"
    left = iter(range(30))
    with pytest.raises(Interrupted):
        hepdann.train(
            toy / "tensors.h5", shift=shift, output=tmp_path / "cut", **FAST,
            stop=lambda: next(left, None) is None, partial=lambda: False,
        )  # fmt: skip
    cut = resume(tmp_path / "cut")
    for name in ("model.safetensors", "history.csv", "scores.h5"):
        assert (cut.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert whole.metrics["methods"]["oracle"]["target"]["auc"] > 0.7
    assert whole.metrics["methods"]["source-only"]["mc"]["auc"] > 0.7


def test_blocks_too_are_brought_to_the_fractions_of_the_target(toy, small_blocks):
    tensors = open_tensors(toy / "tensors.h5")
    plain = EventBlocks(tensors, "mc", pseudo=False, labelled=True)
    there = np.bincount(tensors.source(half=True).part("train").label) / plain.n_train
    correction = np.log([0.85 / there[0], 0.15 / there[1]])
    blocks = ResampledBlocks(plain, correction, seed=0)
    events = [blocks.train(number) for number in range(len(plain))]
    assert [len(e) for e in events] == blocks.counts.tolist()
    assert np.concatenate([e.label for e in events]).mean() == pytest.approx(0.15, abs=0.01)
    weights = np.concatenate([e.weight for e in events])
    assert blocks.weight == pytest.approx(weights.mean(), rel=1e-5)

    domains = prepare(tensors, None, hepdann.shifts.sine(t=3), 0, "blocks")
    train = TrainConfig(methods=["dann"], seeds=1, batch_size=64, device="cpu")
    stacks = Stacks(train, domains, {}, correction=correction)
    fractions = {}
    for member in (m for shard in stacks.shards for m in shard.plan.members):
        if member.label != "oracle":
            read = StreamReader(
                stacks.sources[member.source].stream, [1], epoch=0, number=0, first=0
            )
            fractions[member.label] = float(read.take(4000)[0][1].double().mean())
    assert fractions["dann"] == pytest.approx(0.15, abs=0.02)
    assert fractions["source-only"] == pytest.approx(there[1], abs=0.02)


def test_a_sample_is_what_scores_hold(toy, tmp_path, monkeypatch, small_blocks):
    monkeypatch.setattr("hepdann.domains.reading.SAMPLE", 700)
    run = hepdann.train(
        toy / "tensors.h5", shift=hepdann.shifts.sine(t=3), output=tmp_path / "run", **FAST
    )
    with h5py.File(run.folder / "scores.h5") as file:
        assert 600 < len(file["mc/weight"]) < 800
        assert 600 < len(file["target/weight"]) < 800
    assert run.metrics["methods"]["dann"]["target"]["accuracy"] > 0.5
    assert (
        "training events of source + target are read in blocks"
        in (run.folder / "log.txt").read_text()
    )


def test_blocks_are_chosen_where_memory_is_short(toy, monkeypatch):
    tensors = open_tensors(toy / "tensors.h5")
    assert images.choose_memory("auto", tensors, None, 15) == "resident"
    monkeypatch.setattr(images, "available_memory", lambda: 100_000)
    assert images.choose_memory("auto", tensors, None, 15) == "blocks"
    assert images.choose_memory("resident", tensors, None, 15) == "resident"
