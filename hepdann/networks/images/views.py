"""Convolutional networks of the views of an event: a tower for each view, then one trunk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import ConfigError
from ..shape import Autocast, Normalisation, ViewShape

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_ROWS = 256  # events that pass at a time where no gradient is wanted
_SUMMED = 0.1  # brings sums over the strips of a plane to the size of its largest entry


@dataclass(frozen=True)
class TowerPlan:
    """What a tower is made of.

    Attributes:
        channels: of each convolution, which is "valid": nothing is padded.
        kernels: (strips, planes) of each.
        width: of the fully connected layer at its end.
        dropout: before or behind that layer.
        dropout_first: whether it stands before it.
    """

    channels: tuple[int, ...]
    kernels: tuple[tuple[int, int], ...]
    width: int
    dropout: float = 0.5
    dropout_first: bool = False


class _Tower(nn.Module):
    """One view: convolution, ReLU and pooling over pairs of strips, some times; a layer at the end.

    Planes are never pooled: the answer lies in their order. Pooling rounds up, as Caffe's does.
    """

    def __init__(self, plan: TowerPlan, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.plan = plan
        convolutions: list[nn.Module] = []
        for out, (rows, columns) in zip(plan.channels, plan.kernels, strict=True):
            convolutions.append(nn.Conv2d(channels, out, (rows, columns)))
            channels, height, width = out, -(-(height - rows + 1) // 2), width - columns + 1
            if height < 1 or width < 1:
                raise ConfigError(
                    f"an image is smaller than the kernels {plan.kernels}",
                    where="train.network",
                    mend="take a network that is made for such images",
                )
        self.convolutions = nn.ModuleList(convolutions)
        self.dropout = nn.Dropout(plan.dropout)
        self.linear = nn.Linear(channels * height * width, plan.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, width)."""
        x = innermost(x)
        for convolution in self.convolutions:
            # the same as pooling behind the ReLU, on half as many pixels
            x = functional.max_pool2d(convolution(x), (2, 1), ceil_mode=True)
            x = functional.relu(x, inplace=True)
        x = x.flatten(1)
        if self.plan.dropout_first:
            x = self.dropout(x)
        x = functional.relu(self.linear(x))
        return x if self.plan.dropout_first else self.dropout(x)


class InParts(nn.Module):
    """A network that passes some rows at a time where no gradient is wanted."""

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (B, F) to the feature layer (B, H)."""
        if torch.is_grad_enabled() or len(x) <= _ROWS or self._learns():
            return self._pass(x)
        return torch.cat([self._pass(part) for part in torch.split(x, _ROWS)])

    def _learns(self) -> bool:
        """Whether some of it is in training, as normalisation is while it collects statistics."""
        return any(module.training for module in self.modules())

    def _pass(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ImagesNetwork(InParts):
    """What is common to networks of images: an event is one row of pixels, view after view.

    The images are kept with the channels innermost, for which convolutions on a CPU are faster.

    Args:
        views: name, channels, height and width of each, in the order of the row.
        autocast: "bf16" computes in bfloat16 where torch does so safely, "fp16" in float16;
            weights, feature layer and losses stay as they are.
    """

    def __init__(self, views: Sequence[ViewShape], autocast: Autocast = "none") -> None:
        super().__init__()
        self.views, self.autocast = tuple(views), autocast

    def _pass(self, x: Tensor) -> Tensor:
        sizes = [channels * height * width for _, channels, height, width in self.views]
        rows = zip(torch.split(x, sizes, dim=1), self.views, strict=True)
        images = [part.reshape(-1, *shape) for part, (_, *shape) in rows]
        half = _HALF.get(self.autocast)
        with torch.autocast(x.device.type, half, enabled=half is not None):
            y = self.see(images)
        return y.to(x.dtype)

    def see(self, images: Sequence[Tensor]) -> Tensor:
        """Map the images (B, C, H, W) of the views to the feature layer (B, H)."""
        raise NotImplementedError


class ViewsNetwork(ImagesNetwork):
    """Towers that share no weights, and a trunk behind them.

    Args:
        views: name, channels, height and width of each, in the order of the row.
        plans: of each view's tower.
        trunk: maps (B, sum of the towers' widths) to (B, H).
        autocast: of towers and trunk.
    """

    def __init__(
        self,
        views: Sequence[ViewShape],
        plans: Sequence[TowerPlan],
        trunk: nn.Module,
        autocast: Autocast = "none",
    ) -> None:
        super().__init__(views, autocast)
        self.towers = nn.ModuleList(
            _Tower(plan, *view[1:]) for plan, view in zip(plans, views, strict=True)
        )
        self.trunk = trunk
        xavier(self)

    def see(self, images: Sequence[Tensor]) -> Tensor:
        """Each tower sees its view, the trunk all that they saw."""
        outputs = [tower(image) for tower, image in zip(self.towers, images, strict=True)]
        y: Tensor = self.trunk(torch.cat(outputs, dim=1))
        return y


def innermost(images: Tensor) -> Tensor:
    """Images (B, C, H, W) with the channels innermost in memory."""
    if images.shape[1] > 1:
        return images.contiguous(memory_format=torch.channels_last)
    # with one channel both layouts are the same memory, and torch has to be told which it is
    batch, _, height, width = images.shape
    size = height * width
    return images.contiguous().as_strided((batch, 1, height, width), (size, 1, width, 1))


def perceptron(widths: Sequence[int], dropout: float = 0.0, *, last: bool = False) -> nn.Sequential:
    """Linear layers, each with ReLU and dropout behind it.

    Args:
        widths: of the input and of each layer.
        dropout: behind each ReLU.
        last: whether the last layer is linear alone.
    """
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
    made = nn.Sequential(*(layers[:-2] if last else layers))
    xavier(made)
    return made


def xavier(module: nn.Module) -> None:
    """Weights uniform in ±√(3 / inputs), no bias: Caffe's filler of that name."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = (3 / layer.weight[0].numel()) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


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
