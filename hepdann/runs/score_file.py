"""Writes scores.h5: what every method says of every event of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..domains import Domains
from ..evaluation import truth_of, write_truth
from ..inference import Inputs, Model, object_scores
from ..store.scores_file import MOVED, ScoreWriter, writing_scores
from ..store.scores_reader import TensorRows, moved_to, rows_of_events
from ..tensors import SPLITS, Objects, Target, Tensors, fold_of
from .maps import aligned_target, reweighted_source

_LATENT_ROWS = 5_000
TRACKING = ("track_segment", "track_segments")  # spectators that hold an experiment's baseline


def write_scores(
    path: Path,
    model: Model,
    domains: Domains,
    *,
    tensors: Tensors,
    data: Tensors | None,
) -> None:
    """Score source and target with every method; in folds by the fold that did not see the event.

    The truth, if known, is put where ``evaluation`` alone reads it. ``tensors`` is the file of the
    source, whose names and titles travel to the figures, ``data`` that of the target, if it is
    another one.
    """
    models = model.folds or (model,)
    pseudo, images = domains.kind == "pseudo-data", domains.images
    holder = tensors if pseudo or data is None else data
    with writing_scores(
        path,
        classes=json.dumps(model.classes),
        methods=json.dumps(model.methods),
        features=json.dumps(model.features),
        target_kind=domains.kind,
        units=json.dumps(tensors.units),
        titles=json.dumps([str(entry.get("title") or "") for entry in tensors.feature_info]),
    ) as writer:
        for name, domain, events, file, where, half in (
            ("mc", "source", domains.source, tensors, "mc", False),
            ("target", "target", domains.target, holder, "mc" if pseudo else "data", True),
        ):
            fold = None
            if model.folds:
                writer.file.attrs["folds"] = len(models)
                fold = fold_of(events.event_id, len(models), model.salt)
            rows = rows_of_events(file, where, events.event_id, pseudo=half if pseudo else None)
            alone = images is not None or (pseudo and half)  # features that stand nowhere else
            writer.group(
                name,
                features=events.features if alone else None,
                weight=events.weight,
                event_id=events.event_id,
                split=events.split,
                fold=fold,
                row=rows,
                entry=None if rows is None else TensorRows(file, where, rows).entries(),
            )
            group, moved = writer.file[name], moved_to(path.parent, file, where)
            if moved is not None:
                group.attrs[MOVED] = str(moved)
            if name == "target":
                group.attrs["aligned"] = json.dumps(list(models[0].alignments))
                if domains.objects is not None:  # which stand nowhere to be mapped again
                    _write_aligned(group, models, domains, fold)
            else:
                _write_truth_of_mc(group, domains, tensors)
            if name == "mc" and models[0].correction is not None:  # to compare aligned events with
                weights = [
                    reweighted_source(domains.source, one.correction).weight for one in models
                ]
                group["reference_weight"] = np.choose(0 if fold is None else fold, weights)
            for method in model.methods:
                _score(writer, name, model, events, domains.inputs(domain), method, domain, fold)
            if images is not None:
                columns = images.source_spectators if name == "mc" else images.target_spectators
                _write_spectators(group, columns)
        truth = truth_of(domains)
        if truth is not None:
            write_truth(writer.file, truth)


def _write_aligned(
    group: h5py.Group, models: Sequence[Model], domains: Domains, fold: NDArray[np.uint8] | None
) -> None:
    """What sums the objects of the target up, after each alignment, or that of its fold."""
    for name in models[0].alignments:
        mapped = [aligned_target(domains, one.alignments[name]).features for one in models]
        number = np.zeros(len(mapped[0]), int) if fold is None else fold
        group[f"aligned/{name}"] = np.stack(mapped)[number, np.arange(len(number))]


def _write_truth_of_mc(group: h5py.Group, domains: Domains, tensors: Tensors) -> None:
    """Class and process of each MC event, and how both are shown."""
    group["label"] = domains.source.label
    group["label"].attrs["titles"] = json.dumps(tensors.class_looks("title"))
    group["label"].attrs["colors"] = json.dumps(tensors.class_looks("color"))
    group["sample"] = np.asarray(domains.process, np.uint16)
    given = tensors.provenance.get("settings", {}).get("samples", [])
    looks = {entry["name"]: entry for entry in reversed(given)}
    names = list(tensors.samples["mc"])
    texts = {
        f"{key}s": json.dumps([looks.get(name, {}).get(key) or "" for name in names])
        for key in ("title", "color")
    }
    group["sample"].attrs.update(names=names, **texts)


def _write_spectators(group: h5py.Group, columns: Mapping[str, NDArray[np.float32]]) -> None:
    """Columns to split figures by, and what the experiment's own tracking decided for."""
    for name, values in columns.items():
        group[f"spectators/{name}"] = values
    for column in (columns[name] for name in TRACKING if name in columns):
        group["decision/tracking"] = np.where(np.isfinite(column), column, -1).astype(np.int32)


def _score(
    writer: ScoreWriter,
    name: str,
    model: Model,
    events: Target,
    inputs: Inputs,
    method: str,
    domain: str,
    fold: NDArray[np.uint8] | None,
) -> None:
    scored = partial(model.score, inputs, method, domain, fold=fold, event_id=events.event_id)
    scores = scored()
    held_out = events.split == SPLITS.index("test") if fold is None else fold == 0
    test = np.flatnonzero(held_out)[:_LATENT_ROWS]
    # the others' domain heads only watched, by other statistics
    domain_score = scores.domain if model.adapts(method) else None
    latent = model.latent(inputs[test], method, domain)
    writer.scores(name, method, scores.members, domain_score, latent)
    if isinstance(inputs, Objects) and model.object_classes:
        of_objects = object_scores(model, inputs, method, domain, fold)
        parts = {one.name: part for one, part in zip(inputs.collections, inputs.parts, strict=True)}
        for collection, values in of_objects.items():
            if np.isfinite(values).all():
                writer.objects(name, collection, method, parts[collection], values)
    if model.varies(method, domain):
        writer.varied(name, method, np.stack([scored(errors=e).mean for e in (1.0, -1.0)]))
