"""One target of a scan: its baselines, its stacks, and what becomes of each member."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..alignment import from_dict
from ..config import ShiftConfig
from ..criteria import Residual
from ..criteria import teacher as teacher_of
from ..errors import HepdannError, RunError
from ..evaluation import oracle_source
from ..evaluation.scan_judge import Epochs, ScanJudge
from ..inference import PRIOR, classify, corrected
from ..inputs import read_json
from ..networks import AdversarialNetwork
from ..outputs import write_run_file
from ..records import Number
from ..stats import separation
from ..store.content import PointBaselines, PointMaps, PointResult
from ..tensors import SPLITS, Source, Target
from ..training import (
    DomainEvents,
    Health,
    Progress,
    Settings,
    StackTrainer,
    load_checkpoint,
    resident,
    save_checkpoint,
    watched_rows,
)
from .advice import diagnose_first
from .aligned import Aligned, fit_alignments, reference
from .auxiliary import auxiliary_sources
from .domains import Domains
from .health_report import last_verdicts
from .resampling import resampled
from .scan_plan import Point, Seeds, seeds_of
from .stack_plan import ORACLE, Places, StackPlan
from .teacher_labels import soft_labelled

__all__ = ["PointRun", "Result", "SourceOnly"]

Scores = NDArray[np.float32]
Result = dict[str, Any]
SOURCE_ONLY = "source-only"
_AGAIN = "remove it and resume"
_WATCHED = ("loss_domain", "validation_domain_accuracy")
_KEPT = ("loss_label", "validation_loss", "validation_accuracy", *_WATCHED)


@dataclass(frozen=True)
class SourceOnly:
    """The source-only networks after each epoch.

    Attributes:
        networks: one stack an epoch.
        history: rows of the history, epoch by epoch, members within.
        seeds: of the members.
    """

    networks: Sequence[AdversarialNetwork]
    history: Sequence[Mapping[str, object]]
    seeds: Sequence[int]


@dataclass(eq=False)
class PointRun:
    """Trains and judges everything at one target.

    Attributes:
        point: the target.
        domains: its events.
        source_only: what the baselines are scored with.
        settings: of the training.
        shape: widths of the networks, for a stack.
        folder: where results and checkpoints go.
        stem: begins their names.
        fingerprint: of everything that the numbers depend on.
        oracle: whether a source of target events with their truth is needed.
        auxiliaries: shifts of the copies of the source, for hybrid methods.
        maps: names of the alignments.
        trained_on: those of them whose images of the target are trained on.
        seed: of the fit of the alignments, and of all else that is random before the training.
        features: names of the features, if the target may have other class fractions than the MC;
            pseudo-data are a random half of it, and have its fractions.
    """

    point: Point
    domains: Domains
    source_only: SourceOnly
    settings: Settings
    shape: Callable[[StackPlan], Any]
    folder: Path
    stem: str
    fingerprint: str
    oracle: bool
    auxiliaries: Sequence[ShiftConfig] = ()
    maps: tuple[str, ...] = ("quantile",)
    trained_on: tuple[str, ...] = ()
    seed: int = 0
    features: Sequence[str] | None = None

    @cached_property
    def judge(self) -> ScanJudge:
        """What knows the test events, and the truth."""
        d = self.domains
        return ScanJudge.of(d.source, d.target, d.truth, watched_rows(d.target))

    @cached_property
    def _sources(self) -> list[DomainEvents]:
        d = self.domains
        sources = [self._put(d.source)]
        if d.truth is not None and self.oracle:
            sources.append(self._put(oracle_source(d.truth, d.target)))
        copies = auxiliary_sources(self._like, self.auxiliaries, self.seed)
        like = [self._like] if self.places.resampled else []
        return [*sources, *map(self._put, [*copies, *like])]

    @cached_property
    def _like(self) -> Source:
        """The MC with the class fractions of the target, for what adapts."""
        source, correction = self.domains.source, self._aligned.correction
        return source if correction is None else resampled(source, correction, self.seed)

    @property
    def places(self) -> Places:
        """Where the sources of the stacks stand."""
        resampled = self._like is not self.domains.source
        return Places(self.oracle, len(self.auxiliaries), resampled)

    @cached_property
    def _taught(self) -> DomainEvents:
        """The target as the teacher labels it."""
        target = self.domains.target
        score = self._teach(self.baselines()["teacher"], target)
        return self._put(soft_labelled(target, score, self.domains.source.classes))

    @cached_property
    def _targets(self) -> list[DomainEvents]:
        """The target, and as each alignment leaves it that a method trains on."""
        target = self.domains.target
        return [self._put(e) for e in (target, *(self._map(n, target) for n in self.trained_on))]

    def _put(self, events: Source | Target) -> DomainEvents:
        return resident(events, self.domains.scaling, device=self.settings.device)

    @cached_property
    def _aligned(self) -> Aligned:
        path = self.folder / f"{self.stem}-maps.json"
        if path.exists():
            return self._stored_maps(path)
        diagnosed = self.folder / f"{self.stem}-diagnosis.json"
        diagnosis = diagnose_first(self.domains, self.features, diagnosed)
        estimate = None if diagnosis is None else diagnosis.fractions
        fitted = fit_alignments(self.domains, self.maps, estimate=estimate, seed=self.seed)
        stored = {name: one.to_dict() for name, one in fitted.maps.items()}
        classes = self.domains.source.classes
        sentences = {
            "diagnosis": None if diagnosis is None else diagnosis.sentence,
            "fractions": None if estimate is None else estimate.sentence(classes),
        }
        self._write(path, {"maps": stored, "correction": fitted.correction} | sentences)
        return fitted

    def _stored_maps(self, path: Path) -> Aligned:
        known = self._read(path, PointMaps)
        event = self.domains.target.features[:1]
        try:
            maps = {name: from_dict(known["maps"][name]) for name in self.maps}
            if any(one.apply(event).shape != event.shape for one in maps.values()):
                raise ValueError("a map of another number of features")
        except Exception as error:  # a map is its own code's to read
            raise RunError(f"is damaged: {error}", where=path, mend=_AGAIN) from error
        correction = known.get("correction")
        return Aligned(maps, None, None if correction is None else tuple(correction))

    @cached_property
    def aligned(self) -> dict[str, Target]:
        """The target's test split as each alignment leaves it, the simplest first."""
        test = self.judge.target
        return {name: self._map(name, test) for name in self._baselines}

    @property
    def _baselines(self) -> tuple[str, ...]:
        """Names of what source-only's networks score, the simplest first."""
        corrected_too = () if self._aligned.correction is None else (PRIOR,)
        return (SOURCE_ONLY, *corrected_too, *self.maps)

    def _map(self, name: str, events: Target) -> Target:
        if name in (SOURCE_ONLY, PRIOR):
            return events
        return events.with_features(self._aligned.maps[name].apply(events.features))

    def _score(self, network: AdversarialNetwork, events: Target, domain: Any) -> Scores:
        return classify(network, events.features, self.domains.scaling, domain)

    def _score_aligned(self, network: AdversarialNetwork, name: str, events: Target) -> Scores:
        """Source-only's scores of events as an alignment left them, at the target's fractions."""
        scores = self._score(network, events, 0)
        return scores if name == SOURCE_ONLY else corrected(scores, self._aligned.correction)

    def baselines(self) -> Result:
        """Source-only, and source-only on the aligned target: nothing is trained for them."""
        path = self.folder / f"{self.stem}-baselines.json"
        if path.exists():
            known = self._read(path, PointBaselines)
            if known["teacher"] not in (SOURCE_ONLY, *self.maps):
                raise RunError("is damaged: no such teacher", where=path, mend=_AGAIN)
            return known
        networks, judge = self.source_only.networks, self.judge
        last = networks[-1]
        mc = self._score(last, judge.mc, 0)
        teacher = self._choose_teacher()
        rows: list[Result] = []
        groups: list[Result] = []
        for name, events in self.aligned.items():
            epochs = Epochs()
            for network in networks:
                scores = self._score_aligned(network, name, events)
                judge.watch(epochs, list(scores[:, judge.watched]), None)
            target = self._score_aligned(last, name, events)
            seeds = Seeds(name, None, tuple(range(len(self.source_only.seeds))))
            one, group = self._judge(
                seeds, mc, target, epochs, self.source_only.history, self.source_only.seeds, None
            )
            rows += one
            groups.append(group)
        known = self._read(self.folder / f"{self.stem}-maps.json", PointMaps)
        sentences = {name: known.get(name) for name in ("diagnosis", "fractions")}
        result: Result = {"rows": rows, "groups": groups, "history": []}
        result |= {"teacher": teacher} | sentences
        return self._write(path, result)

    def _choose_teacher(self) -> str:
        """The simplest map that leaves source and target least distinguishable, without labels."""
        test = SPLITS.index("test")
        source, held = self.domains.source, self.domains.target
        source, held = source.take(source.split != test), held.take(held.split != test)
        residuals: dict[str, Residual] = {}
        try:
            for name in self._baselines:
                correction = None if name == SOURCE_ONLY else self._aligned.correction
                figure = separation(reference(source, correction), self._map(name, held))
                residuals[name] = Residual(figure.value, figure.error)
        except HepdannError:  # too few events
            residuals = {}
        return teacher_of(residuals) or SOURCE_ONLY

    def known(self, number: int) -> Result | None:
        """What became of a stack, if it was trained before."""
        path = self._result(number)
        return self._read(path, PointResult) if path.exists() else None

    def _result(self, number: int) -> Path:
        return self.folder / f"{self.stem}-stack-{number}.json"

    def stack(
        self,
        number: int,
        plan: StackPlan,
        progress: Callable[[Progress], None],
        stop: Callable[[], bool],
    ) -> Result | None:
        """Train and judge a stack, unless that was done before.

        Returns:
            What became of it; ``None`` if it was stopped.
        """
        result, path = self.known(number), self._result(number)
        if result is not None:
            return result
        checkpoint, notes = path.with_suffix(".safetensors"), path.with_suffix(".notes")
        sources = self._sources
        if any(m.method.taught for m in plan.members):
            sources = [*sources, self._taught]
        trainer = StackTrainer(
            plan.members, self.shape(plan), sources, self._targets, self.settings
        )
        health = Health(trainer, path.with_suffix(".health"))
        load_checkpoint(trainer, checkpoint, self.fingerprint)
        health.remember()
        epochs = Epochs()
        if notes.exists():
            epochs = Epochs.from_dict(read_json(notes, dict[str, list[list[Number]]], mend=_AGAIN))
        epochs = epochs.until(trainer.epoch)
        teacher = self._teacher(self.baselines()["teacher"])

        def watch(epoch: int, scores: list[Scores | None]) -> None:
            del epoch
            member_scores = [s for s in scores if s is not None]  # no member stops early in a scan
            self.judge.watch(epochs, member_scores, teacher[self.judge.watched])
            write_run_file(notes, json.dumps(epochs.to_dict()).encode())

        def save(trained: StackTrainer) -> None:
            health.look()
            save_checkpoint(trained, checkpoint, self.fingerprint)

        if not trainer.run(progress=progress, save=save, watch=watch, stop=stop):
            return None
        result = self._conclude(trainer, epochs, teacher)
        result["health"] = [verdict | self._place() for verdict in last_verdicts(health.entries)]
        result = self._write(path, result)
        for spent in (checkpoint, notes, path.with_suffix(".health")):
            spent.unlink(missing_ok=True)
        return result

    def _teacher(self, name: str) -> Scores:
        """(n, C) prediction of the teacher for the target's test split."""
        return self._teach(name, self.judge.target)

    def _teach(self, name: str, events: Target) -> Scores:
        """(n, C) prediction of an alignment, or of source-only, for target events."""
        mapped = self._map(name, events)
        mean: Scores = self._score_aligned(self.source_only.networks[-1], name, mapped).mean(0)
        return mean

    def _conclude(self, trainer: StackTrainer, epochs: Epochs, teacher: Scores) -> Result:
        statistics = torch.tensor([m.method.target_domain for m in trainer.members])
        with trainer.averaged() as network:
            mc = self._score(network, self.judge.mc, 0)
            shape = len(trainer.members), len(self.judge.target), mc.shape[-1]
            target = np.empty(shape, np.float32)
            target_of = np.array([m.target for m in trainer.members])
            for number in np.unique(target_of):
                events = self.aligned[(SOURCE_ONLY, *self.trained_on)[number]]
                same_target = target_of == number
                target[same_target] = self._score(network, events, statistics)[same_target]
        lambdas = [m.lambda_ if m.method.adversarial else None for m in trainer.members]
        history = [
            {**row, "lambda": lambdas[int(str(row["member"]))]} | self._place()
            for row in trainer.history
        ]
        rows: list[Result] = []
        groups: list[Result] = []
        for seeds in seeds_of(trainer.members):
            numbers = [m.seed for m in trainer.members]
            known = None if seeds.method == ORACLE else teacher
            one, group = self._judge(seeds, mc, target, epochs, history, numbers, known)
            if seeds.method == ORACLE:
                source = self._teacher(SOURCE_ONLY)
                group["gap"] = self.judge.gap(source, target[list(seeds.members)].mean(0))
            rows += one
            groups.append(group)
        return {"rows": rows, "groups": groups, "history": history}

    def _place(self) -> Result:
        return {"shift": self.point.shift, "t": self.point.t}

    def _judge(
        self,
        seeds: Seeds,
        mc: Scores,
        target: Scores,
        epochs: Epochs,
        history: Sequence[Mapping[str, object]],
        numbers: Sequence[int],
        teacher: Scores | None,
    ) -> tuple[list[Result], Result]:
        """One row a member, and the group: the ensemble of its seeds."""
        chosen = list(seeds.members)
        start = {"method": seeds.method, "lambda": seeds.lambda_} | self._place()
        last = {int(str(row["member"])): row for row in history}  # the last epoch's is what stays
        rows = []
        for k in chosen:
            figures = self.judge.figures(mc[k], target[k], teacher)
            row = start | {"seed": numbers[k], "epoch": last[k]["epoch"]}
            row |= {name: v for name, v in figures.items() if not name.endswith("_error")}
            row |= {name: last[k][name] for name in _KEPT}
            if seeds.method in self.aligned:  # their domain heads watched another target
                row |= dict.fromkeys(_WATCHED)
            rows.append(row | epochs.of(k, choose=teacher is not None))
        mean_scores = mc[chosen].mean(0), target[chosen].mean(0)
        ensemble = self.judge.figures(*mean_scores, teacher)
        return rows, start | {"ensemble": ensemble, "roc": self.judge.roc(mean_scores[1])}

    def _write(self, path: Path, result: Result) -> Result:
        result |= {"fingerprint": self.fingerprint, "majority": self.judge.majority()}
        write_run_file(path, json.dumps(result, allow_nan=False).encode())
        return result

    def _read(self, path: Path, kind: Any) -> Result:
        result: Result = read_json(path, kind, mend=_AGAIN)
        if result.get("fingerprint") != self.fingerprint:
            raise RunError(
                "the result belongs to other tensors or settings",
                where=path,
                mend="resume with those of the scan, or start a new one",
            )
        return result
