"""What worker processes of a run do: they train shards, from its folder and the tensor files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self

import torch

from ...alignment import from_dict
from ...config import Config, TrainConfig
from ...inputs import read_json
from ...outputs import write_run_file
from ...parallel import Link
from ...store.content import PointMaps
from ...store.paths import RunPaths
from ...store.start_record import StartRecord
from ...tensors import Tensors, open_tensors
from ...training import Clock, Progress
from ..aligned import Aligned
from ..preparation import prepare_training
from .registered import Registered
from .shards import Stacks
from .training import Hooks, ShardFiles, train_shard

__all__ = ["PAYS", "ShardTask", "Workplace", "write_aligned"]

PAYS = 40_000_000  # events, each once for every network, from which processes repay their start


@dataclass(frozen=True)
class Workplace:
    """Where another process finds what a run or a scan trains on.

    All that is not said follows from ``origin.json`` and the tensor files, as for a resume.

    Attributes:
        folder: of the run or scan.
        files: the tensor files, wherever they lie now; the MC's first.
        device: to train on.
        tensorboard: whether to write event files.
        scan: whether it is a scan.
        registered: what the user registered.
    """

    folder: Path
    files: tuple[Path, ...]
    device: str
    tensorboard: bool
    scan: bool
    registered: Registered = field(compare=False)

    @classmethod
    def of(
        cls, origin: StartRecord, now: TrainConfig, folder: Path, files: Iterable[Tensors]
    ) -> Self:
        """Of a run or scan that goes on in this process.

        Args:
            origin: its beginning.
            now: settings, those included that a resume may change.
            folder: of it.
            files: the tensor files, the MC's first.
        """
        grid = origin.config.scan
        more = (grid.shifts, grid.alignments) if origin.scan else ()
        return cls(
            folder.absolute(),
            tuple(file.path.absolute() for file in files),
            now.device,
            now.tensorboard,
            origin.scan,
            Registered.needed(now, *more),
        )

    def open(self) -> tuple[StartRecord, Config, list[Tensors]]:
        """The beginning, the settings and the tensor files; computing has one thread from now on.

        Raises:
            RunError: a file was replaced since the beginning.
        """
        self.registered.register()
        torch.set_num_threads(1)
        origin = StartRecord.read(self.folder, scan=self.scan)
        files = [open_tensors(path) for path in self.files]
        origin.check_files(files)
        given = {"train.device": self.device, "train.tensorboard": self.tensorboard}
        return origin, origin.now(given), files


@dataclass(frozen=True)
class ShardTask:
    """Trains a shard of a run.

    Attributes:
        place: of the run.
        number: of the shard.
    """

    place: Workplace
    number: int

    def __call__(self, link: Link) -> dict[str, float]:
        """Train it; the result is the seconds of each stage."""
        stacks, fingerprint = _stacks_of(self.place)
        clock = Clock(stacks.settings.device)
        link.saves()

        def progress(what: str, now: Progress) -> None:
            del what  # it is a part of what the other process trains
            link.report(now)

        hooks = Hooks(link.report, progress, link.stop, clock)
        files = ShardFiles.of_run(self.place.folder, self.number)
        observer = stacks.peek(files.scores)
        train_shard(stacks.shards[self.number], stacks, files, fingerprint, hooks, observer)
        return clock.seconds


@lru_cache(maxsize=1)
def _stacks_of(place: Workplace) -> tuple[Stacks, str]:
    """What the shards of a run train on, made anew from its folder and the tensor files."""
    origin, config, files = place.open()
    domains, train = prepare_training(config.train, *_pair(files))
    stored = read_json(RunPaths(place.folder).alignments, PointMaps)
    maps = {name: from_dict(one) for name, one in stored["maps"].items()}
    cut, correction = origin.config.train.shares, stored["correction"]
    return Stacks(train, domains, maps, cut, correction), origin.fingerprint


def _pair(files: list[Tensors]) -> tuple[Tensors, Tensors | None]:
    return files[0], files[1] if len(files) > 1 else None


def write_aligned(folder: Path, aligned: Aligned, names: Iterable[str]) -> None:
    """Leave what was fitted for the workers of a run; what a process is sent must be small.

    Args:
        folder: of the run.
        aligned: the alignments of the run.
        names: of those whose images of the target are trained on.
    """
    stored = {
        "maps": {name: aligned.maps[name].to_dict() for name in names},
        "correction": aligned.correction,
    }
    path = RunPaths(folder).alignments
    path.parent.mkdir(parents=True, exist_ok=True)
    write_run_file(path, json.dumps(stored).encode())
