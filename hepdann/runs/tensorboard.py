"""TensorBoard event files: the curves of every network, while it trains."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import ConfigError
from ..training import FIGURES

__all__ = ["EventFiles", "require_tensorboard"]

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

    Args:
        folder: ``tensorboard`` of a run.
        names: (K,) of the members; each names a folder.
        step: at which the training stands: what an earlier process wrote of later steps is hidden.
    """

    def __init__(self, folder: Path, names: Sequence[str], step: int) -> None:
        module: Any = importlib.import_module("torch.utils.tensorboard")  # typed only if installed
        self._writers = [
            module.SummaryWriter(str(folder / name), purge_step=step + 1 if step else None)
            for name in names
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
