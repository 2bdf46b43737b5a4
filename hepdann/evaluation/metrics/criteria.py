"""The label-free criteria of a run's methods and networks, and how well they rank them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...criteria import CRITERIA, Candidate, Evidence, tabulate
from ...stats.classification import accuracy, losses
from ...stats.figure import Figure
from ...stats.ranking import auc
from ...store.scores.reader import Domain, RunScores
from ...tensors import Split
from .method import TestEvents, number

RAW, ORACLE = "source-only", "oracle"  # the oracle knows the target's labels: it is no candidate
_MOST = 20_000  # events of each domain that the criteria use

Table = dict[str, dict[str, float | None]]


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


def run_criteria(
    scores: RunScores,
    teacher: str | None,
    residuals: Mapping[str, Figure],
    domain_aucs: Mapping[str, float | None],
) -> Table:
    """Criteria of every candidate of a run: method, or ``method/network``, to criterion to value.

    The AUCs between the domains are among them: ``residuals`` after each closed-form map
    (source-only is none), ``domain_aucs`` in the feature layer. Without a teacher
    (:func:`teacher_of`) there is none.
    """
    if teacher is None:
        return {}
    table = RunCriteria(scores, teacher).table()
    for name, figures in table.items():
        method = name.split("/")[0]
        residual = residuals.get(method)
        figures["residual_auc"] = None if residual is None else number(residual.value)
        figures["domain_auc"] = domain_aucs.get(name)
    return table


def teacher_of(scores: RunScores, recommended: str | None) -> str | None:
    """The method that others are compared with: the recommended teacher, else source-only."""
    methods = [name for name in scores.methods if name != ORACLE]
    if recommended in methods:
        return recommended
    return RAW if RAW in methods else next(iter(methods), None)


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
