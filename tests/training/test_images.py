"""Events that are images train as any others do."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from hepdann import methods
from hepdann.config.schedules import RateSchedule
from hepdann.domains.image_stream import HeldImages, ImageStream, resident_images
from hepdann.networks import NetworkShape
from hepdann.training import Member, Settings, StackTrainer, load_checkpoint, save_checkpoint
from hepdann.training.batches import Slot, epoch_batches

from .pictures import VIEWS, domain

PIXELS = sum(c * h * w for _, c, h, w in VIEWS)
SHAPE = NetworkShape(PIXELS, 3, domain_head=(7,), network="tiny-views", views=VIEWS)
MEMBERS = [Member(methods.get("dann"), 1.0, 3), Member(methods.get("source-only"), 0.0, 8)]


@pytest.fixture(scope="module")
def sides():
    return domain(200, 1), domain(150, 2, labelled=False)


@pytest.fixture(scope="module")
def events(sides):
    return tuple(resident_images(*side, device="cpu") for side in sides)


def settings(**more):
    return Settings(**{"epochs": 2, "batch_size": 20, "steps": 6, "ema": 0.9} | more)


def trainer(events, **more):
    return StackTrainer(MEMBERS, SHAPE, events[:1], events[1:], settings(**more))


def test_hits_are_the_rows_that_they_were_made_of(sides):
    (_, hits), _ = sides
    rows = hits[:]
    assert rows.shape == hits.shape
    assert hits.nbytes < rows.nbytes / 2
    assert (rows != 0).sum() == len(hits.value)
    some = np.array([5, 3, 3, 199])
    assert np.array_equal(hits[some], rows[some])
    assert np.array_equal(hits.take(rows[:, 0] == 0)[:], rows[rows[:, 0] == 0])
    assert np.array_equal(type(hits).join([hits.take(slice(0, 9)), hits.take(some)])[8:],
                          np.concatenate([rows[8:9], rows[some]]))  # fmt: skip
    place, value = hits.flat(some)
    flat = np.zeros(4 * hits.width, np.float32)
    flat[place] = value
    assert np.array_equal(flat.reshape(4, -1), rows[some])


def test_images_are_dense_only_while_they_are_looked_at(sides):
    (source, hits), _ = sides
    events = resident_images(source, hits, device="cpu")
    validation = np.flatnonzero(source.split == 1)
    looked_at = events.x_validation
    assert np.array_equal(looked_at.T.numpy(), hits[validation])
    once = weakref.ref(looked_at)
    del looked_at
    assert once() is None


def test_batches_show_every_image_once_an_epoch_with_its_own_label(sides, events):
    (source, hits), _ = sides
    slots = [Slot(0, events[:1], (0, 0)), Slot(2, events[1:], (0, 0))]
    steps = list(epoch_batches(slots, [3, 8], epoch=0, size=20, steps=7))
    train = source.split == 0
    known = {row.tobytes(): label for row, label in zip(hits[:], source.label, strict=True)}
    for k in (0, 1):
        seen = np.concatenate([b.x[k, :, :20].T.numpy() for _, b, _ in steps])
        labels = np.concatenate([b.label[k, 0].numpy() for _, b, _ in steps])
        assert sorted(map(bytes, seen)) == sorted(map(bytes, hits[:][train]))
        assert [known[bytes(row)] for row in seen] == labels.tolist()
    assert not torch.equal(steps[0][1].x[0], steps[0][1].x[1])


def test_images_in_small_blocks_are_seen_as_often(sides):
    (source, hits), _ = sides
    train = np.flatnonzero(source.split == 0)

    class Blocks(HeldImages):
        def __init__(self, events):
            super().__init__(events)
            self.counts = np.array([50, 0, 60, 30])

        def train(self, block):
            first = self.counts[:block].sum()
            rows = train[first : first + self.counts[block]]
            return hits.take(rows), source.label[rows], source.weight[rows]

    blocks = Blocks((hits.take(train), source.label[train], source.weight[train]))
    stream = ImageStream(blocks, window=4 * 70 * int(blocks.nbytes / 4))
    events = resident_images(source, hits, device="cpu", blocks=stream.blocks)
    assert events.stream.n_train == 140
    slot = Slot(0, [replace(events, stream=stream)], (0,))
    steps = list(epoch_batches([slot, slot], [3], epoch=1, size=10, steps=14))
    seen = np.concatenate([b.x[0, :, :10].T.numpy() for _, b, _ in steps])
    assert sorted(map(bytes, seen)) == sorted(map(bytes, hits[:][train]))


def test_a_stack_learns_where_the_tracks_begin_and_resumes_to_the_same_bits(events, tmp_path):
    whole = trainer(events, epochs=8, learning_rate=1e-2)
    whole.run()
    assert whole.history[-1]["validation_accuracy"] > 0.6
    stopping = iter(range(100))
    halted = trainer(events, epochs=8, learning_rate=1e-2)
    path = tmp_path / "c.safetensors"
    assert not halted.run(
        save=lambda t: save_checkpoint(t, path, "f"), stop=lambda: next(stopping) == 15
    )
    resumed = trainer(events, epochs=8, learning_rate=1e-2)
    load_checkpoint(resumed, path, "f")
    assert (resumed.epoch, resumed.position) == (2, 3)
    resumed.run()
    for name, part in whole.parts.items():
        assert torch.equal(part.value, resumed.parts[name].value), name
    assert whole.history == resumed.history


def test_heads_may_learn_at_a_rate_of_their_own(events):
    """With a rate of 0.1 for all and heads at ten times that, only the heads move as at 1."""
    rates = {"slow": (1e-3, 1.0), "fast": (1e-2, 1.0), "mixed": (1e-3, 10.0)}
    moved = {}
    for name, (rate, head) in rates.items():
        one = trainer(events, epochs=1, steps=1, optimiser="sgd",
                      schedule=RateSchedule(name="constant"),
                      weight_decay=1e-4, learning_rate=rate, head_rate=head)  # fmt: skip
        before = {part: flat.value.detach().clone() for part, flat in one.parts.items()}
        one.run()
        moved[name] = {p: flat.value.detach() - before[p] for p, flat in one.parts.items()}
    assert torch.equal(moved["mixed"]["extractor"], moved["slow"]["extractor"])
    for head in ("label_head", "domain_head"):
        assert torch.allclose(moved["mixed"][head], moved["fast"][head], rtol=1e-5, atol=1e-9)
        assert not torch.equal(moved["mixed"][head], moved["slow"][head])
