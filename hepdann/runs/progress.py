"""How far a training has come, and whether it shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..errors import RunError
from ..outputs import mend_of

if TYPE_CHECKING:
    from ..training import MethodProgress, Progress

Key = TypeVar("Key", bound=Hashable)
Report: TypeAlias = "Callable[[str, Progress | None], None]"


def silent(stage: str, progress: object) -> None:
    """A report that says nothing."""
    del stage, progress


@contextmanager
def progress_shown(wanted: bool, report: Report) -> Iterator[Report]:
    """What a training reports to."""
    if not wanted:
        yield report
        return
    from ..live import Live

    with Live() as live:

        def both(stage: str, progress: Progress | None) -> None:
            live.report(stage, progress)
            report(stage, progress)

        yield both


@dataclass(frozen=True)
class RunLog:
    """``log.txt`` of a run, and whoever watches the run."""

    path: Path
    report: Report

    def tell(self, line: str) -> None:
        """Write a line and report it."""
        self.note(line)
        self.report(line, None)

    def note(self, line: str) -> None:
        """Write a line with the time.

        Raises:
            RunError: the file cannot be written.
        """
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(f"{stamp} {line}\n")
        except OSError as error:
            what = f"cannot be written: {error.strerror or error}"
            raise RunError(what, where=self.path, mend=mend_of(error)) from error


@dataclass(eq=False)
class ParallelProgress:
    """Combines the progress of trainings in several processes.

    Attributes:
        done: steps of those that have ended, one for each of their networks.
    """

    members: Mapping[Any, int]
    done: int = 0
    _now: dict[Hashable, Progress] = field(default_factory=dict)

    def at(self, key: Hashable, now: Progress) -> Progress:
        """The progress of all, given where one of them stands."""
        self._now[key] = now
        combined = combined_progress(self._now, self.members)
        return replace(combined, step=self.done + combined.step)

    def end(self, key: Hashable) -> None:
        """One has come to its end."""
        last = self._now.pop(key, None)
        self.done += 0 if last is None else last.total * self.members[key]


def combined_progress(now: Mapping[Key, Progress], members: Mapping[Key, int]) -> Progress:
    """The progress of trainings that run at the same time; a step is one of one member."""
    first = next(iter(now.values()))
    begun = sum(members[number] for number in now)

    def mean(figure: str) -> float:
        return float(sum(getattr(one, figure) * members[n] for n, one in now.items()) / begun)

    methods: dict[str, list[MethodProgress]] = {}
    for one in now.values():
        for method in one.methods:
            methods.setdefault(method.name, []).append(method)
    return replace(
        first,
        epoch=min(one.epoch for one in now.values()),
        step=sum(one.step * members[number] for number, one in now.items()),
        total=first.total * sum(members.values()),
        label_loss=mean("label_loss"),
        domain_loss=mean("domain_loss"),
        domain_accuracy=mean("domain_accuracy"),
        events_per_second=sum(one.events_per_second for one in now.values()),
        methods=tuple(map(_one_method, methods.values())),
    )


def _one_method(parts: Sequence[MethodProgress]) -> MethodProgress:
    count = sum(part.networks for part in parts)
    means = {
        figure: sum(getattr(part, figure) * part.networks for part in parts) / count
        for figure in ("lambda_", "label_loss", "domain_loss", "domain_accuracy")
    }
    return replace(parts[0], networks=count, **means)
