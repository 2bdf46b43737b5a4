"""A small network that looks at an event plane by plane, and then along the beam."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import ConfigError
from ..normalisation import Normalisation
from .views import Autocast, ImagesNetwork, ViewShape, innermost

_SUMMED = 0.1  # brings sums over the strips of a plane to the size of its largest entry


@dataclass(frozen=True)
class PlanesPlan:
    """What the network is made of.

    Attributes:
        channels: of the two convolutions of a view.
        strips: of the first convolution's kernel.
        stride: of the first convolution, in strips.
        pool: strips that are pooled behind it.
        along: channels of the convolutions along the beam.
        width: of the feature layer.
        dropout: before and behind the last layer.
    """

    channels: tuple[int, int] = (8, 16)
    strips: int = 8
    stride: int = 4
    pool: int = 4
    along: tuple[int, ...] = (48, 48)
    width: int = 64
    dropout: float = 0.1


class _View(nn.Module):
    """What each plane of a view saw: patterns found anywhere along it, sums, and the largest hit.

    Where along the plane a pattern lies does not matter, so that nothing has to be learnt anew at
    every strip.
    """

    channels: int

    def __init__(self, plan: PlanesPlan, channels: int, normalisation: Normalisation) -> None:
        super().__init__()
        first, second = plan.channels
        self.pool = plan.pool
        bias = normalisation not in ("domain", "shared")
        self.first = nn.Conv2d(
            channels, first, (plan.strips, 3), (plan.stride, 1), (plan.strips // 2, 1), bias=bias
        )
        self.second = nn.Conv2d(first, second, 3, padding=1, bias=bias)
        self.norms = nn.ModuleList(
            _norm(normalisation, nn.BatchNorm2d, width) for width in plan.channels
        )
        self.channels = second + 3 * channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, strips, planes) to (B, channels, planes)."""
        x = torch.asinh(x)
        hit = (x != 0).to(x.dtype)
        summaries = [_SUMMED * x.sum(2), _SUMMED * hit.sum(2), x.amax(2)]
        # normalised behind the pooling, on fewer pixels
        y = functional.max_pool2d(self.first(innermost(x)), (self.pool, 1), ceil_mode=True)
        y = functional.relu(self.norms[0](y))
        y = functional.relu(self.norms[1](self.second(y)))
        return torch.cat([functional.max_pool2d(y, (y.shape[2], 1)).squeeze(2), *summaries], dim=1)


class PlanesNetwork(ImagesNetwork):
    """Convolutions within each view, then along the beam through the planes of all of them.

    Pixels come as they are, in MeV as a rule: asinh brings large and small ones together. Planes
    are never pooled. Those of views with more of them are grouped, so that a step along the beam
    holds the same length of every view: of MINERvA two planes of X, one of U and one of V.

    Args:
        views: name, channels, height and width of each.
        plan: widths.
        normalisation: behind every convolution and in the last layer: batch normalisation
            ("domain" or "shared", which whoever runs it tells apart), "layer" or "none".
        autocast: of all of it.

    Raises:
        ConfigError: the planes of the views cannot be grouped.
    """

    def __init__(
        self,
        views: Sequence[ViewShape],
        plan: PlanesPlan,
        normalisation: Normalisation,
        autocast: Autocast = "none",
    ) -> None:
        super().__init__(views, autocast)
        widths = [width for *_, width in views]
        self.steps = min(widths)
        if any(width % self.steps for width in widths):
            raise ConfigError(
                f"views of {', '.join(map(str, widths))} planes do not go together",
                where="train.network",
                mend="take minerva-2016, whose views may have any number of planes",
            )
        parts = [_View(plan, channels, normalisation) for _, channels, *_ in views]
        self.parts = nn.ModuleList(parts)
        counts = [width // self.steps for width in widths]
        inputs = sum(n * part.channels for n, part in zip(counts, parts, strict=True))
        bias = normalisation not in ("domain", "shared")
        make = partial(_norm, normalisation, nn.BatchNorm1d)
        self.along = nn.Sequential(*(
            nn.Sequential(nn.Conv1d(a, b, 3, padding=1, bias=bias), make(b), nn.ReLU())
            for a, b in itertools.pairwise((inputs, *plan.along))
        ))  # fmt: skip
        self.last = nn.Sequential(
            nn.Dropout(plan.dropout),
            nn.Linear(plan.along[-1] * self.steps, plan.width, bias=bias),
            make(plan.width),
            nn.ReLU(),
            nn.Dropout(plan.dropout),
        )

    def see(self, images: Sequence[Tensor]) -> Tensor:
        """Planes of all views side by side, then the last layer, which knows where they are."""
        summaries = []
        for part, image in zip(self.parts, images, strict=True):
            y = part(image)
            grouped = y.view(*y.shape[:2], self.steps, -1).transpose(2, 3)
            summaries.append(grouped.reshape(len(y), -1, self.steps))
        y = self.along(torch.cat(summaries, dim=1))
        out: Tensor = self.last(y.flatten(1))
        return out


def _norm(
    normalisation: Normalisation, batch: type[nn.BatchNorm1d | nn.BatchNorm2d], channels: int
) -> nn.Module:
    if normalisation == "none":
        return nn.Identity()
    return nn.GroupNorm(1, channels) if normalisation == "layer" else batch(channels)
