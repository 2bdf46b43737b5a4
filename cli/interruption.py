"""What a signal does to a training: Ctrl-C of a person, and the notice of a batch system."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from .signals import HEARD, Left

if TYPE_CHECKING:
    from hepdann.training import Progress

_CHECKPOINT = "stopping after this step; writing a checkpoint …"
_SAYS = dict.fromkeys(HEARD, _CHECKPOINT) | {
    signal.SIGINT: "stopping after this step; writing what was trained so far …"
}


class Interruption:
    """Asks the training to stop after its step; a second signal ends the program where it is.

    Ctrl-C leaves a run of what was trained so far. SIGTERM and SIGUSR1 come from a batch system
    that will kill the program soon, SIGHUP from a terminal that is gone: a checkpoint is written
    and nothing else. Outside the steps of the training a signal ends the program at once: every
    output is whole or not there.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._training = False

    def __call__(self) -> bool:
        """Whether the training shall stop; it asks before each step."""
        self._training = True
        return self.signal is not None

    def partial(self) -> bool:
        """Whether a run of what was trained so far is wanted."""
        return self.signal == signal.SIGINT

    @property
    def code(self) -> int:
        """Exit code: 130 after Ctrl-C, 143 after another signal, otherwise 0."""
        if self.signal is None:
            return 0
        return 130 if self.signal == signal.SIGINT else 143

    def wrap(
        self, report: Callable[[str, Progress | None], None]
    ) -> Callable[[str, Progress | None], None]:
        """A report that also notes when a stage without steps begins."""

        def noting(stage: str, progress: Progress | None) -> None:
            if progress is None:
                self._training = False
            report(stage, progress)

        return noting

    @contextmanager
    def listening(self) -> Iterator[Interruption]:
        """Listen for as long as the block runs."""

        def note(number: int, frame: object) -> None:
            del frame
            second = self.signal is not None
            self.signal = number
            if second or not self._training:
                raise Left
            # not through sys.stderr, in whose write the signal may have come
            try:
                os.write(2, f"{_SAYS[signal.Signals(number)]}\n".encode())
            except OSError:
                _leave_terminal()

        heard = [kind for kind in HEARD if signal.getsignal(kind) is not signal.SIG_IGN]
        before = {kind: signal.signal(kind, note) for kind in heard}
        try:
            yield self
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


@contextmanager
def interruptible(hint: str = "") -> Iterator[Interruption]:
    """Train within the block; where a signal ends it, say how to go on, and end with its code."""
    from hepdann.errors import Interrupted

    interruption = Interruption()
    try:
        with interruption.listening():
            yield interruption
    except Interrupted as error:
        click.echo(f"hepdann: {error}{hint}", err=True)
        raise SystemExit(interruption.code) from error
    except KeyboardInterrupt as error:
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        click.echo(f"hepdann: interrupted{notes}", err=True)
        raise SystemExit(interruption.code or 130) from error


def _leave_terminal() -> None:
    """Let what is still to be said go nowhere: each write to a terminal that is gone fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(nowhere, stream)
    os.close(nowhere)
