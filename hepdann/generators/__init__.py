"""Generators: networks that draw events like those of a tensor file, conditioned on its columns."""

from __future__ import annotations

from .events import Examples, read_examples
from .model import Generator
from .training import open_generator, train_generator
from .validation import compare_showers, held_out, validate
from .writing import write_generated

__all__ = [
    "Examples",
    "Generator",
    "compare_showers",
    "held_out",
    "open_generator",
    "read_examples",
    "train_generator",
    "validate",
    "write_generated",
]
