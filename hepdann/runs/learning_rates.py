"""Which learning rate the stacks of a training can take, before any run is made."""

from __future__ import annotations

from dataclasses import dataclass

from .. import methods, shifts
from ..config import Config
from ..methods import method_of
from ..tensors import Source, Target, Tensors
from ..training import DomainEvents, RateRange, StackTrainer, find_learning_rate, resident
from .domains import prepare
from .stack_plan import Places, plan_stacks, resolve, settings_of, shape_of

__all__ = ["StackRates", "suggest_rates"]


@dataclass(frozen=True, eq=False)
class StackRates:
    """A stack, and what it did while the learning rate rose.

    Attributes:
        methods: that train in it.
        found: the search.
    """

    methods: tuple[str, ...]
    found: RateRange


def suggest_rates(
    tensors: Tensors, config: Config, *, data: Tensors | None = None
) -> list[StackRates]:
    """Search the learning rate of each stack that a training would have, the oracle left out.

    Args:
        tensors: holds the MC.
        config: settings of the training.
        data: holds the data, if another file does.

    Raises:
        HepdannError: the input does not allow the training.
    """
    train = config.train
    wanted = train.shift
    shift = None if wanted is None else shifts.get(wanted.name, wanted.t, quantile=wanted.quantile)
    domains = prepare(tensors, data, shift, train.seed)
    n_train = len(domains.source.part("train"))
    train = resolve(train, n_train)
    settings = settings_of(train, n_train)

    def put(events: Source | Target) -> DomainEvents:
        return resident(events, domains.scaling, device=settings.device)

    sources, targets = [put(domains.source)], [put(domains.target)]
    out = []
    # what is taught trains as source-only does, and its teacher is not there yet
    known = [name for name in train.methods if not methods.get(method_of(name)[1]).taught]
    for plan in plan_stacks(train.model_copy(update={"methods": known}), Places()):
        shape = shape_of(train, len(tensors.features), len(tensors.classes), plan)
        trainer = StackTrainer(plan.members, shape, sources, targets, settings)
        names = tuple(dict.fromkeys(m.label for m in plan.members))
        out.append(StackRates(names, find_learning_rate(trainer)))
    return out
