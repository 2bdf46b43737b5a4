"""What the networks of a stack look like; it says so without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Normalisation = Literal["domain", "shared", "layer", "none"]
Activation = Literal["relu", "elu", "gelu", "tanh", "sigmoid"]
Autocast = Literal["none", "bf16", "fp16"]
ViewShape = tuple[str, int, int, int]  # name, channels, height (strips), width (planes)
ObjectShape = tuple[str, int, int]  # name, objects of an event at most, features of an object
OF_OBJECTS = ("deepsets", "transformer")  # networks that can score objects, too
EPSILON = 1e-5  # added to variances


@dataclass(frozen=True)
class NetworkShape:
    """Any multilayer perceptron; the last width of ``extractor`` is the feature layer.

    Attributes:
        inputs: number of features F.
        classes: number of classes C; two classes share one logit, and one class is a regression:
            the output of the label head is the estimate of the label.
        extractor: widths of the feature extractor.
        label_head: hidden widths of the label head.
        domain_head: hidden widths of the domain head.
        normalisation: in the extractor: batch normalisation that sees each "domain" by itself or
            both ("shared"), "layer" normalisation of each event, or "none".
        activation: behind every hidden layer: "relu", "elu", "gelu", "tanh" or "sigmoid".
        dropout: probability that a hidden activation is dropped in training.
        residual: whether a hidden layer adds its input to its output, where the widths agree.
        domains: D, number of domains that batch normalisation keeps statistics of: source, labelled
            copies of it, target.
        domain_classes: of the domain head: 2, source or target, share one logit; D is a class of
            its own for each domain.
        conditioned: whether the domain head sees the feature layer times the class probabilities,
            every product of the two.
        network: name of a registered network that takes the place of extractor (and heads, if it
            has them); "" is the multilayer perceptron.
        views: name, channels, height and width of the images that the F inputs are the pixels of,
            one after the other; none of scalar features.
        objects: name, objects of an event at most and features of each, of the collections that
            stand in the F inputs behind the features of the event; none without objects.
        object_classes: classes of the objects of each collection, 0 of one without; empty where
            none has any. The feature extractor gives their logits behind the feature layer.
        object_weight: of their loss.
        nuisances: values of each nuisance that an adversary estimates from the output of the label
            head, 0 of a continuous one; none without such an adversary.
        nuisance_head: hidden widths of that adversary.
        autocast: of a network of images: "bf16" computes in bfloat16 where that is safe, "fp16"
            in float16 with scaled losses.
    """

    inputs: int
    classes: int
    extractor: tuple[int, ...] = (32, 32)
    label_head: tuple[int, ...] = (16,)
    domain_head: tuple[int, ...] = (64, 64)
    normalisation: Normalisation = "domain"
    activation: Activation = "relu"
    dropout: float = 0.0
    residual: bool = False
    domains: int = 2
    domain_classes: int = 2
    conditioned: bool = False
    network: str = ""
    views: tuple[ViewShape, ...] = ()
    autocast: Autocast = "none"
    nuisances: tuple[int, ...] = ()
    nuisance_head: tuple[int, ...] = ()
    objects: tuple[ObjectShape, ...] = ()
    object_classes: tuple[int, ...] = ()
    object_weight: float = 1.0

    @property
    def outputs(self) -> int:
        """Number of outputs of the label head."""
        return 1 if self.classes == 2 else self.classes

    @property
    def domain_outputs(self) -> int:
        """Number of outputs of the domain head."""
        return 1 if self.domain_classes == 2 else self.domain_classes

    def domain_inputs(self, latent: int) -> int:
        """Number of inputs of the domain head, behind a feature layer of so many."""
        return latent * self.classes if self.conditioned else latent
