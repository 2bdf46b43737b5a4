"""``hepdann.report``: runs as one self-contained HTML page.

The page is rendered by Jinja2 with every value escaped; its numbers travel as JSON and become
text, never markup. A content security policy allows the page's own script alone and no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import HepdannError, RunError
from ..evaluation import point_rows
from ..inputs import read_json, read_text
from ..outputs import write_whole, writing
from ..plotting.jobs import distinct_names
from ..plotting.quantities import Quantities
from ..runs import Run
from ..store.content import Files
from ..store.model_file import GeneratorFolder
from ..store.paths import GeneratorPaths, RunPaths
from ..store.scores_reader import Domain, RunScores, open_scores
from ..tensors import SPLITS, open_tensors
from .figures import charts_of, figures_of, generated_figures, without_features
from .tables import MethodRow, methods_table, named_runs, shown, target_name

_MOST_CLASSES = 4  # of more, working points would fill the page


def report(
    runs: Iterable[str | Path],
    output: str | Path = "report.html",
    *,
    title: str | None = None,
    look: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = 1,
) -> Path:
    """Write one page that shows runs: provenance, diagnosis, table of methods, every figure.

    A generator is shown by its settings, the figures of its validation, and its plots.

    The page needs nothing but itself: it opens offline and sends no request.

    Args:
        runs: their folders, and those of generators.
        output: the file; it is replaced whole.
        title: of the page; by default the names of the runs.
        look: settings of the figures (``style``, ``experiment``, ``text``, …) in place of those in
            the section ``plots`` of each run's configuration.
        progress: called with the number of figures drawn and that of all to draw, run by run.
        workers: processes that draw, as of :func:`hepdann.plotting.plot_run`.

    Raises:
        RunError: a run is not finished or damaged, or the file cannot be written.
        ConfigError: a setting of ``look`` that does not exist, or has a wrong value.
    """
    opened = named_runs(runs)
    if not opened:
        raise RunError("no run to report on", mend="name at least one run folder")
    plain = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in opened]
    anchors = distinct_names([f"run-{name}" for name in plain])
    sections = [
        {"name": name, "anchor": anchor}
        | (
            _generator(one, look or {})
            if isinstance(one, GeneratorFolder)
            else _section(one, look or {}, progress, workers)
        )
        for anchor, (name, one) in zip(anchors, opened.items(), strict=True)
    ]
    rows = methods_table(opened)
    html = _render(title or f"hepdann: {', '.join(opened)}", sections, rows)
    path = Path(output)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, html.encode())
    return path


def _generator(generator: GeneratorFolder, look: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs of a generator."""
    texts = {
        name.replace("_", " "): ", ".join(map(str, v)) if isinstance(v, list) else str(v)
        for name, v in generator.record.settings.to_json().items()
    }
    settings = (texts | {"folder": str(generator.folder)}).items()
    record = GeneratorPaths(generator.folder).record
    absent: dict[str, Any] = dict.fromkeys(["recommended", "recommendation", "gap", "interrupted"])
    return absent | {
        "warnings": [], "charts": [], "points": [],
        "target": "generator",
        "diagnosis": {"sentence": f"{'; '.join(generator.validation.lines)}.", "features": []},
        "facts": _facts(settings, (), generator.record.tensors, record),
        "figures": generated_figures(generator.folder, look),
    }  # fmt: skip


def _section(
    run: Run,
    look: Mapping[str, Any],
    progress: Callable[[int, int], None] | None,
    workers: int | None,
) -> dict[str, Any]:
    """What the template needs of one run."""
    metrics, scores = run.metrics, open_scores(run.folder)
    quantities, paths = Quantities(run.folder, scores, run.config), RunPaths(run.folder)
    counts = _counts(scores, "mc", "MC"), _counts(scores, "target", scores.target_kind)
    try:
        tensors = read_json(paths.start_record, Files)["tensors"]
    except HepdannError:
        tensors = ""
    few, why = len(scores.classes) <= _MOST_CLASSES, without_features(quantities)
    left_out = [f"figures of features are left out: {why}" if why else quantities.fewer_features]
    return {
        "target": target_name(metrics),
        "recommended": metrics.get("recommended"),
        "recommendation": (metrics.get("recommendation") or {}).get("sentence"),
        "diagnosis": metrics.get("diagnosis") or {},
        "gap": metrics.get("gap"),
        "warnings": [*_warnings(metrics), *filter(None, left_out)],
        "interrupted": bool(metrics.get("interrupted")),
        "facts": _facts(_settings(run, scores), counts, tensors, paths.config),
        "charts": charts_of(quantities),
        "figures": figures_of(run, quantities, look, progress, workers),
        "points": point_rows(scores) if few else [],
    }


def _warnings(metrics: Mapping[str, Any]) -> list[str]:
    """Verdicts of the last health check, a line each, as ``evaluate`` prints them."""
    warnings = []
    for method, block in metrics["methods"].items():
        health = block.get("health") or {}
        for verdict in health.get("verdicts", []) if isinstance(health, Mapping) else []:
            if verdict.get("until") != health.get("epoch"):
                continue  # it has passed
            text = verdict.get("sentence") or verdict.get("message") or verdict.get("name")
            warnings.append(f"{method}: {text}")
    return warnings


def _facts(
    settings: Iterable[tuple[str, str]],
    counts: Sequence[Mapping[str, Any]],
    tensors: str,
    config: Path,
) -> dict[str, Any]:
    """What was trained on what: of inputs the file, bytes, and SHA-256 or else ROOT's UUID.

    Inputs and cuts are those of the tensor file, and none where it is not there any more.
    """
    try:
        provenance: Mapping[str, Any] = open_tensors(tensors).provenance
    except HepdannError:
        provenance = {}
    inputs = [
        (str(e.get("path", "")), e.get("size") or 0, e.get("sha256") or e.get("uuid") or "")
        for e in provenance.get("inputs", [])
    ]
    return {
        "settings": list(settings), "counts": counts, "inputs": inputs,
        "cuts": list(_cuts(provenance)), "config": read_text(config),
    }  # fmt: skip


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


def _counts(scores: RunScores, domain: Domain, name: str) -> dict[str, Any]:
    """Rows, in each split, in each class where labels are known, and the sum of weights."""
    split, weight = scores.column(domain, "split"), scores.column(domain, "weight")
    classes: list[tuple[str, int]] = []
    if domain == "mc":
        counts = np.bincount(scores.column("mc", "label"), minlength=len(scores.classes))
        classes = list(zip(scores.classes, counts.tolist(), strict=False))
    rows = [int(np.count_nonzero(split == i)) for i in range(len(SPLITS))]
    total = float(np.sum(weight, dtype=np.float64))
    return {
        "domain": name, "total": len(split), "splits": rows, "classes": classes, "weight": total,
    }  # fmt: skip


def _cuts(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    settings = provenance.get("settings", {})
    common = (settings.get("convert") or {}).get("cut")
    if common:
        yield "all samples", str(common)
    for sample in settings.get("samples") or []:
        if sample.get("cut"):
            yield str(sample.get("name")), str(sample["cut"])


def _render(title: str, sections: list[dict[str, Any]], rows: list[MethodRow]) -> str:
    import jinja2

    script, style, page = (
        resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        for name in ("page.js", "page.css", "page.html.j2")
    )
    hashes = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (script, style)
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(page).render(
        title=title,
        version=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sections=sections,
        rows=rows,
        columns=shown(rows),
        data=_json({s["anchor"]: s["charts"] for s in sections}),
        # only this script and this style; images from the page itself; nothing from outside
        policy=f"default-src 'none'; script-src '{hashes[0]}'; style-src '{hashes[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        script=script,
        style=style,
    )


def _json(value: Any) -> str:
    """JSON that can stand inside a script element: no ``<``, so that no tag can end it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
