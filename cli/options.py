"""Options that several commands share, in the same words, and what turns texts into values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hepdann.config import Config, PlotConfig

COLUMNS = (
    "nuisance", "nuisance-class", "nuisance-weight", "adversary-steps", "mixture", "fraction",
    "check-mixtures",
)  # fmt: skip
PATH = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def words(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """What a repeatable option that takes commas was given; empty parts are left out."""
    del ctx, param
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


_SHARED: dict[str, dict[str, Any]] = {
    "--seeds": {"type": int, "help": "Members of each method.  [default: 5]"},
    "--seed": {"type": int, "help": "Seed of the first member.  [default: 0]"},
    "--batch-size": {"help": "Events of each domain a step.  [default: auto]"},
    "--nuisance": {
        "multiple": True, "metavar": "COLUMN",
        "help": "Spectator, feature or expression that the score of pivot, disco and planing is "
        "made independent of; repeatable.",
    },
    "--nuisance-class nuisance_classes": {
        "multiple": True, "callback": words, "metavar": "CLASS",
        "help": "Only for the events of this class; repeatable.  [default: all]",
    },
    "--nuisance-weight": {
        "type": float, "help": "Factor on lambda in the term of the nuisance.  [default: 10]",
    },
    "--adversary-steps": {
        "type": int, "metavar": "K",
        "help": "Of pivot-alternating: steps of the adversary for one of the network.  "
        "[default: 1]",
    },
    "--mixture mixtures": {
        "multiple": True, "metavar": "CUT",
        "help": "Condition of a sample within the target, for cwola and llp; two or more.",
    },
    "--fraction fractions": {
        "multiple": True, "type": float, "metavar": "F",
        "help": "Known signal fraction of a mixture, for llp; one for each --mixture.",
    },
    "--check-mixtures/--no-check-mixtures": {
        "default": None, "help": "Of cwola: refuse mixtures that a test does not distinguish.",
    },
    "--device": {"help": "auto, cpu, cuda or mps.  [default: auto]"},
    "--workers": {
        "help": "Processes that share the networks, or auto: as many as cores are free, where it "
        "pays.  [default: auto]",
    },
    "--cluster": {
        "metavar": "WHERE",
        "help": "Where the workers are: local, htcondor, slurm, or address of a Dask scheduler.",
    },
    "--memory": {"help": "auto, resident or blocks (of a file larger than memory)."},
    "--oracle/--no-oracle": {"default": None, "help": "Train the oracle where truth is known."},
    "--config config_path": {"help": "YAML file, or the name of a shipped one."},
    "-o --output": {"type": PATH, "help": "Folder, must not exist."},
    "--style": {"help": "ATLAS, CMS, LHCb, ALICE, DUNE or ROOT.  [default: ROOT]"},
    "--experiment": {"help": "Name printed on the figures.  [default: none]"},
    "--text": {"help": "Printed after the name, e.g. Preliminary.  [default: none]"},
    "--json as_json": {"is_flag": True, "help": "Print JSON."},
}  # fmt: skip
_BY_NAME = {re.split(r"[ /]", key.partition("--")[2])[0]: key for key in _SHARED}


def shared(*names: str) -> Callable[[_Command], _Command]:
    """Give a command some of the shared options, named without dashes before, in this order."""

    def give(command: _Command) -> _Command:
        for key in (_BY_NAME[name] for name in reversed(names)):
            command = click.option(*key.split(), **_SHARED[key])(command)
        return command

    return give


def workers_on(cluster: str | None, workers: Any) -> Any:
    """Give the tasks of this command to a cluster, until it ends; say where it can be watched.

    Returns the number of workers; without a cluster ``workers``. What is no number there stands for
    as many as there are.
    """
    number = whole(workers)
    if cluster is None:
        return number
    from hepdann.cluster import on_cluster

    def tell(text: str) -> None:
        click.echo(f"hepdann: {text}", err=True)

    resource = on_cluster(cluster, number if isinstance(number, int) else None, tell)
    running = click.get_current_context().with_resource(resource)
    where = f"{running.workers} worker{'s' * (running.workers != 1)} on {cluster}"
    tell(f"{where}, dashboard: {running.dashboard}")
    return running.workers


def look_of_figures(output: Path | None, where: str, **look: str | None) -> PlotConfig:
    """How figures look; what is said of their looks needs a place for them, the option ``where``.

    Raises:
        click.UsageError: there are none.
        ConfigError: a look that does not exist.
    """
    from hepdann.config import Config, override

    given = {f"plots.{key}": value for key, value in look.items() if value is not None}
    if given and output is None:
        name = next(iter(given)).removeprefix("plots.")
        raise click.UsageError(f"--{name} is of figures, which are drawn with {where}")
    return override(Config(), given).plots


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


def refuse_unheeded(config: Config, given: Mapping[str, Any]) -> Config:
    """Refuse flags that none of the methods that are trained heeds; the settings as they are.

    Args:
        config: with the flags.
        given: the flags by dotted key; ``None`` and an empty list are of one that is not given.

    Raises:
        click.UsageError: names the flag, and a method that heeds it.
        ConfigError: an unknown method.
    """
    named = {key: flag for key, flag in _OF_METHODS.items() if given.get(key) not in (None, [])}
    if not named:
        return config
    from hepdann import methods

    trained = [(name, methods.get(methods.method_of(name)[1])) for name in config.train.methods]
    heeded = {
        "hybrid-dann": any(method.auxiliary for _, method in trained),
        "calibrated": any(methods.calibration_of(name) for name, _ in trained),
        "disco": any(method.decorrelates for _, method in trained),
        "pivot-alternating": any(phase.rare for _, method in trained for phase in method.phases),
        "cwola": any(method.mixtures for _, method in trained),
    }
    for flag, method in named.values():
        if not heeded[method]:
            others = ", ".join(config.train.methods)
            raise click.UsageError(f"{flag} changes nothing of {others}; it is of {method}")
    return config


_OF_METHODS = {  # flags by the key of their setting, each with a method that heeds it
    "train.auxiliary_shifts": ("--auxiliary", "hybrid-dann"),
    "train.adversary": ("--adversary", "hybrid-dann"),
    "train.calibration.families": ("--family", "calibrated"),
    "train.calibration.hold_fractions": ("--hold-fractions", "calibrated"),
    "train.nuisance_weight": ("--nuisance-weight", "disco"),
    "train.adversary_steps": ("--adversary-steps", "pivot-alternating"),
    "train.mixtures": ("--mixture", "cwola"),
    "train.check_mixtures": ("--check-mixtures", "cwola"),
}


def listed(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """The same of an option that is given once; ``None`` where it is not given."""
    return None if value is None else words(ctx, param, (value,))


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    """Numbers with commas between them; ``None`` where none are given."""
    try:
        words_given = listed(ctx, param, value)
        return None if words_given is None else [float(word) for word in words_given]
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers such as 1,2,3") from None


def interval(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float, float] | None:
    """Two numbers with a comma between them, the smaller one first; ``None`` of none."""
    edges = numbers(ctx, param, value)
    if edges is None:
        return None
    if len(edges) != 2 or not edges[0] < edges[1]:
        raise click.BadParameter("expected two numbers, the smaller one first, such as 0.8,1")
    return edges[0], edges[1]


def whole(value: Any) -> Any:
    """A number that was given as text, because a word as "auto" may stand there too."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def config_of(path: str | Path | None, **options: Any) -> Config:
    """The configuration of a file, whose paths stay as they are; without one the defaults."""
    from hepdann.config import Config, load_config

    return Config() if path is None else load_config(path, **options)


def with_workers(config: Config) -> Config:
    """The settings of a file, by which a command takes as many processes as pay unless it says.

    Before flags change them: after that every setting counts as given.
    """
    from hepdann.config import override

    if "workers" in config.train.model_fields_set:
        return config
    return override(config, {"train.workers": "auto"})


def split_list(text: str | None) -> list[str] | None:
    """A comma-separated list; commas inside brackets belong to an expression."""
    if text is None:
        return None
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def separate(texts: tuple[str, ...]) -> list[str]:
    """The parts of all texts: ``scale(pt, mass),sine`` are two."""
    return [part for text in texts for part in split_list(text) or ()]
