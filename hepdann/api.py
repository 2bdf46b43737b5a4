"""Calls of the public interface that need several rooms: ``hepdann.diagnose``."""

from __future__ import annotations

from pathlib import Path

from . import evaluation
from .evaluation import Diagnosis
from .tensors import Source, Target, Tensors, open_tensors

__all__ = ["compared", "diagnose"]


def diagnose(
    tensors: Tensors | str | Path,
    *,
    data: Tensors | str | Path | None = None,
    seed: int = 0,
    max_events: int = 10_000,
) -> Diagnosis:
    """Test whether MC and data differ, in what, and whether it is worth adapting.

    No label of the data is looked at. Of images, the sums of energies and hits and the planes that
    they reach are compared, for each view.

    Args:
        tensors: the tensor file with the MC.
        data: a second tensor file with the data; by default that of ``tensors``.
        seed: of the random parts.
        max_events: rows of MC and of data, at most, that the test on all features uses.

    Returns:
        The figures, and ``sentence``, the verdict in plain words.

    Raises:
        SchemaError: no MC, no data, or the files have other features.
        HepdannError: too few events for a test.
    """
    file, source, target = compared(tensors, data)
    return evaluation.diagnose(
        source, target, file.features, seed=seed, max_events=max_events, alignable=not file.views
    )


def compared(
    tensors: Tensors | str | Path, data: Tensors | str | Path | None
) -> tuple[Tensors, Source, Target]:
    """What is compared: the file as described, its MC, and the data; of images what sums them up.

    Args:
        tensors: as in :func:`diagnose`.
        data: likewise.
    """
    file = open_tensors(tensors)
    holder = file if data is None else open_tensors(data)
    file.check_features(holder)
    if not file.views:
        return file, file.source(), holder.target()
    from .domains import choose_memory, prepare

    domains = prepare(file, holder, None, 0, choose_memory("auto", file, holder, members=0))
    return domains.tensors, domains.source, domains.target
