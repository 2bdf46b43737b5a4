"""The convolutional networks of Ganin et al., JMLR 17 (2016) 59, figure 4: digits and road signs.

Convolutions are "valid" and pooling rounds up, as Caffe's does: so the pixels that the figure does
not give come out whole, 768 features of 28 × 28, 128 of 32 × 32 and 1024 of 40 × 40 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from ...errors import ConfigError
from ..normalisation import Normalisation
from ..registry import Factory, Modules
from .layers import convolve, relu_pool
from .views import Autocast, ImagesNetwork, ViewShape, innermost, perceptron, xavier

if TYPE_CHECKING:
    from ..adversarial import NetworkShape

PICTURES = "ganin-mnist"


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
            self.norms.append(_norm(normalisation, out))
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
            x = convolve(convolution, x)
            if isinstance(norm, nn.Identity) and size > 1:
                x = relu_pool(x, size, stride)
                continue
            x = functional.relu(norm(x))
            if size > 1:
                x = functional.max_pool2d(x, size, stride, ceil_mode=True)
        return x.flatten(1)


def _norm(normalisation: Normalisation, channels: int) -> nn.Module:
    if normalisation == "none":
        return nn.Identity()
    return nn.GroupNorm(1, channels) if normalisation == "layer" else nn.BatchNorm2d(channels)


def pictures_factory(plan: PicturesPlan) -> Factory:
    """What makes networks of a plan; the gradient is reversed behind the last convolution."""

    def make(shape: NetworkShape) -> Modules:
        if not shape.views:
            raise ConfigError(
                f"{shape.network} is a network of pictures, and these events have none",
                where="train.network",
                mend="convert pictures, or leave the network out",
            )
        extractor = PicturesNetwork(shape.views, plan, shape.normalisation, shape.autocast)
        inputs = extractor.features * (shape.classes if shape.conditioned else 1)
        domains = 1 if shape.domain_classes == 2 else shape.domain_classes
        return Modules(
            extractor,
            perceptron(
                (extractor.features, *plan.label_head, shape.outputs), plan.dropout, last=True
            ),
            perceptron((inputs, *plan.domain_head, domains), last=True),
        )

    return make


ganin_mnist = pictures_factory(
    PicturesPlan((32, 48), (5, 5), ((2, 2), (2, 2)), label_head=(100, 100), domain_head=(100,))
)
ganin_svhn = pictures_factory(
    PicturesPlan(
        (64, 64, 128),
        (5, 5, 5),
        ((3, 2), (3, 2), (1, 1)),
        label_head=(3072, 2048),
        domain_head=(1024, 1024),
        dropout=0.5,
    )
)
ganin_gtsrb = pictures_factory(
    PicturesPlan(
        (96, 144, 256),
        (5, 3, 5),
        ((2, 2), (2, 2), (2, 2)),
        label_head=(512,),
        domain_head=(1024, 1024),
    )
)
