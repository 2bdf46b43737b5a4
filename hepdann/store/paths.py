"""Where the files of a run, a scan and a generator are; its folder: made, locked, explained."""

from __future__ import annotations

import fcntl
import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..display import command_line
from ..errors import HepdannError, Interrupted, RunError


class _Named:
    """A file or folder of the folder that it is asked of."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, paths: Paths, owner: type) -> Path:
        return paths.folder / self._name


@dataclass(frozen=True)
class Paths:
    """What a run and a scan have in common."""

    folder: Path

    config = _Named("config.yaml")  # every setting that was used
    start_record = _Named("origin.json")  # settings and files that the training began with
    history = _Named("history.csv")  # losses and accuracies, a row an epoch and network
    log = _Named("log.txt")  # the one file that is there from the start; its lock is the folder's
    plots = _Named("plots")  # folder of the figures
    checkpoints = _Named("checkpoint")  # folder of what a training needs that goes on


@dataclass(frozen=True)
class RunPaths(Paths):
    """The files of a run."""

    metrics = _Named("metrics.json")  # every figure
    scores = _Named("scores.h5")  # what every method says of every event
    model = _Named("model.safetensors")  # the networks, and all that scoring needs
    conversion = _Named("conversion.json")  # how files became events, and their ranges in training
    trained_events = _Named("trained_events.npy")  # the identity of every training event
    diagnosis = _Named("diagnosis.json")  # whether MC and target differ
    calibration = _Named("calibrations.json")  # maps of the MC that networks were trained behind
    recommendation = _Named("recommendation.json")  # the method that is recommended, and why
    working_points = _Named("working_points.json")  # thresholds that were set after the training
    health = _Named("health.json")  # figures of every network while it trained, and its faults

    def alignments(self, fold: int | None = None) -> Path:
        """The alignments that the worker processes of a run, or of a fold of it, train on."""
        return self.checkpoints / f"alignments{'' if fold is None else f'-{fold}'}.json"

    def checkpoint(self, shard: int) -> Path:
        """The state of a stack, or of a share of it."""
        return self.checkpoints / f"stack-{shard}.safetensors"

    def health_notes(self, shard: int) -> Path:
        """What was seen of the health of its networks so far."""
        return self.checkpoints / f"health-{shard}.json"

    def peek_notes(self, shard: int) -> Path:
        """What ``evaluation`` saw of its target accuracy so far."""
        return self.checkpoints / f"peek-{shard}.json"

    @property
    def before_training(self) -> set[Path]:
        """What a run writes before it trains."""
        records = {self.log, self.start_record, self.config, self.diagnosis, self.calibration}
        return records | {self.checkpoints}

    @property
    def is_whole(self) -> bool:
        """Whether all that a finished run has is there."""
        return all(p.is_file() for p in (self.model, self.history, self.scores, self.metrics))


@dataclass(frozen=True)
class ScanPaths(Paths):
    """The files of a scan."""

    summary = _Named("scan.json")  # figures of every method at every λ and target, and the choices
    table = _Named("scan.csv")  # figures of every network, a row each
    rocs = _Named("rocs.json")  # ROC curves of the ensembles
    work = _Named("checkpoint/scan")  # folder of what a scan needs that goes on


@dataclass(frozen=True)
class GeneratorPaths(Paths):
    """The files of a generator."""

    record = _Named("generator.json")  # settings and tensor file that the training began with
    model = _Named("generator.safetensors")  # the generator, and all that drawing needs
    state = _Named("checkpoint/generator.safetensors")  # where its training stands
    validation = _Named("validation.json")  # what it draws against events that it did not see


def is_scan(folder: str | Path) -> bool:
    """Whether a folder holds a scan, finished or not."""
    folder = Path(folder)
    return ScanPaths(folder).summary.is_file() or ScanPaths(folder).work.is_dir()


def is_training(folder: str | Path) -> bool:
    """Whether a process trains in a folder; ``False`` where the file system has no locks."""
    path = RunPaths(Path(folder)).log
    if not path.is_file():  # to open a pipe would wait for ever
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def explain_absent(folder: str | Path) -> RunError:
    """The error that says why a folder holds no results, and what to type instead."""
    folder = Path(folder)
    if not folder.is_dir():
        return RunError("no such run folder", where=folder, mend="see what is in runs/")
    scan = is_scan(folder)
    command, noun = ("scan", "scan") if scan else ("train", "training")
    if ScanPaths(folder).summary.is_file():
        return RunError(
            "is a scan, not a run",
            where=folder,
            mend=f"its table: {command_line('evaluate', folder)}; its figures: "
            f"{command_line('plot', folder)}",
        )
    if not scan and not RunPaths(folder).start_record.is_file():
        return RunError(
            "not a run folder: no metrics.json", where=folder, mend="runs are made by hepdann train"
        )
    if is_training(folder):
        return RunError(
            f"the {noun} is still going on", where=folder, mend="wait until it has ended"
        )
    mend = f"go on with: {command_line(command, '--resume', '-o', folder)}"
    return RunError(f"the {noun} has not finished", where=folder, mend=mend)


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that holds anything but the remains of a start that was killed.

    Raises:
        RunError: something is there.
    """
    if folder.exists() and (
        not folder.is_dir()
        or any(
            path.name != RunPaths(folder).log.name and not path.match(".*.part")
            for path in folder.iterdir()
        )
    ):
        raise RunError(
            "exists already, and a run is never overwritten",
            where=folder,
            mend="take another -o, or go on with it by --resume",
        )


def new_folder(folder: Path) -> Path:
    """Make the folder of a run, with its parents.

    Raises:
        RunError: something is there, or it cannot be made.
    """
    refuse_existing(folder)
    return _made(folder, exist_ok=True)


def numbered_folder(stem: str, parent: Path = Path("runs")) -> Path:
    """Make the first ``<stem>-<n>`` that is not there yet; no two callers are given the same.

    Raises:
        RunError: it cannot be made.
    """
    _made(parent, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / f"{stem}-{number}"
        try:
            return _made(folder, exist_ok=False)
        except FileExistsError:
            continue
    raise AssertionError  # count() has no end


def _made(folder: Path, *, exist_ok: bool) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        if isinstance(error, FileExistsError) and not exist_ok:
            raise
        raise RunError(
            f"cannot be made: {error.strerror or error}",
            where=folder,
            mend="name a folder that can be written (-o)",
        ) from error
    return folder


def _refuse_links(folder: Path) -> None:
    """Refuse a folder that somebody passed on with links, or pipes, in the places of its files.

    What is written would replace, or be added to, a file anywhere. The figures are left out: they
    are not written by a training, and their folder is often a link to a web server.
    """
    try:
        entries = [path for path in folder.iterdir() if path.name != "plots"]
        if not (folder / "checkpoint").is_symlink():
            entries += (folder / "checkpoint").rglob("*")
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror or error}", where=folder) from error
    for path in entries:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            what = "is a link" if path.is_symlink() else "is neither a file nor a folder"
            mend = "put the file of the run in its place, or remove it"
            raise RunError(f"{what}, and nothing is written through one", where=path, mend=mend)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the same folder; the lock ends with the process.

    Where the file system has no locks, as on some farms, there is none.

    Raises:
        RunError: another process trains there, the folder cannot be written, or what is written
            there would go elsewhere.
    """
    path = RunPaths(folder).log
    _refuse_links(folder)
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot be written: {error.strerror or error}", where=path) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                "another process is training here",
                where=folder,
                mend="wait for it, or take another -o",
            ) from error
        except OSError:  # no locks here
            pass
        yield


@contextmanager
def training_in(folder: Path, resume_hint: str) -> Iterator[None]:
    """Lock the folder of a training; an interrupt of it says how it is resumed.

    The folder of a new run that is refused before anything is trained is removed again. What was
    there before, and whatever else a user put there, stays; so does what can be resumed.
    """
    with locked(folder):
        paths, before = RunPaths(folder), RunPaths(folder).start_record.exists()
        try:
            yield
        except KeyboardInterrupt as error:
            error.add_note(resume_hint)
            raise
        except Interrupted:
            raise
        except HepdannError:
            trained = any(paths.checkpoints.rglob("*.safetensors"))
            if not before and not trained and set(folder.iterdir()) <= paths.before_training:
                shutil.rmtree(folder, ignore_errors=True)
            raise
