"""What networks of images share, and those of small pictures, as the DANN paper has them.

Of Ganin et al., JMLR 17 (2016) 59, figure 4: convolutions are "valid" and pooling rounds up, as
Caffe's does: so the pixels that the figure does not give come out whole, 768 features of 28 × 28,
128 of 32 × 32 and 1024 of 40 × 40 pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..compiled import function
from ..errors import ConfigError
from .registry import Factory, Modules, no_inputs
from .shape import Autocast, NetworkShape, Normalisation, ViewShape

_INTEGERS = {torch.float32: (torch.int32, np.int32), torch.bfloat16: (torch.int16, np.int16)}
_WIDTHS = (512, 512)  # of the networks of shapes
_DOMAIN_HEAD = (100,)
PICTURES = "ganin-mnist"
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_ROWS = 256  # events that pass at a time where no gradient is wanted


class InParts(nn.Module):
    """A network that passes some rows at a time where no gradient is wanted."""

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (B, F) to the feature layer (B, H)."""
        if torch.is_grad_enabled() or len(x) <= _ROWS or any(m.training for m in self.modules()):
            return self._pass(x)  # as normalisation is in training while it collects statistics
        return torch.cat([self._pass(part) for part in torch.split(x, _ROWS)])

    def _pass(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class ImagesNetwork(InParts):
    """What is common to networks of images: an event is one row of pixels, view after view.

    Views are name, channels, height and width, in the order of the row. The images are kept with
    the channels innermost, for which convolutions on a CPU are faster. With autocast "bf16" torch
    computes in bfloat16 where it does so safely, with "fp16" in float16; weights, feature layer and
    losses stay as they are.
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


def innermost(images: Tensor) -> Tensor:
    """Images (B, C, H, W) with the channels innermost in memory."""
    if images.shape[1] > 1:
        return images.contiguous(memory_format=torch.channels_last)
    # with one channel both layouts are the same memory, and torch has to be told which it is
    batch, _, height, width = images.shape
    size = height * width
    return images.contiguous().as_strided((batch, 1, height, width), (size, 1, width, 1))


def perceptron(widths: Sequence[int], dropout: float = 0.0, *, last: bool = False) -> nn.Sequential:
    """Linear layers of widths, the first that of the input, each with ReLU and dropout behind.

    The ``last`` layer may be linear alone.
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


def normalisation_of(
    normalisation: Normalisation,
    channels: int,
    batch: type[nn.BatchNorm1d | nn.BatchNorm2d] = nn.BatchNorm2d,
) -> nn.Module:
    """The layer of that normalisation; GroupNorm of one group normalises each event by itself."""
    if normalisation == "none":
        return nn.Identity()
    return nn.GroupNorm(1, channels) if normalisation == "layer" else batch(channels)


def convolve(layer: nn.Module, x: Tensor) -> Tensor:
    """A "valid" convolution of pictures (B, C, H, W), channels innermost.

    In bfloat16 on a processor, one with more pixels in its kernel than in what comes out is a
    matrix product of all windows: forwards and for the weights a quarter of the time.
    """
    assert isinstance(layer, nn.Conv2d)
    kernel = layer.weight.shape[2]
    half = x.is_cpu and torch.is_autocast_enabled("cpu")
    if half and torch.get_autocast_dtype("cpu") == torch.bfloat16:
        pixels = (x.shape[2] - kernel + 1) * (x.shape[3] - kernel + 1)
        if pixels < kernel**2:
            assert layer.bias is not None
            parts = (part.to(torch.bfloat16) for part in (x, layer.weight, layer.bias))
            y: Tensor = _Windows.apply(*parts)  # type: ignore[no-untyped-call]
            return y
    convolved: Tensor = layer(x)
    return convolved


def relu_pool(x: Tensor, size: int, stride: int) -> Tensor:
    """Positive part of the largest value of each window of (B, C, H, W), channels innermost.

    A window may be cut at the edge; the stride is from one to the next.
    """
    if x.is_cpu and size == stride and _compiled("pool", x.dtype) is not None:
        y: Tensor = _ReluPool.apply(x, size)  # type: ignore[no-untyped-call]
        return y
    return functional.relu(functional.max_pool2d(x, size, stride, ceil_mode=True))


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        (out, channels, kernel, _), (batch, _, height, width) = weight.shape, x.shape
        rows, columns = height - kernel + 1, width - kernel + 1
        across, down, right = x.stride()[1:]
        size = (batch, rows, columns, kernel, kernel, channels)
        windows = x.as_strided(size, (x.stride(0), down, right, down, right, across))
        windows = windows.reshape(batch * rows * columns, -1)
        ctx.save_for_backward(x, weight, windows)
        y = torch.addmm(bias, windows, weight.permute(0, 2, 3, 1).reshape(out, -1).T)
        return y.view(batch, rows, columns, out).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, windows = ctx.saved_tensors
        out, channels, kernel, _ = weight.shape
        rows = gradients[0].permute(0, 2, 3, 1).reshape(-1, out)
        slope = (rows.T @ windows).view(out, kernel, kernel, channels).permute(0, 3, 1, 2)
        pictures: Tensor = torch.ops.aten.convolution_backward(
            gradients[0], x, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1,
            (True, False, False),
        )[0]  # fmt: skip
        return pictures, slope, rows.sum(0)


class _ReluPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        batch, channels, height, width = ctx.shape = x.shape
        ctx.size, pooled = size, (batch, channels, -(-height // size), -(-width // size))
        y = torch.empty(pooled, dtype=x.dtype, memory_format=torch.channels_last)
        ctx.place = np.empty(_integers(y).shape, _INTEGERS[x.dtype][1])
        pool = _compiled("pool", x.dtype)
        assert pool is not None
        pool(_integers(x), batch, height, width, channels, size, _integers(y), ctx.place)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gy,), (batch, channels, height, width) = gradients, ctx.shape
        gx = torch.empty(ctx.shape, dtype=gy.dtype, memory_format=torch.channels_last)
        unpool = _compiled("unpool", gy.dtype)
        assert unpool is not None
        sizes = (batch, height, width, channels, ctx.size)
        unpool(_integers(gy), ctx.place, *sizes, _integers(gx))
        return gx, None


def _compiled(name: str, dtype: torch.dtype) -> Callable[..., None] | None:
    """The function of ``pictures.c``, or ``None`` where it was not compiled or of another type."""
    if dtype not in _INTEGERS:
        return None
    kind, sizes = _INTEGERS[dtype][1], (int,) * 5
    word = f"{name}_{str(dtype).removeprefix('torch.')}"
    if name == "pool":
        return function(word, kind, *sizes, kind, kind)
    return function(word, kind, kind, *sizes, kind)


def _integers(x: Tensor) -> NDArray[Any]:
    """The bits of (B, C, H, W) as integers (B, H, W, C)."""
    innermost = x.detach().permute(0, 2, 3, 1).contiguous()
    array: NDArray[Any] = innermost.view(_INTEGERS[x.dtype][0]).numpy()
    return array


@dataclass(frozen=True)
class PicturesPlan:
    """What a network is made of.

    Attributes:
        channels: of each convolution.
        kernels: size of each, in rows and in columns.
        pools: (size, stride) of the pooling behind each; (1, 1) is none.
        label_head: hidden widths.
        domain_head: likewise.
        dropout: behind the hidden layers of the label head.
    """

    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    pools: tuple[tuple[int, int], ...]
    label_head: tuple[int, ...]
    domain_head: tuple[int, ...]
    dropout: float = 0.0


class PicturesNetwork(ImagesNetwork):
    """Convolution, pooling and ReLU, some times; the last maps in one row are the feature layer.

    The mean of each channel is subtracted, of each picture its own: so no domain has to be known.

    Args:
        views: name, channels, height and width of the one view.
        plan: convolutions and pooling.
        normalisation: behind every convolution: batch normalisation ("domain" or "shared", which
            whoever runs it tells apart), "layer" or "none".
        autocast: of the convolutions.

    Raises:
        ConfigError: several views, or pictures that are too small.
    """

    def __init__(
        self,
        views: Sequence[ViewShape],
        plan: PicturesPlan,
        normalisation: Normalisation,
        autocast: Autocast = "none",
    ) -> None:
        super().__init__(views, autocast)
        if len(views) != 1:
            raise ConfigError(
                f"is a network of one picture, and events have {len(views)} views",
                where="train.network",
                mend="take minerva-small",
            )
        _, channels, height, width = views[0]
        self.plan = plan
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for out, kernel, (size, stride) in zip(
            plan.channels, plan.kernels, plan.pools, strict=True
        ):
            self.convolutions.append(nn.Conv2d(channels, out, kernel))
            self.norms.append(normalisation_of(normalisation, out))
            channels, height, width = out, height - kernel + 1, width - kernel + 1
            if min(height, width) < size:
                raise ConfigError(
                    f"pictures of {views[0][2]} × {views[0][3]} pixels are too small for it",
                    where="train.network",
                    mend="convert them larger (convert.pictures.size), or take ganin-mnist",
                )
            height, width = (-(-(n - size) // stride) + 1 for n in (height, width))
        self.features = channels * height * width
        xavier(self)

    def see(self, images: Sequence[Tensor]) -> Tensor:
        """Map the pictures (B, C, H, W), less the mean of each channel, to the feature layer."""
        x = images[0]
        x = innermost(x - x.mean((2, 3), keepdim=True))
        layers = zip(self.convolutions, self.norms, self.plan.pools, strict=True)
        for convolution, norm, (size, stride) in layers:
            x = norm(convolve(convolution, x))
            x = relu_pool(x, size, stride) if size > 1 else functional.relu(x)
        return x.flatten(1)


def _pictures_factory(plan: PicturesPlan) -> Factory:
    """What makes networks of a plan; the gradient is reversed behind the last convolution."""

    def make(shape: NetworkShape) -> Modules:
        if not shape.views:
            raise no_inputs(shape, "pictures", "convert pictures, or leave the network out")
        extractor = PicturesNetwork(shape.views, plan, shape.normalisation, shape.autocast)
        inputs = shape.domain_inputs(extractor.features)
        return Modules(
            extractor,
            perceptron(
                (extractor.features, *plan.label_head, shape.outputs), plan.dropout, last=True
            ),
            perceptron((inputs, *plan.domain_head, shape.domain_outputs), last=True),
        )

    return make


ganin_mnist = _pictures_factory(
    PicturesPlan((32, 48), (5, 5), ((2, 2), (2, 2)), label_head=(100, 100), domain_head=(100,))
)
ganin_svhn = _pictures_factory(
    PicturesPlan(
        (64, 64, 128),
        (5, 5, 5),
        ((3, 2), (3, 2), (1, 1)),
        label_head=(3072, 2048),
        domain_head=(1024, 1024),
        dropout=0.5,
    )
)
ganin_gtsrb = _pictures_factory(
    PicturesPlan(
        (96, 144, 256),
        (5, 3, 5),
        ((2, 2), (2, 2), (2, 2)),
        label_head=(512,),
        domain_head=(1024, 1024),
    )
)


class _Connected(ImagesNetwork):
    """Every pixel, less the mean of its channel, to every unit of two hidden layers."""

    def __init__(self, views: Sequence[ViewShape], autocast: Autocast = "none") -> None:
        super().__init__(views, autocast)
        pixels = sum(channels * height * width for _, channels, height, width in views)
        self.layers = perceptron((pixels, *_WIDTHS))

    def see(self, images: Sequence[Tensor]) -> Tensor:
        """Map the pictures (B, C, H, W) to the feature layer (B, 512)."""
        (x,) = images
        features: Tensor = self.layers((x - x.mean((2, 3), keepdim=True)).flatten(1))
        return features


def shapes_fc(shape: NetworkShape) -> Modules:
    """512-512 and a linear label head: 788,995 parameters of 32 × 32 grey pixels and 3 classes.

    Raises:
        ConfigError: the events have no pictures, or several views.
    """
    if len(shape.views) != 1:
        raise ConfigError(
            f"is a network of one picture, and events have {len(shape.views)} views",
            where="train.network",
            mend="convert pictures, or take another network",
        )
    inputs = shape.domain_inputs(_WIDTHS[-1])
    return Modules(
        _Connected(shape.views, shape.autocast),
        perceptron((_WIDTHS[-1], shape.outputs), last=True),
        perceptron((inputs, *_DOMAIN_HEAD, shape.domain_outputs), last=True),
    )


shapes_cnn = _pictures_factory(
    PicturesPlan(
        (32, 32, 64),
        (5, 3, 3),
        ((2, 2), (2, 2), (4, 4)),  # of 32 × 32 pixels the last is over the whole picture
        label_head=(64,),
        domain_head=_DOMAIN_HEAD,
    )
)
