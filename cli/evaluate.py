"""``hepdann evaluate``: the numbers of a run, with errors; also what other commands show of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables, workingpoints
from .options import PATH
from .tables import figure, measured, spread
from .workingpoints import shares

if TYPE_CHECKING:
    from rich.table import Table

_HEALTH = (
    ("own AUC", "own_auc", 3),
    ("fresh AUC", "fresh_auc", 3),
    ("label gradient", "label_gradient", 4),
    ("domain gradient", "domain_gradient", 4),
    ("angle", "angle", 0),
    ("λ's effect", "effect", 3),
    ("dead units", "dead_units", 2),
    ("rank", "feature_rank", 1),
)
_STAGES = {
    "preparation": "reading, scaling, alignment, building the networks",
    "data": "putting batches together",
    "forward": "through the networks, and the losses",
    "backward": "gradients",
    "optimiser": "clipping, step, averaged weights",
    "step": "what a step does besides",
    "validation": "figures after each epoch",
    "health": "looks at the networks",
    "checkpoint": "writing checkpoints",
    "scoring": "all events with all methods",
    "evaluation": "metrics.json",
}


@click.command()
@click.argument("run", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, laid out as metrics.json.")
@click.option("--health", is_flag=True,
              help="Add the figures that the networks' health is seen by.")  # fmt: skip
@click.option("--working-points", "points", metavar="E,…", callback=shares,
              help="Add the working points of these efficiencies, e.g. 0.6,0.7.")  # fmt: skip
@click.option("--recompute", is_flag=True, help="Compute all of it anew from scores.h5.")
def command(
    run: Path, as_json: bool, health: bool, points: list[float] | None, recompute: bool
) -> None:
    """Print the numbers of RUN, of a scan its table, of a generator how it was judged.

    All figures are those of the test split, or with folds of all events: the mean score over a
    method's networks at the last epoch, with binomial (accuracy) and DeLong (AUC) errors for
    weighted events.
    """
    from hepdann.store.model_file import is_generator
    from hepdann.store.paths import is_scan

    if is_scan(run) or is_generator(run):
        if health or points or recompute:
            raise click.UsageError(
                "--health, --working-points and --recompute are for a run of hepdann train"
            )
        (_scan if is_scan(run) else _generator)(run, as_json)
        return
    metrics, rows = _metrics(run, recompute), []
    if points:
        from hepdann.evaluation import open_scores, point_rows

        rows = point_rows(open_scores(run), points)
    if as_json:
        if points:
            metrics = metrics | {"working_points": workingpoints.to_json(rows)}
        tables.echo_json(metrics)
        return
    show(run, metrics, health=health)
    if rows:
        workingpoints.show(rows, folds=bool(metrics.get("folds")))


def _metrics(run: Path, recompute: bool) -> dict[str, Any]:
    if not recompute:
        from hepdann.store.reading import read_metrics

        return read_metrics(run).to_json()
    from hepdann.evaluation import summarise
    from hepdann.store.reading import check_version

    check_version(run)
    return summarise(run)


def _scan(folder: Path, as_json: bool) -> None:
    from hepdann.store.reading import open_scan

    from .scan import show as show_scan

    scan = open_scan(folder)
    if as_json:
        tables.echo_json(scan.summary)
    else:
        show_scan(scan)


def _generator(folder: Path, as_json: bool) -> None:
    from hepdann.store.model_file import open_folder

    validation = open_folder(folder).validation
    lines = [json.dumps(validation.to_json(), indent=2)] if as_json else validation.lines
    click.echo("\n".join(lines))


def show(
    run: Path, metrics: Mapping[str, Any], *, brief: bool = False, health: bool = False
) -> None:
    """Print the tables of a run; ``brief``: the first one, and what is recommended."""
    from hepdann.config.section import t_text

    console, target = tables.console(), metrics["target"]
    kind, shift = target["kind"], target["shift"]
    if shift:
        kind += f", shift {shift['name']} t = {t_text(shift['t'])}"
    events = "all events, out of fold" if metrics.get("folds") else "test split"
    console.print(f"{run}: target is {kind}; {events}")
    console.print(_figures(metrics))
    for table in () if brief else _further(metrics):
        console.print(table)
    if health:
        console.print(_health(metrics))
    for line in [*_notes(metrics, brief=brief), *_health_lines(metrics, brief=not health)]:
        console.print(line)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = tables.table(title, "method", *columns, rows=rows)
    table.columns[0].no_wrap = True
    return table


def _epochs(methods: Mapping[str, Any]) -> tuple[str, str]:
    """Which epochs the figures are those of, in words and by number: ``last epoch``, ``(20)``."""
    chosen = [block["chosen"] for block in methods.values()]
    used = sorted({e for c in chosen for e in c.get("epochs") or [c["epoch"]] if e is not None})
    at = ", ".join(map(str, used)) if len(used) <= 2 else f"{used[0]} to {used[-1]}"
    named = {c["criterion"] for c in chosen} - {None, "last-epoch"}  # tracking has no epoch
    what = f"best epoch by {' or '.join(sorted(named))}" if named else "last epoch"
    return what, f" ({at})" if at else ""


def _figures(metrics: Mapping[str, Any]) -> Table:
    methods, majority, best = metrics["methods"], metrics["majority"], metrics["recommended"]
    title = f"Mean score of all networks, {_epochs(methods)[0]}"
    names = ("MC accuracy", "MC AUC", "target accuracy", "target AUC", "consistency")
    table = _table(title, names, [])
    for name, block in methods.items():
        figures = [measured(block["mc"], key) for key in ("accuracy", "auc")]
        figures += [measured(block["target"], key) for key in ("accuracy", "auc", "consistency")]
        if name == best:
            table.add_row(f"{name} *", *figures, style="bold")
        else:
            table.add_row(name, *figures)
    table.add_section()
    table.add_row("majority class", figure(majority["mc"]), "", figure(majority["target"]), "", "")
    return table


def _further(metrics: Mapping[str, Any]) -> Iterator[Table]:
    """Single networks, thresholds, label-free figures, nuisances and mixtures."""
    methods = metrics["methods"].items()
    yield _table(
        "Single networks, mean ± standard deviation",
        ("networks", "MC accuracy", "target accuracy", "target AUC", "peeked"),
        [
            (
                name, "-" if (of := block["members"])["n"] is None else str(of["n"]),
                *(spread(of[key]) for key in ("mc_accuracy", "target_accuracy", "target_auc")),
                figure(of["target_accuracy"]["peeked_max"]),
            )
            for name, block in methods
        ],
    )  # fmt: skip
    yield _table(
        "Target accuracy at a threshold of .5 and at the prior-matched one; AUC knows no threshold",
        ("at .5", "prior-matched", "threshold", "AUC"),
        [
            (
                name, measured(block["threshold"]["fixed"], "accuracy"),
                measured(block["threshold"]["prior_matched"], "accuracy"),
                figure(block["threshold"]["prior_matched"]["value"]),
                measured(block["target"], "auc"),
            )
            for name, block in methods
        ],
    )  # fmt: skip
    yield _table(
        "AUC of MC against target (.5: not distinguished at all); agreement with the teacher",
        ("by domain head", "in latent space", "in inputs", "agreement"),
        [
            (
                name, *(measured(block["domain"], key, 3) for key in ("auc_score", "auc_features")),
                measured(block["criteria"], "residual_auc", 3),
                figure(block["criteria"].get("agreement")),
            )
            for name, block in methods
        ],
    )  # fmt: skip
    for name in next((one["objects"] for _, one in methods if one.get("objects")), ()):
        yield _table(
            f"Objects of {name}, of MC",
            ("objects", "accuracy", "AUC"),
            [
                (method, f"{of['n']:,}", *(measured(of, key) for key in ("accuracy", "auc")))
                for method, block in methods
                if (of := block.get("objects", {}).get(name))
            ],
        )
    for name, block in metrics.get("nuisances", {}).items():
        yield _nuisance(name, block)
    if metrics.get("mixtures"):
        yield _mixtures(metrics["mixtures"])


def _nuisance(name: str, block: Mapping[str, Any]) -> Table:
    """What the scores tell of a nuisance, with the cuts that keep half and 70 % of the signal."""
    efficiencies = (0.5, 0.7)
    ends = next(iter(block.values()))["slices"]
    rows = []
    for method, one in block.items():
        cuts = [c for e in efficiencies for c in one["cuts"] if c["efficiency"] == e]
        cells = [c[key] for c in cuts for key in ("inverse_jsd", "rejection")]
        texts = ["-" if value is None else f"{value:.3g}" for value in cells]
        rows.append((method, figure(one["ks"]), *texts))
    return _table(
        f"What the score tells of {name} on MC: KS distance between {ends[0]:.3g} and "
        f"{ends[1]:.3g}; background before and after a cut",
        ["KS", *(f"{what} {e:.0%}" for e in efficiencies for what in ("1/JSD at", "rejection at"))],
        rows,
    )


def _mixtures(block: Mapping[str, Any]) -> Table:
    """What the scores make of the mixtures of the target."""
    names = [
        cut if fraction is None else f"{cut}: {fraction:g}"
        for cut, fraction in zip(block["cuts"], block["fractions"], strict=True)
    ]
    rows = []
    for method, one in block["methods"].items():
        flipped = "yes" if one["flipped"] else "no"
        if one["members_flipped"]:
            flipped += f", {one['members_flipped']} networks"
        rows.append((method, *map(figure, one["means"]), figure(one["auc"]), flipped))
    title = "Mean score of the mixtures of the target; no label takes part"
    return _table(title, [*names, "AUC of the first two", "flipped"], rows)


def _health(metrics: Mapping[str, Any]) -> Table:
    blocks = {name: block.get("health") for name, block in metrics["methods"].items()}
    return _table(
        "Health at the last look, mean over the networks (docs/health.md)",
        [title for title, _, _ in _HEALTH],
        [
            (name, *(figure(health["figures"].get(key, {}).get("mean"), digits=digits)
                     for _, key, digits in _HEALTH))
            for name, health in blocks.items() if health
        ],
    )  # fmt: skip


def _health_lines(metrics: Mapping[str, Any], *, brief: bool) -> list[str]:
    """One line for each method and fault; unless brief, what the figures say of each adversary."""
    blocks = {name: block.get("health") for name, block in metrics["methods"].items()}
    known = {name: health for name, health in blocks.items() if health}
    lines = []
    for method, health in known.items():
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for verdict in health["verdicts"]:
            if verdict["until"] == health["epoch"]:
                groups.setdefault(verdict["name"], []).append(verdict)
        for name, verdicts in groups.items():
            first, seeds = verdicts[0], ", ".join(str(v["seed"]) for v in verdicts)
            lines.append(
                f"health: {first['severity']}: {name} ({method}, λ = {first['lambda']:g}, seed "
                f"{seeds}): {first['message']}; {first['mend']}"
            )
    if known and not lines:
        epochs = ", ".join(map(str, sorted({health["epoch"] for health in known.values()})))
        lines.append(f"health: no fault of the training (last look after epoch {epochs})")
    if not brief:
        lines += [f"adversary of {n}: {h['reading']}" for n, h in known.items() if h["reading"]]
    return lines


def _notes(metrics: Mapping[str, Any], *, brief: bool) -> list[str]:
    what, at = _epochs(metrics["methods"])
    lines = [f"epoch: every figure is that of the {what}{at}; none was chosen by a target label"]
    if not brief:
        lines.append(
            "prior-matched: the threshold that as large a share of the target passes as MC has "
            "signal"
        )
    peeked = [b["members"]["target_accuracy"]["peeked_max"] for b in metrics["methods"].values()]
    if not brief and any(value is not None for value in peeked):
        lines.append(
            "peeked: the best epoch picked by the target's own test labels; never quote it"
        )
    if "oracle" in metrics["methods"]:
        lines.append("oracle: trained on the target's labels; the ceiling, not a candidate")
    if metrics["recommended"]:
        why = metrics["recommendation"]["sentence"]
        lines.append(f"* recommended without labels: {metrics['recommended']}; {why}")
    for name, one in metrics.get("calibrations", {}).items():
        lines.append(f"{name}: {one['sentence']}")
    if not brief and metrics.get("gap"):
        lines.append(f"gap: {metrics['gap']['sentence']}")
    if metrics["diagnosis"]["sentence"]:
        lines.append(f"diagnosis: {metrics['diagnosis']['sentence']}")
    return lines


def show_timing(metrics: Mapping[str, Any]) -> None:
    """Print where the time of a run went, stages in the order in which they first came."""
    seconds = (metrics.get("throughput") or {}).get("time", {})
    total = sum(seconds.values())
    table = tables.table("Where the time went", "stage", "seconds", "share")
    table.add_column("")
    for stage, spent in seconds.items():
        share = 100 * spent / total if total else 0.0
        table.add_row(stage, f"{spent:.2f}", f"{share:.1f} %", _STAGES.get(stage, ""))
    table.add_section()
    table.add_row("together", f"{total:.2f}", "", "")
    tables.console().print(table)
