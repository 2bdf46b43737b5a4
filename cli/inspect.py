"""``hepdann inspect``: what is in a ROOT file, a tensor file or a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hepdann.display import command_line

from . import tables
from .options import shared

_HDF5 = b"\x89HDF\r\n\x1a\n"
_SHOWN = 5

Row = tuple[str, ...]


@click.command()
@click.argument("file")
@click.option("--verify", is_flag=True, help="Compare a tensor file with its checksums.")
@shared("json")
def command(file: str, verify: bool, as_json: bool) -> None:
    """Show what is in FILE: ROOT (also file.root:tree), HDF5, tensors, a run, scan or generator.

    --verify reads a tensor file again from end to end; exit code 2 if any of it is damaged.
    """
    kind = kind_of(file)
    if verify and kind != "tensors" and Path(file).exists():
        raise click.UsageError("--verify is for tensor files: other files hold no checksums")
    if kind == "tensors":
        content = _tensors(file, verify)
    else:
        content = {"generator": _generator, "root": _root}.get(kind, _folder)(file)
    if as_json:
        click.echo(json.dumps({"kind": kind, **content}, indent=2, default=str))
        return
    shows = {
        "tensors": _show_tensors, "run": _show_run, "scan": _show_scan,
        "generator": _show_generator, "root": _show_root,
    }  # fmt: skip
    shows[kind](content)


def kind_of(file: str) -> str:
    """Whether a file or folder is of "tensors", "root", a "run" or a "scan"."""
    from hepdann.errors import ReadError

    path = Path(file)
    if path.is_dir():
        from hepdann.store.model_file import is_generator
        from hepdann.store.paths import is_scan

        return "scan" if is_scan(path) else "generator" if is_generator(path) else "run"
    if not path.is_file():  # an address, a pattern or path:tree, which the ROOT reader resolves
        return "root"
    with path.open("rb") as opened:
        magic = opened.read(8)
    if magic == _HDF5:
        return "tensors" if _is_tensors(file) else "root"
    if magic[:4] in (b"root", b"PAR1") or path.suffix == ".txt":
        return "root"
    raise ReadError("is neither a ROOT file nor a tensor file", where=file)


def _is_tensors(file: str) -> bool:
    """Whether an HDF5 file is, or once was, a tensor file: others are inputs, hits for example."""
    from hepdann.tensors import h5_format, is_sealed

    try:
        return is_sealed(file) or bool(h5_format(file))
    except OSError:  # damaged, which opening it as tensors explains best
        return True


# Each kind: what is in it, as JSON has it; then the same for a person.


def _tensors(file: str, verify: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from hepdann.errors import SchemaError
    from hepdann.tensors import open_tensors, summarise_domain, yield_ratio

    tensors = open_tensors(file)
    damaged = tensors.verify() if verify else []
    if damaged:
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        raise SchemaError(
            f"damaged: {', '.join(damaged[:_SHOWN])}{more}",
            where=file,
            mend="copy it again from a good disk, or convert again",
        )
    domains = {domain: summarise_domain(tensors, domain) for domain in tensors.domains}
    ratio = None
    if len(domains) == 2:
        ratio = yield_ratio(domains["data"].total, domains["mc"].total)
    return {
        "path": file,
        "classes": list(tensors.classes),
        "features": [
            {"name": name, "unit": unit, "impute": float(impute), "info": info}
            for name, unit, impute, info in zip(
                tensors.features, tensors.units, tensors.impute, tensors.feature_info, strict=True
            )
        ],
        "spectators": list(tensors.spectators),
        "weights": list(tensors.weights),
        "variations": list(tensors.variations),
        "views": [asdict(view) for view in tensors.views],
        "objects": [asdict(one) for one in tensors.objects],
        "split": tensors.split_config.model_dump(),
        "truth": tensors.has_truth,
        "domains": {domain: asdict(summary) for domain, summary in domains.items()},
        "data_mc": None if ratio is None else {"value": ratio[0], "error": ratio[1]},
        "provenance": tensors.provenance,
        "verified": verify,
    }


def _show_tensors(summary: dict[str, Any]) -> None:
    domains = summary["domains"]
    events = ", ".join(f"{_count(d['total']['events'])} {name}" for name, d in domains.items())
    width = [_plural(len(summary[f"{role}s"]), role) for role in ("feature", "spectator")]
    if summary["views"]:
        shapes = (
            f"{v['name']} {v['channels']}×{v['height']}×{v['width']}" for v in summary["views"]
        )
        width.append(f"images {', '.join(shapes)}")
    width += [f"{one['name']} (at most {one['most']} an event)" for one in summary["objects"]]
    click.echo(f"{summary['path']}: tensor file, {events} events, {', '.join(width)}")
    for heads, rows, numbers in _columns(summary):
        if rows:
            _table(heads, rows, numbers)
    if summary["data_mc"] is not None:
        ratio = tables.plus_minus(summary["data_mc"]["value"], summary["data_mc"]["error"])
        click.echo(f"data/MC: {ratio} (sums of weights)")
    if summary["weights"]:
        click.echo(f"further weights: {', '.join(summary['weights'])}")
    if summary["variations"]:
        click.echo(f"variations of the features: {', '.join(summary['variations'])}")
    if summary["truth"]:
        click.echo("truth: the true labels of the data are known, to evaluation alone")
    split = summary["split"]
    shares = " / ".join(f"{100 * split[name]:g} %" for name in ("train", "validation", "test"))
    rule = f"{shares}, seed {split['seed']}"
    if split["by"] is not None:
        rule = f"{split['by']} (0: test, 1: validation, else train)"
    click.echo(f"split: {rule}")
    _show_provenance(summary["provenance"])
    if summary["verified"]:
        click.echo("checksums: all of it is as it was written")


def _columns(summary: dict[str, Any]) -> Iterator[tuple[Sequence[str], list[Row], int]]:
    """Heads, rows and the number of columns of numbers of each table of a tensor file."""
    domains = summary["domains"]
    kinds = {"class": "classes", "sample": "samples", "split": "splits"}
    counts: list[Row] = []
    for name, domain in domains.items():
        of_kinds = {"": {"all": domain["total"]}} | {k: domain[key] for k, key in kinds.items()}
        counts += [
            (name, kind, key, _count(n["events"]), tables.plus_minus(n["sum_weight"], n["error"]))
            for kind, counted in of_kinds.items()
            for key, n in counted.items()
        ]
    yield ("domain", "", "", "events", "sum of weights"), counts, 2
    units = {entry["name"]: entry["unit"] for entry in summary["features"]}
    columns: list[Row] = [
        (
            column["name"] if role == "feature" else f"{column['name']} (spectator)",
            units[column["name"]] if role == "feature" else "",
            name,
            *(_value(column[key]) for key in ("minimum", "maximum", "mean")),
            *(_count(column[key]) for key in ("missing", "infinite")),
        )
        for role in ("feature", "spectator")
        for index in range(len(summary[f"{role}s"]))
        for name, domain in domains.items()
        for column in [domain[f"{role}s"][index]]
    ]
    heads = ("column", "unit", "domain", "min", "max", "weighted mean", "missing", "infinite")
    yield heads, columns, 5
    images: list[Row] = [
        (
            f"{image['view']} {image['channel']}".strip(),
            name,
            *(_value(image[key]) for key in ("minimum", "maximum", "mean", "hits")),
            *(_count(image[key]) for key in ("empty", "nonfinite")),
        )
        for name, domain in domains.items()
        for image in domain["images"]
    ]
    heads = ("image", "domain", "min", "max", "mean of hits", "hits/event", "empty", "non-finite")
    yield heads, images, 6
    objects: list[Row] = [
        (
            *(one[key] for key in ("collection", "feature")),
            name,
            *(_value(one[key]) for key in ("minimum", "maximum", "mean")),
            _count(one["missing"]),
            _value(one["objects"]),
            _count(one["empty"]),
        )
        for name, domain in domains.items()
        for one in domain["objects"]
    ]
    yield ("objects", "feature", "domain", "min", "max", "mean", "missing", "objects/event",
           "events without"), objects, 6  # fmt: skip


def _show_provenance(provenance: Mapping[str, Any]) -> None:
    version, created = provenance.get("hepdann", "?"), provenance.get("created", "?")
    inputs = provenance.get("inputs", [])
    click.echo(f"made by hepdann {version}, {created}, from {_plural(len(inputs), 'file')}")
    for entry in inputs[:_SHOWN]:
        size = "" if entry.get("size") is None else f"  {_count(entry['size'])} bytes"
        click.echo(f"  {entry.get('path')}{size}")
    if len(inputs) > _SHOWN:
        click.echo(f"  and {len(inputs) - _SHOWN} more (--json lists them)")


def _root(file: str) -> dict[str, Any]:
    from hepdann.inference.row_files import read_seal
    from hepdann.readers.prescan import scan

    kinds: dict[str, Any] = {"Parquet": "parquet", "HDF5": "hdf5", "HDF5 table": "hdf5"}
    return {
        "files": [
            {
                "path": entry.path,
                "trees": dict(entry.trees),
                "tree": entry.tree,
                "format": entry.kind,
                "entries": entry.entries,
                "predicted": read_seal(kinds.get(entry.kind, "tree"), Path(entry.path)),
                "branches": [
                    {
                        "name": branch.name,
                        "type": branch.typename,
                        "dtype": None if branch.dtype is None else str(branch.dtype),
                        "shape": list(branch.shape),
                        "reason": branch.reason,
                    }
                    for branch in entry.branches.values()
                ],
            }
            for entry in scan(file)
        ]
    }


def _show_root(summary: dict[str, Any]) -> None:
    for entry in summary["files"]:
        trees = [f"{name}: {_count(events)} entries" for name, events in entry["trees"].items()]
        if entry["format"] == "HDF5":
            click.echo(f"{entry['path']}: HDF5 file, {_count(entry['entries'])} entries")
        elif entry["format"] in ("Parquet", "HDF5 table"):
            click.echo(f"{entry['path']}: {entry['format']}, {', '.join(trees)}")
        else:
            click.echo(f"{entry['path']}: ROOT file, {', '.join(trees)}")
        if (seal := entry["predicted"]) is not None:
            made = seal["made_of"]
            model = f"{made.get('method')} of a model.safetensors with SHA-256 {made.get('model')}"
            click.echo(f"  written by hepdann predict {seal.get('hepdann')}: {model}")
    first = summary["files"][0]
    hdf5 = first["format"] == "HDF5"
    click.echo("\ndatasets" if hdf5 else f"\nbranches of {first['tree']} ({first['format']})")
    if len(first["trees"]) > 1:
        click.echo(f"(for another tree: {command_line('inspect', first['path'] + ':TREE')})")
    rows = [(branch["name"], branch["type"], branch["reason"]) for branch in first["branches"]]
    heads = ("dataset" if hdf5 else "branch", "type", "cannot be a column because")
    _table(heads if any(row[2] for row in rows) else heads[:2], rows)


def _folder(folder: str) -> dict[str, Any]:
    """What is in a run or a scan."""
    from hepdann.runs import Run, open_run, open_scan
    from hepdann.store.paths import is_scan

    opened = open_scan(folder) if is_scan(folder) else open_run(folder)
    return {
        "path": folder,
        "config": opened.config.model_dump(mode="json", by_alias=True),
        **({"metrics": opened.metrics} if isinstance(opened, Run) else {"summary": opened.summary}),
        "files": _files(folder),
    }


def _show_scan(summary: dict[str, Any]) -> None:
    from hepdann.runs import open_scan

    from .scan import show

    show(open_scan(summary["path"]))


def _generator(folder: str) -> dict[str, Any]:
    from hepdann.store.model_file import open_folder

    one = open_folder(folder)
    return {
        "path": folder,
        "tensors": one.record.tensors,
        "settings": one.record.settings.to_json(),
        "lines": one.validation.lines,
        "validation": one.validation.to_json(),
        "files": _files(folder),
    }


def _show_generator(summary: dict[str, Any]) -> None:
    click.echo(f"{summary['path']}: generator, trained on {summary['tensors']}")
    settings = [f"{key.replace('_', ' ')} {value}" for key, value in summary["settings"].items()]
    click.echo("settings: " + ", ".join(settings))
    for line in summary["lines"]:
        click.echo(line)


def _files(folder: str) -> list[str]:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in files)


def _show_run(summary: dict[str, Any]) -> None:
    from .evaluate import show

    show(Path(summary["path"]), summary["metrics"], brief=True)
    train = summary["config"].get("train", {})
    keys = ("lambda", "seeds", "seed", "epochs", "batch_size", "learning_rate", "normalisation")
    settings = [f"{key} {train[key]}" for key in keys if train.get(key) is not None]
    click.echo("settings: " + ", ".join(settings))
    plots = [name for name in summary["files"] if name.startswith("plots")]
    click.echo(
        f"plots: {_plural(len(plots), 'file')}"
        if plots
        else f"no plots: {command_line('plot', summary['path'])}"
    )
    click.echo(f"made by hepdann {summary['metrics'].get('hepdann', '?')}")


def _count(number: int) -> str:
    return f"{number:,}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _value(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> None:
    """Print a table of which the last ``numbers`` columns are numbers; never cut in a pipe."""
    cells = (row[: len(heads)] for row in rows)
    table = tables.table(None, *heads, left=len(heads) - numbers, rows=cells)
    table.pad_edge = False
    console = tables.console()
    if not console.is_terminal:
        roomy = console.options.update(width=10_000)
        console.width = max(console.width, console.measure(table, options=roomy).maximum)
    console.print(table)
