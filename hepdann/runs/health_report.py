"""The health of a run while it trains and in ``health.json``, and TensorBoard event files."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from ..errors import ConfigError, RunError
from ..inputs import read_json
from ..records import Look
from ..store.content import HealthLooks
from ..store.paths import RunPaths
from ..store.reading import FORMAT_VERSION, write_json
from ..training import FIGURES, Health, StackTrainer
from .stacks.shards import Shard


def fault_lines(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line for each fault, of all networks of a method that have it."""
    groups: dict[tuple[str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for entry in entries:
        for verdict in entry["verdicts"]:
            groups.setdefault((entry["method"], verdict["name"]), []).append((entry, verdict))
    for (method, name), affected in groups.items():
        entry, verdict = affected[0]
        seeds = ", ".join(str(e["seed"]) for e, _ in affected)
        networks = f"{method}, λ = {entry['lambda']:g}, seed {seeds}"
        yield (
            f"health: {verdict['severity']}: {name} ({networks}, epoch {entry['epoch']}): "
            f"{verdict['message']}; {verdict['mend']}"
        )


def last_verdicts(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The faults of networks at their last check, one entry for all seeds."""
    last = {entry["member"]: entry for entry in entries}
    merged: dict[tuple[str, float, str], dict[str, Any]] = {}
    for entry in last.values():
        about = {name: entry[name] for name in ("method", "lambda", "epoch")}
        for verdict in entry["verdicts"]:
            key = entry["method"], entry["lambda"], verdict["name"]
            merged.setdefault(key, about | verdict | {"seeds": []})["seeds"].append(entry["seed"])
    return list(merged.values())


def scan_lines(verdicts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each fault of a scan."""
    for verdict in verdicts:
        seeds = ", ".join(map(str, verdict["seeds"]))
        where = "" if verdict["shift"] is None else f", {verdict['shift']} t={verdict['t']:g}"
        yield (
            f"health: {verdict['severity']}: {verdict['name']} ({verdict['method']}, "
            f"λ = {verdict['lambda']:g}{where}, seed {seeds}): {verdict['message']}; "
            f"{verdict['mend']}"
        )


def write_health(folder: Path, stacks: Sequence[Health]) -> None:
    """Write ``health.json`` into a run folder."""
    _write(folder, [(health.members, health.entries) for health in stacks])


@contextmanager
def failure_noted(folder: Path, shards: Sequence[Shard]) -> Iterator[None]:
    """Write ``health.json`` where a training ends at a loss that is not finite."""
    try:
        yield
    except RunError:
        looks: list[tuple[int, list[dict[str, Any]]]] = []
        for number, shard in enumerate(shards):
            notes = RunPaths(folder).health_notes(number)
            entries = read_json(notes, list[Look]) if notes.exists() else []
            looks.append((len(shard.plan.members), entries))
        verdicts = (v["name"] for _, entries in looks for e in entries for v in e["verdicts"])
        if "not-finite" in verdicts:
            _write(folder, looks)
        raise


def _write(folder: Path, shards: Sequence[tuple[int, list[dict[str, Any]]]]) -> None:
    looks, first = [], 0
    for members, entries in shards:
        looks += [{**entry, "member": first + entry["member"]} for entry in entries]
        first += members
    looks.sort(key=lambda look: (look["epoch"], look["member"]))
    content = {"format_version": FORMAT_VERSION, "figures": FIGURES, "looks": looks}
    write_json(RunPaths(folder).health, HealthLooks, content)


class Monitor:
    """Watches a stack, and changes nothing of its numbers.

    Make it before a checkpoint is loaded.
    """

    def __init__(
        self,
        trainer: StackTrainer,
        notes: Path,
        *,
        tell: Callable[[str], None],
        tensorboard: Path | None,
    ) -> None:
        self.health = Health(trainer, notes)
        self._trainer, self._tell, self._tensorboard = trainer, tell, tensorboard
        self._events: EventFiles | None = None

    @contextmanager
    def monitored(self) -> Iterator[None]:
        """Watch for as long as the block runs; the checkpoint, if any, is loaded."""
        self.health.remember()
        with self._open() as self._events:
            try:
                yield
            except RunError:
                for line in fault_lines(self.health.fail()):
                    self._tell(line)
                raise

    def epoch(self) -> None:
        """Take note of an epoch; nothing where the stack stands within one."""
        trainer = self._trainer
        if trainer.position:
            return
        before = len(self.health.entries)
        for line in fault_lines(self.health.look()):
            self._tell(line)
        if self._events is not None:
            for row in trainer.history:
                if row["epoch"] == trainer.epoch:
                    self._events.history(row)
            for entry in self.health.entries[before:]:
                self._events.health(entry, trainer.epoch * trainer.settings.steps)

    def _open(self) -> EventFiles | nullcontext[None]:
        if self._tensorboard is None:
            return nullcontext()
        trainer = self._trainer
        names = [f"{m.label}-lambda{s:g}-seed{m.seed}" for m, s in zip(
            trainer.members, trainer.lambda_.tolist(), strict=True)]  # fmt: skip
        steps = trainer.epoch * trainer.settings.steps
        return EventFiles(self._tensorboard, names, steps)


# Columns of the history, and the tags that they are shown under. The target's true labels are not
# among them: whoever watches curves stops where they look best.
_TAGS = {
    "loss_label": "loss/label",
    "loss_domain": "loss/domain",
    "domain_accuracy": "domain/accuracy",
    "validation_loss": "validation/loss",
    "validation_accuracy": "validation/accuracy",
    "validation_loss_domain": "validation/domain_loss",
    "validation_domain_accuracy": "validation/domain_accuracy",
    "learning_rate": "schedule/learning_rate",
    "grl": "schedule/lambda",
}


def require_tensorboard() -> None:
    """Raise a ConfigError where the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "event files need the package tensorboard, which is not installed",
            where="train.tensorboard",
            mend='pip install "hepdann[tensorboard]", or leave --tensorboard out',
        )


class EventFiles:
    """Writes the curves of a stack, a folder for each network.

    Use as a context; at its end the files are whole. An epoch is written when it is told, so that
    a training that is killed has left what it did.
    """

    def __init__(self, folder: Path, names: Sequence[str], step: int) -> None:
        module: Any = importlib.import_module("torch.utils.tensorboard")  # typed only if installed
        self._writers = [
            module.SummaryWriter(str(folder / name), purge_step=step + 1 if step else None)
            for name in names
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def history(self, row: Mapping[str, Any]) -> None:
        """Write a row of the history."""
        values = {tag: row[column] for column, tag in _TAGS.items() if column in row}
        self._write(int(row["member"]), values, int(row["step"]))

    def health(self, entry: Mapping[str, Any], step: int) -> None:
        """Write a look at a network's health, after ``step`` steps."""
        self._write(int(entry["member"]), {f"health/{key}": entry[key] for key in FIGURES}, step)

    def _write(self, member: int, values: Mapping[str, float | None], step: int) -> None:
        writer = self._writers[member]
        for tag, value in values.items():
            if value is not None:
                writer.add_scalar(tag, value, step)
        writer.flush()
