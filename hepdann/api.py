"""Calls of the public interface that need several rooms: ``hepdann.diagnose``, ``calibrate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import evaluation
from .evaluation import Diagnosis
from .tensors import Source, Target, Tensors, object_figures, open_tensors

if TYPE_CHECKING:
    from .calibration import CalibrationReport


def calibrate(
    tensors: Tensors | str | Path,
    *,
    data: Tensors | str | Path | None = None,
    families: Sequence[str] | None = None,
    hold_fractions: bool = False,
    seed: int = 0,
) -> CalibrationReport:
    """Measure how MC must change to look like data: which map, how large, how sure.

    Maps of the MC are fitted to the unlabelled data on the training splits, together with the class
    fractions of the data; a classifier on the other events says what is left.

    Args:
        tensors: the tensor file with the MC.
        data: a second tensor file with the data; by default that of ``tensors``.
        families: names of shifts, ``scale``, ``offset`` or ``smear``, of all features or as
            ``scale(pt, mass)``, several joined with ``+``; ``free``; by default all shifts, and
            ``free`` where none of them closes the difference. Of images and objects, theirs.
        hold_fractions: keep the class fractions of MC.
        seed: of the random parts.

    Returns:
        The figures, ``sentence``, and ``calibration``, which maps features of MC.

    Raises:
        SchemaError: no MC, no data, or the files have other features.
        ConfigError: an unknown family or feature.
        HepdannError: too few events.
    """
    return calibration_of(
        *compared(tensors, data, mapped=True), families=families, hold_fractions=hold_fractions,
        seed=seed,
    )[1]  # fmt: skip


def calibration_of(
    file: Tensors,
    source: Source,
    target: Target,
    *,
    families: Sequence[str] | None,
    hold_fractions: bool,
    seed: int,
) -> tuple[Source, CalibrationReport]:
    """The MC that were compared, and what :func:`calibrate` gives; of images some of the MC.

    The file, its MC and the data are what :func:`compared` gives.
    """
    from . import calibration  # imports torch, which a diagnosis does without

    made = None
    if file.views:
        source, made = calibration.image_families(open_tensors(file.path), families, seed)
    report = calibration.calibrate(
        source,
        target,
        file.features,
        families=families,
        hold_fractions=hold_fractions,
        seed=seed,
        made=made,
    )
    return source, report


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
        source, target, file.features, seed=seed, max_events=max_events, alignable=file.tabular
    )


def compared(
    tensors: Tensors | str | Path, data: Tensors | str | Path | None, *, mapped: bool = False
) -> tuple[Tensors, Source, Target]:
    """What is compared: the file as described, its MC, and the data.

    Of images and objects it is what sums them up; those that are to be ``mapped`` hold the objects.

    Raises:
        SchemaError: no MC, no data, or the files have other features.
    """
    file = open_tensors(tensors)
    holder = file if data is None else open_tensors(data)
    file.check_features(holder)
    if file.tabular:
        return file, file.source(), holder.target()
    from .domains import choose_memory, prepare

    domains = prepare(file, holder, None, 0, choose_memory("auto", file, holder, members=0))
    if not (mapped and file.objects):
        return domains.tensors, domains.source, domains.target
    from .calibration import ObjectSource
    from .runs.maps import events_of

    source, target = events_of(domains)
    assert isinstance(source, ObjectSource)
    names, _ = object_figures(source.objects.take(slice(0, 0)), detailed=True)
    described = replace(
        file,
        features=(*file.features, *names),
        units=(*file.units, *("" for _ in names)),
        feature_info=(*file.feature_info, *({} for _ in names)),
    )
    return described, source, target
