"""Writes scores.h5: what every method says of every event of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..domains import Domains
from ..evaluation import truth_of, write_truth
from ..inference import CrossFit, Inputs, Model, Scores
from ..store.scores.file import MOVED
from ..store.scores.tensor_rows import TensorRows, moved_to, rows_of_events
from ..store.scores.writer import ScoreWriter, writing_scores
from ..tensors import SPLITS, Target, Tensors, fold_of
from .aligned import reference

_LATENT_ROWS = 5_000
TRACKING = ("track_segment", "track_segments")  # spectators that hold an experiment's baseline


def write_scores(
    path: Path,
    model: Model | CrossFit,
    domains: Domains,
    *,
    tensors: Tensors,
    data: Tensors | None,
    sample_of: NDArray[np.integer],
) -> None:
    """Score source and target with every method; in folds by the fold that did not see the event.

    Args:
        domains: the events; ``evaluation`` puts the truth, if known, where it alone reads it.
        tensors: the file that the source is from; its names and titles travel to the figures.
        sample_of: (N,) process of each source event.
    """
    models = (model,) if isinstance(model, Model) else model.models
    parts: dict[str, NDArray[np.uint8] | None] = {"mc": None, "target": None}
    if isinstance(model, CrossFit):
        sides = {"mc": domains.source, "target": domains.target}
        parts = {n: fold_of(e.event_id, len(models), model.salt) for n, e in sides.items()}
    with writing_scores(
        path,
        classes=json.dumps(model.classes),
        methods=json.dumps(model.methods),
        features=json.dumps(model.features),
        target_kind=domains.kind,
        units=json.dumps(tensors.units),
        titles=json.dumps([str(entry.get("title") or "") for entry in tensors.feature_info]),
    ) as writer:
        if isinstance(model, CrossFit):
            writer.file.attrs["folds"] = len(models)
        _write_events(writer, path.parent, domains, tensors, data, parts)
        mc, target = writer.file["mc"], writer.file["target"]
        target.attrs["aligned"] = json.dumps(list(models[0].alignments))
        _write_truth_of_mc(mc, domains, tensors, sample_of)
        if models[0].correction is not None:  # what aligned events are compared with
            weights = [reference(domains.source, one.correction).weight for one in models]
            of_mc = 0 if parts["mc"] is None else parts["mc"]
            mc["reference_weight"] = np.choose(of_mc, weights)
        for name, events, domain in (
            ("mc", domains.source, "source"),
            ("target", domains.target, "target"),
        ):
            for method in model.methods:
                inputs, fold = domains.inputs(domain), parts[name]
                _score(writer, name, model, events, inputs, method, domain, fold)
        if domains.images is not None:
            _write_spectators(mc, domains.images.source_spectators)
            _write_spectators(target, domains.images.target_spectators)
        truth = truth_of(domains)
        if truth is not None:
            write_truth(writer.file, truth)


def _write_events(
    writer: ScoreWriter,
    folder: Path,
    domains: Domains,
    tensors: Tensors,
    data: Tensors | None,
    parts: Mapping[str, NDArray[np.uint8] | None],
) -> None:
    """Weights, identities and splits of both domains, and the features that stand nowhere else."""
    pseudo, images = domains.kind == "pseudo-data", domains.images is not None
    half = None if not pseudo else False  # of the MC that was split in two
    _events(
        writer, folder, "mc", domains.source, tensors, "mc",
        features=images, pseudo=half, fold=parts["mc"],
    )  # fmt: skip
    holder = tensors if pseudo or data is None else data
    _events(
        writer, folder, "target", domains.target, holder, "mc" if pseudo else "data",
        features=images or pseudo, pseudo=True if pseudo else None, fold=parts["target"],
    )  # fmt: skip


def _write_truth_of_mc(
    group: h5py.Group, domains: Domains, tensors: Tensors, sample_of: NDArray[np.integer]
) -> None:
    """Class and process of each MC event, and how both are shown."""
    group["label"] = domains.source.label
    group["label"].attrs["titles"] = json.dumps(tensors.class_looks("title"))
    group["label"].attrs["colors"] = json.dumps(tensors.class_looks("color"))
    group["sample"] = np.asarray(sample_of, np.uint16)
    group["sample"].attrs.update(_processes(tensors))


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


def _events(
    writer: ScoreWriter,
    folder: Path,
    name: str,
    events: Target,
    tensors: Tensors,
    domain: str,
    *,
    features: bool,
    pseudo: bool | None,
    fold: NDArray[np.uint8] | None,
) -> None:
    """Weights, identities and splits of events, and the way back to their rows."""
    rows = rows_of_events(tensors, domain, events.event_id, pseudo=pseudo)
    back = None if rows is None else TensorRows(tensors, domain, rows)
    writer.group(
        name,
        features=events.features if features else None,
        weight=events.weight,
        event_id=events.event_id,
        split=events.split,
        fold=fold,
        row=rows,
        entry=None if back is None else back.entries(),
    )
    moved = moved_to(folder, tensors, domain)
    if moved is not None:
        writer.file[name].attrs[MOVED] = str(moved)


def _score(
    writer: ScoreWriter,
    name: str,
    model: Model | CrossFit,
    events: Target,
    inputs: Inputs,
    method: str,
    domain: str,
    fold: NDArray[np.uint8] | None,
) -> None:
    def scored(errors: float = 0.0) -> Scores:
        if isinstance(model, Model):
            return model.score(inputs, method, domain, errors)
        return model.score(inputs, method, domain, fold, errors)

    scores = scored()
    held_out = events.split == SPLITS.index("test") if fold is None else fold == 0
    test = np.flatnonzero(held_out)[:_LATENT_ROWS]
    # the others' domain heads only watched, by other statistics
    domain_score = scores.domain if model.adapts(method) else None
    latent = model.latent(inputs[test], method, domain)
    writer.scores(name, method, scores.members, domain_score, latent)
    if model.varies(method, domain):
        writer.varied(name, method, np.stack([scored(1.0).mean, scored(-1.0).mean]))
