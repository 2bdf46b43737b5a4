"""Export of a run: one file that goes from the branches of an ntuple to class scores."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import ConfigError
from ..inference import CrossFit, Model
from ..outputs import write_whole
from ..runs import Run, open_run
from ..store.paths import RunPaths
from ..store.training_record import TrainingRecord
from ..store.working_points import read_working_points
from ..tensors import Tensors
from .check import (
    Agreement,
    Events,
    compare,
    converted_events,
    refuse_difference,
    stored_events,
    tensors_of,
)
from .cpp import header
from .features import Input, Plan, add_features, plan
from .frameworks import (
    OPSETS,
    Framework,
    add_outputs,
    add_table,
    gnn_config,
    preprocess,
)
from .graph import Graph
from .images import agreement_of, images_graph, objects_graph
from .onnx_file import evaluate, onnx_model, require
from .steps import Scorer

_ENDINGS = {"cpp": (".hpp", ".h", ".hh", ".hxx")}
_EVENTS = 20_000  # of the run, at most, in the check
_ONE_BY_ONE = 2_000  # likewise where a model takes one event at a time


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: the model, and what stands beside it.
        framework: for which.
        method: whose scores these are.
        domain: of which events, "target" or "source".
        classes: the outputs.
        inputs: the columns that go in.
        computed: features that are computed of branches.
        note: why features of expressions are inputs; "" if they are not.
        agreement: with hepdann's scores.
    """

    files: tuple[Path, ...]
    framework: str
    method: str
    domain: str
    classes: tuple[str, ...]
    inputs: tuple[Input, ...]
    computed: tuple[str, ...]
    note: str
    agreement: Agreement


def export(
    run: Run | str | Path,
    output: str | Path,
    target: Framework = "onnx",
    method: str | None = None,
    domain: str = "target",
    tolerance: float = 1e-6,
) -> Exported:
    """Write a method of a run as ONNX or C++, from the branches of the ntuple to the scores.

    Args:
        run: a run or its folder.
        output: the file; an existing one is replaced by a whole new one.
        target: the framework: "onnx", "athena", "cms" or "cpp".
        method: one of the run's; default the recommended one.
        domain: "target" scores data, "source" MC.
        tolerance: largest difference from hepdann's score on the run's events.

    Raises:
        ConfigError: an unknown framework, an ending that does not fit, or the extra
            ``onnx`` is not installed.
        RunError: no such method or domain, or one that cannot be exported; or the scores differ.
    """
    output = Path(output)
    _check_request(output, target)
    for package in ("onnx", "onnxruntime"):
        require(package)
    opened = run if isinstance(run, Run) else open_run(run)
    scorer = opened.model
    model = scorer.models[0] if isinstance(scorer, CrossFit) else scorer
    chosen = method or str(opened.metrics["recommended"])
    step = scorer.steps(chosen, domain)
    tensors = tensors_of(opened)
    record = None if tensors is None else TrainingRecord.read(opened.folder, tensors.path)
    name = _name(output, target)
    if model.views or model.objects:
        graph, layout = (images_graph if model.views else objects_graph)(model, step, target)
        agreement, why = agreement_of(graph, scorer, tensors, chosen, domain), ""
    else:
        graph, layout, agreement, why = _table_graph(
            opened, target, (chosen, domain, name), tensors, record, tolerance
        )
    refuse_difference(agreement, tolerance)
    metadata = _metadata(opened, model, layout, tensors, record, chosen, domain)
    metadata["check"] = {"events": agreement.events, "largest_difference": agreement.largest}
    about = f"{chosen} of {opened.folder.name}, for {'data' if domain == 'target' else 'MC'}"
    files = _write(graph, output, target, (name, about), model, layout, metadata)
    return Exported(
        files, target, chosen, domain, model.classes, layout.inputs, layout.computed, why,
        agreement,
    )  # fmt: skip


def _table_graph(
    run: Run,
    framework: str,
    names: tuple[str, str, str],
    tensors: Tensors | None,
    record: TrainingRecord | None,
    tolerance: float,
) -> tuple[Graph, Plan, Agreement, str]:
    """The graph from branches to scores, how it begins, what its check gave, what to say of it.

    Args:
        run: the run.
        framework: for which.
        names: of method, domain and model.
        tensors: the tensor file of the run, if it is there.
        record: of the training, if it is there.
        tolerance: of the check; the last way is taken whatever it gives.
    """
    (method, domain, name), scorer = names, run.model
    model = scorer.models[0] if isinstance(scorer, CrossFit) else scorer
    for layout, events, note in _layouts(run, model, tensors, record, domain):
        graph = Graph()
        features = add_features(graph, layout, add_table(graph, framework, len(layout.inputs)))
        step = scorer.steps(method, domain)
        add_outputs(graph, framework, Scorer(graph, features).add(step), model.classes, name)
        expected = scorer.score(events.features, method, domain).mean
        agreement = _check(graph, framework, events, expected)
        made = graph, layout, agreement, note
        if agreement.largest <= tolerance:
            break
    return made


def _check_request(output: Path, framework: str) -> None:
    if framework not in get_args(Framework):
        raise ConfigError(
            f"no framework {framework!r}", where="--for",
            mend=f"there are {', '.join(get_args(Framework))}",
        )  # fmt: skip
    endings = _ENDINGS.get(framework, (".onnx",))
    if output.suffix not in endings:
        raise ConfigError(
            f"the name does not end in {endings[0]}", where=output,
            mend=f"write -o {output.with_suffix(endings[0])}",
        )  # fmt: skip


def _layouts(
    run: Run, model: Model, tensors: Tensors | None, record: TrainingRecord | None, domain: str
) -> Iterator[tuple[Plan, Events, str]]:
    """Ways from inputs to features, the next one where the scores of one are too far off.

    Yields:
        How features follow from inputs, real events in both forms, and what to say about it.
    """
    arguments = (model.features, model.missing, model.indicators)
    if tensors is None or record is None:
        layout = plan(*arguments)
        note = "the tensor file of the run is gone: the inputs are the features"
        yield layout, stored_events(run, layout, domain, _EVENTS), note
        return
    described = zip(tensors.features, tensors.feature_info, tensors.units, strict=True)
    info = {name: {**entry, "unit": unit} for name, entry, unit in described}
    note, outside = "", list[str]()
    layout = plan(*arguments, info)
    while layout.computed:
        events = converted_events(record, layout, domain, _EVENTS)
        why = "none of the files that were converted can be read for the check"
        if events is not None:
            yield layout, events, note
            why = "in float32 the scores would differ by more than the tolerance"
        outside += (events is not None and layout.approximate) or layout.computed
        note = f"{', '.join(outside)}: computed outside, because {why}"
        layout = plan(*arguments, info, outside)
    yield layout, stored_events(run, layout, domain, _EVENTS), note


def _check(
    graph: Graph, framework: str, events: Events, expected: NDArray[np.float32]
) -> Agreement:
    """Compare the graph in onnxruntime with hepdann's scores."""
    one_by_one = framework == "athena"
    table = events.table[:_ONE_BY_ONE] if one_by_one else events.table
    proto = onnx_model(graph, "check", OPSETS[framework], {}, batch=1 if one_by_one else None)
    (given,) = graph.inputs
    inputs = {given.name: np.ascontiguousarray(table.reshape(-1, *given.shape))}
    outputs = evaluate(proto.SerializeToString(), inputs, one_by_one=one_by_one)
    return compare(np.concatenate(outputs, axis=1), expected[: len(table)])


def _metadata(
    run: Run,
    model: Model,
    layout: Plan,
    tensors: Tensors | None,
    record: TrainingRecord | None,
    method: str,
    domain: str,
) -> dict[str, Any]:
    """What the file says about itself."""
    known = {} if record is None else record.ranges
    info = {} if tensors is None else dict(zip(tensors.features, tensors.feature_info, strict=True))
    units = {} if tensors is None else dict(zip(tensors.features, tensors.units, strict=True))
    weights = RunPaths(run.folder).model
    return {
        "hepdann": __version__,
        "run": run.folder.name,
        "method": method,
        "domain": domain,
        "classes": list(model.classes),
        "inputs": [one.to_dict() for one in layout.inputs],
        "features": [
            {
                "name": name,
                "unit": units.get(name, ""),
                "expression": (info.get(name) or {}).get("expression"),
                "range": list(known.get(name, (None, None))),
            }
            for name in model.features
        ],
        "working_points": [
            point.model_dump(mode="json") for point in read_working_points(run.folder)
        ],
        "model_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "tensors": None if tensors is None else tensors.content_id(),
    }


def _name(output: Path, framework: str) -> str:
    """The name of a namespace or model, from that of the file."""
    name = re.sub(r"\W", "_", output.stem, flags=re.ASCII)
    if framework == "athena":  # salt allows no underscore in it
        return name.replace("_", "") or "hepdann"
    return f"_{name}" if name[:1].isdigit() else name


def _write(
    graph: Graph,
    output: Path,
    framework: str,
    names: tuple[str, str],
    model: Model,
    layout: Plan,
    metadata: Mapping[str, Any],
) -> tuple[Path, ...]:
    """Write the file and what stands beside it; gives their paths."""
    name, about = names
    if framework == "cpp":
        inputs = [one.name for one in layout.inputs]
        text = header(graph, name, model.classes, inputs, about, metadata)
        write_whole(output, text.encode())
        return (output,)
    properties = {"hepdann": json.dumps(metadata)}
    files = [output]
    if framework == "athena":
        config = gnn_config(name, layout, model.classes, metadata)
        properties["gnn_config"] = json.dumps(config)
    batch = 1 if framework == "athena" else None
    proto = onnx_model(graph, about, OPSETS[framework], properties, batch=batch)
    if framework == "cms":
        files.append(output.with_name("preprocess.json"))
        impute = dict(zip(model.features, model.scaling.impute.tolist(), strict=True))
        text = json.dumps(preprocess(layout, impute, model.classes), indent=2)
        write_whole(files[1], text.encode())
    write_whole(output, proto.SerializeToString())
    return tuple(files)
