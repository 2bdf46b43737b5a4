"""Images that are moved as the symmetries of a detector allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hepdann import methods
from hepdann.domains import Augment, Jitter, resident_images
from hepdann.domains.image_stream import HeldImages, ImageStream
from hepdann.errors import ConfigError
from hepdann.networks import NetworkShape
from hepdann.tensors import Pixels
from hepdann.training import Member, Settings, StackTrainer, load_checkpoint, save_checkpoint
from hepdann.training.batches import Slot, epoch_batches

from .pictures import VIEWS, domain

TWO = tuple((name, 2, height, width) for name, _, height, width in VIEWS)


def shaped(rows, views):
    """The views of rows of pixels, (n, C, strips, planes) each."""
    sizes = np.cumsum([c * h * w for _, c, h, w in views])[:-1]
    parts = np.split(rows, sizes, axis=1)
    return [part.reshape(-1, *shape) for part, (_, *shape) in zip(parts, views, strict=True)]


def moved(augment, rows, drawn):
    """Dense rows behind the augmentation."""
    place = np.flatnonzero(rows)
    place, value = augment.move(place, rows.ravel()[place], np.asarray(drawn, np.int16))
    out = np.zeros_like(rows)
    out.ravel()[place] = value
    return out


def some_rows(seed, n=4, views=TWO):
    generator = np.random.default_rng(seed)
    rows = generator.exponential(size=(n, sum(c * h * w for _, c, h, w in views)))
    rows[generator.random(rows.shape) < 0.9] = 0
    return rows.astype(np.float32)


@given(st.integers(0, 1000))
def test_a_turn_reverses_the_strips_of_every_plane_and_two_are_none(seed):
    augment, rows = Augment(TWO, rotate=True), some_rows(seed)
    turned = moved(augment, rows, [[1, 0, 0]] * 4)
    for before, after in zip(shaped(rows, TWO), shaped(turned, TWO), strict=True):
        assert np.array_equal(after, before[:, :, ::-1])
    assert np.array_equal(moved(augment, turned, [[1, 0, 0]] * 4), rows)
    assert np.array_equal(moved(augment, rows, [[0, 0, 0]] * 4), rows)


@given(st.integers(0, 1000), st.integers(-3, 3), st.integers(-3, 3), st.booleans())
def test_hits_keep_their_plane_channel_and_energy_and_views_move_together(seed, k, m, turn):
    """u + v = x of every point of a detector whose views lie at 0 and ± 60°."""
    augment, rows = Augment(TWO, True, 6), some_rows(seed)
    for view in shaped(rows, TWO):  # nothing near the edge, so that nothing is lost
        view[:, :, :7] = view[:, :, -7:] = 0
    after = shaped(moved(augment, rows, [[turn, k, m]] * 4), TWO)
    for by, old, new in zip((2 * k, k + m, k - m), shaped(rows, TWO), after, strict=True):
        assert np.array_equal(new, np.roll(old[:, :, ::-1] if turn else old, by, axis=2))


@given(st.integers(0, 1000), st.integers(0, 30), st.booleans())
def test_no_more_is_drawn_than_was_asked_for(seed, shift, rotate):
    augment = Augment(VIEWS, rotate, shift)
    drawn = augment.draw(np.random.default_rng(seed), 200)
    k, m = drawn[:, 1:].T
    assert max(np.abs(2 * k).max(), np.abs(k + m).max(), np.abs(k - m).max()) <= shift
    assert set(drawn[:, 0]) == ({0, 1} if rotate else {0})
    rows = some_rows(seed, 200, VIEWS)
    out = moved(augment, rows, drawn)
    assert (np.sort(out)[:, ::-1] <= np.sort(rows)[:, ::-1]).all()  # hits are lost, never made


def test_views_that_nobody_knows_can_be_turned_but_not_shifted():
    views = (("x", 1, 5, 4), ("w", 1, 5, 4))
    assert Augment(views, rotate=True).draw(np.random.default_rng(0), 3).shape == (3, 3)
    with pytest.raises(ConfigError, match="strips of view w"):
        Augment(views, shift=4)


def seen_in(events, epoch=0, first=0):
    """The images of an epoch, step by step."""
    slots = [Slot(0, [events], (0, 0)), Slot(2, [events], (0, 0))]
    steps = epoch_batches(slots, [3, 8], epoch=epoch, size=10, steps=14, first=first)
    return [batch.x for _, batch, _ in steps]


def test_batches_are_those_without_but_moved_and_everything_else_is_as_it_was():
    source, hits = domain(200, 1)
    plain = resident_images(source, hits, device="cpu")
    augment = Augment(VIEWS, rotate=True)
    turned = resident_images(source, hits, device="cpu", augment=augment)
    for name in ("x", "x_validation", "x_statistics", "x_watched", "label", "weight"):
        assert torch.equal(getattr(plain, name), getattr(turned, name)), name
    for one, other in zip(seen_in(plain), seen_in(turned), strict=True):
        rows = one.transpose(1, 2).flatten(0, 1).numpy()
        seen = other.transpose(1, 2).flatten(0, 1).numpy()
        back = moved(augment, seen, [[1, 0, 0]] * len(seen))
        same, other_way = (rows == seen).all(1), (rows == back).all(1)
        assert (same | other_way).all()
        assert 0.2 < same.mean() < 0.8
    again = seen_in(turned)[9:]
    for one, other in zip(again, seen_in(turned, first=9), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(seen_in(turned, epoch=1)[0], seen_in(turned)[0])


def test_images_in_blocks_are_moved_too_and_go_on_with_the_same():
    source, hits = domain(200, 1)
    augment = Augment(VIEWS, True, 4)
    held = resident_images(source, hits, device="cpu", augment=augment)
    train = np.flatnonzero(source.split == 0)

    class Blocks(HeldImages):
        def __init__(self, events):
            super().__init__(events)
            self.counts = np.array([80, 60])

        def train(self, block):
            rows = train[80 * block : 80 + 60 * block]
            return hits.take(rows), source.label[rows], source.weight[rows]

    whole = hits.take(train), source.label[train], source.weight[train]
    stream = ImageStream(Blocks(whole), augment=augment)
    blocks = replace(held, stream=stream)
    ways = [seen_in(one) for one in (held, blocks)]
    energies = [np.sort(torch.cat(way, dim=-1)[0].sum(0).numpy()) for way in ways]
    assert len(energies[0]) == len(energies[1]) == 280
    assert abs(energies[0].mean() / energies[1].mean() - 1) < 0.05
    for one, other in zip(ways[1][9:], seen_in(blocks, first=9), strict=True):
        assert torch.equal(one, other)


def test_a_training_goes_on_to_the_same_bits(tmp_path):
    augment = Augment(VIEWS, True, 4)
    sides = domain(200, 1), domain(150, 2, labelled=False)
    events = [resident_images(*side, device="cpu", augment=augment) for side in sides]
    pixels = sum(c * h * w for _, c, h, w in VIEWS)
    shape = NetworkShape(pixels, 3, domain_head=(7,), network="tiny-views", views=VIEWS)
    members = [Member(methods.get("dann"), 1.0, 3)]
    settings = Settings(epochs=2, batch_size=20, steps=6, ema=0.9)
    path = tmp_path / "c.safetensors"

    def trainer():
        return StackTrainer(members, shape, events[:1], events[1:], settings)

    whole, halted, resumed = trainer(), trainer(), trainer()
    whole.run()
    left = iter(range(100))
    halted.run(save=lambda t: save_checkpoint(t, path, "f"), stop=lambda: next(left) == 8)
    load_checkpoint(resumed, path, "f")
    resumed.run()
    for name, part in whole.parts.items():
        assert torch.equal(part.value, resumed.parts[name].value), name


def test_pictures_are_shifted_turned_and_made_larger_about_their_middle():
    shape = (2, 6, 8)
    pixels = torch.rand(1, 2 * 6 * 8, generator=torch.Generator().manual_seed(0))

    def moved_by(drawn, **most):
        return Jitter(shape, **most).move(pixels, np.array([drawn], np.float32)).view(shape)

    as_it_is = pixels.view(shape)
    torch.testing.assert_close(moved_by([0.3, 0.5, 0.7, -1]), as_it_is)
    shifted = moved_by([1, -1, 0, 0], shift=2)  # what is seen lies 2 to the right and 2 above
    torch.testing.assert_close(shifted[:, 2:, :-2], as_it_is[:, :-2, 2:])
    torch.testing.assert_close(shifted[:, 3, -2:], as_it_is[:, 1, -1:].expand(2, 2))  # the edge
    torch.testing.assert_close(moved_by([0, 0, -1, 0], turn=180), as_it_is.flip(1, 2))
    quarter = moved_by([0, 0, 1, 0], turn=90)[:, :, 1:-1]  # the middle 6 × 6
    inner = as_it_is[:, :, 1:-1]
    assert any(torch.allclose(quarter, inner.rot90(k, (1, 2)), atol=1e-5) for k in (1, -1))
    wide = moved_by([0, 0, 0, 1], zoom=0.5)
    assert wide.std() < as_it_is.std()  # fewer pixels are seen, with others between them
    drawn = Jitter(shape).draw(np.random.default_rng(0), 1000)
    assert drawn.shape == (1000, 4)
    assert np.abs(drawn).max() <= 1
    assert drawn.std(0).min() > 0.5


def test_each_batch_of_pictures_is_moved_another_way_and_all_else_is_as_it_was():
    source, _ = domain(60, 1)
    bytes_ = np.random.default_rng(0).integers(0, 256, (60, 3 * 8 * 8), np.uint8)
    pictures, jitter = Pixels.of([bytes_]), Jitter((3, 8, 8), shift=2, turn=15, zoom=0.1)
    plain = resident_images(source, pictures, device="cpu")
    moved_ones = resident_images(source, pictures, device="cpu", augment=jitter)
    assert torch.equal(plain.x_validation, moved_ones.x_validation)
    assert torch.equal(plain.x_statistics, moved_ones.x_statistics)
    first, again = seen_in(moved_ones), seen_in(moved_ones)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for one, other in zip(seen_in(plain), first, strict=True):
        assert not torch.equal(one, other)
        assert other.min() >= 0
        assert other.max() <= 1
        torch.testing.assert_close(one.mean((1, 2)), other.mean((1, 2)), atol=0.05, rtol=0)
