"""Train a generator against its critic: one loop for showers (WGAN-GP) and pictures (DCGAN).

Arjovsky, Chintala & Bottou, arXiv:1701.07875; Gulrajani et al., arXiv:1704.00028. What is drawn at
random follows from seed and step, so that a resumed training ends in the same bits.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..errors import ConfigError, Interrupted, RunError, SchemaError
from ..inputs import check, read_tensors
from ..outputs import write_run_file
from ..records import Finite, Stored
from ..store.model_file import GeneratorRecord, GeneratorSettings, read_record, unfinished
from ..store.paths import GeneratorPaths, locked, new_folder
from ..store.reading import write_json
from ..tensors import SPLITS, Tensors, open_tensors
from ..training.settings import threads
from .model import Generator, condition_of, generator_settings, networks_of

_CALIBRATED = 50_000  # training events that the response is calibrated with
_EVERY = 250  # steps between checkpoints and rows of the history
Floats = NDArray[np.float32]


class _Stands(Stored):
    step: Annotated[int, Field(ge=0)]
    history: list[dict[str, Finite]]


class Training:
    """The networks of a training on the events of the training split, and how far they are."""

    def __init__(
        self, events: Examples, classes: int, pictures: bool, settings: GeneratorSettings
    ) -> None:
        self.settings, self.step, self.history = settings, 0, list[dict[str, float]]()
        # memory of torch's own is always aligned alike, on which the last bit of a sum depends
        self.events = torch.from_numpy(events.images).clone()
        self.asked = condition_of(events.columns, events.label, classes).clone()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(settings.seed)
            shape = events.images.shape[1:]
            self.generator, self.critic = networks_of(shape, pictures, classes, settings)
        for network in (self.generator, self.critic):
            network.fit(self.events, self.asked)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self._learned = {name for name, _ in self.generator.named_parameters()}
        second = 0.9 if settings.objective == "wgan-gp" else 0.999
        self.optimisers = [
            torch.optim.Adam(network.parameters(), betas=(settings.momentum, second))
            for network in (self.generator, self.critic)
        ]

    def run(self, progress: Callable[[int, int], None], stop: Callable[[], bool],
            keep: Callable[[], None]) -> None:  # fmt: skip
        """Train to the last step.

        Steps done and in all are reported; it asks before each whether to stop, and writes
        checkpoints.

        Raises:
            Interrupted: it was stopped; a checkpoint is written.
            RunError: the losses are not finite any more.
        """
        while self.step < self.settings.steps:
            if stop():
                keep()
                raise Interrupted(f"stopped after step {self.step} of {self.settings.steps}")
            figures = self.train_step()
            if self.step % _EVERY == 0 or self.step == self.settings.steps:
                row = {"step": float(self.step)} | {k: v.item() for k, v in figures.items()}
                if not all(map(math.isfinite, row.values())):
                    raise RunError(
                        f"the losses are not finite at step {self.step}",
                        mend="train with a lower --learning-rate",
                    )
                self.history.append(row)
                keep()
            progress(self.step, self.settings.steps)

    def train_step(self) -> dict[str, Tensor]:
        """Some steps of the critic, one of the generator; its figures."""
        settings = self.settings
        draws = torch.Generator().manual_seed(settings.seed * 1_000_003 + self.step)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * (0.05 + 0.95 * cosine)
        of_generator, of_critic = self.optimisers
        for _ in range(settings.critic_steps):
            loss, figures = self._critic_loss(draws)
            of_critic.zero_grad()
            torch.autograd.backward(loss)
            of_critic.step()
        _, asked, drawn = self._batch(draws)
        score = self.critic(self.critic.look(drawn, asked))
        loss = -score.mean() if settings.objective == "wgan-gp" else softplus(-score).mean()
        of_generator.zero_grad()
        torch.autograd.backward(loss)
        of_generator.step()
        self.step += 1
        decay = min(settings.average, self.step / (self.step + 10))
        with torch.no_grad():
            means = self.average.state_dict()
            for name, value in self.generator.state_dict().items():
                mean, step = means[name], 1 - decay if name in self._learned else 1.0
                mean.copy_(torch.lerp(mean, value, step) if step < 1 else value)
        return figures | {"generator_loss": loss.detach()}

    def calibrate(self) -> None:
        """Bring the response of what draws to that of the training events; the last step."""
        rows = slice(0, _CALIBRATED)
        draws = torch.Generator().manual_seed(self.settings.seed)
        asked = self.asked[rows]
        noise = torch.randn(len(asked), self.generator.noise, generator=draws)
        self.average.eval().calibrate(self.events[rows], asked, noise)

    def _batch(self, draws: torch.Generator, *, fixed: bool = False) -> tuple[Tensor, ...]:
        """Events, their conditions, and events that are drawn for these."""
        size = self.settings.batch_size
        rows = torch.randint(len(self.events), (size,), generator=draws)
        asked = self.asked[rows]
        noise = torch.randn(size, self.generator.noise, generator=draws)
        with torch.no_grad() if fixed else nullcontext():
            return self.events[rows], asked, self.generator(noise, asked)

    def _critic_loss(self, draws: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        events, asked, drawn = self._batch(draws, fixed=True)
        inputs = [self.critic.look(side, asked) for side in (events, drawn)]
        real, false = self.critic(torch.cat(inputs)).chunk(2)
        if self.settings.objective == "gan":
            loss = softplus(-real).mean() + softplus(false).mean()
            return loss, {"critic_loss": loss.detach()}
        share = torch.rand(len(events), *[1] * (inputs[0].dim() - 1), generator=draws)
        between = (share * inputs[0] + (1 - share) * inputs[1]).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        distance = real.mean() - false.mean()
        figures = {"distance": distance.detach(), "penalty": penalty.detach()}
        return self.settings.penalty * penalty - distance, figures

    def _parts(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "critic": self.critic, "average": self.average}

    def save(self, path: Path, fingerprint: str) -> None:
        """Write all that a resume needs."""
        tensors = {
            f"{part}.{name}": value.contiguous()
            for part, network in self._parts().items()
            for name, value in network.state_dict().items()
        }
        for number, optimiser in enumerate(self.optimisers):
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{number}.{index}.{key}": value for key, value in state.items()}
        path.parent.mkdir(exist_ok=True)
        stands = json.dumps({"step": self.step, "history": self.history})
        write_run_file(path, save(tensors, {"fingerprint": fingerprint, "stands": stands}))

    def load(self, path: Path, fingerprint: str) -> None:
        """Go on where :meth:`save` was called; where there is no such file, from the start.

        Raises:
            RunError: it is damaged, or of another training.
        """
        if not path.exists():
            return
        texts, tensors = read_tensors(path)
        if texts.get("fingerprint") != fingerprint:
            raise RunError(
                "the checkpoint belongs to other tensors or settings",
                where=path,
                mend="start a new run",
            )
        try:
            stands = check(json.loads(texts.get("stands", "")), _Stands, path)
            for part, network in self._parts().items():
                network.load_state_dict(_below(f"{part}.", tensors))
            for number, optimiser in enumerate(self.optimisers):
                state: dict[int, dict[str, Tensor]] = {}
                for name, value in _below(f"adam.{number}.", tensors).items():
                    index, _, key = name.partition(".")
                    state.setdefault(int(index), {})[key] = value
                whole = optimiser.state_dict()
                optimiser.load_state_dict(whole | {"state": state})
        except (KeyError, ValueError, RuntimeError) as error:
            what = str(error).splitlines()[0]
            raise RunError(f"is damaged: {what}", where=path, mend="train anew") from error
        self.step, self.history = stands.step, stands.history


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def open_generator(folder: str | Path) -> Generator:
    """The generator of a folder.

    Raises:
        RunError: there is none, its training has not finished, or it is damaged.
    """
    read_record(folder)
    path = GeneratorPaths(Path(folder)).model
    if not path.exists():
        raise unfinished(folder)
    return Generator.read(path)


def train_generator(
    tensors: Tensors | str | Path | None,
    output: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Generator:
    """Train a generator on the training split of a tensor file, and write its folder.

    Args:
        tensors: the file; of a resume that of the record.
        output: folder, which must not exist.
        settings: of :class:`GeneratorSettings`, by name.
        resume: go on with the training of the folder.
        progress: called with the steps done and the steps in all.
        stop: asked before each step; when true, a checkpoint is written.

    Returns:
        The generator.

    Raises:
        HepdannError: the input does not allow it, or the folder exists.
        Interrupted: it was stopped.
    """
    paths = GeneratorPaths(Path(output))
    if resume:
        record = read_record(output)
        if settings:
            raise ConfigError(
                "a resume takes the settings of its folder", where=output, mend="give no others"
            )
        if paths.model.exists():  # it was killed after this
            shutil.rmtree(paths.checkpoints, ignore_errors=True)
            return open_generator(output)
        file = open_tensors(tensors or record.tensors)
    else:
        if tensors is None:
            raise ConfigError("no tensor file is given", where="generate")
        file = open_tensors(tensors)
        chosen = generator_settings(
            settings or {}, pictures=bool(file.views) and file.views[0].pictures
        )
        content: dict[str, Any] = {
            "format_version": 1, "tensors": str(file.path), "content": file.content_id(),
            "settings": chosen.model_dump(mode="json"),
        }  # fmt: skip
        record = check(content, GeneratorRecord, paths.record)
    events = read_examples(file, record.settings.conditions).part("train")
    if len(events) < record.settings.batch_size:
        raise ConfigError(
            f"{len(events)} training events are less than a batch",
            where=file.path,
            mend="convert more events",
        )
    text = json.dumps([record.settings.model_dump(mode="json"), file.content_id()])
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    view = file.views[0]
    training = Training(events, len(file.classes), view.pictures, record.settings)
    if not resume:
        new_folder(paths.folder)
    # of perceptrons two threads wait for each other, very long where the machine is busy
    count = torch.get_num_threads() if view.pictures else 1
    with locked(paths.folder), threads(count):
        if not resume:
            write_json(paths.record, GeneratorRecord, record.model_dump(mode="json"))
        training.load(paths.state, fingerprint)
        training.run(progress, stop, lambda: training.save(paths.state, fingerprint))
        rows = [[f"{value:.6g}" for value in row.values()] for row in training.history]
        text = "".join(",".join(row) + "\n" for row in [list(training.history[0]), *rows])
        write_run_file(paths.history, text.encode())
        training.calibrate()
        generator = Generator.of(view.name, view.shape, view.pictures, file.classes,
                                 record.settings, training.average, events.columns,
                                 events.label)  # fmt: skip
        generator.write(paths.model)
        shutil.rmtree(paths.checkpoints)
    return generator


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with conditions.

    Attributes:
        images: (N, C, H, W), energies of cells, or pictures in [0, 1].
        columns: (N, K) of what is asked for.
        label: (N,) class index.
        split: (N,) 0 train, 1 validation, 2 test.
    """

    images: Floats
    columns: Floats
    label: NDArray[np.int32]
    split: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.label)

    def part(self, *names: str) -> Self:
        """The events of some splits."""
        rows = np.isin(self.split, [SPLITS.index(name) for name in names])
        return type(self)(self.images[rows], self.columns[rows], self.label[rows], self.split[rows])


def read_examples(tensors: Tensors | str | Path, conditions: Sequence[str]) -> Examples:
    """The MC of a tensor file with images of one view.

    Args:
        tensors: the file.
        conditions: features or spectators that are asked for.

    Raises:
        SchemaError: no MC, not one view, or no such column.
        ConfigError: a condition that is missing in an event, or of showers an energy that is not
            positive.
    """
    file = open_tensors(tensors)
    if len(file.views) != 1 or "mc" not in file.domains:
        raise SchemaError(
            f"has images of {len(file.views)} views, and a generator learns of one",
            where=file.path,
            mend="convert showers or pictures",
        )
    view = file.views[0]
    if not view.pictures and not conditions:
        raise ConfigError(
            "showers need the energy of their particle",
            where="generate.conditions",
            mend="give --condition energy",
        )
    known = file.read_columns("mc", ("label", "split"))
    label, split = known["label"], known["split"]
    values = [file.column("mc", name) for name in conditions]
    columns = np.stack(values, axis=1) if values else np.zeros((len(label), 0), np.float32)
    bad = ~np.isfinite(columns)
    if not view.pictures:
        bad[:, 0] |= columns[:, 0] <= 0
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ConfigError(
            f"{conditions[column]} is {columns[row, column]:g} in event {row}",
            where="generate.conditions",
            mend="every event needs one, and an energy is positive",
        )
    images = file.read_views("mc", slice(0, len(label)))[view.name]
    if not view.pictures:
        kept = images.sum((1, 2, 3)) > 0  # a shower of nothing has no share of a cell
        return Examples(images[kept], columns[kept], label[kept], split[kept])
    return Examples(images, columns, label, split)
