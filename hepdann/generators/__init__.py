"""Generators: networks that draw events like those of a tensor file, conditioned on its columns."""

from __future__ import annotations

from .events import Examples, read_examples
from .model import Generator, GeneratorSettings
from .training import open_generator, train_generator
from .validation import Judged, ShowerReport, compare_showers, validate
from .writing import write_generated

__all__ = [
    "Examples",
    "Generator",
    "GeneratorSettings",
    "Judged",
    "ShowerReport",
    "compare_showers",
    "open_generator",
    "read_examples",
    "train_generator",
    "validate",
    "write_generated",
]
