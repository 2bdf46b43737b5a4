"""Checkpoints: everything that a bit-identical resume needs, whole or not at all, no pickle.

Batches follow from (seed, epoch) and schedules from the step, so the state of a stack is its
parameters, their average, the optimisers' moments, the step and the sums of the epoch's figures.
The weights of each member's best epoch stand beside the last ones, in the same file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save
from torch import Tensor

from ..errors import RunError
from ..inputs import read_tensors
from ..outputs import write_run_file
from ..records import HistoryRowOf
from .trainer import StackTrainer

_FORMAT = "hepdann-checkpoint"


def save_checkpoint(trainer: StackTrainer, path: str | Path, fingerprint: str) -> None:
    """Write the state of a stack after a step.

    Args:
        trainer: the stack.
        path: of the file; its folder is made.
        fingerprint: of everything that the training depends on; a resume must show the same.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in trainer.parts.items():
        tensors[f"value.{name}"] = part.value.detach()
        tensors[f"average.{name}"] = part.average
        tensors[f"best.{name}"] = trainer.best.average[name]
    tensors["sums"] = trainer.sums
    for phase, optimiser in enumerate(trainer.stack.optimisers):
        for key, value in optimiser.state().items():
            tensors[f"optimiser.{phase}.{key}"] = value
    if trainer.stack.loss_scale is not None:
        for key, value in trainer.stack.loss_scale.state().items():
            tensors[f"loss_scale.{key}"] = value
    metadata = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "epoch": str(trainer.epoch),
        "position": str(trainer.position),
        "best": json.dumps({"loss": trainer.best.loss, "epoch": trainer.best.epoch}),
        "history": json.dumps(trainer.history),
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    contiguous = {key: value.contiguous().cpu() for key, value in tensors.items()}
    write_run_file(path, save(contiguous, metadata=metadata))


def load_checkpoint(trainer: StackTrainer, path: str | Path, fingerprint: str) -> bool:
    """Put a stack into the state of a checkpoint.

    Raises:
        RunError: it is damaged, or belongs to other tensors or settings.
    """
    if not Path(path).exists():
        return False
    metadata, tensors = read_tensors(Path(path))
    if metadata.get("format") != _FORMAT or metadata.get("fingerprint") != fingerprint:
        raise RunError(
            "the checkpoint belongs to other tensors or settings",
            where=path,
            mend="resume with those of the run, or start a new run",
        )
    try:
        _restore(trainer, metadata, tensors)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise RunError(
            f"the checkpoint does not fit this version: {error}", where=path, mend="train anew"
        ) from error
    return True


def _restore(trainer: StackTrainer, metadata: dict[str, str], tensors: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, part in trainer.parts.items():
            _fill(part.value, tensors[f"value.{name}"])
            _fill(part.average, tensors[f"average.{name}"])
            _fill(trainer.best.average[name], tensors[f"best.{name}"])
        sums = tensors["sums"]
        older = len(sums) == len(trainer.sums) - 1  # without the loss of nuisances
        _fill(trainer.sums.zero_()[:-1] if older else trainer.sums, sums)
    for phase, optimiser in enumerate(trainer.stack.optimisers):
        optimiser.load_state(_below(f"optimiser.{phase}.", tensors))
    if trainer.stack.loss_scale is not None:
        trainer.stack.loss_scale.load_state(_below("loss_scale.", tensors))
    stands = {name: json.loads(metadata[name]) for name in ("epoch", "position", "best", "history")}
    now = _Stands.model_validate(stands)
    members, settings = len(trainer.members), trainer.settings
    rows = [(row.epoch, row.member) for row in now.history]
    if (
        now.epoch > settings.epochs
        or now.position > settings.steps
        or {len(now.best.loss), len(now.best.epoch)} != {members}
        or not all(-1 <= epoch < max(now.epoch, 1) for epoch in now.best.epoch)
        or not all(0 < epoch <= now.epoch and member < members for epoch, member in rows)
        or len(set(rows)) < len(rows)
    ):
        raise ValueError("epochs, steps or members that this training has not")
    trainer.epoch, trainer.position = now.epoch, now.position
    trainer.best.loss, trainer.best.epoch = now.best.loss, now.best.epoch
    trainer.history = stands["history"]
    trainer.look_back()


class _BestStands(BaseModel):
    model_config = ConfigDict(strict=True)

    loss: list[float]
    epoch: list[int]


class _Stands(BaseModel):
    """Where a training stands, as its checkpoint says it."""

    model_config = ConfigDict(strict=True)

    epoch: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)]
    best: _BestStands
    history: list[HistoryRowOf]


def _fill(state: Tensor, stored: Tensor) -> None:
    if state.shape != stored.shape:  # which copying would broadcast
        raise ValueError(f"size {tuple(stored.shape)}, not {tuple(state.shape)}")
    state.copy_(stored)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
