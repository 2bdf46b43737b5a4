"""Tables of accuracies: a line a method, mean and spread over seeds, the paper's number beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

COLUMNS = {
    "last": "last epoch",
    "chosen": "chosen without labels",
    "peeked": "peeked",
    "gap": "gap covered",
    "paper": "paper",
}


@dataclass(frozen=True)
class Figure:
    """A mean over seeds.

    Attributes:
        mean: of the networks.
        std: their standard deviation; ``None`` of one network.
    """

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Mean and standard deviation of some values, at least one."""
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), spread)

    def text(self) -> str:
        """``0.7666 ± 0.0031``."""
        return f"{self.mean:.4f}" + ("" if self.std is None else f" ± {self.std:.4f}")


@dataclass(frozen=True)
class Line:
    """A method of an experiment; accuracies are those of the target's test split.

    Attributes:
        experiment: "books → dvd", for example.
        method: its name.
        seeds: number of networks.
        last: after the last epoch.
        chosen: of the epoch and λ that a label-free figure chooses.
        peeked: of the epoch and λ that the target's labels choose: what nobody can have.
        paper: accuracy of Ganin et al. (2016); ``None`` where it gives none.
        more: further figures by name, such as the proxy A-distance.
    """

    experiment: str
    method: str
    seeds: int
    last: Figure
    chosen: Figure
    peeked: Figure
    paper: float | None
    more: dict[str, float]


@dataclass(frozen=True)
class Table:
    """The lines of a benchmark.

    Attributes:
        name: of the benchmark.
        lines: in order.
        sentences: what they come to, one a line.
    """

    name: str
    lines: tuple[Line, ...]
    sentences: tuple[str, ...] = ()

    def gap(self, line: Line) -> float | None:
        """Share of the way from source-only to training on the target that a method covers."""
        ends = {
            other.method: other.last.mean
            for other in self.lines
            if other.experiment == line.experiment
        }
        if not {"source-only", "train on target"} <= set(ends) or line.method in (
            "source-only", "train on target",
        ):  # fmt: skip
            return None
        width = ends["train on target"] - ends["source-only"]
        return (line.last.mean - ends["source-only"]) / width if width > 0 else None

    def rows(self) -> list[tuple[str, ...]]:
        """Texts: experiment, method, seeds, and the columns of :data:`COLUMNS`."""
        rows: list[tuple[str, ...]] = []
        for line in self.lines:
            gap = self.gap(line)
            rows.append((
                line.experiment,
                line.method,
                str(line.seeds),
                line.last.text(),
                line.chosen.text(),
                line.peeked.text(),
                "" if gap is None else f"{100 * gap:.1f} %",
                "" if line.paper is None else f"{line.paper:.4f}",
            ))  # fmt: skip
        return rows

    def markdown(self) -> str:
        """As a table of a page, the sentences below it."""
        names = ("experiment", "method", "seeds", *COLUMNS.values())
        lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows()]
        return "\n".join([*lines, "", *(f"* {text}" for text in self.sentences), ""])

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        content = asdict(self)
        for line, entry in zip(self.lines, content["lines"], strict=True):
            gap = self.gap(line)
            entry["gap"] = gap if gap is not None and math.isfinite(gap) else None
        return content
