"""A training step in compiled code: ``step.c`` has it, ``engine`` stands between it and a stack."""

from .engine import FusedEngine

__all__ = ["FusedEngine"]
