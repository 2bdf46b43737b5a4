"""Export of a run: one file that goes from the branches of an ntuple to class scores."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from .._version import __version__
from ..errors import ConfigError
from ..inference import Model
from ..outputs import write_whole
from ..runs import Run, open_run
from ..store.paths import RunPaths
from ..store.scores_reader import open_scores
from ..store.training_record import TrainingRecord
from ..store.working_points import read_working_points
from ..tensors import Tensors
from .check import (
    Agreement,
    CheckEvents,
    agreement_of,
    compare_scores,
    converted_events,
    images_graph,
    objects_graph,
    refuse_difference,
    stored_events,
)
from .cpp import header
from .features import (
    OPSETS,
    Framework,
    GraphInput,
    GraphPlan,
    add_features,
    add_outputs,
    add_table,
    gnn_config,
    plan,
    preprocess,
)
from .graph import Graph, onnx_model, require_package
from .steps import Scorer

_ENDINGS = {"cpp": (".hpp", ".h", ".hh", ".hxx")}
_RESERVED = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
    class compl concept const const_cast constexpr continue decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register reinterpret_cast requires return short signed sizeof static static_assert static_cast
    std struct switch template this thread_local throw true try typedef typeid typename union
    unsigned using virtual void volatile wchar_t while xor xor_eq
"""  # words of C++ that no namespace can have
_EVENTS = 20_000  # of the run, at most, in the check
_ONE_BY_ONE = 2_000  # likewise where a model takes one event at a time


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: the model, and what stands beside it.
        domain: of which events ``method`` scores, "target" or "source".
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
    inputs: tuple[GraphInput, ...]
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
        ConfigError: an unknown framework, an ending that does not fit, or the extra ``onnx`` is not
            installed.
        RunError: no such method or domain, or one that cannot be exported; the tensor file of the
            run is gone, by whose events it is checked; or the scores differ.
    """
    output = Path(output)
    if target not in get_args(Framework):
        mend = f"there are {', '.join(get_args(Framework))}"
        raise ConfigError(f"no framework {target!r}", where="--for", mend=mend)
    if not 0 <= tolerance < math.inf:
        what = f"must be a finite number, 0 or more, got {tolerance:g}"
        raise ConfigError(what, where="--tolerance")
    endings = _ENDINGS.get(target, (".onnx",))
    if output.suffix not in endings:
        mend = f"write -o {output.with_suffix(endings[0])}"
        raise ConfigError(f"the name does not end in {endings[0]}", where=output, mend=mend)
    for package in ("onnx", "onnxruntime"):
        require_package(package)
    opened = run if isinstance(run, Run) else open_run(run)
    model = opened.model
    chosen = method or str(opened.metrics["recommended"])
    step = model.steps(chosen, domain)
    tensors = open_scores(opened.folder).tensor_rows("mc").tensors
    record = TrainingRecord.read(opened.folder)
    name = re.sub(r"\W", "_", output.stem, flags=re.ASCII)
    name = f"_{name}" if name[:1].isdigit() else name
    name = f"{name}_" if name in _RESERVED.split() else name
    if target == "athena":  # salt allows no underscore in it
        name = re.sub(r"\W|_", "", output.stem, flags=re.ASCII) or "hepdann"
    asked = _Export(opened, model, chosen, domain, target, name, tensors, record)
    if model.views or model.objects:
        graph, layout = (images_graph if model.views else objects_graph)(model, step, target)
        agreement, why = agreement_of(graph, model, tensors, chosen, domain), ""
    else:
        graph, layout, agreement, why = asked.table_graph(tolerance)
    refuse_difference(agreement, tolerance)
    metadata = asked.metadata(layout)
    metadata["check"] = {"events": agreement.events, "largest_difference": agreement.largest}
    files = asked.write(graph, output, layout, metadata)
    return Exported(
        files, target, chosen, domain, model.classes, layout.inputs, layout.computed, why,
        agreement,
    )  # fmt: skip


@dataclass(frozen=True)
class _Export:
    """What is exported, for which framework, under which name, and what it was made of."""

    run: Run
    model: Model
    method: str
    domain: str
    framework: str
    name: str
    tensors: Tensors
    record: TrainingRecord

    def table_graph(self, tolerance: float) -> tuple[Graph, GraphPlan, Agreement, str]:
        """The graph from branches to scores, how it begins, what its check gave, what to say of it.

        The last way is taken whatever its check gives.
        """
        model, framework = self.model, self.framework
        for layout, events, note in self._layouts():
            graph = Graph()
            features = add_features(graph, layout, add_table(graph, framework, len(layout.inputs)))
            scores = Scorer(graph, features).add(model.steps(self.method, self.domain))
            add_outputs(graph, framework, scores, model.classes, self.name)
            expected = model.score(events.features, self.method, self.domain).mean
            most = _ONE_BY_ONE if framework == "athena" else len(expected)
            (given,), table = graph.inputs, events.table[:most]
            inputs = {given.name: np.ascontiguousarray(table.reshape(-1, *given.shape))}
            agreement = compare_scores(graph, framework, inputs, expected[:most])
            made = graph, layout, agreement, note
            if agreement.largest <= tolerance:
                break
        return made

    def _layouts(self) -> Iterator[tuple[GraphPlan, CheckEvents, str]]:
        """Ways from inputs to features, the next one where the scores of one are too far off.

        Each is how features follow from inputs, real events in both forms, and what to say of it.
        """
        run, model, tensors = self.run, self.model, self.tensors
        described = zip(tensors.features, tensors.feature_info, tensors.units, strict=True)
        info = {name: {**entry, "unit": unit} for name, entry, unit in described}
        arguments = (model.features, model.missing, model.indicators, info)
        note, outside = "", list[str]()
        layout = plan(*arguments)
        while layout.computed:
            events = converted_events(self.record, layout, self.domain, _EVENTS)
            why = "none of the files that were converted can be read for the check"
            if events is not None:
                yield layout, events, note
                why = "in float32 the scores would differ by more than the tolerance"
            outside += (events is not None and layout.approximate) or layout.computed
            note = f"{', '.join(outside)}: computed outside, because {why}"
            layout = plan(*arguments, outside)
        yield layout, stored_events(run, layout, self.domain, _EVENTS), note

    def metadata(self, layout: GraphPlan) -> dict[str, Any]:
        """What the file says about itself."""
        tensors = self.tensors
        described = zip(tensors.features, tensors.units, tensors.feature_info, strict=True)
        known = {name: (unit, info.get("expression")) for name, unit, info in described}
        features = [(name, *known.get(name, ("", None))) for name in self.model.features]
        ranges = self.record.ranges
        weights, points = RunPaths(self.run.folder).model, read_working_points(self.run.folder)
        return {
            "hepdann": __version__,
            "run": self.run.folder.name,
            "method": self.method,
            "domain": self.domain,
            "classes": list(self.model.classes),
            "inputs": [asdict(one) for one in layout.inputs],
            "features": [
                {
                    "name": name,
                    "unit": unit,
                    "expression": expression,
                    "range": list(ranges.get(name, (None, None))),
                }
                for name, unit, expression in features
            ],
            "working_points": [point.model_dump(mode="json") for point in points],
            "model_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "tensors": tensors.content_id(),
        }

    def write(
        self, graph: Graph, output: Path, layout: GraphPlan, metadata: Mapping[str, Any]
    ) -> tuple[Path, ...]:
        """Write the file and what stands beside it; gives their paths."""
        events = "data" if self.domain == "target" else "MC"
        about = f"{self.method} of {self.run.folder.name}, for {events}"
        classes, files = self.model.classes, [output]
        if self.framework == "cpp":
            inputs = [one.name for one in layout.inputs]
            text = header(graph, self.name, classes, inputs, about, metadata)
            write_whole(output, text.encode())
            return (output,)
        properties = {"hepdann": json.dumps(metadata)}
        batch = None
        if self.framework == "athena":
            config, batch = gnn_config(self.name, layout, classes, metadata), 1
            properties["gnn_config"] = json.dumps(config)
        proto = onnx_model(graph, about, OPSETS[self.framework], properties, batch=batch)
        if self.framework == "cms":
            files.append(output.with_name("preprocess.json"))
            impute = self.model.scaling.impute.tolist()
            named = dict(zip(self.model.features, impute, strict=True))
            text = json.dumps(preprocess(layout, named, classes), indent=2)
            write_whole(files[1], text.encode())
        write_whole(output, proto.SerializeToString())
        return tuple(files)
