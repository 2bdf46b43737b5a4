"""What can be wrong with a user's input: each error names the place and, if any, the mend."""

from __future__ import annotations


class HepdannError(Exception):
    """Something in the user's input is wrong; the command line prints it in one line, exit code 2.

    Args:
        message: what is wrong, in plain words.
        where: the file, branch or key at fault (``file.root``, ``file.root:Events/pt``,
            ``samples[0].files``).
        mend: what the user can do about it.
    """

    def __init__(self, message: str, *, where: object = None, mend: str | None = None) -> None:
        self.message = message
        self.where = None if where is None else str(where)
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.message if self.where is None else f"{self.where}: {self.message}"
        if self.mend is not None:
            text = f"{text}; {self.mend}"
        return " ".join(text.split())


class ConfigError(HepdannError):
    """A setting, on the command line or in a YAML file, is unknown, ill-typed or impossible."""


class ReadError(HepdannError):
    """An input file cannot be read: missing, not ROOT, truncated, no such tree or branch."""


class SchemaError(HepdannError):
    """A tensor file is not one, is incomplete, or lacks what is asked of it."""


class RunError(HepdannError):
    """A run folder is missing, incomplete or of another version, or a run cannot go on."""


class Interrupted(RunError):  # noqa: N818 (it is what was asked for)
    """A training was stopped as it was asked to be, and can be resumed from its checkpoint."""


def refuse_first(*cases: tuple[object, str, str, str]) -> None:
    """Raise a :class:`ConfigError` of the first case whose condition holds.

    Each case is its condition, what is wrong, the setting, and what the user can do.
    """
    for wrong, message, where, mend in cases:
        if wrong:
            raise ConfigError(message, where=where, mend=mend)
