"""Source-only of a scan: trained once, kept epoch by epoch, scored on every target."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import save

from ...config import TrainConfig
from ...domains import Domains
from ...errors import RunError
from ...inputs import check, read_tensors
from ...networks import AdversarialNetwork, NetworkShape
from ...outputs import write_run_file
from ...records import HistoryRowOf
from ...registry import SOURCE_ONLY
from ...training import Progress, StackTrainer
from ...training.schedules import HistoryRow
from ..stacks.plan import SourceIndices
from ..stacks.shard_training import Hooks, ShardFiles, train_shard
from ..stacks.shards import Stacks, shape_at
from .grid import plan_source


@dataclass(frozen=True)
class SourceOnly:
    """The source-only networks after each epoch.

    Attributes:
        history: rows of the history, epoch by epoch, members within.
    """

    networks: Sequence[AdversarialNetwork]
    history: Sequence[Mapping[str, object]]
    seeds: Sequence[int]


@dataclass(eq=False)
class Snapshots:
    """The averaged networks of source-only after each epoch, in a folder."""

    folder: Path
    fingerprint: str

    def _path(self, epoch: int) -> Path:
        return self.folder / f"source-only-{epoch:04d}.safetensors"

    def save(self, trainer: StackTrainer) -> None:
        """Keep the stack as it is after ``trainer.epoch`` epochs."""
        with trainer.averaged() as network:
            state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
            rows = [row for row in trainer.history if row["epoch"] == trainer.epoch]
            metadata = {"fingerprint": self.fingerprint, "history": json.dumps(rows)}
            write_run_file(self._path(trainer.epoch), save(state, metadata=metadata))

    def load(
        self, epoch: int, shape: NetworkShape, seeds: list[int]
    ) -> tuple[AdversarialNetwork, list[HistoryRow]]:
        """The networks after ``epoch`` epochs, and the rows of the history of that epoch.

        Raises:
            RunError: missing or damaged, or of another scan.
        """
        path = self._path(epoch)
        metadata, state = read_tensors(path, mend="scan anew")
        if metadata.get("fingerprint") != self.fingerprint:
            raise RunError("belongs to another scan", where=path, mend="scan anew")
        try:
            network = AdversarialNetwork(shape, seeds).to(next(iter(state.values())).dtype)
            network.load_state_dict(state)
            history = json.loads(metadata["history"])
        except (KeyError, StopIteration, ValueError, RuntimeError, TypeError) as error:
            raise RunError(f"is damaged: {error}", where=path, mend="scan anew") from error
        check(history, list[HistoryRowOf], path, mend="scan anew")
        if sorted(row["member"] for row in history) != list(range(len(seeds))):
            raise RunError("is damaged: other members", where=path, mend="scan anew")
        return network.eval(), history


def train_source_only(
    domains: Domains,
    train: TrainConfig,
    folder: Path,
    fingerprint: str,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> bool:
    """Train what is the same at every target of a scan."""
    alone = train.model_copy(update={"methods": [SOURCE_ONLY], "oracle": False})
    stacks = Stacks(alone, domains, {}, plan=plan_source)
    (shard,) = stacks.shards
    snapshots = Snapshots(folder, fingerprint)

    def keep(trained: StackTrainer) -> None:
        if not trained.position:  # an epoch is whole
            snapshots.save(trained)

    def progress(now: Progress) -> None:
        report(replace(now, step=len(shard.plan.members) * now.step))

    files = ShardFiles.of_scan(folder.parent, "source-only")
    hooks = Hooks.quiet(progress, stop)
    return train_shard(shard, stacks, files, fingerprint, hooks, keep=keep).whole


def load_source_only(
    domains: Domains, train: TrainConfig, folder: Path, fingerprint: str
) -> SourceOnly:
    """Source-only after each epoch, as :func:`train_source_only` left it.

    Raises:
        RunError: missing or damaged, or of another scan.
    """
    (plan,) = plan_source(train, SourceIndices(), domains.images is not None)
    snapshots, shape = Snapshots(folder, fingerprint), shape_at(train, domains, plan)
    seeds = [member.seed for member in plan.members]
    loaded = [snapshots.load(epoch, shape, seeds) for epoch in range(1, train.epochs + 1)]
    history = [row for _, rows in loaded for row in rows]
    return SourceOnly([network for network, _ in loaded], history, seeds)
