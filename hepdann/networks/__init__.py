"""Networks: gradient reversal, stacked layers and the network with a label and a domain head."""

from .adversarial import GAUSSIANS, AdversarialNetwork, NetworkShape
from .images.ganin import PICTURES
from .images.minerva import SMALL
from .images.views import Autocast, ViewShape, ViewsNetwork
from .layers import (
    Activation,
    GradientReversal,
    Normalisation,
    StackedBatchNorm,
    StackedDropout,
    StackedLayerNorm,
    StackedLinear,
    member_generators,
    reverse_gradient,
)
from .objects import DeepSet, ObjectNorm, ObjectShape, ObjectsNetwork
from .perceptron import Perceptrons
from .registry import Factory, Modules, get, names, register

__all__ = [
    "GAUSSIANS",
    "PICTURES",
    "SMALL",
    "Activation",
    "AdversarialNetwork",
    "Autocast",
    "DeepSet",
    "Factory",
    "GradientReversal",
    "Modules",
    "NetworkShape",
    "Normalisation",
    "ObjectNorm",
    "ObjectShape",
    "ObjectsNetwork",
    "Perceptrons",
    "StackedBatchNorm",
    "StackedDropout",
    "StackedLayerNorm",
    "StackedLinear",
    "ViewShape",
    "ViewsNetwork",
    "get",
    "member_generators",
    "names",
    "register",
    "reverse_gradient",
]
