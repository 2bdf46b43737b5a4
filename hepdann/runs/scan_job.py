"""One scan, from a tensor file to its folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
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
from ..outputs import write_run_file
from ..store.folder_lock import locked, removed_if_refused, with_resume_hint
from ..store.paths import ScanPaths
from ..store.reading import FORMAT_VERSION
from ..store.scan_folder import Scan, to_csv
from ..tensors import Tensors
from ..training import (
    Progress,
    Settings,
    StackTrainer,
    load_checkpoint,
    resident,
    save_checkpoint,
)
from .auxiliary import auxiliary_shifts
from .domains import Domains, prepare
from .job import Report
from .registered import Registered
from .scan_plan import Point, Unit, maps_of, plan_point, plan_source, points_of
from .scan_point import PointRun, Result, SourceOnly
from .scan_source import Snapshots
from .scan_workers import ScanTask, scan_in_processes
from .shard_training import HISTORY
from .stack_plan import Places, StackPlan, resolve, settings_of, shape_of, trained_on
from .worker_pool import overload_warning

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
        make_folder: makes the folder, when all is known to be well, or finds it.
        report: told of each stage, and of the progress within.
        stop: asked before every step.
    """

    config: Config
    tensors: Tensors
    data: Tensors | None
    make_folder: Callable[[], Path]
    report: Report
    stop: Callable[[], bool]
    folder: Path = field(init=False)
    _steps: int = 0
    _at: tuple[int, PointRun] | None = None

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
        self.folder = self.make_folder()
        with (
            locked(self.folder),
            with_resume_hint(self._resume_hint()),
            removed_if_refused(self.folder),
        ):
            self._describe()
            return self._run(domains)

    def _run(self, first: Domains) -> Scan:
        started = time.perf_counter()
        results: list[Result] = []
        whole = self._train_source_only(first)
        trained = whole
        if trained and self.config.train.workers > 1:
            whole = self._spread(first)
        for number in range(len(self.points)) if trained else ():
            if whole or (self._work / f"{_stem(number)}-baselines.json").exists():
                run = self._point_run(number, first if number == 0 else None)
                whole = self._point(run, results, whole)
        if not results:
            raise Interrupted(
                "interrupted before anything was whole", where=self.folder, mend=self._resume_hint()
            )
        seconds = time.perf_counter() - started
        return self._finish(results, whole=whole, seconds=seconds)

    def _settings(self, domains: Domains) -> Settings:
        """Of every stack; every epoch of every member is looked at."""
        settings = settings_of(self.config.train, len(domains.source.part("train")))
        return replace(settings, patience=0, choose="last")

    def _point_run(self, number: int, domains: Domains | None = None) -> PointRun:
        """What trains and judges everything at a target; source-only is trained."""
        point, train = self.points[number], self.config.train
        domains = domains or self._domains(point)
        return PointRun(
            point, domains, self._source_only, self._settings(domains), self._shape, self._work,
            _stem(number), self._fingerprint, domains.truth is not None and self._oracle,
            self._auxiliaries(point), maps_of(train, self.config.scan), trained_on(train),
            train.seed, self.tensors.features if train.diagnose and point.shift is None else None,
        )  # fmt: skip

    def _spread(self, first: Domains) -> bool:
        """Have what is not trained yet trained by processes; whether all of it is whole now."""
        members, done = dict[Unit, int](), 0
        for number, point in enumerate(self.points):
            members[Unit(number, None)] = 0
            places = Places(first.truth is not None and self._oracle, len(self._auxiliaries(point)))
            for stack, plan in enumerate(self._plans(places)):
                if (self._work / f"{_stem(number)}-stack-{stack}.json").exists():
                    done += len(plan.members)
                else:
                    members[Unit(number, stack)] = len(plan.members)
        workers, settings = self.config.train.workers, self._settings(first)
        each = settings.epochs * settings.steps
        warning = overload_warning(min(workers, len(members)))
        if warning is not None:
            self.report(f"warning: {warning}", None)
        files = [file for file in (self.tensors, self.data) if file is not None]
        task = ScanTask(
            self.folder.absolute(),
            tuple(file.path.absolute() for file in files),
            Registered.needed(
                self.config.train, self.config.scan.shifts, self.config.scan.alignments
            ),
        )

        def show(steps: int, now: Progress) -> None:
            self._progress(1, replace(now, step=done * each + steps, total=each))

        return scan_in_processes(task, members, workers, (show, self.stop), self._resume_hint())

    def train(self, unit: Unit, progress: Callable[[Progress], None]) -> bool:
        """Train a unit in a worker, from what the process that began the scan has left.

        Args:
            unit: of the scan.
            progress: told where it stands.

        Returns:
            Whether it is whole; otherwise it was stopped.
        """
        if self._at is None or self._at[0] != unit.target:
            self._at = unit.target, self._point_run(unit.target)
        run = self._at[1]
        run.baselines()
        if unit.stack is None:
            return True
        plan = self._plans(run.places)[unit.stack]
        return run.stack(unit.stack, plan, progress, self.stop) is not None

    def _resume_hint(self) -> str:
        return f"go on with: hepdann scan --resume -o {self.folder}"

    @property
    def points(self) -> list[Point]:
        """The targets."""
        return points_of(self.config.scan)

    @property
    def _oracle(self) -> bool:
        return self.config.train.oracle

    @property
    def _work(self) -> Path:
        return ScanPaths(self.folder).work

    def _domains(self, point: Point) -> Domains:
        shift = None
        if point.shift is not None:
            shift = shifts.get(point.shift, point.t or 1.0)
        return prepare(self.tensors, self.data, shift, self.config.train.seed)

    def _auxiliaries(self, point: Point) -> list[ShiftConfig]:
        """Shifts of the copies of the MC that hybrid methods train on at a target."""
        shift = None if point.shift is None else ShiftConfig(name=point.shift, t=point.t or 1.0)
        return auxiliary_shifts(self.config.train.model_copy(update={"shift": shift}))

    def _plans(self, places: Places) -> list[StackPlan]:
        """The stacks of a target."""
        return plan_point(self.config.train, self.config.scan, places)

    def _shape(self, plan: StackPlan) -> NetworkShape:
        inputs, classes = len(self.tensors.features), len(self.tensors.classes)
        return shape_of(self.config.train, inputs, classes, plan)

    @cached_property
    def _fingerprint(self) -> str:
        train = self.config.train.model_copy(update={"workers": 1})  # who trains changes nothing
        settings = [
            train.model_dump(mode="json", exclude={"device"}),
            self.config.scan.model_dump(mode="json", exclude=_unchanged(self.config.scan)),
        ]
        files = [t.provenance for t in (self.tensors, self.data) if t is not None]
        text = json.dumps([settings, files], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _describe(self) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        write_run_file(ScanPaths(self.folder).config, dump_config(self.config).encode())
        origin = {
            "format_version": FORMAT_VERSION,
            "tensors": str(self.tensors.path),
            "data": None if self.data is None else str(self.data.path),
        }
        write_run_file(ScanPaths(self.folder).start_record, json.dumps(origin, indent=1).encode())

    @cached_property
    def _total(self) -> int:
        """Networks that train."""
        train, scan = self.config.train, self.config.scan
        copies = len(self._auxiliaries(self.points[0]))
        plans = self._plans(Places(self._oracle and bool(scan.shifts), copies))
        return len(self.points) * sum(len(plan.members) for plan in plans) + train.seeds

    def _progress(self, members: int, now: Progress) -> None:
        """Where the whole scan stands: a step of a stack is one of each of its members."""
        share = replace(
            now,
            step=self._steps + members * now.step,
            total=self._total * now.total,
        )
        self.report(f"{self._total} networks", share)

    def _train_source_only(self, domains: Domains) -> bool:
        """Train what is the same at every target; whether it came to its end."""
        plan, settings = plan_source(self.config.train), self._settings(domains)
        snapshots = Snapshots(self._work, self._fingerprint)
        checkpoint = self._work / "source-only.safetensors"
        source, target = (
            resident(events, domains.scaling, device=settings.device)
            for events in (domains.source, domains.target)
        )
        trainer = StackTrainer(plan.members, self._shape(plan), [source], [target], settings)
        load_checkpoint(trainer, checkpoint, self._fingerprint)

        def keep(trained: StackTrainer) -> None:
            if not trained.position:  # an epoch is whole
                snapshots.save(trained)
            save_checkpoint(trained, checkpoint, self._fingerprint)

        members = len(plan.members)
        progress = partial(self._progress, members)
        done = trainer.run(progress=progress, save=keep, stop=self.stop)
        self._steps += members * trainer.total_steps
        return done

    @cached_property
    def _source_only(self) -> SourceOnly:
        """Source-only after each epoch, as the training left it."""
        train, plan = self.config.train, plan_source(self.config.train)
        snapshots, shape = Snapshots(self._work, self._fingerprint), self._shape(plan)
        seeds = [member.seed for member in plan.members]
        loaded = [snapshots.load(epoch, shape, seeds) for epoch in range(1, train.epochs + 1)]
        history = [row for _, rows in loaded for row in rows]
        return SourceOnly([network for network, _ in loaded], history, seeds)

    def _point(self, run: PointRun, results: list[Result], whole: bool) -> bool:
        """Add a target's results; whether all of them are there.

        Args:
            run: of the target.
            results: are added to.
            whole: whether to train; otherwise only what is there already is added.
        """
        results.append(run.baselines())
        for number, plan in enumerate(self._plans(run.places)):
            members = len(plan.members)
            if whole:
                report = partial(self._progress, members)
                result = run.stack(number, plan, report, self.stop)
            else:
                result = run.known(number)
            if result is None:
                whole = False
                continue
            results.append(result)
            self._steps += members * run.settings.epochs * run.settings.steps
        return whole

    def _finish(self, results: list[Result], *, whole: bool, seconds: float) -> Scan:
        rows = [row for result in results for row in result["rows"]]
        groups = [group for result in results for group in result["groups"]]
        first = [dict(row) | {"lambda": None} for row in self._source_only.history]
        history = [*first, *(row for result in results for row in result["history"])]
        majorities = {
            (row["shift"], row["t"]): result["majority"]
            for result in results
            for row in result["rows"]
        }
        write_run_file(ScanPaths(self.folder).table, to_csv(COLUMNS, rows))
        write_run_file(ScanPaths(self.folder).history, to_csv(HISTORY_COLUMNS, history))
        rocs = {"format_version": FORMAT_VERSION, "rocs": list(_rocs(groups))}
        write_run_file(ScanPaths(self.folder).rocs, json.dumps(rocs, allow_nan=False).encode())
        summary = {
            "format_version": FORMAT_VERSION,
            "hepdann": __version__,
            "classes": list(self.tensors.classes),
            "class_titles": self.tensors.class_looks("title"),
            "teachers": [r["teacher"] for r in results if "teacher" in r],
            **{
                name: [r.get(name) for r in results if "teacher" in r]
                for name in ("diagnosis", "fractions")
            },
            **summarise_scan(rows, groups, majorities),
            "health": [one for result in results for one in result.get("health", [])],
            "throughput": {"members": self._total, "seconds": seconds},
            "interrupted": not whole,
        }
        content = json.dumps(summary, indent=1, allow_nan=False)
        write_run_file(ScanPaths(self.folder).summary, content.encode())
        return Scan(self.folder, summary)


def _stem(number: int) -> str:
    """Begins the names of a target's files."""
    return f"target-{number}"


def _unchanged(scan: ScanConfig) -> set[str]:
    """Settings that came later, where they say what scans did before them."""
    return {"alignments"} if scan.alignments == ["quantile"] else set()


def _rocs(groups: list[Result]) -> Iterator[dict[str, Any]]:
    for group in groups:
        if group["roc"] is not None:
            place = {name: group[name] for name in ("method", "lambda", "shift", "t")}
            yield place | {"roc": group["roc"]}
