"""A run by several processes of torchrun: the first writes it, all of them train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted
from ..store.paths import RunPaths
from ..training import distributed, load_checkpoint
from .folder import Run, open_run
from .preparation import prepare_training
from .stacks.shards import Stacks

if TYPE_CHECKING:
    from .job import Job


def first_process() -> bool:
    """Whether this process writes the run and reports; always true without torchrun."""
    return not distributed.wanted() or distributed.join().first


def run_job(job: Job) -> Run:
    """Run a job; under torchrun the first process makes the run and all of them train.

    Raises:
        HepdannError: as the job does.
    """
    if not first_process():
        return _train_with_first(job)
    try:
        run = job.run()
    except Interrupted:
        broadcast(whole=False)
        raise
    broadcast(whole=True)
    return run


def broadcast(**message: Any) -> None:
    """Send a message to the other processes of torchrun, if there are any."""
    if distributed.wanted():
        distributed.broadcast(message)


def _train_with_first(job: Job) -> Run:
    """Train with the first process, write nothing, and open the run at the end."""
    domains, train = prepare_training(job.config.train, job.tensors, job.data, job.shift)
    message = distributed.broadcast()
    if "folder" not in message:
        raise Interrupted("interrupted before the first step")
    folder = Path(message["folder"])
    stacks = Stacks(train, domains, {})
    for shard in stacks.shards:  # also behind an interrupt: all processes ask at every step
        trainer = stacks.trainer(shard)
        load_checkpoint(trainer, RunPaths(folder).checkpoint(shard.number), message["fingerprint"])
        trainer.run(stop=job.stop)
    if not distributed.broadcast()["whole"]:
        raise Interrupted("interrupted", where=folder)
    return open_run(folder)
