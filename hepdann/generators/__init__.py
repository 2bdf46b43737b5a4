"""Generators: networks that draw events like those of a tensor file, conditioned on its columns."""

from __future__ import annotations

from .model import Generator, write_generated
from .training import Examples, open_generator, read_examples, train_generator
from .validation import compare_showers, held_out, validate_generator

__all__ = [
    "Examples", "Generator", "compare_showers", "held_out", "open_generator", "read_examples",
    "train_generator", "validate_generator", "write_generated",
]  # fmt: skip
