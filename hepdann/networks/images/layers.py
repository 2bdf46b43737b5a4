"""Layers of networks of pictures that take long in torch, on a processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...compiled import function

_INTEGERS = {torch.float32: (torch.int32, np.int32), torch.bfloat16: (torch.int16, np.int16)}


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
    """Positive part of the largest value of each window, which may be cut at the edge.

    Args:
        x: (B, C, H, W), channels innermost.
        size: of a window.
        stride: from one window to the next.
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
    """The function of ``layers.c``, or ``None`` where it was not compiled or of another type."""
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
