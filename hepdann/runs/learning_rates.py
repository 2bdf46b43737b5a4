"""Which learning rate the stacks of a training can take, before any run is made."""

from __future__ import annotations

from dataclasses import dataclass

from .. import methods
from ..config import Config
from ..methods import calibration_of, method_of
from ..tensors import Tensors
from ..training import RateRange, find_learning_rate
from .aligned import fit_alignments
from .preparation import prepare_training
from .stacks.plan import trained_on
from .stacks.shards import Stacks


@dataclass(frozen=True, eq=False)
class StackRates:
    """A stack, and what it did while the learning rate rose."""

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
    # what is taught trains as source-only does, and its teacher is not there yet; neither is a
    # calibration, which a suggestion does not wait for
    asked = config.train
    known = [
        name
        for name in asked.methods
        if not (methods.get(method_of(name)[1]).taught or calibration_of(name))
    ]
    asked = asked.model_copy(update={"methods": known, "oracle": False})
    domains, train = prepare_training(asked, tensors, data)
    aligned = fit_alignments(domains, trained_on(train), estimate=None, seed=train.seed)
    stacks = Stacks(train, domains, aligned.maps)
    return [
        StackRates(shard.methods, find_learning_rate(stacks.trainer(shard)))
        for shard in stacks.shards
    ]
