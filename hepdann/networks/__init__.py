"""Networks: gradient reversal, stacked layers and the network with a label and a domain head.

Torch is imported when the first of them is used, not for what they look like.
"""

from typing import TYPE_CHECKING

from ..lazy import getter
from .perceptron import Perceptrons
from .shape import Activation, Autocast, NetworkShape, Normalisation, ObjectShape, ViewShape

if TYPE_CHECKING:
    from .adversarial import GAUSSIANS, AdversarialNetwork
    from .layers import (
        GradientReversal,
        StackedBatchNorm,
        StackedDropout,
        StackedLayerNorm,
        StackedLinear,
        reverse_gradient,
    )
    from .minerva import SMALL, ViewsNetwork
    from .objects import DeepSet, ObjectNorm, ObjectsNetwork
    from .pictures import PICTURES
    from .registry import Factory, Modules, get, names, register

__all__ = [
    "GAUSSIANS", "PICTURES", "SMALL", "Activation", "AdversarialNetwork", "Autocast", "DeepSet",
    "Factory", "GradientReversal", "Modules", "NetworkShape", "Normalisation", "ObjectNorm",
    "ObjectShape", "ObjectsNetwork", "Perceptrons", "StackedBatchNorm", "StackedDropout",
    "StackedLayerNorm", "StackedLinear", "ViewShape", "ViewsNetwork", "get", "names", "register",
    "reverse_gradient",
]  # fmt: skip

__getattr__ = getter(__name__)
