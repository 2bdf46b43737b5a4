"""Writes scores.h5: what every method says of every event of a run."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..evaluation import write_truth
from ..inference.model import Model
from ..outputs import write_run_file
from ..tensors import SPLITS, Hits, Source, Target, Tensors
from .aligned import reference
from .domains import Domains

__all__ = ["write_scores"]

FORMAT, FORMAT_VERSION = "hepdann-scores", 1
_LATENT_ROWS = 5_000
TRACKING = ("track_segment", "track_segments")  # spectators that hold an experiment's baseline


def write_scores(
    path: Path, model: Model, domains: Domains, *, tensors: Tensors, sample_of: Any
) -> None:
    """Score source and target with every method.

    Args:
        path: of the file.
        model: the trained model.
        domains: the events; ``evaluation`` puts the truth, if known, where it alone reads it.
        tensors: the file that the source is from; its names and titles travel to the figures.
        sample_of: (N,) process of each source event.
    """
    image = io.BytesIO()  # HDF5 can crash when its own write meets a full disk; ours cannot
    with h5py.File(image, "w") as file:
        file.attrs.update(
            format=FORMAT,
            format_version=FORMAT_VERSION,
            classes=json.dumps(model.classes),
            methods=json.dumps(model.methods),
            features=json.dumps(model.features),
            target_kind=domains.kind,
            units=json.dumps(tensors.units),
            titles=json.dumps([str(entry.get("title") or "") for entry in tensors.feature_info]),
        )
        mc = _events(file, "mc", domains.source)
        mc["label"] = domains.source.label
        mc["label"].attrs.update(_classes(tensors, model.classes))
        mc["sample"] = np.asarray(sample_of, np.uint16)
        mc["sample"].attrs.update(_processes(tensors))
        target = _events(file, "target", domains.target)
        for name in model.alignments:
            target[f"aligned/{name}"] = model.align(domains.target.features, name)
        if model.correction is not None:  # what aligned events are compared with
            mc["reference_weight"] = reference(domains.source, model.correction).weight
        for group, events, domain in (
            (mc, domains.source, "source"),
            (target, domains.target, "target"),
        ):
            for method in model.methods:
                _score(group, model, events, domains.inputs(domain), method, domain)
        if domains.images is not None:
            _write_spectators(mc, domains.images.source_spectators)
            _write_spectators(target, domains.images.target_spectators)
        if domains.truth is not None:
            write_truth(file, domains.truth)
        file.attrs["complete"] = True
    write_run_file(path, image.getbuffer())


def _classes(tensors: Tensors, classes: Sequence[str]) -> dict[str, str]:
    """The titles and colours that the configuration gave to the classes."""
    given = (tensors.provenance.get("settings", {}).get("convert") or {}).get("classes") or []
    looks = {entry["name"]: entry for entry in given if isinstance(entry, dict)}
    styles = [looks.get(name, {}) for name in classes]
    return {
        "titles": json.dumps([entry.get("title") or "" for entry in styles]),
        "colors": json.dumps([entry.get("color") or "" for entry in styles]),
    }


def _processes(tensors: Tensors) -> dict[str, Any]:
    """Names of the MC's processes, and the titles and colours that their configuration gave."""
    names = tensors.samples["mc"]
    given = tensors.provenance.get("settings", {}).get("samples", [])
    looks = {entry["name"]: entry for entry in reversed(given)}
    styles = [looks.get(name, {}) for name in names]
    return {
        "names": list(names),
        "titles": json.dumps([entry.get("title") or "" for entry in styles]),
        "colors": json.dumps([entry.get("color") or "" for entry in styles]),
    }


def _write_spectators(group: h5py.Group, columns: Mapping[str, NDArray[np.float32]]) -> None:
    """Columns to split figures by, and what the experiment's own tracking decided for."""
    for name, values in columns.items():
        group[f"spectators/{name}"] = values
    for column in (columns[name] for name in TRACKING if name in columns):
        group["decision/tracking"] = np.where(np.isfinite(column), column, -1).astype(np.int32)


def _events(file: h5py.File, name: str, events: Source | Target) -> h5py.Group:
    group = file.create_group(name)
    for field in ("features", "weight", "event_id", "split"):
        group[field] = getattr(events, field)
    return group


def _score(
    group: h5py.Group,
    model: Model,
    events: Target,
    inputs: NDArray[np.float32] | Hits,
    method: str,
    domain: str,
) -> None:
    scores = model.score(inputs, method, domain)
    group[f"score/{method}"] = scores.mean
    if model.adapts(method):  # the others' domain heads only watched, by other statistics
        group[f"domain_score/{method}"] = scores.domain
    group[f"members/{method}"] = scores.members
    test = np.flatnonzero(events.split == SPLITS.index("test"))[:_LATENT_ROWS]
    group[f"latent/{method}"] = model.latent(inputs[test], method, domain)
