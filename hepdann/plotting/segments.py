"""Figures of a run on images: which segment is taken for which, and where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import evaluation, stats
from ..evaluation import DataMC, Profile
from ..evaluation.segments import SEGMENT_PLANES, plane_residual, residual_profile, segment_profile
from ..stats import Confusion
from ..stats.classification import predicted
from ..store.scores.reader import Domain
from .axes.styles import method_title
from .figures.matrices import Normalise, confusion
from .figures.profiles import efficiency
from .figures.stacks import data_mc
from .jobs import Job, file_name
from .quantities import Quantities

Floats = NDArray[np.floating]

_PANELS: tuple[Normalise, ...] = ("purity", "efficiency", "log")
_PLANES = ("planecode", "planecodes")
_BINS = 8


def segment_jobs(run: Quantities) -> Iterator[Job]:
    """The figures of a run whose classes are places; none of a run on features."""
    if not run.scores.spectators and not run.scores.decisions:
        return
    for domain, where in run.labelled:
        for method in _methods(run, domain):
            yield from _matrices(run, domain, method, f"{method_title(method)}, {where}")
        for what in ("purity", "efficiency"):
            yield Job(
                "segments",
                f"{what}_{domain}",
                partial(_profiles, run, domain, what),
                partial(efficiency, name="Segment", what=what.capitalize(), title=where),
                True,
            )
    for method in (*run.scores.decisions, *run.candidates):
        yield Job(
            "segments",
            file_name("data_mc_segment", method),
            partial(_reconstructed, run, method),
            partial(
                data_mc, name="Reconstructed segment", data_name=run.target_name,
                colours=run.class_colours, title=method_title(method),
            ),
            run.is_simulation,
        )  # fmt: skip
    yield from _against(run)


def _matrices(run: Quantities, domain: Domain, method: str, title: str) -> Iterator[Job]:
    names = [*run.class_names, "none"] if method in run.scores.decisions else run.class_names
    for panel in _PANELS:
        yield Job(
            "segments",
            file_name("confusion", panel, domain, method),
            partial(_confusion, run, domain, method),
            partial(
                confusion, names=names, normalise=panel, title=title, what="segment",
                given="reconstructed",
            ),
            True,
        )  # fmt: skip


def _against(run: Quantities) -> Iterator[Job]:
    """On MC: residual in planes, and accuracy against hadronic W."""
    plane = next((name for name in _PLANES if name in run.scores.spectators), None)
    if plane is not None and len(run.scores.classes) == len(SEGMENT_PLANES):
        yield Job(
            "segments",
            "residual_planes",
            partial(_residuals, run, plane),
            partial(
                efficiency, name="Reconstructed segment - true plane", unit="planes",
                what="Share of events", title="MC, test split", log=True,
            ),
            True,
        )  # fmt: skip
    if "W" in run.scores.spectators:
        yield Job(
            "segments",
            "accuracy_W",
            partial(_accuracies, run),
            partial(efficiency, name="$W$", unit="GeV", what="Accuracy", title="MC, test split"),
            True,
        )


def _methods(run: Quantities, domain: Domain) -> tuple[str, ...]:
    return (*run.scores.decisions, *run.methods(None, domain))


def _score(run: Quantities, domain: Domain, method: str) -> Floats:
    read = run.scores.decision if method in run.scores.decisions else run.scores.score
    return np.asarray(read(domain, method)[run.test[domain]])


def _truth(run: Quantities, domain: Domain) -> tuple[NDArray[np.int32], Floats]:
    """True class and weight of the test split."""
    rows = run.test[domain]
    return run.truth(domain)[rows], run.scores.column(domain, "weight")[rows]


def _confusion(run: Quantities, domain: Domain, method: str) -> Confusion:
    return stats.confusion(_score(run, domain, method), *_truth(run, domain))


def _profiles(run: Quantities, domain: Domain, what: str) -> dict[str, Profile]:
    kind: Literal["purity", "efficiency"] = "purity" if what == "purity" else "efficiency"
    truth = _truth(run, domain)
    return {
        method: segment_profile(_score(run, domain, method), *truth, what=kind)
        for method in _methods(run, domain)
    }


def _reconstructed(run: Quantities, method: str) -> DataMC:
    label, weight = _truth(run, "mc")
    given = [predicted(_score(run, d, method)).astype(float) for d in ("mc", "target")]
    edges = np.arange(len(run.scores.classes) + 1) - 0.5
    other = run.scores.column("target", "weight")[run.test["target"]]
    names = run.class_names
    return evaluation.data_mc(
        given[0], weight, label, names, given[1], other, edges, normalise=True
    )


def _residuals(run: Quantities, plane: str) -> dict[str, Profile]:
    _, weight = _truth(run, "mc")
    planes = run.scores.spectator("mc", plane)[run.test["mc"]]
    profiles = {}
    for method in _methods(run, "mc"):
        given = predicted(_score(run, "mc", method))
        known = given < len(SEGMENT_PLANES)
        profiles[method] = residual_profile(
            plane_residual(given[known], planes[known]), weight[known]
        )
    return profiles


def _accuracies(run: Quantities) -> dict[str, Profile] | None:
    label, weight = _truth(run, "mc")
    values = run.scores.spectator("mc", "W")[run.test["mc"]].astype(np.float64)
    edges = np.unique(np.nanquantile(values, np.linspace(0.001, 0.999, _BINS + 1)))
    if len(edges) < 2:
        return None
    every = np.ones(len(label), bool)
    return {
        method: evaluation.efficiency_profile(
            values, predicted(_score(run, "mc", method)) == label, every, weight, edges, 0.5
        )
        for method in _methods(run, "mc")
    }
