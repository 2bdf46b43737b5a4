"""One target of a scan: its baselines, its stacks, and what becomes of each member."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...alignment import from_dict
from ...calibration import Calibration, ObjectTarget
from ...config import ScanConfig, TrainConfig
from ...criteria import teacher as teacher_of
from ...domains import Domains, watched_rows
from ...errors import RunError
from ...evaluation import truth_of
from ...evaluation.scan_judge import Epochs, ScanJudge
from ...inference import corrected
from ...inference.passes import classify
from ...inputs import read_json
from ...methods import calibration_of
from ...networks import AdversarialNetwork
from ...outputs import jsonable, write_run_file
from ...records import Number
from ...registry import ORACLE, PRIOR, SOURCE_ONLY
from ...store.content import PointMaps, StoredCalibration
from ...tensors import SPLITS, Source, Target
from ...training import StackTrainer
from ..health_report import last_verdicts
from ..maps import (
    Aligned,
    Calibrated,
    aligned_target,
    fit_alignments,
    fit_calibrations,
    wanted_maps,
)
from ..model_selection import residuals_of, soft_labelled, write_diagnosis
from ..stacks.plan import trained_alignments
from ..stacks.shard_training import Hooks, ShardFiles, train_shard
from ..stacks.shards import Shard, Stacks
from .grid import (
    AGAIN,
    Point,
    Result,
    ScanUnit,
    SeedGroup,
    plan_point,
    read_result,
    read_target,
    result_path,
    seed_groups,
    target_path,
    write_target,
)
from .source_only import SourceOnly

Scores = NDArray[np.float32]
TEST = SPLITS.index("test")
_WATCHED = ("loss_domain", "validation_domain_accuracy")
_KEPT = ("loss_label", "validation_loss", "validation_accuracy", *_WATCHED)


@dataclass(eq=False)
class TargetMaps:
    """The alignments of a target."""

    point: Point
    domains: Domains
    train: TrainConfig
    folder: Path
    number: int
    fingerprint: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the alignments, also of those that only a method trains on."""
        return wanted_maps(self.train)

    @cached_property
    def fitted(self) -> Aligned:
        """The alignments, from the folder if they were fitted before."""
        path, train = target_path(self.folder, self.number, "maps"), self.train
        if path.exists():
            return self._stored(path)
        # pseudo-data are a random half of the MC, and have its class fractions
        asked = (
            self.domains.tensors.features if train.diagnose and self.point.shift is None else None
        )
        diagnosis = write_diagnosis(
            self.domains, asked, target_path(self.folder, self.number, "diagnosis")
        )
        estimate = None if diagnosis is None else diagnosis.fractions
        fitted = fit_alignments(self.domains, self.names, estimate=estimate, seed=train.seed)
        stored = {name: one.to_dict() for name, one in fitted.maps.items()}
        classes = self.domains.source.classes
        sentences = {
            "diagnosis": None if diagnosis is None else diagnosis.sentence,
            "fractions": None if estimate is None else estimate.sentence(classes),
        }
        content = {"maps": stored, "correction": fitted.correction} | sentences
        calibrated = fit_calibrations(self.domains, train, lambda _: None)
        content["calibrations"] = {name: one.to_dict() for name, one in calibrated.items()}
        write_target(path, content | {"fingerprint": self.fingerprint})
        return fitted

    def _stored(self, path: Path) -> Aligned:
        known = read_target(path, PointMaps, self.fingerprint)
        event: Any = self.domains.target.features[:1]
        if self.domains.objects is not None:
            event = self.domains.objects[1].take(slice(0, 1))
        try:
            maps = {name: from_dict(known["maps"][name]) for name in self.names}
            if any(one.apply(event).shape != event.shape for one in maps.values()):
                raise ValueError("a map of another number of features")
        except Exception as error:  # a map is its own code's to read
            raise RunError(f"is damaged: {error}", where=path, mend=AGAIN) from error
        correction = known.get("correction")
        return Aligned(maps, None if correction is None else tuple(correction))

    @cached_property
    def calibrations(self) -> dict[str, Calibration]:
        """The calibrations of the MC that methods train on."""
        path = target_path(self.folder, self.number, "maps")
        known = read_target(path, PointMaps, self.fingerprint)["calibrations"]
        try:
            stored = {n: StoredCalibration.model_validate(one) for n, one in known.items()}
            return {n: Calibrated.read(one).calibration for n, one in stored.items()}
        except Exception as error:
            raise RunError(f"is damaged: {error}", where=path, mend=AGAIN) from error

    @property
    def scored(self) -> tuple[str, ...]:
        """Names of what source-only's networks score, the simplest first."""
        corrected_too = () if self.fitted.correction is None else (PRIOR,)
        return (SOURCE_ONLY, *corrected_too, *self.names)

    def apply(self, name: str, rows: NDArray[np.bool_]) -> Target:
        """Target events at some rows as a baseline scores them, with their objects if any."""
        one = None if name in (SOURCE_ONLY, PRIOR) else self.fitted.maps[name]
        return aligned_target(self.domains, one, rows)


@dataclass(eq=False)
class TargetRun(TargetMaps):
    """Trains and judges everything at one target."""

    scan: ScanConfig
    source_only: SourceOnly

    @cached_property
    def judge(self) -> ScanJudge:
        """What knows the test events, and the truth."""
        d = self.domains
        rows = watched_rows(d.target, images=d.images is not None)
        return ScanJudge.of(d.source, d.target, truth_of(d), rows)

    @cached_property
    def stacks(self) -> Stacks:
        """The stacks of this target, and what they train on."""
        fitted, plan = self.fitted, partial(plan_point, self.scan)
        return Stacks(self.train, self.domains, fitted.maps, 1, fitted.correction, plan,
                      calibrations=self.calibrations)  # fmt: skip

    @cached_property
    def aligned(self) -> dict[str, Target]:
        """The target's test split as each alignment leaves it, the simplest first."""
        return {name: self.apply(name, self._held_out) for name in self.scored}

    @property
    def _held_out(self) -> NDArray[np.bool_]:
        return np.asarray(self.domains.target.split == TEST)

    def _score(self, network: AdversarialNetwork, events: Target, domain: Any) -> Scores:
        """(K, n, C) scores of a stack for events of a test split, by the domain's statistics."""
        images = self.domains.images
        if images is None:
            return classify(network, events.features, self.domains.scaling, domain)
        if isinstance(events, ObjectTarget):
            return classify(network, events.objects, images.scaling, domain)
        of_source = isinstance(events, Source)
        whole = self.domains.source if of_source else self.domains.target
        hits = images.source if of_source else images.target
        pixels = hits.take(np.flatnonzero(whole.split == TEST))  # no other events are scored
        return classify(network, pixels, images.scaling, domain)

    def _score_aligned(self, network: AdversarialNetwork, name: str, events: Target) -> Scores:
        """Source-only's scores of events as an alignment left them, at the target's fractions."""
        scores = self._score(network, events, 0)
        return scores if name == SOURCE_ONLY else corrected(scores, self.fitted.correction)

    def baselines(self) -> Result:
        """Source-only, and source-only on the aligned target: nothing is trained for them."""
        unit = ScanUnit(self.number, None)
        path = result_path(self.folder, unit)
        if path.exists():
            known = read_result(self.folder, unit, self.fingerprint)
            if known["teacher"] not in self.scored:
                raise RunError("is damaged: no such teacher", where=path, mend=AGAIN)
            return known
        networks, judge = self.source_only.networks, self.judge
        last = networks[-1]
        teacher = SOURCE_ONLY
        if self.names:
            teacher = teacher_of(residuals_of(self.domains, self.fitted)) or SOURCE_ONLY
        rows: list[Result] = []
        groups: list[Result] = []
        for name, events in self.aligned.items():
            epochs = Epochs()
            for network in networks:
                scores = self._score_aligned(network, name, events)
                judge.watch(epochs, list(scores[:, judge.watched]), None)
            mc, target = (self._score_aligned(last, name, one) for one in (judge.mc, events))
            seeds = SeedGroup(name, None, tuple(range(len(self.source_only.seeds))))
            one, group = self._judge(
                seeds, mc, target, epochs, self.source_only.history, self.source_only.seeds, None
            )
            rows += one
            groups.append(group)
        known = read_target(
            target_path(self.folder, self.number, "maps"), PointMaps, self.fingerprint
        )
        sentences = {name: known.get(name) for name in ("diagnosis", "fractions")}
        result: Result = {"rows": rows, "groups": groups, "history": []}
        result |= {"teacher": teacher} | sentences
        return self._write(path, result)

    def stack(self, shard: Shard, hooks: Hooks) -> bool:
        """Train and judge a stack, unless that was done before."""
        path = result_path(self.folder, ScanUnit(self.number, shard.number))
        if path.exists():
            return True
        stacks, teacher, name = self.stacks, None, self.baselines()["teacher"]
        if not self.domains.tensors.views:  # which have no teacher
            teacher = self._teach(name, self._held_out)
        if stacks.waits_for_teacher(shard):
            target = self.domains.target
            taught = self._teach(name, np.ones(len(target), np.bool_))
            stacks.add_pseudo_labelled(soft_labelled(target, taught, self.domains.source.classes))
        files = ShardFiles.of_scan(self.folder, path.stem)
        observer = _Observer(self.judge, teacher, files.scores)
        done = train_shard(shard, stacks, files, self.fingerprint, hooks, observer)
        if not done.whole:
            return False
        result = self._conclude(done.trainer, observer.epochs, teacher)
        entries = done.health.entries
        result["health"] = [verdict | self._place() for verdict in last_verdicts(entries)]
        self._write(path, result)
        files.remove()
        return True

    def _teach(self, name: str, rows: NDArray[np.bool_]) -> Scores:
        """(n, C) prediction of an alignment, or of source-only, for target events at some rows."""
        mapped = self.apply(name, rows)
        mean: Scores = self._score_aligned(self.source_only.networks[-1], name, mapped).mean(0)
        return mean

    def _conclude(self, trainer: StackTrainer, epochs: Epochs, teacher: Scores | None) -> Result:
        statistics = torch.tensor([m.method.target_domain for m in trainer.members])
        with trainer.averaged() as network:
            mc = self._score(network, self.judge.mc, 0)
            for name, one_map in self.calibrations.items():  # MC as these networks know them
                known = self.judge.mc.with_features(one_map.apply(self.judge.mc.features))
                at = [k for k, m in enumerate(trainer.members) if calibration_of(m.label) == name]
                mc[at] = self._score(network, known, 0)[at]
            shape = len(trainer.members), len(self.judge.target), mc.shape[-1]
            target = np.empty(shape, np.float32)
            target_of = np.array([m.target for m in trainer.members])
            for number in np.unique(target_of):
                events = self.aligned[(SOURCE_ONLY, *trained_alignments(self.train))[number]]
                same_target = target_of == number
                target[same_target] = self._score(network, events, statistics)[same_target]
        lambdas = [m.lambda_ if m.method.adversarial else None for m in trainer.members]
        history = [
            {**row, "lambda": lambdas[int(str(row["member"]))]} | self._place()
            for row in trainer.history
        ]
        rows: list[Result] = []
        groups: list[Result] = []
        for seeds in seed_groups(trainer.members):
            numbers = [m.seed for m in trainer.members]
            taught = None if seeds.method == ORACLE else teacher
            one, group = self._judge(seeds, mc, target, epochs, history, numbers, taught)
            if seeds.method == ORACLE:
                source = self._teach(SOURCE_ONLY, self._held_out)
                group["gap"] = self.judge.gap(source, target[list(seeds.members)].mean(0))
            rows += one
            groups.append(group)
        return {"rows": rows, "groups": groups, "history": history}

    def _place(self) -> Result:
        return {"shift": self.point.shift, "t": self.point.t}

    def _judge(
        self,
        seeds: SeedGroup,
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
        write_target(path, result)
        return result


@dataclass(eq=False)
class _Observer:
    """Notes what the judge sees of a stack after each epoch."""

    judge: ScanJudge
    teacher: Scores | None
    notes: Path

    @cached_property
    def epochs(self) -> Epochs:
        """What was noted so far."""
        if not self.notes.exists():
            return Epochs()
        kept = read_json(self.notes, dict[str, list[list[Number]]], mend=AGAIN)
        return Epochs(**kept)

    def record(self, epoch: int, scores: Sequence[Scores | None]) -> None:
        """Take note of an epoch; of those that were trained before, it is the next."""
        self.epochs = self.epochs.until(epoch)
        known = [s for s in scores if s is not None]  # no member stops early in a scan
        teacher = None if self.teacher is None else self.teacher[self.judge.watched]
        self.judge.watch(self.epochs, known, teacher)

    def save(self) -> None:
        """Write the notes."""
        write_run_file(self.notes, json.dumps(jsonable(self.epochs)).encode())
