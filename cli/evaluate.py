"""``hepdann evaluate``: the numbers of a run, with errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables, workingpoints
from .health import columns, figures, lines
from .workingpoints import shares

if TYPE_CHECKING:
    from rich.table import Table

    from hepdann.evaluation import PointRow


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, laid out as metrics.json.")
@click.option(
    "--health", is_flag=True, help="Add the figures that the networks' health is seen by."
)
@click.option(
    "--working-points",
    "points",
    metavar="E,…",
    callback=shares,
    help="Add the working points of these signal efficiencies, e.g. 0.6,0.7.",
)
@click.option("--recompute", is_flag=True, help="Compute all of it anew from scores.h5.")
def command(
    run: Path, as_json: bool, health: bool, points: list[float] | None, recompute: bool
) -> None:
    """Print the numbers of RUN, of a scan its table, of a generator how it was judged.

    All figures are those of the test split, or with folds of all events: the mean score over a
    method's networks at the last epoch, with binomial (accuracy) and DeLong (AUC) errors for
    weighted events.
    """
    from hepdann.store.generators import is_generator
    from hepdann.store.state import is_scan

    if is_scan(run) or is_generator(run):
        if health or points or recompute:
            raise click.UsageError(
                "--health, --working-points and --recompute are for a run of hepdann train"
            )
        (_scan if is_scan(run) else _generator)(run, as_json)
        return
    metrics = _metrics(run, recompute)
    rows = _points(run, points) if points else []
    if as_json:
        if points:
            metrics = metrics | {"working_points": workingpoints.to_json(rows)}
        click.echo(json.dumps(metrics, indent=2, allow_nan=False))
        return
    show(run, metrics, health=health)
    if rows:
        workingpoints.show(rows, folds=bool(metrics.get("folds")))


def _metrics(run: Path, recompute: bool) -> dict[str, Any]:
    if not recompute:
        from hepdann.store.metrics import read_metrics

        return read_metrics(run).to_json()
    from hepdann.evaluation import summarise
    from hepdann.store.reading import check_version

    check_version(run)
    return summarise(run)


def _points(run: Path, efficiencies: list[float]) -> list[PointRow]:
    from hepdann.evaluation import open_scores, point_rows

    return point_rows(open_scores(run), efficiencies)


def _scan(folder: Path, as_json: bool) -> None:
    from hepdann.store.scan_folder import open_scan

    from .scan import show as show_scan

    scan = open_scan(folder)
    if as_json:
        click.echo(json.dumps(scan.summary, indent=2, allow_nan=False))
    else:
        show_scan(scan)


def _generator(folder: Path, as_json: bool) -> None:
    from hepdann.store.generators import open_folder

    validation = open_folder(folder).validation
    lines = [json.dumps(validation.to_json(), indent=2)] if as_json else validation.lines
    click.echo("\n".join(lines))


def show(
    run: Path, metrics: Mapping[str, Any], *, brief: bool = False, health: bool = False
) -> None:
    """Print the tables of a run; ``brief``: the first one, and what is recommended."""
    console = tables.console()
    methods = metrics["methods"]
    console.print(_heading(run, metrics))
    console.print(_figures(methods, metrics["majority"], metrics["recommended"]))
    if not brief:
        console.print(_members(methods))
        console.print(_thresholds(methods))
        console.print(_label_free(methods))
        for name, block in metrics.get("nuisances", {}).items():
            console.print(_nuisance(name, block))
        if metrics.get("mixtures"):
            console.print(_mixtures(metrics["mixtures"]))
    if health:
        title = "Health at the last look, mean over the networks (docs/health.md)"
        console.print(figures(metrics, _table(title, *columns())))
    for line in [*_notes(metrics, brief=brief), *lines(metrics, brief=not health)]:
        console.print(line)


def _heading(run: Path, metrics: Mapping[str, Any]) -> str:
    from hepdann.config.names import t_text

    target = metrics["target"]
    kind = target["kind"]
    if target["shift"]:
        name, t = target["shift"]["name"], target["shift"]["t"]
        kind += f", shift {name} t = {t_text(t)}"
    events = "all events, out of fold" if metrics.get("folds") else "test split"
    return f"{run}: target is {kind}; {events}"


def _epochs(methods: Mapping[str, Any]) -> str:
    """Which epochs the figures are those of: ``the last epoch (20)``."""
    found = [block["chosen"] for block in methods.values()]
    used = sorted({e for c in found for e in c.get("epochs") or [c["epoch"]] if e is not None})
    at = ", ".join(map(str, used)) if len(used) <= 2 else f"{used[0]} to {used[-1]}"
    named = {c["criterion"] for c in found} - {None}  # tracking has no epoch
    criteria = {str(name) for name in named} - {"last-epoch"}
    what = f"best epoch by {' or '.join(sorted(criteria))}" if criteria else "last epoch"
    return f"the {what} ({at})" if at else f"the {what}"


def _figures(
    methods: Mapping[str, Any], majority: Mapping[str, Any], recommended: str | None
) -> Table:
    table = _table(
        f"Mean score of all networks, {_epochs(methods).removeprefix('the ').partition(' (')[0]}",
        "MC accuracy",
        "MC AUC",
        "target accuracy",
        "target AUC",
        "consistency",
    )
    for name, block in methods.items():
        mc, target = block["mc"], block["target"]
        table.add_row(
            f"{name} *" if name == recommended else name,
            _pm(mc, "accuracy"),
            _pm(mc, "auc"),
            _pm(target, "accuracy"),
            _pm(target, "auc"),
            _pm(target, "consistency"),
            style="bold" if name == recommended else "",
        )
    table.add_section()
    table.add_row("majority class", _value(majority["mc"]), "", _value(majority["target"]), "", "")
    return table


def _members(methods: Mapping[str, Any]) -> Table:
    table = _table(
        "Single networks, mean ± standard deviation",
        "networks",
        "MC accuracy",
        "target accuracy",
        "target AUC",
        "peeked",
    )
    for name, block in methods.items():
        members = block["members"]
        table.add_row(
            name,
            "-" if members["n"] is None else str(members["n"]),
            *(_spread(members[key]) for key in ("mc_accuracy", "target_accuracy", "target_auc")),
            _value(members["target_accuracy"]["peeked_max"]),
        )
    return table


def _thresholds(methods: Mapping[str, Any]) -> Table:
    table = _table(
        "Target accuracy at a threshold of .5 and at the prior-matched one; AUC knows no threshold",
        "at .5",
        "prior-matched",
        "threshold",
        "AUC",
    )
    for name, block in methods.items():
        fixed, matched = (block["threshold"][kind] for kind in ("fixed", "prior_matched"))
        table.add_row(
            name,
            _pm(fixed, "accuracy"),
            _pm(matched, "accuracy"),
            _value(matched["value"]),
            _pm(block["target"], "auc"),
        )
    return table


def _label_free(methods: Mapping[str, Any]) -> Table:
    table = _table(
        "AUC with which MC and target are told apart (.5: not at all); agreement with the teacher",
        "by domain head",
        "in latent space",
        "in inputs",
        "agreement",
    )
    for name, block in methods.items():
        domain, criteria = block["domain"], block["criteria"]
        table.add_row(
            name,
            _pm(domain, "auc_score", 3),
            _pm(domain, "auc_features", 3),
            _pm(criteria, "residual_auc", 3),
            _value(criteria.get("agreement")),
        )
    return table


def _nuisance(name: str, block: Mapping[str, Any]) -> Table:
    """What the scores tell of a nuisance, with the cuts that keep half and 70 % of the signal."""
    efficiencies = (0.5, 0.7)
    cut_columns = [f"{what} {e:.0%}" for e in efficiencies for what in ("1/JSD at", "rejection at")]
    ends = next(iter(block.values()))["slices"]
    table = _table(
        f"What the score tells of {name} on MC: KS distance between {ends[0]:.3g} and "
        f"{ends[1]:.3g}; background before and after a cut",
        "KS",
        *cut_columns,
    )
    for method, one in block.items():
        cuts = [c for e in efficiencies for c in one["cuts"] if c["efficiency"] == e]
        cells = [c[key] for c in cuts for key in ("inverse_jsd", "rejection")]
        said = ["-" if value is None else f"{value:.3g}" for value in cells]
        table.add_row(method, _value(one["ks"]), *said)
    return table


def _mixtures(block: Mapping[str, Any]) -> Table:
    """What the scores make of the mixtures of the target."""
    names = [
        cut if fraction is None else f"{cut}: {fraction:g}"
        for cut, fraction in zip(block["cuts"], block["fractions"], strict=True)
    ]
    table = _table(
        "Mean score of the mixtures of the target; no label takes part",
        *names, "AUC of the first two", "flipped",
    )  # fmt: skip
    for method, one in block["methods"].items():
        flipped = "yes" if one["flipped"] else "no"
        if one["members_flipped"]:
            flipped += f", {one['members_flipped']} networks"
        table.add_row(method, *map(_value, one["means"]), _value(one["auc"]), flipped)
    return table


def _notes(metrics: Mapping[str, Any], *, brief: bool) -> list[str]:
    epochs = _epochs(metrics["methods"])
    lines = [f"epoch: every figure is that of {epochs}; none was chosen by a target label"]
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


def _table(title: str, *columns: str) -> Table:
    table = tables.table(title)
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _pm(block: Mapping[str, Any], name: str, digits: int = 4) -> str:
    if block.get(name) is None:
        return "-"
    error = block.get(f"{name}_error")
    text = f"{block[name]:.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"


def _spread(block: Mapping[str, Any]) -> str:
    if block["mean"] is None:
        return "-"
    spread = "" if block["std"] is None else f" ± {block['std']:.4f}"
    return f"{block['mean']:.4f}{spread}"


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
