"""``hepdann.scan``: the one call behind ``hepdann scan``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Unpack

from ...config import Config, ScanSettings, override
from ...errors import refuse
from ...parallel import refuse_in_worker
from ...store.paths import ScanPaths, new_folder, numbered_folder, refuse_existing
from ...store.reading import Scan, open_scan
from ...store.training_record import StartRecord
from ...tensors import Tensors, open_tensors
from ..progress import Report, shown, silent


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
    refuse(
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
    with shown(progress, report) as tell:
        opened, make_folder = open_tensors(tensors), _folder_maker(output, shifts)
        return _job(config, opened, data, make_folder, tell, stop)


def _folder_maker(output: str | Path | None, shifts: Sequence[str] | None) -> Callable[[], Path]:
    """What makes the folder once there is something to keep; one that exists is refused now."""
    if output is None:
        return partial(numbered_folder, "-".join(["scan", *(shifts or ["data"])]))
    refuse_existing(Path(output))
    return partial(new_folder, Path(output))


def resume_scan(
    folder: str | Path,
    *,
    workers: int | Literal["auto"] | None = None,
    progress: bool = False,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Go on with a scan that did not finish; the result is that of an uninterrupted one.

    Args:
        folder: of the scan.
        workers: processes, if not as many as before; they change nothing of what comes out.
        progress: as in :func:`scan`.
        report: as in :func:`scan`.
        stop: as in :func:`scan`.

    Raises:
        RunError: no such scan, one of another version, or its tensors are no longer the same.
    """
    folder = Path(folder)
    given = {} if workers is None else {"train.workers": workers}
    origin = StartRecord.read(folder, scan=True)
    origin.check_settings(folder, given)
    if ScanPaths(folder).summary.exists():
        open_scan(folder)
    tensors, data = origin.open_files()
    with shown(progress, report) as tell:
        return _job(origin.now(given), tensors, data, lambda: folder, tell, stop, origin)


def _job(
    config: Config,
    tensors: Tensors,
    data: Tensors | str | Path | None,
    make_folder: Callable[[], Path],
    report: Report,
    stop: Callable[[], bool],
    origin: StartRecord | None = None,
) -> Scan:
    from .job import ScanJob

    if config.train.workers != 1:
        refuse_in_worker()
    second = None if data is None else open_tensors(data)
    return ScanJob(config, tensors, second, make_folder, report, stop, origin).run()
