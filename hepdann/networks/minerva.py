"""The networks of MINERvA: hits in three views, the segment of the vertex.

Terwilliger et al., "Vertex reconstruction of neutrino interactions using deep learning" (IJCNN
2017), and Perdue et al., "Reducing model bias in a deep learning classifier using domain
adversarial neural networks in the MINERvA experiment" (JINST 13 (2018) P11020).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from .pictures import ImagesNetwork, innermost, normalisation_of, perceptron, xavier
from .registry import Factory, Modules, no_inputs
from .shape import Autocast, NetworkShape, Normalisation, ViewShape

SMALL = "minerva-small"

_CHANNELS = (12, 20, 28, 36)
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


class ViewsNetwork(ImagesNetwork):
    """Towers that share no weights, one of each view by its plan, and a trunk behind them.

    Views are name, channels, height and width, in the order of the row; the trunk maps (B, sum of
    the towers' widths) to (B, H).
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
            normalisation_of(normalisation, width) for width in plan.channels
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
        make = partial(normalisation_of, normalisation, batch=nn.BatchNorm1d)
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


_X_2016 = TowerPlan(_CHANNELS, ((8, 3), (7, 3), (6, 3), (6, 3)), 196)
_UV_2016 = replace(_X_2016, kernels=((8, 5), (7, 3), (6, 3), (6, 3)))
_2018 = replace(_X_2016, kernels=((8, 3), (7, 3), (7, 3), (7, 3)))
_MEDIUM = PlanesPlan(along=(64, 64, 64), width=96, dropout=0.05)


def _adversarial(x: TowerPlan, other: TowerPlan, bottleneck: int) -> Factory:
    """Towers, 128, a linear bottleneck, at which the gradient is reversed; heads of their own."""

    def make(shape: NetworkShape) -> Modules:
        extractor = _extractor(shape, x, other, (128,), bottleneck)
        return Modules(
            extractor,
            perceptron((bottleneck, shape.outputs), last=True),
            perceptron((bottleneck, 1024, 1024, shape.domain_outputs), 0.5, last=True),
        )

    return make


def minerva_reference(shape: NetworkShape) -> Modules:
    """The network without an adversary: dropout before the towers' last layer, then 98."""
    x, other = (replace(plan, dropout_first=True) for plan in (_X_2016, _UV_2016))
    return Modules(_extractor(shape, x, other, (98,)), perceptron((98, shape.outputs), last=True))


def _planes(plan: PlanesPlan) -> Factory:
    """A few channels, and no strip of its own; it sees every plane, as others do."""

    def make(shape: NetworkShape) -> Modules:
        _refuse_tables(shape)
        extractor = PlanesNetwork(shape.views, plan, shape.normalisation, shape.autocast)
        heads = (plan.width, shape.outputs), (plan.width, 128, shape.domain_outputs)
        return Modules(extractor, *(perceptron(widths, last=True) for widths in heads))

    return make


def _extractor(
    shape: NetworkShape, x: TowerPlan, other: TowerPlan, trunk: Sequence[int], bottleneck: int = 0
) -> ViewsNetwork:
    _refuse_tables(shape)
    plans = [x if name == "x" else other for name, *_ in shape.views]
    joined = sum(plan.width for plan in plans)
    layers: nn.Module = perceptron((joined, *trunk), 0.5)
    if bottleneck:
        layers = nn.Sequential(layers, perceptron((trunk[-1], bottleneck), last=True))
    return ViewsNetwork(shape.views, plans, layers, shape.autocast)


def _refuse_tables(shape: NetworkShape) -> None:
    if not shape.views:
        raise no_inputs(shape, "images", "convert hit images, or leave the network out")


minerva_small = _planes(PlanesPlan())
minerva_medium = _planes(_MEDIUM)
minerva_2016 = _adversarial(_X_2016, _UV_2016, 6)
minerva_2018 = _adversarial(_2018, _2018, 11)
