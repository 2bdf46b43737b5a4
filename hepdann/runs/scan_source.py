"""Source-only of a scan: trained once, kept epoch by epoch, scored on every target."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from ..errors import RunError
from ..inputs import check, read_tensors
from ..networks import AdversarialNetwork, NetworkShape
from ..outputs import write_run_file
from ..records import HistoryRowOf
from ..training import Scaling, StackTrainer
from ..training.trainer import HistoryRow

__all__ = ["Snapshots", "score"]

_ROWS = 32_768  # events scored at a time


@torch.no_grad()
def score(
    network: AdversarialNetwork,
    features: NDArray[np.float32],
    scaling: Scaling,
    domain: int | torch.Tensor,
) -> NDArray[np.float32]:
    """(K, N, C) class probabilities of events, as ``Model.score`` gives them.

    Args:
        network: with averaged weights and fixed statistics.
        features: (N, F) unscaled.
        scaling: of the features.
        domain: whose statistics apply, 0 source or 1 target; or (K,) of these.
    """
    first = next(network.parameters())
    out = []
    for start in range(0, len(features), _ROWS):
        scaled = np.ascontiguousarray(scaling.apply(features[start : start + _ROWS]).T)
        x = torch.from_numpy(scaled).to(first.device, first.dtype).unsqueeze(0)
        out.append(network.classify(x, domain).float().cpu().numpy())
    return np.concatenate(out, axis=1)


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
