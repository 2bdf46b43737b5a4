"""Options that several commands share, in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hepdann.config import Config

__all__ = ["separate", "shared", "whole", "with_workers", "words"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "seeds": click.option("--seeds", type=int, help="Members of each method.  [default: 5]"),
    "seed": click.option("--seed", type=int, help="Seed of the first member.  [default: 0]"),
    "batch-size": click.option(
        "--batch-size", help="Events of each domain a step.  [default: auto]"
    ),
    "device": click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]"),
    "workers": click.option(
        "--workers",
        help="Processes that share the networks, or auto: as many as cores are free, where it "
        "pays.  [default: auto]",
    ),
    "oracle": click.option(
        "--oracle/--no-oracle", default=None, help="Train the oracle where truth is known."
    ),
    "config": click.option(
        "--config", "config_path", help="YAML file, or the name of a shipped one."
    ),
    "output": click.option(
        "-o", "--output", type=click.Path(path_type=Path), help="Folder, must not exist."
    ),
}


def shared(*names: str) -> Callable[[_Command], _Command]:
    """Give a command some of the shared options, in this order.

    Args:
        names: of them, without dashes before.
    """

    def give(command: _Command) -> _Command:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return give


def words(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """What a repeatable option that takes commas was given; empty parts are left out."""
    del ctx, param
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def whole(value: Any) -> Any:
    """A number that was given as text, because a word as "auto" may stand there too."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def with_workers(config: Config) -> Config:
    """The settings of a command, which takes as many processes as pay unless the user says."""
    from hepdann.config import override

    if "workers" in config.train.model_fields_set:
        return config
    return override(config, {"train.workers": "auto"})


def separate(texts: tuple[str, ...]) -> list[str]:
    """Split at commas, but for those between brackets: ``scale(pt, mass),sine``."""
    parts = [part.strip() for text in texts for part in re.split(r",(?![^(]*\))", text)]
    return [part for part in parts if part]
