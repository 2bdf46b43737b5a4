"""The methods of one or several runs in one table: for the terminal, CSV, LaTeX and the report."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.section import t_text
from ..runs import Run, open_run
from ..store.model_file import GeneratorFolder, is_generator, open_folder


@dataclass(frozen=True)
class Cell:
    """A figure of the table and its error, or the spread over networks; ``None`` for none."""

    value: float | None
    error: float | None = None

    def text(self, plus_minus: str = "±") -> str:
        """As a reader wants it: as many decimals as the error deserves, ``-`` for nothing."""
        if self.value is None:
            return "-"
        if abs(self.value) >= _LARGE:
            return f"{self.value:,.0f}"
        if self.error is None or not self.error > 0:
            return f"{self.value:.4f}"
        decimals = min(max(1 - math.floor(math.log10(self.error)), 2), 6)
        return f"{self.value:.{decimals}f} {plus_minus} {self.error:.{decimals}f}"


@dataclass(frozen=True)
class Column:
    """A column of figures: its key in CSV, titles for people and in LaTeX, and what it is."""

    key: str
    title: str
    help: str
    latex: str = ""


_LARGE = 1000.0  # figures without decimals
_HALF = 0.5  # of the signal passes the cut that the columns on nuisances are of

OF_METHODS = (
    Column("mc_accuracy", "MC accuracy",
           "share of held-out MC events classified rightly, mean score over all networks"),
    Column("mc_auc", "MC AUC", "area under the ROC curve on held-out MC events"),
    Column("target_accuracy", "target accuracy",
           "the same share on the target's held-out events, where their truth is known"),
    Column("target_auc", "target AUC",
           "area under the ROC curve on the target's held-out events"),
    Column("target_accuracy_prior_matched", "at matched threshold",
           "target accuracy at the threshold that lets the expected share of the target pass",
           "prior-matched"),
    Column("nuisance_ks", "KS over nuisance",
           "largest distance of the score between slices of the nuisance, of several the largest"),
    Column("inverse_jsd", "1/JSD",
           "of the background's nuisance before and after a cut that keeps half of the signal, of "
           "several nuisances the smallest; larger is more independent"),
    Column("rejection_at_half", "rejection at 50 %",
           "one over the share of the background that passes that cut",
           "rejection at 50\\,\\%"),
    Column("member_target_accuracy", "single networks",
           "target accuracy of the single networks, mean ± standard deviation"),
    Column("peeked_target_accuracy", "peeked",
           "best epoch of the best network, picked by the target's own labels: shown so that "
           "nobody is fooled, and used for nothing"),
)  # fmt: skip
OF_GENERATORS = tuple(
    Column(key, title, text)
    for key, title, text in (
        ("worst_response", "response off by",
         "largest deviation of the mean response from the simulation's in bins of the energy"),
        ("worst_resolution", "resolution off by", "likewise of the resolution"),
        ("ks_profiles", "KS of profiles",
         "Kolmogorov distance of the mean profile along layers or across strips, the larger one"),
        ("ks_showers", "KS of showers",
         "likewise of a number of single showers (response, depth, width, …), the largest"),
        ("auc_shapes", "AUC of shapes",
         "held-out AUC of a classifier between simulated and drawn showers that is given these"),
        ("auc_cells", "AUC of cells", "likewise given all cells, or pixels"),
        ("rate", "events/s", "drawn on one core"),
    )
)  # fmt: skip
COLUMNS = (*OF_METHODS, *OF_GENERATORS)


@dataclass(frozen=True)
class MethodRow:
    """A method of a run.

    Attributes:
        target: "data", or the shift that made the pseudo-data; "simulation" of a generator.
        method: its name; of a generator its objective.
        recommended: whether the run recommends it, without a target label.
        selection: which epoch the figures belong to: "last epoch", or the criterion that chose it;
            empty of a generator.
        networks: how many make the prediction.
        cells: one a column of :data:`COLUMNS`.
    """

    run: str
    target: str
    method: str
    recommended: bool
    selection: str
    networks: int | None
    cells: tuple[Cell, ...]


def methods_table(opened: Mapping[str, Run | GeneratorFolder]) -> list[MethodRow]:
    """A row for each method of each run, and for each generator, by name."""
    rows = []
    for name, one in opened.items():
        if isinstance(one, GeneratorFolder):
            rows.append(_of_generator(name, one))
        else:
            rows += [_row(name, one.metrics, method) for method in one.methods]
    return rows


def _of_generator(name: str, generator: GeneratorFolder) -> MethodRow:
    validation = generator.validation
    auc, showers = validation.auc, validation.showers
    figures: dict[str, float | None] = {
        "auc_shapes": auc.get("shapes"), "auc_cells": auc.get("cells", auc.get("pixels")),
        "rate": validation.rate,
    }  # fmt: skip
    if showers is not None:
        figures["worst_response"] = showers.worst_response
        figures["worst_resolution"] = showers.worst_resolution
        profiles = {"along", "across"}
        for key, names in (("ks_profiles", profiles), ("ks_showers", set(showers.ks) - profiles)):
            figures[key] = max(showers.ks[n] for n in names)
    cells = tuple(Cell(figures.get(column.key)) for column in COLUMNS)
    return MethodRow(
        name, "simulation", generator.record.settings.objective, False, "", None, cells
    )


def shown(rows: Sequence[MethodRow]) -> list[tuple[int, Column]]:
    """Place and column of all that have a figure."""
    return [
        (i, column)
        for i, column in enumerate(COLUMNS)
        if any(row.cells[i].value is not None for row in rows)
    ]


def _row(run: str, metrics: Mapping[str, Any], method: str) -> MethodRow:
    block = metrics["methods"][method]
    mc, target, members = block["mc"], block["target"], block["members"]
    matched = block.get("threshold", {}).get("prior_matched", {})
    single, chosen = members["target_accuracy"], block["chosen"]
    criterion = str(chosen.get("criterion") or "last-epoch")
    selection = "last epoch" if criterion == "last-epoch" else f"chosen by {criterion}"
    return MethodRow(
        run=run,
        target=target_name(metrics),
        method=method,
        recommended=metrics.get("recommended") == method,
        selection=selection,
        networks=members.get("n"),
        cells=(
            _cell(mc, "accuracy"),
            _cell(mc, "auc"),
            _cell(target, "accuracy"),
            _cell(target, "auc"),
            _cell(matched, "accuracy"),
            *_nuisance_cells(metrics, method),
            Cell(single["mean"], single["std"]),
            Cell(single.get("peeked_max")),
            *[Cell(None)] * len(OF_GENERATORS),
        ),
    )


def _nuisance_cells(metrics: Mapping[str, Any], method: str) -> tuple[Cell, ...]:
    """The worst of the nuisances: KS, 1/JSD at half of the signal, and the rejection there."""
    known = [block[method] for block in metrics.get("nuisances", {}).values() if method in block]
    cuts = [cut for block in known for cut in block["cuts"] if cut["efficiency"] == _HALF]
    figures = [
        [block["ks"] for block in known],
        [cut["inverse_jsd"] for cut in cuts],
        [cut["rejection"] for cut in cuts],
    ]
    present = [[v for v in values if v is not None] for values in figures]
    worst = [
        max(present[0], default=None),
        *(min(values, default=None) for values in present[1:]),
    ]
    return tuple(map(Cell, worst))


def _cell(block: Mapping[str, Any], name: str) -> Cell:
    return Cell(block.get(name), block.get(f"{name}_error"))


def target_name(metrics: Mapping[str, Any]) -> str:
    """What a run was adapted to: ``data``, or the shift that made its pseudo-data."""
    target = metrics["target"]
    shift = target.get("shift")
    return f"{shift['name']} t = {t_text(shift['t'])}" if shift else str(target["kind"])


def to_csv(rows: Sequence[MethodRow]) -> str:
    """Comma-separated values; a figure that cannot exist is an empty field.

    Columns of generators are there only where a generator is.
    """
    columns = dict(enumerate(OF_METHODS)) | dict(shown(rows))
    out = io.StringIO()
    head = ["run", "target", "method", "recommended", "selection", "networks"]
    figures = [name for c in columns.values() for name in (c.key, f"{c.key}_error")]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head + figures)
    for row in rows:
        start = [row.run, row.target, row.method, int(row.recommended), row.selection]
        writer.writerow(
            [*start, _empty(row.networks)]
            + [_empty(value) for i in columns for value in (row.cells[i].value, row.cells[i].error)]
        )
    return out.getvalue()


def _empty(value: float | None) -> str:
    return "" if value is None else repr(value)


def to_latex(rows: Sequence[MethodRow]) -> str:
    r"""A ``tabular`` with rules of booktabs, ready for ``\input``.

    Columns without a single figure are left out; the recommended method of a run is bold.
    """
    columns = shown(rows)
    titles = ["run", "target", "method", *(c.latex or c.title for _, c in columns)]
    lines = [
        r"\begin{tabular}{lll" + "r" * len(columns) + "}",
        r"\toprule",
        " & ".join(titles) + r" \\",
        r"\midrule",
    ]
    last = None
    for row in rows:
        if last not in (None, row.run):
            lines.append(r"\midrule")
        names = [row.run, row.target] if last != row.run else ["", ""]
        last = row.run
        method = _latex(row.method)
        first = [*map(_latex, names), rf"\textbf{{{method}}}" if row.recommended else method]
        cells = [_latex_cell(row.cells[i]) for i, _ in columns]
        lines.append(" & ".join([*first, *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_cell(cell: Cell) -> str:
    text = cell.text(r"\pm")
    return "--" if cell.value is None else f"${text}$"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def named_runs(folders: Iterable[str | Path]) -> dict[str, Run | GeneratorFolder]:
    """Open runs and generators, in the order given and each once, by the name of their folder.

    Where two folders share it, it is preceded by as many of those above as distinguish them.

    Raises:
        RunError: one is not finished.
    """
    # not resolve(), which raises RuntimeError on a loop of links
    paths = list(dict.fromkeys(Path(os.path.realpath(folder)) for folder in folders))
    depth = 1
    while len({_tail(path, depth) for path in paths}) < len(paths):
        depth += 1
    return {
        _tail(path, depth): open_folder(path) if is_generator(path) else open_run(path)
        for path in paths
    }


def _tail(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])
