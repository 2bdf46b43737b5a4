"""The folder of a generator: what its training began with, and how it was judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..errors import RunError
from ..records import Finite, Stored
from .paths import GeneratorPaths
from .reading import read_versioned

Size = Annotated[int, Field(ge=1, le=1 << 24)]
_Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class GeneratorSettings(Stored):
    """How a generator is trained; every value stands in the folder of its run.

    Attributes:
        conditions: columns that are asked for; of showers the energy first. The class always is.
        objective: ``wgan-gp``, or ``gan``: the non-saturating loss of DCGAN.
        steps: of the generator.
        critic_steps: of the critic before each of them.
        batch_size: events a step.
        penalty: factor on the gradient penalty.
        learning_rate: of Adam, falling to a twentieth as a cosine.
        momentum: Adam's first β; the second is 0.9, or 0.999 of ``gan``.
        average: of the weights of the generator that draws, a step.
        hidden: widths of both networks; of pictures maps, the smallest picture first.
        latent: random numbers that an event is made of.
        seed: of all that is drawn at random.
    """

    conditions: list[str] = Field(default=[])
    objective: Literal["wgan-gp", "gan"] = "wgan-gp"
    steps: Size = 4000
    critic_steps: Size = 5
    batch_size: Size = 128
    penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    learning_rate: _Rate = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    hidden: Annotated[list[Size], Field(min_length=1)] = Field(default=[128, 128, 128])
    latent: Size = 16
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0


class GeneratorRecord(Stored):
    """``generator.json``: what a training began with."""

    format_version: int = 1
    tensors: str
    content: str
    settings: GeneratorSettings


class Pair(Stored):
    """A figure of simulated events, a value a bin, and of what was drawn for their conditions."""

    events: list[Finite]
    drawn: list[Finite]


class Matrices(Stored):
    """Likewise a matrix of each."""

    events: list[list[Finite]]
    drawn: list[list[Finite]]


class Shape(Pair):
    """Showers in bins of one number of a shower."""

    edges: list[Finite]


class ShowerReport(Stored):
    """Showers that a generator drew, against others of the same energies and particles.

    Attributes:
        energy: (B + 1,) edges of bins of the energy.
        response: (B,) mean sums of the cells over the energy.
        resolution: (B,) half widths of the middle 68.3 % of it over its mean, which a few showers
            that leak do not move as they move a standard deviation.
        along: (layers,) mean shares of the layers.
        across: (strips,) mean shares of the strips.
        correlation: (layers, layers) correlations of the energies of layers over E.
        shapes: by name the distribution of one number of a shower.
        ks: Kolmogorov distances: of the mean profiles ``along`` and ``across``, and of each of the
            ``shapes``.
        auc: held-out AUC of a classifier between the two, of the shapes and of the cells.
        worst_response: largest deviation of the response from the simulation's, as a part of it.
        worst_resolution: likewise of the resolution.
    """

    energy: list[Finite]
    response: Pair
    resolution: Pair
    along: Pair
    across: Pair
    correlation: Matrices
    shapes: dict[str, Shape] = Field(default={})
    ks: dict[str, Finite]
    auc: dict[str, Finite]
    worst_response: Finite
    worst_resolution: Finite


class Validation(Stored):
    """``validation.json``: a generator against events that it was not trained on.

    Attributes:
        auc: held-out AUC of a classifier between both, by what it is given.
        rate: events a second of processor time that were drawn.
        showers: of pictures there is none.
    """

    format_version: int = 1
    auc: dict[str, Finite]
    rate: Finite
    showers: ShowerReport | None = None

    @property
    def lines(self) -> list[str]:
        """What was measured, a line each."""
        lines = [f"{self.rate:,.0f} events/s drawn on one core; held-out AUC of a classifier: "
                 + ", ".join(f"{key} {value:.3f}" for key, value in self.auc.items())]  # fmt: skip
        if self.showers is not None:
            one = self.showers
            lines.append(
                f"mean response within {one.worst_response:.1%}, resolution within "
                f"{one.worst_resolution:.0%} of the simulation in {len(one.energy) - 1} bins of "
                "energy"
            )
            distances = ", ".join(f"{k} {v:.3f}" for k, v in one.ks.items())
            lines.append(f"Kolmogorov distances: {distances}")
        return lines


@dataclass(frozen=True)
class GeneratorFolder:
    """A generator that was trained and judged.

    Attributes:
        folder: of its training.
        record: what this began with.
        validation: how it was judged.
    """

    folder: Path
    record: GeneratorRecord
    validation: Validation


def is_generator(folder: str | Path) -> bool:
    """Whether a folder holds a generator, finished or not."""
    return GeneratorPaths(Path(folder)).record.is_file()


def read_record(folder: str | Path) -> GeneratorRecord:
    """What the training of a folder began with.

    Raises:
        RunError: no generator, or damaged.
    """
    if not is_generator(folder):
        raise RunError("no generator is here", where=folder,
                       mend="they are made by hepdann generate train")  # fmt: skip
    return read_versioned(GeneratorPaths(Path(folder)).record, GeneratorRecord)


def open_folder(folder: str | Path) -> GeneratorFolder:
    """A generator's folder.

    Raises:
        RunError: no generator, it is not trained and judged to the end, or damaged.
    """
    record, paths = read_record(folder), GeneratorPaths(Path(folder))
    if not paths.validation.is_file():
        raise unfinished(folder)
    return GeneratorFolder(paths.folder, record, read_versioned(paths.validation, Validation))


def unfinished(folder: str | Path) -> RunError:
    """The error that says how a training is ended."""
    return RunError("its training has not finished", where=folder,
                    mend=f"go on with: hepdann generate train --resume -o {folder}")  # fmt: skip
