"""hepdann: domain-adversarial networks for high-energy physics.

The public names, and the rooms of the library, are imported when they are first used, so that
``import hepdann`` costs nothing and does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._version import __version__
from .lazy import getter

if TYPE_CHECKING:
    from . import (
        alignment,
        calibration,
        config,
        criteria,
        deploy,
        domains,
        errors,
        evaluation,
        experiments,
        expressions,
        generators,
        inference,
        methods,
        networks,
        plotting,
        readers,
        register,
        reporting,
        runs,
        samples,
        shifts,
        sklearn,
        stats,
        store,
        tensors,
        training,
    )  # fmt: skip
    from .api import Run, Scan, calibrate, diagnose, open_run, open_scan, scan, train
    from .deploy import export
    from .inference import predict
    from .readers.convert import convert
    from .reporting import report
    from .tensors import Tensors, open_tensors

__all__ = [
    "Run", "Scan", "Tensors", "__version__", "alignment", "calibrate", "calibration", "config",
    "convert", "criteria", "deploy", "diagnose", "domains", "errors", "evaluation",
    "experiments", "export", "expressions", "generators", "inference", "methods", "networks",
    "open_run", "open_scan", "open_tensors", "plotting", "predict", "readers", "register",
    "report", "reporting", "runs", "samples", "scan", "shifts", "sklearn", "stats", "store",
    "tensors", "train", "training",
]  # fmt: skip

__getattr__ = getter(__name__)


def __dir__() -> list[str]:
    return __all__
