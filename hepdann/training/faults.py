"""Named faults of an adversarial training: how each is recognised, and what mends it.

The thresholds stand between the figures of twenty healthy trainings and of planted faults:
``benchmarks/health.py`` prints both, docs/health.md quotes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["warning", "error"]

_DEAD = 1e-6  # domain over label gradient, per unit of λ·λ_p; healthy from 0.03
_EXPLODED = 50.0  # domain over label gradient; healthy up to 7 at λ = 3
_NO_EFFECT = 3e-3  # of what the extractor learns from; healthy from 0.02 where there is a shift
_DEAD_UNITS = 0.95  # share of a layer; healthy up to 0.8, in layers of ten
_NO_SPREAD = 1e-2  # standard deviation over size; healthy from 0.5
_UNMOVED = 0.02  # of the head's weights; healthy from 0.15 after the first epoch
_GAP = 0.1  # of two AUCs, and four errors
_WRONG_WAY = -1e-3  # of the head's loss; healthy above 0


@dataclass(frozen=True)
class MemberState:
    """What is known of a member beside its figures.

    Attributes:
        lambda_now: λ·λ_p at the time.
        late: whether at least half of the training is done: whoever learns has learnt by then.
        one_optimiser: whether label loss and adversary share an optimiser; with one of its own,
            Adam divides the adversary's size out, and no ratio of gradients tells its effect.
        decorrelates: whether the score is to forget a nuisance: with it goes what this tells of
            the classes, be it most of it.
    """

    lambda_: float
    lambda_now: float
    late: bool
    one_optimiser: bool
    decorrelates: bool = False


@dataclass(frozen=True)
class Fault:
    """One way in which a training fails without saying so.

    Attributes:
        name: as it stands in ``metrics.json``.
        severity: an "error" leaves nothing of the method's promise.
        message: of the figures and the state of a member: what is wrong, or "" where nothing is.
        explains: faults that follow from this one and are not reported beside it.
    """

    name: str
    severity: Severity
    message: Callable[[Mapping[str, Any], MemberState], str]
    mend: str
    explains: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """A fault found in a member."""

    name: str
    severity: Severity
    message: str
    mend: str


def find_faults(figures: Mapping[str, Any], state: MemberState) -> list[Verdict]:
    """The faults of a member.

    Returns:
        The gravest first; what follows from another one is left out.
    """
    messages = [(fault, fault.message(figures, state)) for fault in FAULTS]
    explained = {name for fault, message in messages if message for name in fault.explains}
    return [
        Verdict(fault.name, fault.severity, message, fault.mend)
        for fault, message in messages
        if message and fault.name not in explained
    ]


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else (math.inf if a > 0 else 0.0)


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _not_finite(x: Mapping[str, Any], _state: MemberState) -> str:
    share = x["not_finite"]
    return f"{100 * share:.2g} % of its weights and features are not finite" if share > 0 else ""


def _collapsed(x: Mapping[str, Any], _state: MemberState) -> str:
    if x["feature_spread"] >= _NO_SPREAD:
        return ""
    return (
        "all events look the same in the feature layer: no unit varies by more than "
        f"{x['feature_spread']:.1g} of the layer's size"
    )


def _dead(x: Mapping[str, Any], state: MemberState) -> str:
    if (
        state.lambda_now <= 0
        or x["domain_gradient"] > _DEAD * state.lambda_now * x["label_gradient"]
    ):
        return ""
    return (
        f"λ·λ_p is {state.lambda_now:.3g}, but the domain loss sends no gradient to the features "
        f"({x['domain_gradient']:.1g}, and the label loss {x['label_gradient']:.1g})"
    )


def _not_reversed(x: Mapping[str, Any], state: MemberState) -> str:
    if state.lambda_now <= 0 or not x["push"] < _WRONG_WAY * x["own_loss"]:
        return ""
    return (
        "the features move so that the domain head does better "
        f"(its AUC is {x['own_auc']:.3f}): the domain gradient is not reversed"
    )


def _exploded(x: Mapping[str, Any], state: MemberState) -> str:
    ratio = _ratio(x["domain_gradient"], x["label_gradient"])
    if state.lambda_now <= 0 or ratio <= _EXPLODED or x["label_gradient"] == 0:
        return ""
    return (
        f"the reversed domain gradient is {_times(ratio)} times that of the label loss: the "
        "features follow the adversary alone"
    )


def _never_learns(x: Mapping[str, Any], state: MemberState) -> str:
    gap = x["fresh_auc"] - x["own_auc"]
    if not (state.lambda_now > 0 and state.late and x["domain_moved"] < _UNMOVED):
        return ""
    if math.isnan(x["push"]):  # a head that only watches
        return ""
    if not gap > max(_GAP, 4 * x["auc_error"]):  # NaN without a head of its own
        return ""
    return (
        f"its domain head has AUC {x['own_auc']:.3f}, where a fresh classifier of the same "
        f"features reaches {x['fresh_auc']:.3f}, and its weights are within "
        f"{100 * x['domain_moved']:.2g} % of where they started"
    )


def _no_effect(x: Mapping[str, Any], state: MemberState) -> str:
    if not (
        state.lambda_now > 0 and state.late and state.one_optimiser and x["effect"] < _NO_EFFECT
    ):
        return ""
    knows = x["fresh_auc"] if math.isnan(x["own_auc"]) else x["own_auc"]
    if not knows - 0.5 > max(_GAP, 4 * x["auc_error"]):  # without a shift nothing has an effect
        return ""
    return (
        f"λ = {state.lambda_:g} changes what the extractor learns from by "
        f"{100 * x['effect']:.2g} %: the result is that of λ = 0"
    )


def _label_head(x: Mapping[str, Any], state: MemberState) -> str:
    reached, reach = x["label_auc"] - 0.5, x["label_reach"] - 0.5
    if state.decorrelates or not (
        state.late and reach > max(_GAP, 5 * x["auc_error"]) and reached < 0.5 * reach
    ):
        return ""
    return (
        f"its label head has AUC {x['label_auc']:.3f} on MC, where a fresh classifier of the "
        f"inputs reaches {x['label_reach']:.3f}"
    )


def _dead_units(x: Mapping[str, Any], _state: MemberState) -> str:
    layers = [name for name, share in x["dead_layers"].items() if share >= _DEAD_UNITS]
    if not layers:
        return ""
    share = min(x["dead_layers"][name] for name in layers)
    return f"{100 * share:.0f} % of the units of {', '.join(layers)} are the same for every event"


_EXPLAINED = frozenset({
    "dead-adversary", "dead-units", "discriminator-never-learns", "label-head-not-learning",
    "no-effect-of-lambda",
})  # fmt: skip
FAULTS = (
    Fault("not-finite", "error", _not_finite,
          "lower --learning-rate or --lambda, and look at the features' range",
          _EXPLAINED | {"collapsed-features"}),
    Fault("collapsed-features", "error", _collapsed,
          "lower --learning-rate or --lambda, or normalise (--normalisation domain)", _EXPLAINED),
    Fault("dead-adversary", "error", _dead,
          "look for a detached feature tensor, a domain weight of 0 or a domain head of dead units",
          frozenset({"no-effect-of-lambda", "discriminator-never-learns"})),
    Fault("adversary-not-reversed", "error", _not_reversed,
          "pass the features through reverse_gradient with a positive factor"),
    Fault("exploded-adversary", "error", _exploded, "lower --lambda (0.1 to 3 is usual)",
          frozenset({"label-head-not-learning"})),
    Fault("discriminator-never-learns", "error", _never_learns,
          "see that the domain head's weights reach an optimiser, and raise its learning rate"),
    Fault("no-effect-of-lambda", "warning", _no_effect, "raise --lambda (0.1 to 3 is usual)"),
    Fault("label-head-not-learning", "error", _label_head,
          "lower --lambda, train longer, or look for dead units in the label head"),
    Fault("dead-units", "warning", _dead_units,
          "lower --learning-rate, normalise, or take another --activation"),
)  # fmt: skip
