"""``hepdann.train`` and ``hepdann.scan``: the one call behind each of the commands."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, Unpack

from .. import shifts
from ..config import Config, ScanSettings, TrainSettings, override
from ..errors import ConfigError, RunError, refuse_first
from ..parallel import TRAINING, processes_for, refuse_in_worker, start_method
from ..store.paths import ScanPaths, new_folder, numbered_folder, refuse_existing
from ..store.reading import Scan, check_version, open_scan
from ..store.training_record import StartRecord
from ..tensors import Tensors, open_tensors
from .folder import Run, finished_run
from .progress import Report, progress_shown, silent

if TYPE_CHECKING:
    from ..networks import Factory
    from ..shifts import Composition, Shift


_MANY = 8_000_000  # passes of MC events through networks, from which processes will be needed


def train(
    tensors: Tensors | str | Path,
    *,
    data: Tensors | str | Path | None = None,
    method: str | Sequence[str] | None = None,
    shift: Shift | Composition | None = None,
    auxiliaries: Sequence[Shift | Composition] | None = None,
    network: str | Factory | None = None,
    output: str | Path | None = None,
    config: Config | None = None,
    progress: bool = False,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
    partial: Callable[[], bool] = lambda: True,
    **settings: Unpack[TrainSettings],
) -> Run:
    """Train a method and its baselines side by side, and write a run folder.

    Source-only, the alignments and, where the truth is known, the oracle always train or
    are scored beside the method; the last epoch is the one that is used.

    Args:
        tensors: the tensor file with the MC.
        data: a second tensor file with the data; by default that of ``tensors``.
        method: one or several of ``hepdann.methods.names()``; default ``dann``.
        shift: makes pseudo-data of half of the MC, for example ``hepdann.shifts.sine(t=3)``;
            without it the target is the data.
        auxiliaries: shifts of the labelled copies of the MC that hybrid methods train on; default
            ``sine-third`` and ``sine-fifth`` at the t of the shift. With data they must be named.
        network: a function that makes a network of your own for a ``NetworkShape``, or the name
            that it was registered by with ``hepdann.networks.register``.
        output: the run folder, which must not exist; default ``runs/<shift>-t<t>-<n>``.
        config: settings; the arguments override them.
        progress: show on stderr how far it has come, as the command does.
        report: called with each stage and, while training, its progress.
        stop: asked before each step; when true, a checkpoint is written and the training ends.
        partial: asked after that: whether to score and evaluate what was trained so far, so that
            the folder holds a whole run of it.
        **settings: of the section ``train``, for example ``seeds=3, epochs=10, lambda_=0.3``.

    Returns:
        The run, with ``metrics`` and ``predict``.

    Raises:
        HepdannError: the input does not allow it, or the folder exists.
        Interrupted: it was stopped, and no run of what was trained so far is wanted.
        TypeError: an argument is not of its type.
    """
    _check_types(tensors, data, method, shift, auxiliaries, output, config)
    config = override(config or Config(), _given(method, shift, auxiliaries, network, settings))
    if data is not None and config.train.shift is not None:
        raise ConfigError(
            "a shift makes pseudo-data of the MC, and data are given too",
            where="train.shift",
            mend="leave one of them out",
        )
    if config.train.workers != 1:
        refuse_in_worker()
    opened = open_tensors(tensors)
    named = config.train.shift
    stem = "data" if named is None else f"{named.name}-t{named.t_text}"
    make_folder = _folder_maker(output, stem)
    second = None if data is None else open_tensors(data)
    passes = opened.rows("mc") * config.train.epochs * config.train.members
    spread = config.train.device in ("auto", "cpu") and opened.tabular and passes > _MANY
    if processes_for(config.train.workers, 2, pays=spread) > 1:
        start_method(TRAINING)  # their server imports what it needs while this process does
        for module in TRAINING:
            importlib.import_module(module)
    from .job import Job
    from .run_training import run_job

    with progress_shown(progress, report) as tell:
        return run_job(Job(config, opened, second, shift, make_folder, tell, stop, partial))


def _given(
    method: str | Sequence[str] | None,
    shift: Shift | Composition | None,
    auxiliaries: Sequence[Shift | Composition] | None,
    network: str | Factory | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The arguments of a training as settings, by dotted key."""
    given = {f"train.{key.rstrip('_')}": value for key, value in settings.items()}
    if method is not None:
        given["train.methods"] = [method] if isinstance(method, str) else list(method)
    if shift is not None:
        given["train.shift"] = _describe(shift)
    if auxiliaries is not None:
        given["train.auxiliary_shifts"] = [_describe(one) for one in auxiliaries]
    if network is not None:
        given["train.network"] = network if isinstance(network, str) else _known(network)
    return given


def resume(
    folder: str | Path,
    *,
    tensors: str | Path | None = None,
    data: str | Path | None = None,
    given: Mapping[str, Any] | None = None,
    progress: bool = False,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
    partial: Callable[[], bool] = lambda: True,
) -> Run:
    """Go on with a run that did not finish; the result is that of an uninterrupted one.

    A run that has finished is opened and left as it is. ``tensors`` and ``data`` are named where
    they do not lie where the run began with them; ``given`` are settings by dotted key
    (``{"train.epochs": 20}``) that must be those of the run. The further arguments are those of
    :func:`train`.

    Raises:
        RunError: no such run, one of another version, or its tensors or settings are no longer
            the same: it names which, and how they differ.
        Interrupted: as in :func:`train`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError("no such run folder", where=folder, mend="give the folder of a run with -o")
    check_version(folder)
    start_record = StartRecord.read(folder)
    start_record.check_settings(folder, given or {})
    files = start_record.open_files(tensors, data)
    finished = finished_run(folder)
    if finished is not None:
        return finished
    from .job import Job
    from .run_training import run_job

    config = start_record.now(given or {})
    with progress_shown(progress, report) as tell:
        return run_job(Job(config, *files, None, lambda: folder, tell, stop, partial, start_record))


def _known(factory: Factory) -> str:
    """Register a network by the name of the function that makes it."""
    from ..networks import register

    name = getattr(factory, "__name__", type(factory).__name__)
    register(name, factory)
    return name


def _describe(shift: Shift | Composition) -> dict[str, Any]:
    """As a configuration has it: names joined with ``+``, one t for all or one for each."""
    parts = (shift,) if isinstance(shift, shifts.Shift) else shift.shifts
    name = "+".join(part.name for part in parts)
    return {
        "name": name,
        "t": _common([part.t for part in parts]),
        "quantile": _common([part.quantile for part in parts]),
    }


def _common(values: list[float]) -> float | list[float]:
    return values[0] if len(set(values)) == 1 else values


def _folder_maker(output: str | Path | None, stem: str) -> Callable[[], Path]:
    """What makes the folder once there is something to keep; one that exists is refused now."""
    if output is None:
        return partial(numbered_folder, stem)
    refuse_existing(Path(output))
    return partial(new_folder, Path(output))


def _check_types(
    tensors: object,
    data: object,
    method: object,
    shift: object,
    auxiliaries: object,
    output: object,
    config: object,
) -> None:
    path = (str, PathLike)
    file = (Tensors, *path)
    methods = [method] if isinstance(method, str) or not isinstance(method, Iterable) else method
    copies = auxiliaries if isinstance(auxiliaries, list | tuple) else [auxiliaries]
    for name, value, kinds, wanted in (
        ("tensors", tensors, file, "a path, or what hepdann.open_tensors gives"),
        ("data", data, (*file, NoneType), "a path, or what hepdann.open_tensors gives"),
        *(("method", one, (str, NoneType), "a name, or a list of names") for one in methods),
        ("shift", shift, (shifts.Shift, shifts.Composition, NoneType),
         "a shift such as hepdann.shifts.sine(t=3)"),
        *(("auxiliaries", one, (shifts.Shift, shifts.Composition, NoneType),
           "a list of shifts such as hepdann.shifts.sine_third(t=3)") for one in copies),
        ("output", output, (*path, NoneType), "a path"),
        ("config", config, (Config, NoneType), "what hepdann.config.load_config gives"),
    ):  # fmt: skip
        if not isinstance(value, kinds):
            raise TypeError(f"{name} is {wanted}, not {value!r}")


def scan(
    tensors: Tensors | str | Path,
    *,
    data: Tensors | str | Path | None = None,
    shift: str | Sequence[str] | None = None,
    t: Sequence[float] | None = None,
    lambda_: Sequence[float] | None = None,
    methods: Sequence[str] | None = None,
    alignments: Sequence[str] | None = None,
    output: str | Path | None = None,
    config: Config | None = None,
    progress: bool = False,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
    **settings: Unpack[ScanSettings],
) -> Scan:
    """Train a grid of shifts, t, λ, methods and seeds as stacks, and write a folder of figures.

    Source-only trains once for all targets, which it does not see; the alignments are fitted at
    each target, and where the truth is known an oracle trains at each. ``scan.csv`` has a row a
    network, ``scan.json`` the mean and the spread over seeds, the ensembles, the share of the gap
    to the oracle that is closed, and the λ that is chosen without labels.

    Args:
        tensors: the tensor file with the MC.
        data: a second tensor file with the data; by default that of ``tensors``.
        shift: one or several names; each makes pseudo-data at every t. Without one the target is
            the data, and t means nothing.
        t: of the shifts; default 1, 2, 3, 5, 8.
        lambda_: factors of the reversed domain gradient; default 0.1, 0.3, 1, 3.
        methods: of ``hepdann.methods.names()``, alone or as ``alignment+method``; default those of
            ``train``.
        alignments: of ``hepdann.alignment.names()``, or joined with ``+``; default ``quantile``.
        output: the folder, which must not exist; default ``runs/scan-<shifts>-<n>``.
        config: settings; the arguments override them.
        progress: show on stderr how far it has come, as the command does.
        report: called with each stage and, while training, its progress.
        stop: asked before each step; when true, what is whole so far is written.
        **settings: of the section ``train`` (``seeds=3, epochs=10, workers=4``), or ``stack``, the
            number of members that train side by side.

    Returns:
        The scan, with ``summary`` and ``table``.

    Raises:
        HepdannError: the input does not allow it, or the folder exists.
    """
    given = {
        f"scan.{name}" if name == "stack" else f"train.{name.rstrip('_')}": value
        for name, value in settings.items()
    } | {
        "scan.shifts": [shift] if isinstance(shift, str) else shift,
        "scan.t": t,
        "scan.lambda": lambda_,
        "scan.alignments": alignments,
        "train.methods": methods,
    }
    for key, value in given.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            given[key] = list(value)
    config = override(config or Config(), given)
    shifts = config.scan.shifts
    refuse_first(
        (config.train.folds is not None,
         "a scan compares networks on the test split, and does not train in folds", "train.folds",
         "leave it out; train with folds what the scan has chosen"),
        (config.train.shift is not None, "a scan takes its shifts from scan.shifts", "train.shift",
         "name them there, or by --shift"),
        (t is not None and not shifts, "t belongs to a shift, and none is named", "scan.t",
         "name one: --shift sine"),
        (data is not None and shifts,
         "a shift makes pseudo-data of the MC, and data are given too", "scan.shifts",
         "leave one of them out"),
    )  # fmt: skip
    with progress_shown(progress, report) as tell:
        opened = open_tensors(tensors)
        make_folder = _folder_maker(output, "-".join(["scan", *(shifts or ["data"])]))
        return _job(config, opened, data, make_folder, tell, stop)


def resume_scan(
    folder: str | Path,
    *,
    workers: int | Literal["auto"] | None = None,
    progress: bool = False,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Go on with a scan that did not finish; the result is that of an uninterrupted one.

    ``workers`` are processes, if not as many as before; they change nothing of what comes out. The
    further arguments are those of :func:`scan`.

    Raises:
        RunError: no such scan, one of another version, or its tensors are no longer the same.
    """
    folder = Path(folder)
    given = {} if workers is None else {"train.workers": workers}
    start_record = StartRecord.read(folder, scan=True)
    start_record.check_settings(folder, given)
    if ScanPaths(folder).summary.exists():
        open_scan(folder)
    tensors, data = start_record.open_files()
    with progress_shown(progress, report) as tell:
        return _job(
            start_record.now(given), tensors, data, lambda: folder, tell, stop, start_record
        )


def _job(
    config: Config,
    tensors: Tensors,
    data: Tensors | str | Path | None,
    make_folder: Callable[[], Path],
    report: Report,
    stop: Callable[[], bool],
    start_record: StartRecord | None = None,
) -> Scan:
    from .scans.job import ScanJob

    if config.train.workers != 1:
        refuse_in_worker()
    second = None if data is None else open_tensors(data)
    return ScanJob(config, tensors, second, make_folder, report, stop, start_record).run()
