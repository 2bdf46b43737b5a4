"""One scan, from a tensor file to its folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from .. import shifts
from .._version import __version__
from ..config import Config, ScanConfig, ShiftConfig, dump_config
from ..errors import Interrupted
from ..evaluation.scan_judge import MEMBER_FIGURES
from ..evaluation.scan_summary import summarise_scan
from ..networks import NetworkShape
from ..tensors import Tensors
from ..training import (
    Progress,
    Settings,
    StackTrainer,
    load_checkpoint,
    resident,
    save_checkpoint,
    write_whole,
)
from .auxiliary import auxiliary_shifts, auxiliary_sources
from .claim import locked
from .domains import Domains, prepare
from .folder import FORMAT_VERSION
from .job import Report
from .pieces import HISTORY
from .plan import Places, StackPlan, resolve, settings_of, shape_of, trained_on
from .scan_folder import SUMMARY, Scan, to_csv
from .scan_plan import Point, maps_of, plan_point, plan_source, points_of
from .scan_point import PointRun, Result, SourceOnly
from .scan_source import Snapshots

__all__ = ["ScanJob"]

COLUMNS = (
    "method", "lambda", "shift", "t", "seed", "epoch", *MEMBER_FIGURES, "loss_label", "loss_domain",
    "validation_loss", "validation_accuracy", "validation_domain_accuracy",
)  # fmt: skip
HISTORY_COLUMNS = ("shift", "t", *(name for name in HISTORY if name != "target_accuracy"))


@dataclass(eq=False)
class ScanJob:
    """A scan on its way; :meth:`run` does it.

    Attributes:
        config: settings as the user gave them.
        tensors: holds the MC.
        data: holds the data, if another file does.
        claim: makes the folder, when all is known to be well, or finds it.
        report: told of each stage, and of the progress within.
        stop: asked before every step.
    """

    config: Config
    tensors: Tensors
    data: Tensors | None
    claim: Callable[[], Path]
    report: Report
    stop: Callable[[], bool]
    folder: Path = field(init=False)
    _steps: int = 0
    _first: list[Result] = field(default_factory=list)

    def run(self) -> Scan:
        """Train what is not trained yet, judge it and write the folder.

        Raises:
            HepdannError: the input does not allow the scan.
        """
        domains = self._domains(self.points[0])
        n_train = len(domains.source.part("train"))
        train = resolve(self.config.train, n_train)
        self.config = self.config.model_copy(update={"train": train})
        for point in self.points:
            self._auxiliaries(point)
        self.folder = self.claim()
        with locked(self.folder), self._resumable():
            self._describe()
            settings = replace(settings_of(train, n_train), patience=0, choose="last")
            return self._run(domains, settings)  # every epoch of every member is looked at

    def _run(self, first: Domains, settings: Settings) -> Scan:
        started = time.perf_counter()
        results: list[Result] = []
        source_only = self._source_only(first, settings)
        whole = source_only is not None
        for number, point in enumerate(self.points):
            if source_only is None or not whole:
                break
            domains = first if number == 0 else self._domains(point)
            run = PointRun(
                point, domains, source_only, settings, self._shape, self._work,
                f"target-{number}", self._fingerprint, domains.truth is not None and self._oracle,
                auxiliary_sources(domains.source, self._auxiliaries(point), self.config.train.seed),
                maps_of(self.config.train, self.config.scan), trained_on(self.config.train),
                self.config.train.seed,
            )  # fmt: skip
            whole = self._point(run, results)
        if not results:
            raise Interrupted(
                "interrupted before anything was whole", where=self.folder, mend=self._further()
            )
        seconds = time.perf_counter() - started
        return self._finish(results, whole=whole, seconds=seconds)

    def _further(self) -> str:
        return f"go on with: hepdann scan --resume -o {self.folder}"

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """An interrupt in here leaves what can be resumed, and says so."""
        try:
            yield
        except KeyboardInterrupt as error:
            error.add_note(self._further())
            raise

    @property
    def points(self) -> list[Point]:
        """The targets."""
        return points_of(self.config.scan)

    @property
    def _oracle(self) -> bool:
        return self.config.train.oracle

    @property
    def _work(self) -> Path:
        return self.folder / "checkpoint" / "scan"

    def _domains(self, point: Point) -> Domains:
        shift = None
        if point.shift is not None:
            shift = shifts.get(point.shift, point.t or 1.0)
        return prepare(self.tensors, self.data, shift, self.config.train.seed)

    def _auxiliaries(self, point: Point) -> list[ShiftConfig]:
        """Shifts of the copies of the MC that hybrid methods train on at a target."""
        shift = None if point.shift is None else ShiftConfig(name=point.shift, t=point.t or 1.0)
        return auxiliary_shifts(self.config.train.model_copy(update={"shift": shift}))

    def _shape(self, plan: StackPlan) -> NetworkShape:
        inputs, classes = len(self.tensors.features), len(self.tensors.classes)
        return shape_of(self.config.train, inputs, classes, plan)

    @cached_property
    def _fingerprint(self) -> str:
        settings = [
            self.config.train.model_dump(mode="json", exclude={"device"}),
            self.config.scan.model_dump(mode="json", exclude=_unchanged(self.config.scan)),
        ]
        files = [t.provenance for t in (self.tensors, self.data) if t is not None]
        text = json.dumps([settings, files], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _describe(self) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / "config.yaml", dump_config(self.config).encode())
        origin = {
            "format_version": FORMAT_VERSION,
            "tensors": str(self.tensors.path),
            "data": None if self.data is None else str(self.data.path),
        }
        write_whole(self.folder / "origin.json", json.dumps(origin, indent=1).encode())

    @cached_property
    def _total(self) -> int:
        """Steps of all members, for the progress."""
        train, scan = self.config.train, self.config.scan
        plans = plan_point(train, scan, Places(self._oracle and bool(scan.shifts)))
        a_point = sum(len(plan.members) for plan in plans)
        return len(self.points) * a_point + train.seeds

    def _progress(self, members: int, now: Progress) -> None:
        """Where the whole scan stands: a step of a stack is one of each of its members."""
        share = replace(
            now,
            step=self._steps + members * now.step,
            total=self._total * now.total,
        )
        self.report(f"{self._total} networks", share)

    def _source_only(self, domains: Domains, settings: Settings) -> SourceOnly | None:
        plan, epochs = plan_source(self.config.train), settings.epochs
        kept = Snapshots(self._work, self._fingerprint)
        checkpoint = self._work / "source-only.safetensors"
        source, target = (
            resident(events, domains.scaling, device=settings.device)
            for events in (domains.source, domains.target)
        )
        trainer = StackTrainer(plan.members, self._shape(plan), [source], [target], settings)
        load_checkpoint(trainer, checkpoint, self._fingerprint)

        def keep(trained: StackTrainer) -> None:
            if not trained.position:  # an epoch is whole
                kept.save(trained)
            save_checkpoint(trained, checkpoint, self._fingerprint)

        members = len(plan.members)
        done = trainer.run(
            progress=partial(self._progress, members),
            save=keep,
            stop=self.stop,
        )
        if not done:
            return None
        self._steps += members * trainer.total_steps
        seeds = [member.seed for member in plan.members]
        loaded = [kept.load(epoch, trainer.network.shape, seeds) for epoch in range(1, epochs + 1)]
        history = [row for _, rows in loaded for row in rows]
        self._first = [dict(row) | {"lambda": None} for row in history]
        return SourceOnly([network for network, _ in loaded], history, seeds)

    def _point(self, run: PointRun, results: list[Result]) -> bool:
        """Add a target's results; whether all of them are there."""
        results.append(run.baselines())
        places = Places(run.oracle, len(run.copies))
        for number, plan in enumerate(plan_point(self.config.train, self.config.scan, places)):
            members = len(plan.members)
            result = run.stack(number, plan, partial(self._progress, members), self.stop)
            if result is None:
                return False
            results.append(result)
            self._steps += members * run.settings.epochs * run.settings.steps
        return True

    def _finish(self, results: list[Result], *, whole: bool, seconds: float) -> Scan:
        rows = [row for result in results for row in result["rows"]]
        groups = [group for result in results for group in result["groups"]]
        history = [*self._first, *(row for result in results for row in result["history"])]
        majorities = {
            (row["shift"], row["t"]): result["majority"]
            for result in results
            for row in result["rows"]
        }
        write_whole(self.folder / "scan.csv", to_csv(COLUMNS, rows))
        write_whole(self.folder / "history.csv", to_csv(HISTORY_COLUMNS, history))
        rocs = {"format_version": FORMAT_VERSION, "rocs": list(_rocs(groups))}
        write_whole(self.folder / "rocs.json", json.dumps(rocs, allow_nan=False).encode())
        summary = {
            "format_version": FORMAT_VERSION,
            "hepdann": __version__,
            "classes": list(self.tensors.classes),
            "teachers": [r["teacher"] for r in results if "teacher" in r],
            **summarise_scan(rows, groups, majorities),
            "throughput": {"members": self._total, "seconds": seconds},
            "interrupted": not whole,
        }
        content = json.dumps(summary, indent=1, allow_nan=False)
        write_whole(self.folder / SUMMARY, content.encode())
        return Scan(self.folder, summary)


def _unchanged(scan: ScanConfig) -> set[str]:
    """Settings that came later, where they say what scans did before them."""
    return {"alignments"} if scan.alignments == ["quantile"] else set()


def _rocs(groups: list[Result]) -> Iterator[dict[str, Any]]:
    for group in groups:
        if group["roc"] is not None:
            place = {name: group[name] for name in ("method", "lambda", "shift", "t")}
            yield place | {"roc": group["roc"]}
