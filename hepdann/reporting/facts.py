"""What was trained on what: the facts of a run, as a reader of the page wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HepdannError
from ..inputs import read_json, read_text
from ..runs import Run
from ..store.content import Files
from ..store.model_file import GeneratorFolder
from ..store.paths import GeneratorPaths, RunPaths
from ..store.scores_reader import Domain, RunScores
from ..tensors import SPLITS, open_tensors


@dataclass(frozen=True)
class Counts:
    """Events of MC, or of what the target is: rows, in each split, in each class, and Σw.

    There are no ``classes`` where labels are not known.
    """

    domain: str
    total: int
    splits: tuple[int, ...]
    classes: tuple[tuple[str, int], ...]
    weight: float


@dataclass(frozen=True)
class Facts:
    """Everything in words about a run.

    Attributes:
        settings: name and value, the important ones.
        counts: of MC and target.
        inputs: file, size in bytes and SHA-256, or else ROOT's UUID, of what was converted; empty
            where the tensor file is not there any more.
        cuts: sample and selection.
        config: the whole configuration, YAML.
    """

    settings: tuple[tuple[str, str], ...]
    counts: tuple[Counts, ...]
    inputs: tuple[tuple[str, int, str], ...]
    cuts: tuple[tuple[str, str], ...]
    config: str


def facts_of(run: Run, scores: RunScores) -> Facts:
    """Collect the facts of a run from its folder and, where it is still there, its tensor file.

    Raises:
        RunError: the run's scores or configuration are missing or damaged.
    """
    paths = RunPaths(run.folder)
    counts = (_counts(scores, "mc", "MC"), _counts(scores, "target", scores.target_kind))
    try:
        tensors = read_json(paths.start_record, Files)["tensors"]
    except HepdannError:
        tensors = ""
    return _facts(tuple(_settings(run, scores)), counts, tensors, paths.config)


def facts_of_generator(generator: GeneratorFolder) -> Facts:
    """Likewise of a generator."""
    settings = generator.record.settings.to_json() | {"folder": str(generator.folder)}
    texts = [", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in settings.values()]
    rows = [(name.replace("_", " "), text) for name, text in zip(settings, texts, strict=True)]
    record = GeneratorPaths(generator.folder).record
    return _facts(tuple(rows), (), generator.record.tensors, record)


def _facts(
    settings: tuple[tuple[str, str], ...], counts: tuple[Counts, ...], tensors: str, config: Path
) -> Facts:
    provenance = _provenance(tensors)
    inputs = [
        (
            str(e.get("path", "")),
            int(e.get("size") or 0),
            str(e.get("sha256") or e.get("uuid") or ""),
        )
        for e in provenance.get("inputs", [])
    ]
    return Facts(settings, counts, tuple(inputs), tuple(_cuts(provenance)), read_text(config))


def _settings(run: Run, scores: RunScores) -> Iterator[tuple[str, str]]:
    train, throughput = run.config.train, run.metrics.get("throughput") or {}
    shift = train.shift
    yield "target", f"pseudo-data, shift {shift.name} t = {shift.t_text}" if shift else "data"
    yield "classes", ", ".join(scores.classes)
    yield "features", ", ".join(scores.features)
    yield "methods", ", ".join(scores.methods)
    yield "networks a method", f"{train.seeds} (first seed {train.seed})"
    if train.folds is not None:
        yield "folds", f"{train.folds}; every event is scored by the one that did not see it"
    for name, one in run.metrics.get("calibrations", {}).items():
        yield name, str(one["sentence"])
    yield "epochs", f"{train.epochs}, batches of {train.batch_size} events of each domain"
    yield "λ", f"{train.lambda_:g}"
    if throughput.get("seconds"):
        yield "training took", f"{throughput['seconds']:.0f} s for {throughput['members']} networks"
    yield "hepdann", str(run.metrics.get("hepdann", ""))
    yield "folder", str(run.folder)


def _counts(scores: RunScores, domain: Domain, name: str) -> Counts:
    split = scores.column(domain, "split")
    weight = scores.column(domain, "weight")
    classes: tuple[tuple[str, int], ...] = ()
    if domain == "mc":
        counts = np.bincount(scores.column("mc", "label"), minlength=len(scores.classes))
        classes = tuple(zip(scores.classes, map(int, counts), strict=False))
    rows = tuple(int(np.count_nonzero(split == i)) for i in range(len(SPLITS)))
    return Counts(name, len(split), rows, classes, float(np.sum(weight, dtype=np.float64)))


def _provenance(tensors: str) -> Mapping[str, Any]:
    try:
        return open_tensors(tensors).provenance
    except HepdannError:
        return {}


def _cuts(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    settings = provenance.get("settings", {})
    common = (settings.get("convert") or {}).get("cut")
    if common:
        yield "all samples", str(common)
    for sample in settings.get("samples") or []:
        if sample.get("cut"):
            yield str(sample.get("name")), str(sample["cut"])
