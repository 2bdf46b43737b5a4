"""Two networks of small pictures: fully connected, and convolutional with fewer parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ...errors import ConfigError
from ..registry import Modules
from .ganin import PicturesPlan, pictures_factory
from .views import Autocast, ImagesNetwork, ViewShape, perceptron

if TYPE_CHECKING:
    from ..adversarial import NetworkShape

_WIDTHS = (512, 512)
_DOMAIN_HEAD = (100,)


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
    inputs = _WIDTHS[-1] * (shape.classes if shape.conditioned else 1)
    domains = 1 if shape.domain_classes == 2 else shape.domain_classes
    return Modules(
        _Connected(shape.views, shape.autocast),
        perceptron((_WIDTHS[-1], shape.outputs), last=True),
        perceptron((inputs, *_DOMAIN_HEAD, domains), last=True),
    )


shapes_cnn = pictures_factory(
    PicturesPlan(
        (32, 32, 64),
        (5, 3, 3),
        ((2, 2), (2, 2), (4, 4)),  # of 32 × 32 pixels the last is over the whole picture
        label_head=(64,),
        domain_head=_DOMAIN_HEAD,
    )
)
