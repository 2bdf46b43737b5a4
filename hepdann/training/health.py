"""The health of every member: does its adversary work, has its training a named fault?

Each fault says how it is recognised, and what mends it. The thresholds stand between the figures of
twenty healthy trainings and of planted faults: ``benchmarks/checks/health.py`` prints both, and
docs/health.md quotes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..errors import RunError
from ..inputs import read_json
from ..methods import AdversaryWeight
from ..outputs import jsonable, write_run_file
from ..records import Look
from .health_figures import FIGURES, examine, head_weights, trains_head
from .probes import Probe, probe_of

if TYPE_CHECKING:
    from .settings import Settings
    from .trainer import StackTrainer


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


def find_faults(figures: Mapping[str, Any], state: MemberState) -> list[dict[str, str]]:
    """The faults of a member.

    Returns:
        The gravest first; what follows from another one is left out.
    """
    messages = [(fault, fault.message(figures, state)) for fault in FAULTS]
    explained = {name for fault, message in messages if message for name in fault.explains}
    return [
        {"name": fault.name, "severity": fault.severity, "message": message, "mend": fault.mend}
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


_COST = 16_000  # training events of a member that a look costs about as much time as
_SHARE = 0.03  # of the training's time that the looks may cost
_FEWEST, _MOST = 2, 8

Entry = dict[str, Any]


def health_epochs(settings: Settings) -> tuple[int, ...]:
    """After which epochs, counted from 1, a stack is looked at; the last is always among them.

    Between two and eight, evenly spread, as many as cost about 3 % of the training.
    """
    trained = settings.epochs * settings.steps * settings.batch_size
    looks = min(_MOST, max(_FEWEST, int(_SHARE * trained / _COST)), settings.epochs)
    return tuple(-(-settings.epochs * (k + 1) // looks) for k in range(looks))


class Health:
    """Watches a stack; it changes nothing of the training, not one bit.

    Make it before the training begins or a checkpoint is loaded: it remembers the first weights.

    Attributes:
        entries: one a look and member: ``method``, ``member``, ``seed``, ``lambda``, ``grl``,
            ``epoch``, the keys of :data:`~hepdann.training.FIGURES` (``None`` where
            there is no such figure), ``dead_layers`` and ``verdicts``.
    """

    def __init__(self, trainer: StackTrainer, notes: Path | None = None) -> None:
        self._trainer, self._notes = trainer, notes
        self.members = len(trainer.members)
        self._start = head_weights(trainer.network)
        self._epochs = frozenset(health_epochs(trainer.settings))
        self.entries: list[Entry] = []

    def remember(self) -> None:
        """Take up the notes of a training that is resumed, up to the epoch that it stands at."""
        if self._notes is not None and self._notes.is_file():
            try:
                kept = read_json(self._notes, list[Look])
                self.entries = [entry for entry in kept if entry["epoch"] <= self._trainer.epoch]
            except RunError:
                self.entries = []  # they are seen again at the next look

    @cached_property
    def _probe(self) -> Probe | None:
        return probe_of(self._trainer.slots, self._trainer.network.shape.classes)

    def look(self) -> list[Entry]:
        """Look at the members, if this is an epoch to do so.

        Returns:
            The entries of members with a fault that they did not have at the last look.
        """
        epoch = self._trainer.epoch
        if self._trainer.position:  # within an epoch
            return []
        due = epoch in self._epochs or self._trainer.finished  # all may have stopped before
        examined = any(entry["epoch"] == epoch for entry in self.entries)
        if not due or examined or self._probe is None:
            return []
        before = {entry["member"]: entry["verdicts"] for entry in self.entries}  # the last look's
        entries = self._entries(self._probe)
        self._keep(entries)
        return [
            entry
            for entry in entries
            if {v["name"] for v in entry["verdicts"]}
            - {v["name"] for v in before.get(entry["member"], [])}
        ]

    def fail(self) -> list[Entry]:
        """Note the members whose loss is not finite; the training ends with them."""
        trainer = self._trainer
        finite = torch.isfinite(trainer.sums).all(0).tolist()
        verdict = {
            "name": "not-finite", "severity": "error", "message": "its loss is not finite",
            "mend": "lower --learning-rate or --lambda, and look at the features' range",
        }  # fmt: skip
        nothing: Entry = dict.fromkeys(FIGURES) | {"dead_layers": {}}
        entries = [
            self._about(k, trainer.epoch + 1) | {"grl": None} | nothing | {"verdicts": [verdict]}
            for k, fine in enumerate(finite)
            if not fine
        ]
        if entries:
            self._keep(entries)
        return entries

    def _entries(self, probe: Probe) -> list[Entry]:
        trainer = self._trainer
        settings = trainer.settings
        grl = {row["member"]: row["grl"] for row in trainer.history}  # of each member's last epoch
        lambda_ = trainer.lambda_.new_tensor([grl.get(k, 0.0) for k in range(self.members)])
        decorrelates = trainer.members[0].method.decorrelates
        if decorrelates and not trains_head(trainer.stack.phases):
            lambda_ = torch.zeros_like(lambda_)  # acts on a nuisance, which no figure here is of
        adversary = AdversaryWeight(lambda_, settings.domain_weight)
        figures = examine(trainer.network, trainer.stack.phases, probe, adversary, self._start)
        entries = []
        for k, member_figures in enumerate(figures):
            state = MemberState(
                lambda_=float(trainer.lambda_[k]),
                lambda_now=float(adversary.lambda_[k]),
                late=2 * trainer.epoch >= settings.epochs or k not in trainer.running,
                one_optimiser=len(trainer.stack.phases) == 1,
                decorrelates=decorrelates,
            )
            about = self._about(k, trainer.epoch) | {"grl": state.lambda_now}
            verdicts = {"verdicts": find_faults(member_figures, state)}
            entries.append(about | jsonable(member_figures) | verdicts)
        return entries

    def _about(self, k: int, epoch: int) -> Entry:
        member = self._trainer.members[k]
        return {
            "method": member.label,
            "member": k,
            "seed": member.seed,
            "lambda": float(self._trainer.lambda_[k]),
            "epoch": epoch,
        }

    def _keep(self, entries: list[Entry]) -> None:
        self.entries += entries
        if self._notes is not None:
            self._notes.parent.mkdir(parents=True, exist_ok=True)
            write_run_file(self._notes, json.dumps(self.entries, allow_nan=False).encode())
