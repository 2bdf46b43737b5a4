"""The training of a run's stacks: in this process, in workers side by side, or under torchrun.

Also which learning rate the stacks of a training can take, before any run is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import methods
from ..alignment import FractionEstimate
from ..config import Config, TrainConfig
from ..domains import Domains
from ..errors import Interrupted
from ..evaluation import Diagnosis
from ..methods import calibration_of, method_of
from ..parallel import Executor, Task, overload_warning, processes_for
from ..store.paths import RunPaths
from ..store.training_record import StartRecord
from ..tensors import Tensors
from ..training import Progress, RateRange, distributed, find_learning_rate, load_checkpoint
from .folder import Run, open_run
from .health_report import failure_noted
from .maps import Aligned, Calibrated, fit_alignments, wanted_maps
from .model_selection import label_by_teacher
from .preparation import prepare_training
from .progress import ParallelProgress
from .stacks.plan import trained_alignments
from .stacks.shard_training import Hooks, ShardFiles, Trained, load_shard, model_of, train_shard
from .stacks.shards import Shard, Stacks, pays, planned_shards, share_count
from .stacks.worker_tasks import (
    Workplace,
    can_overlap,
    diagnose_run,
    fit_maps,
    measure_residuals,
    train_share,
    write_aligned,
)

if TYPE_CHECKING:
    from .job import Job


# keys of tasks; those of shards are their numbers
_DIAGNOSIS, _MAPS, _CORRECTED = ("diagnosis", "maps", "maps at other fractions")
_LEFT = "left by "  # begins the key of what measures it
_Tasks = Mapping[Hashable, Task]


@dataclass(eq=False)
class RunTraining:
    """The training of all stacks of a run."""

    start_record: StartRecord
    train: TrainConfig
    folder: Path
    files: Sequence[Tensors]
    hooks: Hooks
    resume_hint: str
    _done: bool = False  # whether worker processes have trained all that waits for no teacher

    def overlaps(self, domains: Domains) -> bool:
        """Whether diagnosis, alignments and stacks are done side by side in other processes."""
        return self.train.folds is None and pays(self.train, domains) and can_overlap(self.train)

    def diagnose_and_train(
        self, domains: Domains, tell: Callable[[Diagnosis], None]
    ) -> tuple[Diagnosis | None, Aligned | None]:
        """Diagnose and align side by side, then train side by side, all of it in processes.

        The alignments are fitted meanwhile as if the target had the class fractions of the MC, and
        once more where the diagnosis finds others. All bits are those of one process.

        Returns:
            The diagnosis and the alignments; ``None`` for what was stopped, or is not wanted.
        """
        place, train, names = self._place, self.train, trained_alignments(self.train)
        shares = self._shares(domains)
        shards = planned_shards(train, domains, shares)
        fit = bool(set(wanted_maps(train)) - set(names))
        estimate: FractionEstimate | None = None

        def behind(diagnosis: Diagnosis | None) -> _Tasks:
            nonlocal estimate
            if diagnosis is not None:
                tell(diagnosis)
                estimate = diagnosis.fractions
            needed = fit_alignments(domains, names, estimate=estimate, seed=train.seed)
            write_aligned(self.folder, needed, names)
            tasks: dict[Hashable, Task] = {
                one.number: partial(train_share, place, one.number, shares, None) for one in shards
            }
            if fit and needed.correction is not None:
                tasks[_CORRECTED] = partial(fit_maps, place, estimate)
            return tasks

        def maps() -> str:
            return _CORRECTED if estimate is not None and estimate.shift else _MAPS

        def then(key: Hashable, result: Any) -> _Tasks:
            if key == _DIAGNOSIS:
                return behind(result)
            left = f"{_LEFT}{key}"
            return {left: partial(measure_residuals, place, result)} if key == maps() else {}

        first: dict[Hashable, Task] = {}
        if train.diagnose:
            first[_DIAGNOSIS] = partial(diagnose_run, place)
        if fit:
            first[_MAPS] = partial(fit_maps, place, None)
        if not train.diagnose:
            first |= behind(None)
        workers = processes_for(train.workers, len(shards) + fit, pays=True)
        results = _in_processes(self, workers, shards, first, then)
        self._done = True
        fitted: Aligned | None = results.get(maps())
        if fitted is not None:
            residuals = results.get(f"{_LEFT}{maps()}", {})
            fitted = replace(fitted, residuals=residuals)
        return results.get(_DIAGNOSIS), fitted

    def run(
        self,
        folds: Sequence[Domains],
        aligned: Sequence[Aligned],
        calibrated: Sequence[Mapping[str, Calibrated]],
    ) -> list[Trained]:
        """Train all shards, or load what worker processes have trained.

        Returns:
            The shards in the order of the run.

        Raises:
            RunError: a loss is not finite; ``health.json`` says of which networks nothing is known.
        """
        all_stacks = [
            Stacks(
                self.train, events, maps.maps, self._shares(events), maps.correction,
                fold=None if self.train.folds is None else number,
                calibrations={name: one.calibration for name, one in of_mc.items()},
            )
            for number, (events, maps, of_mc) in enumerate(
                zip(folds, aligned, calibrated, strict=True)
            )
        ]  # fmt: skip
        send_to_ranks(folder=str(self.folder.resolve()), fingerprint=self.start_record.fingerprint)
        every = [shard for stacks in all_stacks for shard in stacks.shards]
        with failure_noted(self.folder, every):
            self._spread(all_stacks, aligned, folds)
            done = [
                one
                for number, stacks in enumerate(all_stacks)
                for one in self._train_stacks(
                    stacks, folds[number], aligned[number], calibrated[number]
                )
            ]
        return sorted(done, key=lambda one: one.shard.number)

    def _spread(
        self, all_stacks: Sequence[Stacks], aligned: Sequence[Aligned], folds: Sequence[Domains]
    ) -> None:
        """Train in worker processes what waits for no teacher, if there are workers."""
        shards = [shard for stacks in all_stacks for shard in stacks.without_teacher]
        workers = processes_for(self.train.workers, len(shards), pays=pays(self.train, folds[0]))
        if self._done or workers < 2:
            return
        for number, maps in enumerate(aligned):
            fold = None if self.train.folds is None else number
            write_aligned(self.folder, maps, trained_alignments(self.train), fold)
        place = self._place
        tasks: dict[Hashable, Task] = {
            one.number: partial(train_share, place, one.number, self._shares(folds[0]), one.fold)
            for one in shards
        }
        _in_processes(self, workers, shards, tasks)
        self._done = True

    def _train_stacks(
        self,
        stacks: Stacks,
        events: Domains,
        maps: Aligned,
        calibrated: Mapping[str, Calibrated],
    ) -> list[Trained]:
        """Train or load the shards of a fold; those that learn from a teacher behind the others."""
        waiting = [shard for shard in stacks.shards if stacks.waits_for_teacher(shard)]
        done = [
            self._train_or_load(stacks, shard, load=self._done) for shard in stacks.without_teacher
        ]
        if waiting and all(one.whole for one in done):  # the teacher is
            model = model_of([one.trainer for one in done], events, maps, calibrated)
            labels, name = label_by_teacher(model, events, maps)
            self.hooks.tell(f"{waiting[0].prefix}self-training: {name} labels the target")
            stacks.add_pseudo_labelled(labels)
            done += [self._train_or_load(stacks, shard) for shard in waiting]
        return done

    def _train_or_load(self, stacks: Stacks, shard: Shard, load: bool = False) -> Trained:
        files, fingerprint = ShardFiles.of_run(self.folder, shard), self.start_record.fingerprint
        observer = stacks.peek(files.scores)
        if load:
            return load_shard(shard, stacks, files, fingerprint, observer)
        return train_shard(shard, stacks, files, fingerprint, self.hooks, observer)

    @property
    def _place(self) -> Workplace:
        return Workplace.of(self.start_record, self.train, self.folder, self.files)

    def _shares(self, domains: Domains) -> int:
        return share_count(self.start_record.config.train, self.train, domains)


def _in_processes(
    run: RunTraining,
    workers: int,
    shards: Sequence[Shard],
    tasks: _Tasks,
    then: Callable[[Hashable, Any], _Tasks] = lambda *_: {},
) -> dict[Hashable, Any]:
    """Do tasks in worker processes, which leave checkpoints and notes in the folder.

    The keys of tasks that train are the numbers of their shards. ``then`` is given the key and the
    result of each task, and says what follows it.
    """
    warning = overload_warning(workers) if run.train.workers != "auto" else None
    if warning is not None:
        run.hooks.tell(f"warning: {warning}")
    members = {shard.number: len(shard.plan.members) for shard in shards}
    names = dict.fromkeys(name for shard in shards for name in shard.methods)
    what = f"{sum(members.values())} networks ({', '.join(names)}) in {workers} processes"
    run.hooks.tell(f"{what}; --workers 1 keeps to one")
    combined = ParallelProgress(members)

    def report(number: Hashable, content: str | Progress) -> None:
        if isinstance(content, Progress):
            run.hooks.progress(what, combined.at(number, content))
        else:
            run.hooks.tell(content)

    run.hooks.clock.lap("preparation")
    with (
        failure_noted(run.folder, shards),
        Executor(workers, report, run.hooks.stop, run.resume_hint) as executor,
    ):
        results = executor.run(tasks, then)
    seconds = Counter[str]()
    for number in members.keys() & results.keys():
        seconds.update(results[number])
    run.hooks.clock.share(seconds)
    return results


def first_process() -> bool:
    """Whether this process writes the run and reports; always true without torchrun."""
    return not distributed.wanted() or distributed.join().first


def run_job(job: Job) -> Run:
    """Run a job; under torchrun the first process makes the run and all of them train.

    Raises:
        HepdannError: as the job does.
    """
    if not first_process():
        return _train_with_first(job)
    try:
        run = job.run()
    except Interrupted:
        send_to_ranks(whole=False)
        raise
    send_to_ranks(whole=True)
    return run


def send_to_ranks(**message: Any) -> None:
    """Send a message to the other processes of torchrun, if there are any."""
    if distributed.wanted():
        distributed.broadcast(message)


def _train_with_first(job: Job) -> Run:
    """Train with the first process, write nothing, and open the run at the end."""
    domains, train = prepare_training(job.config.train, job.tensors, job.data, job.shift)
    message = distributed.broadcast()
    if "folder" not in message:
        raise Interrupted("interrupted before the first step")
    folder = Path(message["folder"])
    stacks = Stacks(train, domains, {})
    for shard in stacks.shards:  # also behind an interrupt: all processes ask at every step
        trainer = stacks.trainer(shard)
        load_checkpoint(trainer, RunPaths(folder).checkpoint(shard.number), message["fingerprint"])
        trainer.run(stop=job.stop)
    if not distributed.broadcast()["whole"]:
        raise Interrupted("interrupted", where=folder)
    return open_run(folder)


@dataclass(frozen=True, eq=False)
class StackRates:
    """A stack, and what it did while the learning rate rose."""

    methods: tuple[str, ...]
    rates: RateRange


def suggest_rates(
    tensors: Tensors, config: Config, *, data: Tensors | None = None
) -> list[StackRates]:
    """Search the learning rate of each stack that a training would have, the oracle left out.

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
    aligned = fit_alignments(domains, trained_alignments(train), estimate=None, seed=train.seed)
    stacks = Stacks(train, domains, aligned.maps)
    return [
        StackRates(shard.methods, find_learning_rate(stacks.trainer(shard)))
        for shard in stacks.shards
    ]
