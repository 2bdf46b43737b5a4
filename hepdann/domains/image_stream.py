"""Images moved by the symmetries of a detector, another way each time they are trained on.

A tracker of planes whose strips lie at 0 and ± 60° looks the same after half a turn about the
beam, which reverses the strips of every plane; and an event that is moved across the beam looks
the same but for its place. Where along the beam its hits lie never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import ConfigError
from ..tensors import SPLITS, EventImages, Objects, Pixels, Source, Target, ViewBlocks
from .event_stream import (
    BatchRows,
    DomainEvents,
    Drawn,
    Picked,
    Stream,
    Window,
    mean_weight,
    validation_rows,
    watched_rows,
)
from .events import Scaling

# strips by which a view moves, (along x, across it): x, x/2 + √3/2 y, x/2 - √3/2 y
_STEPS = {"x": (2, 0), "u": (1, 1), "v": (1, -1)}
_WINDOW = 512 << 20  # bytes of images shuffled together; two such are held
_PROBED = 1_024  # events that health and batch normalisation look at
Events = tuple[EventImages, NDArray[np.int32] | None, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Augment:
    """What is done to each image that is trained on; labels and weights stay as they are.

    Attributes:
        views: name, channels, strips and planes of each, in the order of a row of pixels.
        rotate: half of the events are turned by 180° about the beam.
        shift: strips that an event is moved at most, in any view; hits that leave a view are lost.

    Raises:
        ConfigError: events of such views cannot be moved.
    """

    views: Sequence[tuple[str, int, int, int]]
    rotate: bool = False
    shift: int = 0
    _strip: NDArray[np.int32] = field(init=False, repr=False)
    _view: NDArray[np.int32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        unknown = [name for name, *_ in self.views if name not in _STEPS]
        if self.shift and unknown:
            raise ConfigError(
                f"nobody knows how the strips of view {unknown[0]} lie",
                where="train.augment.shift",
                mend="name the views x, u and v (at 0 and ± 60°), or leave it out",
            )
        strips = [
            np.tile(np.repeat(np.arange(height), width), channels)
            for _, channels, height, width in self.views
        ]
        views = [np.full(len(part), number) for number, part in enumerate(strips)]
        # by the place of a pixel in a row
        object.__setattr__(self, "_strip", np.concatenate(strips).astype(np.int32))
        object.__setattr__(self, "_view", np.concatenate(views).astype(np.int32))

    def draw(self, generator: np.random.Generator, events: int) -> Drawn:
        """What will be done to some events, (n, 3): a turn or none, steps along x and across."""
        turned = generator.random(events) < 0.5 if self.rotate else np.zeros(events, np.bool_)
        most = self.shift // 2
        steps = generator.integers(-most, most + 1, (events, 2))
        return np.column_stack([turned, steps]).astype(np.int16)

    def move(
        self, place: NDArray[np.int64], value: NDArray[np.float32], drawn: Drawn
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Move the hits of n events.

        Args:
            place: of each hit in the flattened (n, F) array of their pixels.
            value: of each hit.
            drawn: (n, 3), what :meth:`draw` gave.

        Returns:
            Place and value of those that are still in their view.
        """
        event, pixel = np.divmod(place, len(self._strip))
        view, strip = self._view[pixel], self._strip[pixel]
        last = np.array([height - 1 for _, _, height, _ in self.views], np.int32)
        planes = np.array([width for *_, width in self.views], np.int32)
        steps = np.array([_STEPS.get(name, (0, 0)) for name, *_ in self.views], np.int32)
        moved = drawn[:, 1:].astype(np.int32) @ steps.T  # (n, views)
        turned = drawn[:, 0].astype(np.bool_)[event]
        new = np.where(turned, last[view] - strip, strip) + moved[event, view]
        inside = (new >= 0) & (new <= last[view])
        to = place + (new - strip).astype(np.int64) * planes[view]
        return to[inside], value[inside]


@dataclass(frozen=True)
class Jitter:
    """What is done to each picture that is trained on: an affine map, pixels interpolated.

    What enters at an edge is the edge again (as Ciresan et al., Neural Networks 32 (2012) 333).

    Attributes:
        shape: channels, rows and columns.
        shift: pixels that it is moved at most, along rows and columns each.
        turn: degrees, at most, either way.
        zoom: share by which it is made larger or smaller, at most.
    """

    shape: tuple[int, int, int]
    shift: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0

    def draw(self, generator: np.random.Generator, events: int) -> Drawn:
        """(n, 4) in -1 to 1: along columns and rows, angle and size."""
        return generator.uniform(-1, 1, (events, 4)).astype(np.float32)

    def move(self, pixels: Tensor, drawn: Drawn) -> Tensor:
        """Move pictures.

        Args:
            pixels: (n, F) of their channels, rows and columns.
            drawn: (n, 4), what :meth:`draw` gave.
        """
        _, height, width = self.shape
        across, down, angle, size = torch.from_numpy(drawn).to(pixels).T
        angle, scale = angle * (self.turn * torch.pi / 180), (1 + self.zoom) ** size
        cos, sin, aspect = angle.cos() / scale, angle.sin() / scale, height / width
        rows = [
            torch.stack([cos, -sin * aspect, across * (2 * self.shift / width)], 1),
            torch.stack([sin / aspect, cos, down * (2 * self.shift / height)], 1),
        ]
        pictures = pixels.view(-1, *self.shape)
        shape = list(pictures.shape)
        grid = functional.affine_grid(torch.stack(rows, 1), shape, align_corners=False)
        moved = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return moved.flatten(1)


class HeldImages:
    """The training events of a domain, all in memory as one block of :class:`ViewBlocks`."""

    def __init__(self, events: Events) -> None:
        self._events, number = events, len(events[0])
        self.counts, self.nbytes = np.array([number]), events[0].nbytes / max(1, number)
        self.weight = float(np.mean(events[2], dtype=np.float64))

    def train(self, block: int) -> Events:
        """All events."""
        del block
        return self._events


@dataclass(frozen=True, eq=False)
class _Images:
    """The events of a window; those that are picked are filled in on the device."""

    images: EventImages
    label: Tensor | None
    weight: Tensor
    to: str
    augment: Augment | Jitter | None

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def pick(self, rows: Tensor, drawn: Drawn | None) -> BatchRows:
        label = None if self.label is None else self._put(self.label[rows].long())
        weight = self._put(self.weight[rows])
        if isinstance(self.images, Pixels):  # bytes go to the device, where they become fractions
            picked = self._put(torch.from_numpy(self.images.values[rows.numpy()]))
            picked = picked.to(torch.float32).mul_(1 / 255)
            if isinstance(self.augment, Jitter) and drawn is not None:
                picked = self.augment.move(picked, drawn)
            return picked, label, weight, None
        if isinstance(self.images, Objects):
            drawn_rows = self.images.labelled(rows.numpy())
            return self._put(torch.from_numpy(drawn_rows)), label, weight, None
        out = torch.zeros(len(rows), self.images.width, device=self.to)
        hits = self.images.flat(rows.numpy())
        if isinstance(self.augment, Augment) and drawn is not None:
            hits = self.augment.move(*hits, drawn)
        if out.device.type == "cpu":
            out.numpy().reshape(-1)[hits[0]] = hits[1]
            return out, label, weight, None
        place, value = (self._put(torch.from_numpy(part)) for part in hits)
        return out.view(-1).scatter_(0, place, value).view_as(out), label, weight, None

    def _put(self, tensor: Tensor) -> Tensor:
        """On the device, without waiting for it."""
        if self.to == "cpu":
            return tensor
        pinned = tensor.pin_memory() if torch.device(self.to).type == "cuda" else tensor
        return pinned.to(self.to, non_blocking=True)


@dataclass(frozen=True, eq=False)
class ImageStream(Stream):
    """The training events of a domain of images."""

    blocks: ViewBlocks | HeldImages
    device: str = "cpu"
    window: int = field(default_factory=lambda: _WINDOW)
    augment: Augment | Jitter | None = None
    scaling: Scaling | None = None

    def draw(self, generator: np.random.Generator, events: int) -> Drawn | None:
        """What augmentation does to each of some events."""
        return None if self.augment is None else self.augment.draw(generator, events)

    def _most(self) -> int:
        return int(self.window / max(1.0, self.blocks.nbytes))

    def _load(self, window: Window) -> Picked:
        images, labels, weights = zip(
            *(self.blocks.train(int(block)) for block in window.blocks), strict=True
        )
        known = [torch.from_numpy(label) for label in labels if label is not None]
        weight = torch.from_numpy(np.concatenate(weights) / np.float32(self.blocks.weight))
        label = torch.cat(known) if known else None
        kind: Any = type(images[0])
        held = images[0] if len(images) == 1 else kind.join(images)
        if self.scaling is not None:
            held = self.scaling.objects(held)
        return _Images(held, label, weight, self.device, self.augment)


def resident_images(
    events: Source | Target,
    images: EventImages,
    *,
    device: str,
    blocks: ViewBlocks | HeldImages | None = None,
    augment: Augment | Jitter | None = None,
    scaling: Scaling | None = None,
) -> DomainEvents:
    """The images or objects (N, F) of events of all splits for a training; pixels are not scaled.

    ``blocks`` are all events of the domain, if these are a sample of it: batches are drawn from
    them, and everything else sees the sample. Augmented are the images of a batch alone.
    """
    streamed = scaling if blocks is not None else None
    if scaling is not None and isinstance(images, Objects):
        images = scaling.objects(images)
    train = np.flatnonzero(events.split == SPLITS.index("train"))
    label = events.label if isinstance(events, Source) else None
    if blocks is None:
        own = None if label is None else label[train]
        blocks = HeldImages((images.take(train), own, events.weight[train]))
    mean = mean_weight(events, blocks.weight)
    stream = ImageStream(blocks, device, augment=augment, scaling=streamed)
    spread = np.linspace(0, len(train) - 1, min(len(train), _PROBED)).round().astype(np.intp)
    probed, held = train[spread], validation_rows(events, images=True)

    def pixels(rows: NDArray[np.intp]) -> Tensor:
        drawn = images.labelled(rows) if isinstance(images, Objects) else images[rows]
        return torch.from_numpy(drawn).to(device, torch.float32)

    def labels(rows: NDArray[np.intp]) -> Tensor | None:
        return None if label is None else torch.from_numpy(label[rows]).to(device, torch.int64)

    def weights(rows: NDArray[np.intp]) -> Tensor:
        return torch.from_numpy(events.weight[rows] / mean).to(device, torch.float32)

    x, weight = pixels(probed), weights(probed)
    rows = torch.arange(_PROBED, device=x.device) % len(x)
    return DomainEvents(
        x=x, weight=weight, label=labels(probed), held=lambda: pixels(held).T,
        weight_validation=weights(held), label_validation=labels(held),
        x_statistics=x[rows].T.contiguous(), weight_statistics=weight[rows],
        watched=lambda: pixels(watched_rows(events, images=True)).T, stream=stream, images=True,
    )  # fmt: skip
