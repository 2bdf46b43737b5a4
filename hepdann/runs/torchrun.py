"""A run by several processes of torchrun: the first makes it, the others train along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted
from ..training import distributed, load_checkpoint
from .folder import Run, open_run
from .preparation import prepare_training
from .stacks import Shard, Stacks

if TYPE_CHECKING:
    from .job import Job

__all__ = ["call", "first_process", "run_job"]


def first_process() -> bool:
    """Whether this process makes the run, and speaks; always without torchrun."""
    return not distributed.wanted() or distributed.join().first


def run_job(job: Job) -> Run:
    """Run a job; under torchrun the first process makes the run and all of them train.

    Raises:
        HepdannError: as the job does.
    """
    if not first_process():
        return _follow(job)
    try:
        run = job.run()
    except Interrupted:
        call(whole=False)
        raise
    call(whole=True)
    return run


def call(**message: Any) -> None:
    """Tell the other processes, if there are any, what happens next."""
    if distributed.wanted():
        distributed.tell_all(message)


def _follow(job: Job) -> Run:
    """Train along, write nothing, and open the run when it is there."""
    domains, tensors, train = prepare_training(job.config.train, job.tensors, job.data, job.shift)
    message = distributed.tell_all()
    if "folder" not in message:
        raise Interrupted("interrupted before the first step")
    folder = Path(message["folder"])
    stacks = Stacks(train, domains, {}, len(tensors.classes))
    for shard in stacks.shards:  # also behind an interrupt: all processes ask at every step
        _along(shard, stacks, folder, message["fingerprint"], job)
    if not distributed.tell_all()["whole"]:
        raise Interrupted("interrupted", where=folder)
    return open_run(folder)


def _along(shard: Shard, stacks: Stacks, folder: Path, fingerprint: str, job: Job) -> None:
    trainer = stacks.trainer(shard)
    checkpoint = folder / "checkpoint" / f"stack-{shard.number}.safetensors"
    load_checkpoint(trainer, checkpoint, fingerprint)
    trainer.run(stop=job.stop)
