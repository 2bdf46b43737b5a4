"""Ends the program on a signal, from its first moment on; imports next to nothing."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not imported here
    from sys import UnraisableHookArgs
    from types import FrameType
    from typing import NoReturn

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
_SOON = 0.01  # s until what Python dropped is raised again


class Left(KeyboardInterrupt):
    """The program is left where it is.

    A class of its own: where a plain KeyboardInterrupt passes through code that C runs, Python
    ends with SIGINT whatever the exit code is.
    """


def hear() -> None:
    """End the program on one of the signals heard, with what is begun cleaned up.

    In a weak reference's callback, or as an object is deleted, Python drops what is raised; it is
    raised again from a timer.
    """
    _raised.clear()
    sys.unraisablehook = _dropped
    signal.signal(signal.SIGALRM, _raise_again)
    for kind in HEARD:
        if signal.getsignal(kind) is not signal.SIG_IGN:  # as under nohup
            signal.signal(kind, _leave)


def hear_no_more() -> None:
    """Let the program end: all is done, and a signal now would only spoil its exit code."""
    for kind in (*HEARD, signal.SIGALRM):
        signal.signal(kind, signal.SIG_IGN)  # Python on its way out would forget any other


def leaving() -> BaseException | None:
    """What a signal has raised; other code may have put an error of its own in its place.

    Python 3.11 does so with all that comes out of ``__set_name__``, pydantic while it builds a
    validator; both happen while modules are imported.
    """
    return _raised[-1] if _raised else None


_raised: list[BaseException] = []


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    signal.signal(number, signal.SIG_IGN)  # a second one must not cut the cleaning up short
    _raised.append(Left() if number == signal.SIGINT else SystemExit(143))
    raise _raised[-1]


def _dropped(what: UnraisableHookArgs) -> None:
    if _raised and what.exc_value is _raised[-1]:
        signal.setitimer(signal.ITIMER_REAL, _SOON)
    else:
        sys.__unraisablehook__(what)


def _raise_again(number: int, frame: FrameType | None) -> None:
    del number, frame
    if _raised:
        raise _raised[-1]


def say(line: str) -> None:
    """Write a line to stderr, if it can be written."""
    from contextlib import suppress

    with suppress(OSError):
        os.write(2, f"{line}\n".encode())
