"""Convolutional networks of the views of an event: a tower for each view, then one trunk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import ConfigError

Autocast = Literal["none", "bf16", "fp16"]
ViewShape = tuple[str, int, int, int]  # name, channels, height (strips), width (planes)

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_ROWS = 256  # events that pass at a time where no gradient is wanted


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
