"""Real events of a run, and how far the exported scores of them are from hepdann's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, HepdannError, RunError
from ..inference import Model, Step
from ..readers.files import FileRef
from ..readers.planning.columns import Columns
from ..readers.row_reader import RowReader
from ..runs import Run
from ..store.scores_reader import open_scores
from ..store.training_record import TrainingRecord
from ..tensors import Objects, Tensors, read_images
from .features import OPSETS, GraphInput, GraphPlan, branches_of, known_values
from .graph import Graph, evaluate, onnx_model
from .steps import ObjectInputs, Scorer

_WORST = 5


@dataclass(frozen=True, eq=False)
class CheckEvents:
    """Events as inputs of the graph (N, R), and as features of the model (N, F), some NaN."""

    table: NDArray[np.float32]
    features: NDArray[np.float32]


def stored_events(run: Run, plan: GraphPlan, domain: str, most: int) -> CheckEvents:
    """Events from ``scores.h5``, whose features are columns of the inputs, spread over the file."""
    features = open_scores(run.folder).column("target" if domain == "target" else "mc", "features")
    features = features[:: max(1, -(-len(features) // most))]
    at = {name: number for number, name in enumerate(plan.names)}
    reads = {feature.reads[0]: feature for feature in plan.features}
    columns = []
    for one in plan.inputs:
        feature = reads[one.name]
        column = features[:, at[feature.name]].copy()
        if feature.missing is not None:  # as the ntuple marks it
            column[np.isnan(column)] = feature.missing
        columns.append(column)
    return CheckEvents(np.stack(columns, axis=1), features)


def converted_events(
    record: TrainingRecord, plan: GraphPlan, domain: str, most: int
) -> CheckEvents | None:
    """The first events of a file that was converted; ``None`` if none can be read.

    Domain "target" takes files of data, if there are any; ``most`` entries are read.
    """
    conversion = record.conversion
    if conversion is None:
        return None
    names = list(dict.fromkeys(
        name
        for feature in plan.features
        for name in (branches_of(feature.expression) if feature.expression else (feature.name,))
    ))  # fmt: skip
    branches = dict.fromkeys(name.partition("[")[0] for name in names)  # x[1] is of the branch x
    at = {name: number for number, name in enumerate(plan.names)}
    data = domain == "target"
    for sample in sorted(conversion.samples, key=lambda s: (s.role == "data") != data):
        for file in sample.files:
            ref = FileRef(file.path, file.tree)
            try:
                reader = RowReader(ref, conversion, keep=[*branches], block=most)
                rows = next(reader.read(lambda block: block))
            except (HepdannError, StopIteration):
                continue  # moved, without events, or of a sample that lacks a branch
            given = Columns.of(reader.file.branches).lookup(rows.kept)
            for chosen in rows.inputs:
                if len(chosen.rows):
                    with np.errstate(over="ignore"):
                        table = [
                            given(one.name)[chosen.rows].astype(np.float32)
                            if one.name in names  # else a feature that the graph does not compute
                            else chosen.features[:, at[one.name]]
                            for one in plan.inputs
                        ]
                    return CheckEvents(np.stack(table, axis=1), chosen.features)
    return None


@dataclass(frozen=True)
class Agreement:
    """How far the exported scores are from hepdann's.

    ``largest`` is the largest difference of a score of these events. ``worst`` are the events that
    differ most: number, score of the last class in hepdann and in the exported file.
    """

    events: int
    largest: float
    worst: tuple[tuple[int, float, float], ...]


def compare_scores(
    graph: Graph,
    framework: str,
    inputs: Mapping[str, NDArray[np.float32]],
    expected: NDArray[np.float32],
) -> Agreement:
    """Compare the graph in onnxruntime with scores (N, C); what is no number differs infinitely."""
    alone = framework == "athena"  # whose models take an event at a time
    proto = onnx_model(graph, "check", OPSETS[framework], {}, batch=1 if alone else None)
    outputs = evaluate(proto.SerializeToString(), inputs, one_by_one=alone)
    scores = np.concatenate(outputs, axis=1)
    difference = np.abs(scores.astype(np.float64) - expected).max(axis=1)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    worst = np.argsort(-difference, kind="stable")[:_WORST]
    rows = ((int(n), float(expected[n, -1]), float(scores[n, -1])) for n in worst)
    return Agreement(len(expected), float(difference.max(initial=0.0)), tuple(rows))


def refuse_difference(agreement: Agreement, tolerance: float) -> None:
    """Refuse scores that differ by more.

    Raises:
        RunError: it lists the worst events.
    """
    if agreement.largest <= tolerance:
        return
    worst = ", ".join(
        f"{number} ({expected:.9f}, {exported:.9f})"
        for number, expected, exported in agreement.worst
    )
    raise RunError(
        f"exported scores differ by up to {agreement.largest:.2g}, more than {tolerance:g}, and "
        f"nothing is written; the worst events (hepdann, exported): {worst}",
        mend="report it, or allow more with --tolerance",
    )


_EVENTS = 500  # of the run, at most, in the check
_FLAT = "features"


def images_graph(model: Model, step: Step, framework: str) -> tuple[Graph, GraphPlan]:
    """The graph from the images (N, C, H, W) of each view to class scores, and its inputs.

    Raises:
        ConfigError: a framework other than "onnx", which has no place for images.
        RunError: the network has a layer that is not exported.
    """
    _refuse(framework, "are images", "images go to onnxruntime or ROOT's SOFIE")
    graph = Graph()
    views = tuple(graph.input(name, tuple(shape)) for name, *shape in model.views)
    graph.output("scores", Scorer(graph, views).add(step))
    return graph, GraphPlan(
        (), (), {}, tuple(GraphInput(name, "image") for name, *_ in model.views)
    )


def objects_graph(model: Model, step: Step, framework: str) -> tuple[Graph, GraphPlan]:
    """The graph from padded objects (N, most, F) of each collection to class scores.

    Beside each stands (N, most), 1 where there is an object; before them, if there are any, the (N,
    F) features of the event.

    Raises:
        ConfigError: a framework other than "onnx", which has no place for objects.
        RunError: the network has attention.
    """
    _refuse(framework, "have objects", "objects go to onnxruntime")
    graph, inputs, flat = Graph(), [], None
    number = model.inputs - sum(1 + most * features for _, most, features in model.objects)
    if number:
        flat = known_values(graph, graph.input(_FLAT, (number,)))
        inputs.append(GraphInput(_FLAT, "event"))
    parts, valid = [], []
    for name, most, features in model.objects:
        parts.append(known_values(graph, graph.input(name, (most, features))))
        mask = graph.input(f"{name}_valid", (most,))
        column = graph.add_node("Reshape", [mask, graph.integers([-1, most, 1])], (most, 1))
        valid.append(graph.binary("Greater", column, 0.5))
        inputs += [GraphInput(name, "objects"), GraphInput(mask.name, "valid")]
    events = ObjectInputs(flat, tuple(parts), tuple(valid))
    graph.output("scores", Scorer(graph, events).add(step))
    return graph, GraphPlan((), (), {}, tuple(inputs))


def _refuse(framework: str, events: str, whither: str) -> None:
    if framework != "onnx":
        what, where = f"its events {events}, and this takes numbers alone", f"--for {framework}"
        raise ConfigError(what, where=where, mend=f"leave it out: {whither}")


def agreement_of(
    graph: Graph, model: Model, tensors: Tensors, method: str, domain: str
) -> Agreement:
    """Compare the graph in onnxruntime with hepdann's scores, on the first events of the run."""
    stored = "data" if domain == "target" and tensors.has_data else "mc"
    rows = np.arange(min(_EVENTS, tensors.rows(stored)))
    events = read_images(tensors, stored, rows)
    padded = _padded(events) if isinstance(events, Objects) else None
    inputs = padded or tensors.read_views(stored, rows)
    return compare_scores(graph, "onnx", inputs, model.score(events, method, domain).mean)


def _padded(events: Objects) -> dict[str, NDArray[np.float32]]:
    """The inputs of :func:`objects_graph`."""
    inputs = {_FLAT: events.features} if events.features.shape[1] else {}
    for part, one in zip(events.parts, events.collections, strict=True):
        padded = np.zeros((len(events), one.most, len(one.features)), np.float32)
        counts = part.pad(padded)
        inputs[one.name] = padded
        inputs[f"{one.name}_valid"] = (np.arange(one.most) < counts[:, None]).astype("f4")
    return inputs
