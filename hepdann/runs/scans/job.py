"""One scan: a grid of trainings of the stacks that a run has, from a tensor file to its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

from ..._version import __version__
from ...config import Config, TrainConfig
from ...display import command_line
from ...domains import Domains
from ...errors import Interrupted, refuse_first
from ...evaluation.scan_judge import MEMBER_FIGURES, summarise_scan
from ...outputs import write_run_file
from ...parallel import Executor, Link, Task, overload_warning, processes_for
from ...registry import PARAMETRISED
from ...store.paths import ScanPaths, training_in
from ...store.reading import FORMAT_VERSION, Scan, csv_bytes
from ...store.training_record import StartRecord
from ...tensors import Tensors
from ...training import Progress
from ..health_report import require_tensorboard
from ..maps import calibrated_on, check_calibrations
from ..preparation import auxiliary_shifts, prepare_training
from ..progress import ParallelProgress, Report, silent
from ..stacks.plan import SourceIndices, made_sources, settings_of
from ..stacks.shard_training import HISTORY, Hooks
from ..stacks.shards import PAYS
from ..stacks.worker_tasks import Workplace
from .grid import (
    Point,
    Result,
    ScanUnit,
    plan_point,
    points_of,
    read_result,
    result_path,
    settings_at,
)
from .source_only import SourceOnly, load_source_only, train_source_only
from .target import TargetRun

# Settings that hepdann may be left to choose; all targets have the same.
_SETTLED = ("batch_size", "device", "memory", "network")


def _train_unit(place: Workplace, unit: ScanUnit, link: Link) -> bool:
    """Train a unit in another process, which keeps the events of its target; whether it ended."""
    return _job_of(place).train(unit, link)


@lru_cache(maxsize=1)
def _job_of(place: Workplace) -> ScanJob:
    """The scan as a worker sees it; its source-only is trained."""
    start_record, config, tensors, data = place.open()
    job = ScanJob(config, tensors, data, lambda: place.folder, silent, start_record=start_record)
    job.folder = place.folder
    return job


@dataclass(eq=False)
class ScanJob:
    """A scan on its way; :meth:`run` does it."""

    config: Config
    tensors: Tensors
    data: Tensors | None
    make_folder: Callable[[], Path]
    report: Report
    stop: Callable[[], bool] = lambda: False
    start_record: StartRecord | None = None
    folder: Path = field(init=False)
    _at: TargetRun | None = None
    _source: SourceOnly | None = None

    def run(self) -> Scan:
        """Train what is not trained yet, judge it and write the folder.

        Raises:
            HepdannError: the input does not allow the scan.
        """
        asked = self.config.train
        for point in self.points:
            auxiliary_shifts(self._settings(point))
            check_calibrations(self._settings(point))
        refuse_first(
            (self.tensors.objects and calibrated_on(asked),
             "maps objects, which a scan does not", "train.methods",
             "take dann, or train it with hepdann train"),
            (PARAMETRISED in asked.methods,
             f"{PARAMETRISED} has inputs that a scan does not compare", "train.methods",
             "take calibrated, or train it with hepdann train"),
        )  # fmt: skip
        domains, train = self._prepared(self.points[0])
        settled = {name: getattr(train, name) for name in _SETTLED}
        self.config = self.config.model_copy(update={"train": asked.model_copy(update=settled)})
        if asked.tensorboard:
            require_tensorboard()
        self.folder = self.make_folder()
        with training_in(self.folder, self._resume_hint()):
            ScanPaths(self.folder).work.mkdir(parents=True, exist_ok=True)
            if self.start_record is None:
                self.start_record = StartRecord.of(self._files, self.config, asked, scan=True)
                self.start_record.write(self.folder)
            return self._run(domains, train)

    def _run(self, domains: Domains, train: TrainConfig) -> Scan:
        started, place = time.perf_counter(), (ScanPaths(self.folder).work, self._fingerprint)
        if train_source_only(domains, train, *place, self._progress, self.stop):
            self._at = self._target_run(0, (domains, train))
            self._train_units()
        units = [ScanUnit(n, stack) for n in range(len(self.points)) for stack, _ in self._stacks]
        whole_units = [unit for unit in units if result_path(self.folder, unit).exists()]
        results = [read_result(self.folder, unit, self._fingerprint) for unit in whole_units]
        whole = len(results) == len(units)
        if not results:
            raise Interrupted(
                "interrupted before anything was whole", where=self.folder, mend=self._resume_hint()
            )
        assert self._source is not None
        return write_scan(
            self.folder,
            self.tensors,
            results,
            self._source.history,
            members=self._total,
            seconds=time.perf_counter() - started,
            whole=whole,
        )

    def _settings(self, point: Point) -> TrainConfig:
        return settings_at(self.config, point, images=bool(self.tensors.views))

    def _prepared(self, point: Point) -> tuple[Domains, TrainConfig]:
        return prepare_training(self._settings(point), self.tensors, self.data)

    def _target_run(
        self, number: int, prepared: tuple[Domains, TrainConfig] | None = None
    ) -> TargetRun:
        """What trains and judges everything at a target; source-only is trained."""
        point = self.points[number]
        prepared = prepared or self._prepared(point)
        if self._source is None:
            work = ScanPaths(self.folder).work
            self._source = load_source_only(*prepared, work, self._fingerprint)
        return TargetRun(point, *prepared, self.folder, number, self._fingerprint,
                         self.config.scan, self._source)  # fmt: skip

    def _train_units(self) -> None:
        """Train what is not trained yet, here or in processes, until all is whole or stopped."""
        members = {
            ScanUnit(number, stack): count
            for number in range(len(self.points))
            for stack, count in self._stacks
        }
        waiting = [unit for unit in members if not result_path(self.folder, unit).exists()]
        settings, run = self.config.train, self._at
        assert run is not None
        events = settings_of(run.train, run.domains.n_train).events
        work = events * sum(members[unit] for unit in waiting)
        pays = work >= PAYS and settings.device == "cpu" and self.tensors.tabular
        workers = processes_for(settings.workers, len(waiting), pays=pays)
        workers = workers if workers > 1 else 0  # done in this process
        warning = overload_warning(workers) if settings.workers != "auto" else None
        if warning is not None:
            self.report(f"warning: {warning}", None)
        assert self.start_record is not None
        place = Workplace.of(self.start_record, settings, self.folder, self._files)
        combined = ParallelProgress(members)
        before = settings.seeds + sum(n for unit, n in members.items() if unit not in waiting)

        def task(unit: ScanUnit) -> Task:
            return partial(_train_unit, place, unit) if workers else partial(self.train, unit)

        def report(unit: ScanUnit, now: Progress) -> None:
            all_now, steps = combined.at(unit, now), now.total
            step = before * steps + all_now.step
            self._progress(replace(all_now, step=step, total=steps))

        with Executor(workers, report, self.stop, self._resume_hint()) as executor:
            for number in dict.fromkeys(unit.target for unit in waiting):
                first = ScanUnit(number, None)
                executor.submit(first, task(first), number)
            for unit, _ in executor.completed():
                combined.end(unit)
                for later in waiting if unit.stack is None else ():
                    if later.target == unit.target and later.stack is not None:
                        executor.submit(later, task(later), later.target)

    def train(self, unit: ScanUnit, link: Link) -> bool:
        """Train a unit, from what the process that began the scan has left.

        Returns:
            Whether its result is there now; otherwise it was stopped.
        """
        if self._at is None or self._at.number != unit.target:
            self._at = self._target_run(unit.target)
        run = self._at
        run.baselines()
        if unit.stack is None:
            return True
        link.saves()
        hooks = Hooks.quiet(link.report, link.stop)
        return run.stack(run.stacks.shards[unit.stack], hooks)

    def _resume_hint(self) -> str:
        return f"go on with: {command_line('scan', '--resume', '-o', self.folder)}"

    @property
    def _files(self) -> list[Tensors]:
        return [file for file in (self.tensors, self.data) if file is not None]

    @property
    def points(self) -> list[Point]:
        """The targets."""
        return points_of(self.config.scan)

    @cached_property
    def _stacks(self) -> list[tuple[int | None, int]]:
        """Number, and number of members, of the stacks at each target, the baselines first."""
        train, oracle = self._settings(self.points[0]), self.config.train.oracle
        holder = self.tensors if self.data is None else self.data
        known = bool(self.config.scan.shifts) or holder.has_truth
        copies, made = len(auxiliary_shifts(train)), made_sources(train)
        indices = SourceIndices(
            oracle and known, copies, made=made, calibrations=calibrated_on(train)
        )
        plans = plan_point(self.config.scan, train, indices, not self.tensors.tabular)
        return [(None, 0), *((k, len(plan.members)) for k, plan in enumerate(plans))]

    @property
    def _fingerprint(self) -> str:
        assert self.start_record is not None
        return self.start_record.fingerprint

    @cached_property
    def _total(self) -> int:
        """Networks that train."""
        each = sum(members for _, members in self._stacks)
        return len(self.points) * each + self.config.train.seeds

    def _progress(self, now: Progress) -> None:
        """Show where the whole scan stands: its total is that of all networks, one by one."""
        self.report(f"{self._total} networks", replace(now, total=self._total * now.total))


COLUMNS = (
    "method", "lambda", "shift", "t", "seed", "epoch", *MEMBER_FIGURES, "loss_label", "loss_domain",
    "validation_loss", "validation_accuracy", "validation_domain_accuracy",
)  # fmt: skip
HISTORY_COLUMNS = ("shift", "t", *(name for name in HISTORY if name != "target_accuracy"))


def write_scan(
    folder: Path,
    tensors: Tensors,
    results: Sequence[Result],
    source_history: Sequence[Mapping[str, object]],
    *,
    members: int,
    seconds: float,
    whole: bool,
) -> Scan:
    """Sum up what is whole of a scan."""
    rows = [row for result in results for row in result["rows"]]
    groups = [group for result in results for group in result["groups"]]
    first = [dict(row) | {"lambda": None} for row in source_history]
    history = [*first, *(row for result in results for row in result["history"])]
    majorities = {
        (row["shift"], row["t"]): result["majority"] for result in results for row in result["rows"]
    }
    paths = ScanPaths(folder)
    write_run_file(paths.table, csv_bytes(COLUMNS, rows))
    write_run_file(paths.history, csv_bytes(HISTORY_COLUMNS, history))
    places = ("method", "lambda", "shift", "t", "roc")
    curves = [{name: one[name] for name in places} for one in groups if one["roc"] is not None]
    rocs = {"format_version": FORMAT_VERSION, "rocs": curves}
    write_run_file(paths.rocs, json.dumps(rocs, allow_nan=False).encode())
    summary = {
        "format_version": FORMAT_VERSION,
        "hepdann": __version__,
        "classes": list(tensors.classes),
        "class_titles": tensors.class_looks("title"),
        "teachers": [r["teacher"] for r in results if "teacher" in r],
        **{
            name: [r.get(name) for r in results if "teacher" in r]
            for name in ("diagnosis", "fractions")
        },
        **summarise_scan(rows, groups, majorities),
        "health": [one for result in results for one in result.get("health", [])],
        "throughput": {"members": members, "seconds": seconds},
        "interrupted": not whole,
    }
    content = json.dumps(summary, indent=1, allow_nan=False)
    write_run_file(paths.summary, content.encode())
    return Scan(folder, summary)
