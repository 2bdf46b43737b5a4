"""Networks: gradient reversal, stacked layers and the network with a label and a domain head."""

from .adversarial import AdversarialNetwork, NetworkShape
from .layers import Activation, StackedDropout, StackedLayerNorm
from .normalisation import Normalisation, StackedBatchNorm
from .reversal import reverse_gradient
from .stacked import StackedLinear, member_generators

__all__ = [
    "Activation",
    "AdversarialNetwork",
    "NetworkShape",
    "Normalisation",
    "StackedBatchNorm",
    "StackedDropout",
    "StackedLayerNorm",
    "StackedLinear",
    "member_generators",
    "reverse_gradient",
]
