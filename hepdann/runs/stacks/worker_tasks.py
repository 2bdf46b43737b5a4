"""What worker processes of a run do, from its folder and the tensor files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch

from ... import methods
from ...alignment import FractionEstimate, from_dict
from ...config import Config, TrainConfig
from ...criteria import Residual
from ...domains import Domains
from ...evaluation import Diagnosis
from ...inputs import read_json
from ...methods import Method, method_of
from ...outputs import write_run_file
from ...parallel import Link, processes_for
from ...registry import ALIGNMENTS, METHODS, NETWORKS, SHIFTS
from ...store.content import PointMaps
from ...store.paths import RunPaths
from ...store.training_record import StartRecord
from ...tensors import Tensors
from ...training import Clock
from ..maps import Aligned, fit_alignments, read_calibrations, wanted_maps
from ..model_selection import residuals_of, write_diagnosis
from ..preparation import fold_domains, prepare_training
from .plan import trained_alignments
from .shard_training import Hooks, ShardFiles, train_shard
from .shards import Stacks


@dataclass(frozen=True)
class Workplace:
    """Where another process finds what a run or a scan trains on.

    All that is not said follows from ``origin.json`` and the tensor files, as for a resume.
    """

    folder: Path
    files: tuple[Path, ...]
    device: str
    tensorboard: bool
    scan: bool
    registered: Registered = field(compare=False)

    @classmethod
    def of(
        cls, start_record: StartRecord, now: TrainConfig, folder: Path, files: Iterable[Tensors]
    ) -> Self:
        """Of a run or scan that goes on in this process."""
        grid = start_record.config.scan
        more = (grid.shifts, grid.alignments) if start_record.scan else ()
        return cls(
            folder.absolute(),
            tuple(file.path.absolute() for file in files),
            now.device,
            now.tensorboard,
            start_record.scan,
            Registered.needed(now, *more),
        )

    def open(self) -> tuple[StartRecord, Config, Tensors, Tensors | None]:
        """The beginning, the settings and the tensor files; computing has one thread from now on.

        Raises:
            RunError: a file was replaced since the beginning.
        """
        self.registered.register()
        torch.set_num_threads(1)
        start_record = StartRecord.read(self.folder, scan=self.scan)
        tensors, data = start_record.open_files(*self.files)
        given = {"train.device": self.device, "train.tensorboard": self.tensorboard}
        return start_record, start_record.now(given), tensors, data


def train_share(
    place: Workplace, number: int, shares: int, fold: int | None, link: Link
) -> dict[str, float]:
    """Train a shard of a run; the result is the seconds of each stage."""
    stacks, fingerprint = _stacks_of(place, fold, shares)
    clock = Clock(stacks.settings.device)
    link.saves()
    # what is trained is a part of what the other process trains, and not named
    hooks = Hooks(link.report, lambda _, now: link.report(now), link.stop, clock)
    shard = next(one for one in stacks.shards if one.number == number)
    files = ShardFiles.of_run(place.folder, shard)
    train_shard(shard, stacks, files, fingerprint, hooks, stacks.peek(files.scores))
    return clock.seconds


# Of the tasks below a stop ends the process: nothing is kept of half of one.


def diagnose_run(place: Workplace, _link: Link) -> Diagnosis | None:
    """Ask whether there is a shift, which only what adapts to the class fractions waits for.

    ``diagnosis.json`` is written; ``None`` with too few events for a diagnosis.
    """
    _, domains, _ = _prepared(place)
    return write_diagnosis(domains, domains.tensors.features, RunPaths(place.folder).diagnosis)


def fit_maps(place: Workplace, estimate: FractionEstimate | None, _link: Link) -> Aligned:
    """Fit all alignments of a run, which the networks do not wait for."""
    _, domains, train = _prepared(place)
    return fit_alignments(domains, wanted_maps(train), estimate=estimate, seed=train.seed)


def measure_residuals(place: Workplace, aligned: Aligned, _link: Link) -> dict[str, Residual]:
    """Measure what the maps of a run leave, which the networks do not wait for."""
    _, domains, _ = _prepared(place)
    return residuals_of(domains, aligned)


def can_overlap(train: TrainConfig) -> bool:
    """Whether a run may be diagnosed and aligned in other processes while it trains.

    Only where the user leaves it to hepdann, there is a core for it, no network learns from what
    the alignments teach, and each of them is one that a process sends back.
    """
    if train.workers != "auto" or processes_for("auto", 2, pays=True) < 2:
        return False
    names = set(wanted_maps(train)) - set(trained_alignments(train))
    parts = {part for name in names for part in name.split("+")}
    taught = any(methods.get(method_of(name)[1]).taught for name in train.methods)
    return parts <= set(ALIGNMENTS.own) and not taught


@lru_cache(maxsize=1)
def _stacks_of(place: Workplace, fold: int | None, shares: int) -> tuple[Stacks, str]:
    """What the shards of a run train on, made anew from its folder and the tensor files."""
    start_record, domains, train = _prepared(place)
    stored = read_json(RunPaths(place.folder).alignments(fold), PointMaps)
    maps = {name: from_dict(one) for name, one in stored["maps"].items()}
    correction = stored["correction"]
    events = fold_domains(train, domains)[fold or 0]
    folds = read_calibrations(place.folder)
    mapped = folds[fold or 0] if folds else {}
    calibrations = {name: one.calibration for name, one in mapped.items()}
    stacks = Stacks(train, events, maps, shares, correction, fold=fold, calibrations=calibrations)
    return stacks, start_record.fingerprint


@lru_cache(maxsize=1)
def _prepared(place: Workplace) -> tuple[StartRecord, Domains, TrainConfig]:
    start_record, config, tensors, data = place.open()
    domains, train = prepare_training(config.train, tensors, data)
    return start_record, domains, train


def write_aligned(
    folder: Path, aligned: Aligned, names: Iterable[str], fold: int | None = None
) -> None:
    """Leave what was fitted for the workers of a run; what a process is sent must be small."""
    stored = {
        "maps": {name: aligned.maps[name].to_dict() for name in names},
        "correction": aligned.correction,
    }
    path = RunPaths(folder).alignments(fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_run_file(path, json.dumps(stored).encode())


@dataclass(frozen=True)
class Registered:
    """Shifts, alignments, networks and methods of the user.

    What an installed package brings is not among them: each process imports it by its name.

    Attributes:
        methods: each with the name of the method of hepdann that has the very same phases, if one
            has; only members whose phases are one object share a stack.
    """

    shifts: Mapping[str, Any]
    alignments: Mapping[str, Any]
    networks: Mapping[str, Any]
    methods: tuple[tuple[Method, str], ...]

    @classmethod
    def needed(
        cls, train: TrainConfig, shifts: Iterable[str] = (), alignments: Iterable[str] = ()
    ) -> Registered:
        """What was registered in this process and a training uses; the rest may not travel."""
        named = [train.shift, *(train.auxiliary_shifts or ())]
        used = _parts([*shifts, *(shift.name for shift in named if shift)])
        methods = _parts(train.methods)
        return cls(
            SHIFTS.registered(used),
            ALIGNMENTS.registered(methods | _parts([*alignments, *train.alignments])),
            NETWORKS.registered([train.network or ""]),
            tuple(map(_without_phases, METHODS.registered(methods).values())),
        )

    def register(self) -> None:
        """Register it in this process too."""
        SHIFTS.restore(self.shifts)
        ALIGNMENTS.restore(self.alignments)
        NETWORKS.restore(self.networks)
        for method, built_in in self.methods:
            phases = METHODS[built_in].phases if built_in else method.phases
            METHODS.restore({method.name: replace(method, phases=phases)})


def _parts(names: Iterable[str]) -> set[str]:
    return {part.strip() for name in names for part in name.split("+")}


def _without_phases(method: Method) -> tuple[Method, str]:
    built_in = next((name for name in METHODS.own if METHODS[name].phases is method.phases), "")
    return (replace(method, phases=()) if built_in else method), built_in
