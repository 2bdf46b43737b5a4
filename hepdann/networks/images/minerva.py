"""The networks of MINERvA: hits in three views, the segment of the vertex.

Terwilliger et al., "Vertex reconstruction of neutrino interactions using deep learning" (IJCNN
2017), and Perdue et al., "Reducing model bias in a deep learning classifier using domain
adversarial neural networks in the MINERvA experiment" (JINST 13 (2018) P11020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ...errors import ConfigError
from ..registry import Factory, Modules
from ..shape import NetworkShape
from .views import PlanesNetwork, PlanesPlan, TowerPlan, ViewsNetwork, perceptron

SMALL = "minerva-small"

_CHANNELS = (12, 20, 28, 36)
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
            perceptron((bottleneck, 1024, 1024, _domains(shape)), 0.5, last=True),
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
        heads = (plan.width, shape.outputs), (plan.width, 128, _domains(shape))
        return Modules(extractor, *(perceptron(widths, last=True) for widths in heads))

    return make


def _extractor(
    shape: NetworkShape,
    x: TowerPlan,
    other: TowerPlan,
    trunk: Sequence[int],
    bottleneck: int = 0,
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
        raise ConfigError(
            f"{shape.network} is a network of images, and these events have none",
            where="train.network",
            mend="convert hit images, or leave the network out",
        )


def _domains(shape: NetworkShape) -> int:
    return 1 if shape.domain_classes == 2 else shape.domain_classes


minerva_small = _planes(PlanesPlan())
minerva_medium = _planes(_MEDIUM)
minerva_2016 = _adversarial(_X_2016, _UV_2016, 6)
minerva_2018 = _adversarial(_2018, _2018, 11)
