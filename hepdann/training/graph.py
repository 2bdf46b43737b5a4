"""The engine that captures a whole step in a CUDA graph and replays it.

A step of small networks is about a hundred kernels of microseconds, and launching them takes
longer than running them. A graph launches all of them at once. It repeats the very same kernels on
the very same memory: what differs from step to step lies in tensors that are filled before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from ..errors import ConfigError
from ..methods import Batch, Strength
from .engine import StepValues
from .stack import Stack
from .step import Pace, torch_step

__all__ = ["CudaGraphs", "GraphEngine", "Recorder", "check_capturable", "check_device"]

_WARM_UP = 3  # steps that run as they are before one is captured: libraries set themselves up
_MEND = "leave --engine out: torch then runs every step as it is"

Step = Callable[[], dict[str, Tensor]]
Replay = Callable[[], None]


class Recorder(Protocol):
    """Runs steps, and records one to be repeated."""

    def run(self, step: Step) -> dict[str, Tensor]:
        """Run a step as it is."""
        ...

    def record(self, step: Step) -> tuple[dict[str, Tensor], Replay]:
        """Record a step; whether it also runs meanwhile is not said.

        Returns:
            The tensors that it gives, and what runs it again: it fills the same tensors.
        """
        ...


class CudaGraphs:
    """Captures steps as CUDA graphs.

    All of it happens on a stream of its own, as ``torch.cuda.graph`` asks for: what autograd and
    cuBLAS keep of the first steps then belongs to the stream that is captured.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, step: Step) -> dict[str, Tensor]:
        """Run a step as it is, after all that was asked of the device before, and before the rest.

        Args:
            step: what it does.
        """
        with torch.cuda.device(self._device):
            outer = torch.cuda.current_stream()
            self._stream.wait_stream(outer)
            with torch.cuda.stream(self._stream):
                seen = step()
            outer.wait_stream(self._stream)
        return seen

    def record(self, step: Step) -> tuple[dict[str, Tensor], Replay]:
        """Capture a step; it does not run.

        Other threads may use the device meanwhile: the one that reads the next events does.

        Args:
            step: what it does.

        Raises:
            ConfigError: it does what no graph can hold, such as waiting for the device.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                seen = step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            what = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"a step of this training cannot be captured in a CUDA graph: {what}",
                where="train.engine",
                mend=_MEND,
            ) from error
        return seen, graph.replay


def check_capturable(stack: Stack) -> None:
    """Refuse a stack whose steps cannot be captured, before it is tried.

    Args:
        stack: that is trained.

    Raises:
        ConfigError: it is no stack of multilayer perceptrons of one process on a CUDA device.
    """
    reason = ""
    if stack.settings.processes.count > 1:
        reason = "captures the steps of one process, and several share this training"
    if stack.network.shape.network:
        reason = f"captures multilayer perceptrons, and {stack.network.shape.network} is none"
    if reason:
        raise ConfigError(f"the graph engine {reason}", where="train.engine", mend=_MEND)
    check_device(next(stack.network.parameters()).device.type)


def check_device(device: str) -> None:
    """Refuse a device that has no CUDA graphs.

    Args:
        device: that a training runs on.

    Raises:
        ConfigError: it is none of CUDA.
    """
    if device != "cuda":
        raise ConfigError(
            f"the graph engine needs a CUDA device, and this training runs on {device}",
            where="train.engine",
            mend=_MEND,
        )


class GraphEngine:
    """Replays steps of :func:`torch_step` that were captured once.

    The first steps of a training run as they are, and train. Then one is captured for each kind of
    step: batches of another size, other constants, or members whose learning rates part are other
    kinds, and one that comes up less often than the warm-up takes just runs.

    Args:
        stack: that is trained; :func:`check_capturable` has nothing against it. Its tensors must
            stay where they are as long as the engine is used.
        recorder: of steps; by default CUDA graphs.
    """

    def __init__(self, stack: Stack, recorder: Recorder | None = None) -> None:
        self.stack = stack
        device = next(stack.network.parameters()).device
        self._recorder = CudaGraphs(device) if recorder is None else recorder
        self._kinds: dict[object, _Kind] = {}

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step; the next one fills the same figures anew.

        Raises:
            ConfigError: the step cannot be captured.
        """
        stack = self.stack
        stack.set_step(at.step)
        rate, share = stack.optimisers[0].pace(at.rates)
        key = batch.x.shape, batch.weight.shape, at.clip, at.domain_weight, share is None
        if key not in self._kinds:
            self._kinds[key] = _Kind(stack, batch, at, share)
        kind = self._kinds[key]
        kind.fill(batch, at, rate, share)
        return kind.run(self._recorder)

    def flush(self) -> None:
        """The stack holds everything already."""


class _Kind:
    """Steps that do the same operations, and the memory that they take their input from."""

    def __init__(self, stack: Stack, batch: Batch, at: StepValues, share: Tensor | None) -> None:
        self._stack = stack
        self._batch = Batch(*map(torch.clone, _tensors(batch)))
        # float32 whatever the stack is: so CUDA's optimisers read it
        self._rate = batch.x.new_zeros((), dtype=torch.float32)
        self._fresh = batch.x.new_zeros(())
        self._pace = Pace(
            Strength(at.reversal.clone(), at.domain_weight),
            self._rate,
            None if share is None else share.clone(),
            at.clip,
            self._fresh,
        )
        self._ran, self._seen = 0, dict[str, Tensor]()
        self._replay: Replay | None = None

    def fill(self, batch: Batch, at: StepValues, rate: float, share: Tensor | None) -> None:
        """Put the input of a step where its operations find it, without waiting for the device."""
        for mine, theirs in zip(_tensors(self._batch), _tensors(batch), strict=True):
            mine.copy_(theirs)
        self._pace.strength.reversal.copy_(at.reversal)
        self._rate.fill_(rate)
        self._fresh.fill_(1 - at.average_decay)
        if self._pace.share is not None and share is not None:
            self._pace.share.copy_(share)

    def run(self, recorder: Recorder) -> dict[str, Tensor]:
        """Run the step, or replay it once it is recorded."""
        if self._ran < _WARM_UP:
            self._ran += 1
            return recorder.run(self._step)
        if self._replay is None:
            self._seen, self._replay = recorder.record(self._step)
        self._replay()
        return self._seen

    def _step(self) -> dict[str, Tensor]:
        return torch_step(self._stack, self._batch, self._pace, _unseen)


def _tensors(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return batch.x, batch.label, batch.weight, batch.mass


def _unseen(stage: str) -> None:
    """Stages of a step that is one launch have no times of their own."""
    del stage
