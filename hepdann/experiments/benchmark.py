"""An experiment of the DANN paper: its trials in order, and the table of what they reached."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..display import command_line
from ..errors import ConfigError, Interrupted
from ..outputs import write_whole
from ..parallel import Executor, processes_for
from ..registry import ORACLE
from ..runs.progress import Report, silent
from .plans import BenchmarkPlan, plan
from .trial import MemberResult, Plane, Trial, mean_score_accuracy

COLUMNS = {
    "last": "last epoch",
    "chosen": "chosen without labels",
    "peeked": "peeked",
    "mean_score": "mean score",
    "gap": "gap covered",
    "paper": "paper",
}


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes:
        mean: of the networks.
        std: their standard deviation; ``None`` of one network.
    """

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> SeedMean:
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
        mean_score: of the mean score of the seeds, at the chosen λ; of pictures after the last
            epoch, when all is trained.
        paper: accuracy of Ganin et al. (2016); ``None`` where it gives none.
        more: further figures by name, such as the proxy A-distance.
    """

    experiment: str
    method: str
    seeds: int
    last: SeedMean
    chosen: SeedMean
    peeked: SeedMean
    mean_score: float | None
    paper: float | None
    more: dict[str, float]


@dataclass(frozen=True)
class Table:
    """The lines of a benchmark.

    Attributes:
        name: of the benchmark.
        lines: in order.
        sentences: what they come to, one a line.
        planes: of methods by name, where events have two features.
    """

    name: str
    lines: tuple[Line, ...]
    sentences: tuple[str, ...] = ()
    planes: Mapping[str, Plane] = field(default_factory=dict, compare=False)

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
                "" if line.mean_score is None else f"{line.mean_score:.4f}",
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
        content = asdict(replace(self, planes={}))
        del content["planes"]
        for line, entry in zip(self.lines, content["lines"], strict=True):
            gap = self.gap(line)
            entry["gap"] = gap if gap is not None and math.isfinite(gap) else None
        return content


def benchmark(
    name: str,
    *,
    output: str | Path,
    data: str | Path | None = None,
    seeds: int = 3,
    epochs: int | None = None,
    workers: int | Literal["auto"] = "auto",
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Table:
    """Repeat an experiment of the DANN paper; what was done before is not done again.

    Args:
        name: "moons", "amazon", "digits", "signs" or "numbers".
        output: folder for all that is made; ``table.json`` and ``table.md`` are written into it
            after each training.
        data: folder with the data sets; default what HEPDANN_DATA names.
        seeds: networks of each method.
        epochs: of each training; default those of the shipped configuration.
        workers: processes; "auto" takes as many as cores are free.
        report: told of each training that ends, and of the progress.
        stop: asked again and again; when true, checkpoints are written and it ends.

    Returns:
        The table.

    Raises:
        ConfigError: no such benchmark, fewer than one seed, or a data set that is not there.
        Interrupted: it was stopped.
        HepdannError: a training failed.
    """
    if seeds < 1:
        raise ConfigError(f"takes at least one seed, not {seeds}", where="--seeds")
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    work = plan(name, folder, None if data is None else Path(data), seeds, epochs)
    results: dict[str, list[MemberResult]] = {}
    waiting = []
    for _, trial in work.trials:
        known = trial.result()
        if known is None:
            waiting.append(trial)
        else:
            results[trial.key] = known
    count = processes_for(workers, len(waiting), pays=True)
    hint = f"go on with: {command_line('benchmark', name, '-o', folder)}"
    with Executor(count if count > 1 else 0, lambda _, now: report(*now), stop, hint) as executor:
        for trial in waiting:
            executor.submit(trial.key, trial)
        for key, members in executor.completed():
            results[key] = members
            _write(folder, _table_of(work, results))
            report(f"{key}: done, {len(results)} of {len(work.trials)}", None)
        if executor.stopping:
            raise Interrupted("interrupted", where=folder, mend=hint)
    table = _with_mean_scores(work, _table_of(work, results))
    _write(folder, table)
    return table


def _write(folder: Path, table: Table) -> None:
    write_whole(folder / "table.json", json.dumps(table.to_dict(), indent=1).encode())
    write_whole(folder / "table.md", table.markdown().encode())


def _table_of(work: BenchmarkPlan, results: dict[str, list[MemberResult]]) -> Table:
    """The lines of what was trained so far, in the order of the plan."""
    groups: dict[tuple[str, str], list[MemberResult]] = {}
    planes: dict[str, Plane] = {}
    for experiment, trial in work.trials:
        members = results.get(trial.key, [])
        titles = [trial.title or member["method"] for member in members]
        for member, title in zip(members, titles, strict=True):
            groups.setdefault((experiment, title), []).append(member)
        if members and (plane := trial.plane()) is not None:
            for title in dict.fromkeys(titles):
                rows = [
                    name == title and member["lambda"] in (0.0, work.lambda_)
                    for name, member in zip(titles, members, strict=True)
                ]
                planes[title] = replace(plane, scores=plane.scores[rows])
    lines = tuple(
        _line(experiment, title, members, work) for (experiment, title), members in groups.items()
    )
    precisions = {m.get("autocast", "none") for members in results.values() for m in members}
    notes = [f"convolutions in {name}" for name in sorted(precisions - {"none"})]
    return Table(work.name, lines, (*_sentences(work, lines), *notes), planes)


def _with_mean_scores(work: BenchmarkPlan, table: Table) -> Table:
    """The same with the accuracies of mean scores where each network is a trial of its own."""
    trials: dict[tuple[str, str], list[Trial]] = {}
    for experiment, trial in work.trials:
        if len(trial.only) == 1:
            method = "train on target" if trial.only == (ORACLE,) else trial.only[0]
            trials.setdefault((experiment, trial.title or method), []).append(trial)
    lines = []
    for line in table.lines:
        of_line = trials.get((line.experiment, line.method), [])
        if line.mean_score is None and len(of_line) == line.seeds:
            line = replace(line, mean_score=mean_score_accuracy(of_line))
        lines.append(line)
    return replace(table, lines=tuple(lines))


def _line(
    experiment: str, title: str, members: Sequence[MemberResult], work: BenchmarkPlan
) -> Line:
    """One method: λ of the plan in the last epoch, the λ that is chosen, and the peeked one."""
    by_lambda: dict[float, list[MemberResult]] = {}
    for member in members:
        by_lambda.setdefault(member["lambda"], []).append(member)
    usual = by_lambda.get(work.lambda_) or next(iter(by_lambda.values()))
    measured = all("reverse_validation" in member for member in members)
    chosen, column = usual, "chosen"
    if measured:  # λ is chosen, and of it the last epoch is taken
        column = "last"
        chosen = max(
            by_lambda.values(), key=lambda ms: float(np.mean([m["reverse_validation"] for m in ms]))
        )
    seeds = sorted({member["seed"] for member in members})
    peeked = [max(m["peeked"] for m in members if m["seed"] == seed) for seed in seeds]
    more = {"epochs": float(usual[0]["epochs"])}
    if measured:
        more |= {
            "distance": float(np.mean([m["distance"] for m in chosen])),
            "chosen_lambda": float(chosen[0]["lambda"]),
        }
    return Line(
        experiment,
        title,
        len(seeds),
        SeedMean.of([m["last"] for m in usual]),
        SeedMean.of([m[column] for m in chosen]),
        SeedMean.of(peeked),
        chosen[0].get("mean_score"),
        work.paper.get((experiment, title)),
        more,
    )


def _sentences(work: BenchmarkPlan, lines: Sequence[Line]) -> list[str]:
    """What the lines come to."""
    of = {(line.experiment, line.method): line for line in lines}
    pairs = [
        (line, of[line.experiment, "dann"])
        for line in lines
        if line.method == "source-only" and (line.experiment, "dann") in of
    ]
    if not pairs or work.name != "amazon":
        return []
    right = sum(dann.chosen.mean >= plain.chosen.mean for plain, dann in pairs)
    nearer = sum(d.more["distance"] < p.more["distance"] for p, d in pairs)
    what = "DANN, its λ chosen by reverse validation, is right at least as often as source-only in"
    return [
        f"{what} {right} of {len(pairs)} pairs",
        f"the proxy A-distance of its features is smaller in {nearer} of {len(pairs)}",
    ]
