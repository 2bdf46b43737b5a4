"""The block of one method in ``metrics.json``, and what the label-free criteria say of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..criteria import CRITERIA, Candidate, Evidence, tabulate
from ..errors import HepdannError
from ..registry import ORACLE, SOURCE_ONLY
from ..stats.distances import disagreement, neighbours_of
from ..stats.figure import Figure, effective_events, weighted_mean
from ..stats.ranking import (
    accuracy,
    auc,
    log_loss,
    losses,
    majority,
    prior_matched_threshold,
    signal_fraction,
)
from ..stats.two_sample import separation
from ..store.scores_reader import Domain, RunScores
from ..tensors import Split, Target

_NEIGHBOURHOOD = 20_000  # test events that the consistency uses
_NEIGHBOURS = 8
_MOST = 20_000  # events of each domain that the criteria use
MEASURES: dict[str, Callable[..., Figure]] = {"accuracy": accuracy, "auc": auc, "loss": log_loss}
Table = dict[str, dict[str, float | None]]


def number(value: float) -> float | None:
    """A JSON number; ``None`` for what does not exist."""
    return float(value) if math.isfinite(value) else None


def named(name: str, figure: Figure | None) -> dict[str, float | None]:
    """``{name, name_error}``; ``None`` where there is no such figure."""
    if figure is None:
        return {name: None, f"{name}_error": None}
    return {name: number(figure.value), f"{name}_error": number(figure.error)}


def member_spread(values: Iterable[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation over members; ``None`` where no member has a value."""
    known = np.array([v for v in values if v is not None and math.isfinite(v)], dtype=np.float64)
    return {
        "mean": number(float(known.mean())) if len(known) else None,
        "std": number(float(known.std(ddof=1))) if len(known) > 1 else None,
    }


def neighbours(events: Target) -> NDArray[np.intp] | None:
    """(n, 8) nearest of the first events, for the consistency; ``None`` with too few events."""
    x = events.features[:_NEIGHBOURHOOD]
    return neighbours_of(x, _NEIGHBOURS) if len(x) > _NEIGHBOURS else None


def smoothness(
    score: NDArray[np.floating], near: NDArray[np.intp] | None, weight: NDArray[np.float64]
) -> Figure | None:
    """The consistency of a score among the :func:`neighbours` of the first events."""
    if near is None:
        return None
    return weighted_mean(1.0 - disagreement(score[: len(near)], near), weight[: len(near)])


class TestEvents:
    """The test split of one domain of a run; of a run in folds all events. ``None`` is no label."""

    __test__ = False  # not a test, whatever pytest makes of the name

    def __init__(self, scores: RunScores, domain: Domain) -> None:
        self._scores = scores
        self._domain: Domain = domain
        events = scores.events(domain)
        self._rows = scores.rows(domain, "test")
        self.events = events.take(self._rows)
        self.weight = np.asarray(self.events.weight, dtype=np.float64)
        label = scores.label(domain)
        self.label = None if label is None else np.asarray(label)[self._rows]

    def score(self, method: str) -> NDArray[np.floating]:
        """(n, C) prediction of a method."""
        return np.asarray(self._scores.score(self._domain, method)[self._rows])

    def decision(self, name: str) -> NDArray[np.floating]:
        """(n, C + 1), 1 in the column of the class that a reconstruction decided for."""
        return np.asarray(self._scores.decision(self._domain, name)[self._rows])

    def members(self, method: str) -> NDArray[np.floating] | None:
        """(K, n, C) of each member; ``None`` if not kept."""
        members = self._scores.members(self._domain, method)
        return None if members is None else members[:, self._rows]

    def domain_score(self, method: str) -> NDArray[np.floating] | None:
        """(n,) output of the domain head; ``None`` without one."""
        score = self._scores.domain_score(self._domain, method)
        return None if score is None else score[self._rows]

    def latent(self, method: str) -> Target | None:
        """The events whose feature layer is kept, with it as features; ``None`` if none are."""
        layer = self._scores.latent(self._domain, method)
        if layer is None:
            return None
        at = self._scores.latent_rows(self._domain, len(layer))
        return self.events.take((np.cumsum(self._rows) - 1)[at]).with_features(layer)

    @cached_property
    def neighbours(self) -> NDArray[np.intp] | None:
        """:func:`neighbours` of these events."""
        return neighbours(self.events)

    def majority(self) -> float | None:
        """Accuracy of always giving the most frequent class."""
        return None if self.label is None else number(majority(self.label, self.weight).value)


def method_figures(
    scores: RunScores,
    method: str,
    mc: TestEvents,
    target: TestEvents,
    history: Sequence[dict[str, str]],
    residual: Figure | None,
) -> dict[str, Any]:
    """The block of one method in ``metrics.json``, from the test splits of MC and target.

    ``history`` holds the rows of ``history.csv`` of the method's networks; ``residual`` is the AUC
    between the domains after the method's map, if it has one.
    """
    agreement = smoothness(target.score(method), target.neighbours, target.weight)
    peeks = [row for row in history if row["method"] == method and row.get("target_accuracy")]
    peeked = max((float(row["target_accuracy"]) for row in peeks), default=math.nan)
    members = _members(mc, target, method)
    members["target_accuracy"]["peeked_max"] = number(peeked)
    of_objects = _of_objects(scores, method)
    return {
        **({"objects": of_objects} if of_objects else {}),
        "chosen": _chosen(history),
        "mc": _figures(mc, mc.score(method)),
        "target": _figures(target, target.score(method)) | named("consistency", agreement),
        "members": members,
        "threshold": _thresholds(scores, method, target),
        "domain": _domain(method, mc, target),
        "criteria": named("residual_auc", residual)
        | named("consistency", agreement)
        | named("validation_loss", _validation_loss(scores, method)),
    }


def _of_objects(scores: RunScores, method: str) -> dict[str, dict[str, float | None]]:
    """Accuracy and AUC over the labelled objects of the MC test split, by collection."""
    out: dict[str, dict[str, float | None]] = {}
    rows, weight = scores.rows("mc", "test"), scores.column("mc", "weight")
    for name, (part, score) in scores.objects(method).items():
        label = part.numbers["label"]
        chosen = np.repeat(rows, part.counts) & (label >= 0)
        weights = np.repeat(weight, part.counts)[chosen].astype(np.float64)
        out[name] = {}
        for key in ("accuracy", "auc"):
            out[name] |= named(key, MEASURES[key](score[chosen], label[chosen], weights))
        out[name]["n"] = int(chosen.sum())
    return out


def _chosen(history: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Which epoch's weights each member is used with, and what chose it; the last, if nothing."""
    last: dict[str, int] = {}
    for row in history:
        member = row.get("member", "")
        last[member] = max(last.get(member, 0), int(row["epoch"]))
    marked = [row for row in history if row.get("chosen")]
    used = last | {row["member"]: int(row["epoch"]) for row in marked}
    epochs = list(used.values())
    return {
        "member": None,  # the prediction is the mean over all members
        "criterion": marked[0]["chosen"] if marked else "last-epoch",
        "epoch": epochs[0] if len(set(epochs)) == 1 else None,
        "epochs": epochs,
    }


def _figures(
    part: TestEvents, score: NDArray[np.floating], measures: Container[str] = MEASURES
) -> dict[str, float | None]:
    """Figures of class probabilities, ``None`` for those that are not asked for or known."""
    out: dict[str, float | None] = {}
    for name, measure in MEASURES.items():
        known = part.label is not None and name in measures
        out |= named(name, measure(score, part.label, part.weight) if known else None)
    return out | {"n_eff": number(effective_events(part.weight))}


def _members(mc: TestEvents, target: TestEvents, method: str) -> dict[str, Any]:
    """Mean and standard deviation of the single networks' figures."""
    out: dict[str, Any] = {"n": None}
    for domain, part in (("mc", mc), ("target", target)):
        stack = part.members(method)
        if stack is not None:
            out["n"] = len(stack)
        known = () if stack is None or part.label is None else stack
        for name in ("accuracy", "auc"):
            values = (MEASURES[name](s, part.label, part.weight).value for s in known)
            out[f"{domain}_{name}"] = member_spread(values)
    return out


def _thresholds(scores: RunScores, method: str, target: TestEvents) -> dict[str, Any]:
    """Accuracy at 0.5 and where the share of the target above equals the signal share of MC.

    The threshold comes from target events outside the test split, where there are any, and no
    target label enters it. It has no meaning for more than two classes.
    """
    values: dict[str, float | None] = {"fixed": None, "prior_matched": None}
    if len(scores.classes) == 2:
        prior = signal_fraction(scores.column("mc", "label"), scores.reference_weight())
        outside = scores.rows("target", "train", "validation")
        rows = outside if outside.any() else ~outside
        score = scores.score("target", method)[rows]
        weight = scores.column("target", "weight")[rows]
        values["fixed"] = 0.5
        values["prior_matched"] = number(prior_matched_threshold(score, weight, prior.value))
    out = {}
    for name, value in values.items():
        figure = None
        if target.label is not None and (value is not None or name == "fixed"):
            threshold = 0.5 if value is None else value
            figure = accuracy(target.score(method), target.label, target.weight, threshold)
        out[name] = {"value": value, **named("accuracy", figure)}
    return out


def _domain(method: str, mc: TestEvents, target: TestEvents) -> dict[str, float | None]:
    """How well the domain head, and a fresh classifier on the latent features, tell domains."""
    heads = [head for part in (mc, target) if (head := part.domain_score(method)) is not None]
    figure = None
    if len(heads) == 2:
        is_target = np.repeat([0, 1], [len(head) for head in heads])
        figure = auc(np.concatenate(heads), is_target, np.concatenate([mc.weight, target.weight]))
    latent = [part.latent(method) for part in (mc, target)]
    known = [layer for layer in latent if layer is not None]
    separability = None
    if len(known) == 2:
        with suppress(HepdannError):  # too few events
            separability = separation(*known, coarsen=False)
    return named("auc_features", separability) | named("auc_score", figure)


def _validation_loss(scores: RunScores, method: str) -> Figure:
    rows = scores.rows("mc", "validation")
    label, weight = scores.column("mc", "label")[rows], scores.column("mc", "weight")[rows]
    return log_loss(scores.score("mc", method)[rows], label, weight)


def decision_figures(name: str, mc: TestEvents, target: TestEvents) -> dict[str, Any]:
    """The block of a reconstruction that decides for a class, like that of a method.

    Figures that need a score are ``None``.
    """
    unknown = {"mean": None, "std": None}
    members = {f"{d}_{f}": dict(unknown) for d in ("mc", "target") for f in ("accuracy", "auc")}
    members["target_accuracy"]["peeked_max"] = None
    fixed = _figures(target, target.decision(name), ("accuracy",))
    wrong = named("accuracy", None)
    return {
        "chosen": {"member": None, "criterion": None, "epoch": None, "epochs": []},
        "mc": _figures(mc, mc.decision(name), ("accuracy",)),
        "target": fixed | named("consistency", None),
        "members": {"n": None, **members},
        "threshold": {
            "fixed": {"value": None} | {key: fixed[key] for key in wrong},
            "prior_matched": {"value": None} | wrong,
        },
        "domain": named("auc_features", None) | named("auc_score", None),
        "criteria": dict.fromkeys(CRITERIA)
        | named("residual_auc", None)
        | named("consistency", None)
        | named("validation_loss", None),
        "health": None,
    }


class RunCriteria:
    """The events of a run that its candidates are judged on; no target label is read.

    The source's validation split and the target outside its test split, at most 20,000 events of
    each. ``teacher`` is the method whose classes the others are compared with.
    """

    def __init__(self, scores: RunScores, teacher: str) -> None:
        self.scores = scores
        self.teacher = teacher
        splits: dict[Domain, tuple[Split, ...]] = {
            "mc": ("validation",), "target": ("train", "validation"),
        }  # fmt: skip
        self.rows = {
            d: np.flatnonzero(scores.rows(d, *which))[:_MOST] for d, which in splits.items()
        }
        self._label = scores.column("mc", "label")
        mc = scores.events("mc").take(self.rows["mc"])
        target = scores.events("target").take(self.rows["target"])
        classes = len(scores.classes)
        sums = np.bincount(self._label, scores.column("mc", "weight"), minlength=classes)
        fair = np.full(classes, 1 / classes)
        self.evidence = Evidence(
            source=mc.features,
            label=self._label[self.rows["mc"]],
            source_weight=mc.weight,
            target=target.features,
            target_weight=target.weight,
            aligned=self._mapped(teacher, target.features),
            fractions=np.asarray(sums / sums.sum() if sums.sum() > 0 else fair),
        )

    def table(self) -> Table:
        """Method, or ``method/network``, to criterion to value."""
        methods = [name for name in self.scores.methods if name != ORACLE]
        candidates = [c for name in methods for c in self._candidates(name)]
        return tabulate(candidates, self.evidence, self.teacher)

    def _mapped(self, name: str, otherwise: Any = None) -> Any:
        if name not in self.scores.aligned:
            return otherwise
        return self.scores.events("target", name).take(self.rows["target"]).features

    def _candidates(self, name: str) -> list[Candidate]:
        """A method's prediction, and those of its networks where there are several."""
        rows, mapped = self.rows, self._mapped(name)
        source, target = (self.scores.score(d, name)[rows[d]] for d in rows)
        candidates = [Candidate(name, source, target, mapped, self._latent(name))]
        mc_members, target_members = (self.scores.members(d, name) for d in rows)
        if mc_members is not None and target_members is not None and len(mc_members) > 1:
            for k in range(len(mc_members)):
                member = mc_members[k][rows["mc"]], target_members[k][rows["target"]]
                candidates.append(Candidate(f"{name}/{k}", *member, mapped))
        return candidates

    def _latent(self, name: str) -> Any:
        """The feature layer of the method's first network, which is kept for some test events."""
        layers = [self.scores.latent(d, name) for d in self.rows]
        members = self.scores.members("mc", name)
        if layers[0] is None or layers[1] is None or members is None:
            return None
        at = [
            self.scores.latent_rows(d, len(layer))
            for d, layer in zip(self.rows, layers, strict=True)
            if layer is not None
        ]
        loss = losses(members[0][at[0]], self._label[at[0]])
        weights = [self.scores.column(d, "weight")[r] for d, r in zip(self.rows, at, strict=True)]
        return layers[0], layers[1], loss, weights[0], weights[1]


def run_criteria(scores: RunScores, teacher: str | None, residuals: Mapping[str, Figure]) -> Table:
    """Criteria of every candidate of a run: method, or ``method/network``, to criterion to value.

    The AUCs ``residuals`` between the domains after each closed-form map are among them
    (source-only is none), those in the feature layer are not. Without a teacher
    (:func:`teacher_of`) there is none.
    """
    if teacher is None:
        return {}
    table = RunCriteria(scores, teacher).table()
    for name, figures in table.items():
        residual = residuals.get(name.split("/")[0])
        figures["residual_auc"] = None if residual is None else number(residual.value)
    return table


def teacher_of(scores: RunScores, recommended: str | None) -> str | None:
    """The method that others are compared with: the recommended teacher, else source-only."""
    methods = [name for name in scores.methods if name != ORACLE]
    if recommended in methods:
        return recommended
    return SOURCE_ONLY if SOURCE_ONLY in methods else next(iter(methods), None)


def rank_correlations(table: Table, target: TestEvents) -> dict[str, Any] | None:
    """How each criterion ranks the candidates, against the truth; nothing is chosen by it.

    For accuracy and AUC: criterion to ``spearman``, ``kendall`` (1: ranks as the truth does),
    ``regret`` (what its favourite loses to the best candidate) and ``n`` candidates. ``None``
    without truth.
    """
    if target.label is None:
        return None
    truth: dict[str, dict[str, float]] = {"accuracy": {}, "auc": {}}
    for name in table:
        method, _, member = name.partition("/")
        if member:
            stack = target.members(method)
            assert stack is not None
            score = stack[int(member)]
        else:
            score = target.score(method)
        for what, measure in (("accuracy", accuracy), ("auc", auc)):
            truth[what][name] = measure(score, target.label, target.weight).value
    return {what: {c: _rank(c, table, values) for c in CRITERIA} for what, values in truth.items()}


def _rank(criterion: str, table: Table, truth: Mapping[str, float]) -> dict[str, Any]:
    from scipy.stats import kendalltau, spearmanr

    sign = 1.0 if CRITERIA[criterion].larger_is_better else -1.0
    pairs = [
        (sign * value, truth[name])
        for name, figures in table.items()
        if (value := figures[criterion]) is not None and np.isfinite(truth[name])
    ]
    out: dict[str, Any] = {"spearman": None, "kendall": None, "regret": None, "n": len(pairs)}
    if len(pairs) < 3 or any(len({p[i] for p in pairs}) < 2 for i in (0, 1)):
        return out
    values, true_values = np.array(pairs).T
    out["spearman"] = number(float(spearmanr(values, true_values).statistic))
    out["kendall"] = number(float(kendalltau(values, true_values).statistic))
    out["regret"] = number(float(true_values.max() - true_values[values == values.max()].mean()))
    return out
