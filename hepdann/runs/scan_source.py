"""Source-only of a scan: trained once, kept epoch by epoch, scored on every target."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from ..errors import RunError
from ..inputs import check, read_tensors
from ..networks import AdversarialNetwork, NetworkShape
from ..outputs import write_run_file
from ..records import HistoryRowOf
from ..training import StackTrainer
from ..training.trainer import HistoryRow

__all__ = ["Snapshots"]


@dataclass(eq=False)
class Snapshots:
    """The averaged networks of source-only after each epoch, in a folder.

    Attributes:
        folder: of the files, one an epoch.
        fingerprint: of everything that the training depends on.
    """

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
