"""Faults of an adversarial training: the figures that show them, and what mends each."""
