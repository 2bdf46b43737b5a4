"""Methods by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, overload

from ..errors import ConfigError
from ..registry import CALIBRATED, METHODS
from .base import Method, Objective, Phase

_PARTS = ("extractor", "label_head", "domain_head")
_Objective = TypeVar("_Objective", bound=Callable[..., Objective])


def names() -> tuple[str, ...]:
    """Names of the methods that can be trained."""
    return tuple(METHODS)


def get(name: str) -> Method:
    """Find a method.

    Raises:
        ConfigError: no method of that name; the nearest one is proposed.
    """
    method: Method = METHODS[name]
    return method


def method_of(name: str) -> tuple[str, str]:
    """The alignment ("" for none) and the method of ``alignment+method``."""
    before, _, last = name.rpartition("+")
    return "" if before in CALIBRATED else before, last


def calibration_of(name: str) -> str:
    """The calibration of the MC that ``calibrated`` and ``calibrated+method`` train on, or ""."""
    first = name.partition("+")[0]
    return first if first in CALIBRATED else ""


def as_method(name: str, thing: object, **options: Any) -> Method:
    """A method of that name: one as it is, or the one that minimises an objective.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(thing, Method):
        return thing if thing.name == name else replace(thing, name=name)
    if not callable(thing):
        raise ConfigError(f"the method {name!r} is neither an objective nor a Method: {thing!r}")
    parts = tuple(options.pop("parts", _PARTS))
    settings: dict[str, Any] = {"summary": "", "adversarial": True} | options
    return Method(name=name, phases=(Phase(parts, thing),), **settings)


@overload
def register(method: Method) -> Method: ...


@overload
def register(method: str, **options: Any) -> Callable[[_Objective], _Objective]: ...


def register(method: str | Method, **options: Any) -> Any:
    """Register a method of your own: ``@hepdann.register.method("mine")`` above its objective.

    The objective is computed at each step, for all members, and minimised by one optimiser::

        @hepdann.register.method("mine", adversarial=False)
        def objective(network, batch, adversary):
            features = network.features(batch.x, weight=batch.weight_sizes)
            ...
            return hepdann.methods.Objective(loss)

    Args:
        method: the name, plain and not one of hepdann's own; or a whole :class:`Method` of
            several phases, to be registered by its own name.
        **options: attributes of :class:`Method`, ``adversarial`` being true unless given; and
            ``parts`` of the network that are trained, all unless given.

    Returns:
        A decorator that gives the function back; of a whole method, that method.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    if isinstance(method, Method):
        METHODS.add(method.name, method)
        return method
    return METHODS.decorator(method, **options)
