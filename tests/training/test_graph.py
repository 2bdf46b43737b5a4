"""The graph engine: its steps on a recorder for the CPU, and what it refuses.

No CUDA device takes part. A graph repeats the same kernels on the same memory with the same numbers
as arguments, and so does the recorder below, operation by operation: what a step took from anywhere
but its tensors would stay as it was when the step was recorded.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hepdann import methods
from hepdann.errors import ConfigError
from hepdann.networks import NetworkShape, register
from hepdann.training import Member, StackTrainer
from hepdann.training.batches import epoch_batches
from hepdann.training.distributed import Processes
from hepdann.training.engine import TorchEngine, choose_engine
from hepdann.training.graph import CudaGraphs, GraphEngine
from hepdann.training.stack import Stack

HOST = ("_local_scalar_dense", "lift_fresh", "nonzero", "is_nonzero", "masked_select", "equal")


class Recording(TorchDispatchMode):
    """Notes the operations within, with their arguments and results."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in HOST:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self):
        """Do all of it again, into the same memory."""
        for func, args, kwargs, out in self.calls:
            alias = [value.alias_info for value in func._schema.returns]
            if any(info is not None and not info.is_write for info in alias):
                continue  # a view stays one
            again = func(*args, **kwargs)
            for mine, found in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(mine, torch.Tensor) and mine is not found:
                    mine.copy_(found)


class Recorder:
    """Records steps as a CUDA graph does: the step that is recorded changes nothing.

    Args:
        stack: whose state is put back after a recording, which runs here.
    """

    def __init__(self, stack):
        self.stack, self.ran, self.recorded = stack, 0, 0

    def run(self, step):
        self.ran += 1
        return step()

    def record(self, step):
        self.recorded += 1
        state = [*self._state()]
        kept = [tensor.clone() for tensor in state]
        recording = Recording()
        with recording:
            seen = step()
        with torch.no_grad():
            for tensor, before in zip(state, kept, strict=True):
                tensor.copy_(before)
        return seen, recording.replay

    def _state(self):
        for part in self.stack.parts.values():
            yield from (part.value.data, part.gradient, part.average)
        for optimiser in self.stack.optimisers:
            yield from optimiser.state().values()


SHAPE = NetworkShape(4, 2, (8,), (5,), (6,), dropout=0.2)
STEPS = 50


def stack_of(name, trainer, shape, options):
    phases = methods.get(name).phases
    return Stack(shape, [m.seed for m in trainer.members], phases, options)


def trained(engine, trainer, options, sizes=(64,) * STEPS):
    """Steps of an engine on the batches of a trainer, and the figures that each step showed."""
    shown = []
    engine.stack.network.train()
    for at, size in enumerate(sizes):
        _, batch, _ = next(
            epoch_batches(trainer.slots, trainer.stack.seeds, epoch=at, size=size, steps=1)
        )
        values = trainer._values(at)
        seen = engine.step(batch, values)
        shown.append(torch.stack(list(seen.values())).clone())
    engine.flush()
    return shown


def same(one, other):
    for name, part in one.parts.items():
        assert torch.equal(part.value, other.parts[name].value)
        assert torch.equal(part.average, other.parts[name].average)
    for mine, theirs in zip(one.optimisers, other.optimisers, strict=True):
        state = theirs.state()
        assert all(torch.equal(value, state[key]) for key, value in mine.state().items())


@pytest.mark.parametrize(
    ("name", "change", "rates"),
    [
        ("dann", {}, (None, None)),
        ("dann", {"dtype": torch.float32}, (2.0**-8, 2.0**-10)),
        ("dann", {"optimiser": "sgd", "weight_decay": 0.01, "head_rate": 4.0}, (None,)),
        ("dann", {"optimiser": "adamw", "weight_decay": 0.5}, (None, 2.0**-12)),
        ("dann-alternating", {}, (None, None)),
        ("dann-joint", {"ema": 0.0}, (None,)),
        ("cdan-entropy", {}, (None, None)),
        ("mmd", {"dtype": torch.float32}, (None,)),
        ("coral", {}, (None,)),
    ],
)
def test_a_recorded_step_repeats_those_of_torch_to_the_bit(domains, settings, name, change, rates):
    """Only what is in tensors changes from replay to replay: rates, λ, averages, masks, events."""
    options = settings(learning_rate=2.0**-9, schedule="constant", steps=10, **change)
    _, _, _, sources, targets = domains(dtype=options.dtype)
    method = methods.get(name)
    shape = replace(SHAPE, conditioned=method.conditioned, normalisation=method.normalisation)
    members = [Member(method, 0.5 + k, 3 + k, learning_rate=rate) for k, rate in enumerate(rates)]
    trainer = StackTrainer(members, shape, sources, targets, options)
    plain, captured = (stack_of(name, trainer, shape, options) for _ in range(2))
    recorder = Recorder(captured)
    expected = trained(TorchEngine(plain), trainer, options)
    found = trained(GraphEngine(captured, recorder), trainer, options)
    assert (recorder.ran, recorder.recorded) == (3, 1)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    same(plain, captured)


def test_rates_of_a_schedule_are_rounded_to_single_precision(domains, settings):
    _, _, _, sources, targets = domains()
    options = settings()
    members = [Member(methods.get("dann"), 1.0, k) for k in range(2)]
    trainer = StackTrainer(members, SHAPE, sources, targets, options)
    plain, captured = (stack_of("dann", trainer, SHAPE, options) for _ in range(2))
    trained(TorchEngine(plain), trainer, options)
    trained(GraphEngine(captured, Recorder(captured)), trainer, options)
    for name, part in plain.parts.items():
        assert torch.allclose(part.value, captured.parts[name].value, rtol=0, atol=1e-6)
        assert not torch.equal(part.value, captured.parts[name].value)


def test_a_batch_of_another_size_just_runs(domains, settings):
    options = settings(learning_rate=2.0**-9, schedule="constant")
    _, _, _, sources, targets = domains()
    members = [Member(methods.get("dann"), 1.0, 1)]
    trainer = StackTrainer(members, SHAPE, sources, targets, options)
    sizes = [64] * 6 + [40] + [64] * 3 + [40] + [64] * 3
    plain, captured = (stack_of("dann", trainer, SHAPE, options) for _ in range(2))
    recorder = Recorder(captured)
    trained(TorchEngine(plain), trainer, options, sizes)
    trained(GraphEngine(captured, recorder), trainer, options, sizes)
    assert (recorder.ran, recorder.recorded) == (5, 1)
    same(plain, captured)


def test_rates_that_part_are_another_kind_of_step(domains, settings):
    """With plateau members' rates part on the way; what was recorded for equal ones stays."""
    options = settings(learning_rate=2.0**-9, schedule="constant")
    _, _, _, sources, targets = domains()
    members = [Member(methods.get("dann"), 1.0, k) for k in range(2)]
    trainer = StackTrainer(members, SHAPE, sources, targets, options)
    plain, captured = (stack_of("dann", trainer, SHAPE, options) for _ in range(2))
    recorder = Recorder(captured)
    for engine in (TorchEngine(plain), GraphEngine(captured, recorder)):
        for rates in ([2.0**-9] * 2, [2.0**-9, 2.0**-10], [2.0**-11] * 2):
            trainer._rates = rates
            trained(engine, trainer, options, [64] * 5)
    assert recorder.recorded == 2
    same(plain, captured)


def test_a_step_that_looks_at_its_numbers_cannot_be_recorded(domains, settings):
    def look(network, batch, strength):
        objective = methods.get("dann").phases[0].objective(network, batch, strength)
        float(objective.value.detach().sum())
        return objective

    options = settings()
    _, _, _, sources, targets = domains()
    curious = replace(methods.get("dann").phases[0], objective=look)
    method = replace(methods.get("dann"), name="curious", phases=(curious,))
    trainer = StackTrainer([Member(method, 1.0, 1)], SHAPE, sources, targets, options)
    engine = GraphEngine(trainer.stack, Recorder(trainer.stack))
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        trained(engine, trainer, options, [64] * 4)


def test_it_is_refused_without_a_cuda_device_before_the_first_step(domains, settings):
    _, _, _, sources, targets = domains()
    members, options = [Member(methods.get("dann"), 1.0, 1)], settings(engine="graph")
    trainer = StackTrainer(members, SHAPE, sources, targets, options)
    with pytest.raises(ConfigError, match="needs a CUDA device, and this training runs on cpu"):
        trainer.run()
    assert not trainer.position


@pytest.mark.parametrize(
    ("change", "network", "reason"),
    [
        ({"processes": Processes(0, 2)}, "", "captures the steps of one process"),
        ({}, "own-of-graph", "captures multilayer perceptrons, and own-of-graph is none"),
    ],
)
def test_what_it_cannot_capture_is_named(settings, change, network, reason):
    register("own-of-graph", lambda shape: torch.nn.Linear(shape.inputs, 3))
    options = settings(engine="graph", **change)
    stack = Stack(replace(SHAPE, network=network), [1], methods.get("dann").phases, options)
    with pytest.raises(ConfigError, match=reason):
        choose_engine(stack, options)


class Journal:
    """Stands in for ``torch.cuda``, which needs a device: notes what it is asked for, in order."""

    def __init__(self, monkeypatch):
        self.said = []
        for name in ("device", "stream", "graph"):
            monkeypatch.setattr(torch.cuda, name, self.context(name))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self.lane("outer"))
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self.lane("side"))
        graph = type("Graph", (), {"replay": lambda _: self.said.append("replay")})
        monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)

    def context(self, name):
        @contextmanager
        def block(*_, **options):
            self.said.append((name, options.get("capture_error_mode", "")))
            yield
            self.said.append(f"{name} ends")

        return block

    def lane(self, name):
        wait = lambda _, other: self.said.append(f"{name} waits for {other.name}")  # noqa: E731
        return type("Lane", (), {"name": name, "wait_stream": wait})()


def test_steps_run_and_are_captured_on_one_stream_apart(monkeypatch):
    journal = Journal(monkeypatch)
    graphs = CudaGraphs(torch.device("cuda"))

    def step():
        journal.said.append("step")
        return {}

    graphs.run(step)
    assert journal.said == [
        ("device", ""), "side waits for outer", ("stream", ""), "step", "stream ends",
        "outer waits for side", "device ends",
    ]  # fmt: skip
    journal.said.clear()
    _, replay = graphs.record(step)
    replay()
    assert journal.said == [
        ("device", ""), ("graph", "thread_local"), "step", "graph ends", "device ends", "replay",
    ]  # fmt: skip


def test_what_cuda_says_of_a_step_is_passed_on_in_one_line(monkeypatch):
    Journal(monkeypatch)

    def step():
        raise RuntimeError("operation not permitted when stream is capturing\nCompile with …")

    with pytest.raises(ConfigError) as caught:
        CudaGraphs(torch.device("cuda")).record(step)
    assert str(caught.value) == (
        "train.engine: a step of this training cannot be captured in a CUDA graph: operation not "
        "permitted when stream is capturing; leave --engine out: torch then runs every step as it "
        "is"
    )
