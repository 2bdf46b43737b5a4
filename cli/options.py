"""Options that several commands share, in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hepdann.config import Config

COLUMNS = (
    "nuisance", "nuisance-classes", "nuisance-weight", "adversary-steps", "mixture", "fraction",
    "check-mixtures",
)  # fmt: skip
_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "seeds": click.option("--seeds", type=int, help="Members of each method.  [default: 5]"),
    "seed": click.option("--seed", type=int, help="Seed of the first member.  [default: 0]"),
    "batch-size": click.option(
        "--batch-size", help="Events of each domain a step.  [default: auto]"
    ),
    "nuisance": click.option(
        "--nuisance",
        multiple=True,
        metavar="COLUMN",
        help="Spectator, feature or expression that the score of pivot, disco and planing is made "
        "independent of; repeatable.",
    ),
    "nuisance-classes": click.option(
        "--nuisance-class",
        "nuisance_classes",
        multiple=True,
        metavar="CLASS",
        help="Only for the events of this class; repeatable.  [default: all]",
    ),
    "nuisance-weight": click.option(
        "--nuisance-weight",
        type=float,
        help="Factor on lambda in the term of the nuisance.  [default: 10]",
    ),
    "adversary-steps": click.option(
        "--adversary-steps",
        type=int,
        metavar="K",
        help="Of pivot-alternating: steps of the adversary for one of the network.  [default: 1]",
    ),
    "mixture": click.option(
        "--mixture",
        "mixtures",
        multiple=True,
        metavar="CUT",
        help="Condition of a sample within the target, for cwola and llp; two or more.",
    ),
    "fraction": click.option(
        "--fraction",
        "fractions",
        multiple=True,
        type=float,
        metavar="F",
        help="Known signal fraction of a mixture, for llp; one for each --mixture.",
    ),
    "check-mixtures": click.option(
        "--check-mixtures/--no-check-mixtures",
        default=None,
        help="Of cwola: refuse mixtures that a test does not distinguish.",
    ),
    "device": click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]"),
    "workers": click.option(
        "--workers",
        help="Processes that share the networks, or auto: as many as cores are free, where it "
        "pays.  [default: auto]",
    ),
    "cluster": click.option(
        "--cluster",
        metavar="WHERE",
        help="Where the workers are: local, htcondor, slurm, or the address of a Dask scheduler.",
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
    """Give a command some of the shared options, in this order."""

    def give(command: _Command) -> _Command:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return give


def workers_on(cluster: str | None, workers: Any) -> Any:
    """Give the tasks of this command to a cluster, until it ends; say where it can be watched.

    Args:
        cluster: as ``--cluster``; ``None`` for processes of this machine.
        workers: as ``--workers``; what is no number stands for as many as there are.

    Returns:
        The number of workers; without a cluster ``workers``.
    """
    if cluster is None:
        return whole(workers)
    from hepdann.cluster import on_cluster

    number = whole(workers)
    resource = on_cluster(cluster, number if isinstance(number, int) else None)
    found = click.get_current_context().with_resource(resource)
    where = f"{found.workers} worker{'s' * (found.workers != 1)} on {cluster}"
    click.echo(f"hepdann: {where}, dashboard: {found.dashboard}", err=True)
    return found.workers


def columns_of(flags: dict[str, Any]) -> dict[str, Any]:
    """The columns that methods need, as the configuration has them; taken out of the flags."""
    given: dict[str, Any] = {
        f"train.{name}": list(values)
        for name in ("nuisance", "nuisance_classes")
        if (values := flags.pop(name))
    }
    cuts, fractions = flags.pop("mixtures"), flags.pop("fractions")
    if fractions and len(fractions) != len(cuts):
        raise click.UsageError(f"{len(cuts)} --mixture, but {len(fractions)} --fraction")
    if cuts:
        given["train.mixtures"] = [
            {"cut": cut} | ({"fraction": fractions[k]} if fractions else {})
            for k, cut in enumerate(cuts)
        ]
    return given


def words(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """What a repeatable option that takes commas was given; empty parts are left out."""
    del ctx, param
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def whole(value: Any) -> Any:
    """A number that was given as text, because a word as "auto" may stand there too."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def with_workers(config: Config) -> Config:
    """The settings of a file, by which a command takes as many processes as pay unless it says.

    Before flags change them: after that every setting counts as given.
    """
    from hepdann.config import override

    if "workers" in config.train.model_fields_set:
        return config
    return override(config, {"train.workers": "auto"})


def separate(texts: tuple[str, ...]) -> list[str]:
    """Split at commas, but for those between brackets: ``scale(pt, mass),sine``."""
    parts = [part.strip() for text in texts for part in re.split(r",(?![^(]*\))", text)]
    return [part for part in parts if part]
