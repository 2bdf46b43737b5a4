"""The program: it hears signals before it imports anything that takes its time."""

from __future__ import annotations

import gc
import os

from .signals import hear, hear_no_more, leaving, say

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not imported here
    from typing import Any, NoReturn


def main() -> NoReturn:
    """Run the command line; exit codes 0, 1 (a bug), 2 (the input is wrong), 3, 130 and 143."""
    hear()
    # pydantic would look for plugins in every package that is installed
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(200_000)  # imports make objects that stay: a fifth of their time was looking
    try:
        code = _run()
        hear_no_more()
    except KeyboardInterrupt:
        say("hepdann: interrupted")
        code = 130
    gc.freeze()  # the interpreter would take all modules apart, for up to .4 s, before it ends
    raise SystemExit(code)


def _run() -> int:
    try:
        from .group import run

        return run()
    except BaseException:
        left = leaving()
        if left is None:
            raise
        raise left from None


def __getattr__(name: str) -> Any:
    """The commands, which are assembled when they are asked for."""
    if name in ("COMMANDS", "hepdann"):
        from . import group

        return getattr(group, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    main()
