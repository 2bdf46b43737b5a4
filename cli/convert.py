"""``hepdann convert``: ROOT files or images to a tensor file, and what happened."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hepdann.display import command_line

from . import tables
from .options import PATH, shared, split_list, workers_on
from .tables import counting

if TYPE_CHECKING:
    from hepdann.readers import ConversionSummary

_MANY_FILES = 20
Row = tuple[str, ...]
PICTURES = "the class of a picture"  # the label of pictures
_PLAIN_WIDTH = 240  # wide enough that no line of a table breaks where nobody looks at it


@click.command(
    epilog="Zero-config: `hepdann convert mc.root data.root` takes the largest tree, the numeric "
    "scalar branches of both files that do not look like labels, weights or event ids, and as the "
    "label the one branch in MC alone whose values are small whole numbers."
)
@click.argument("mc", required=False)
@click.argument("data", required=False)
@click.option("-o", "--output", type=PATH, default="tensors.h5",
              show_default=True, help="Tensor file to write.")  # fmt: skip
@click.option("--config", "config_file", metavar="FILE",
              help="YAML file, or the name of a shipped one; flags override it.")  # fmt: skip
@click.option("--tree", help="Tree to read.  [default: the only one, or the largest]")
@click.option("--features", metavar="LIST",
              help="Inputs in order, comma-separated: branches or expressions.")  # fmt: skip
@click.option("--spectators", metavar="LIST", help="Kept for plots and cuts, never an input.")
@click.option("--label", help="Label branch or expression, of MC.")
@click.option("--classes", metavar="LIST", help="Class names by label value.")
@click.option("--weight", help="Weight branch or expression, of MC.  [default: 1]")
@click.option("--data-weight", help="Weight of data.  [default: 1]")
@click.option("--cut", help="Selection, e.g. 'pt > 20 && abs(eta) < 2.4'.")
@click.option("--missing", type=float, help="Value that marks a missing entry, e.g. -999.")
@click.option("--objects", metavar="NAME[:LIST]", multiple=True,
              help="Jets, tracks, … of an event: lists, or expressions of lists, comma-separated; "
              "may be repeated.  [default LIST: those whose names begin with NAME]")  # fmt: skip
@click.option("--object-label", "object_labels", metavar="NAME:LIST=VALUES", multiple=True,
              help="Classes of the objects NAME of MC: a list, and the value of each class, "
              "comma-separated, as jets:jet_flavour=0,4,5; may be repeated.")  # fmt: skip
@click.option("--event-id", metavar="LIST",
              help="Branches that identify an event.  [default: those so named]")  # fmt: skip
@click.option("--lumi-mask", metavar="JSON",
              help="Certified luminosity blocks (golden JSON), for data alone.")  # fmt: skip
@click.option("--drop-duplicates", is_flag=True, default=None,
              help="Keep one row of each event, of all data and of each MC sample.")  # fmt: skip
@click.option("--size", metavar="H[,W]",
              help="Of pictures, in pixels.  [default: the largest of the files]")  # fmt: skip
@click.option("--colour", type=click.Choice(["grey", "colour"]),
              help="Of pictures.  [default: colour where any file has it]")  # fmt: skip
@click.option("--truth", metavar="FILE",
              help="True labels of the data, row by row, for simulated studies.")  # fmt: skip
@click.option("--like", metavar="TENSORS", type=PATH,
              help="Convert new data alone, into the columns of this tensor file; features, cut, "
              "event ids and split are its own. The one argument is DATA.")  # fmt: skip
@click.option("--skip-bad", is_flag=True,
              help="Leave out bad files whole, list them, and exit with code 3.")  # fmt: skip
@click.option("--reader", type=click.Choice(["auto", "fast", "uproot"]), default="auto",
              show_default=True,
              help="uproot alone, or baskets decoded here; the result is the same.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1),
              help="Threads that decode.  [default: the processors, at most 8]")  # fmt: skip
@shared("cluster")
@click.option("--workers", type=click.IntRange(min=1),
              help="Of the cluster.  [default: as many as there are]")  # fmt: skip
@click.option("--compress", type=click.Choice(["none", "gzip", "zstd"]),
              help="Smaller file, slower to train on.  [default: none]")  # fmt: skip
@click.option("--sha256", is_flag=True, default=None,
              help="Keep the SHA-256 of every input; all of each file is read for it.")  # fmt: skip
@click.option("--split", metavar="EXPR",
              help="Of event id branches, as 'event % 5': 0 is test, 1 validation, else train.  "
              "[default: 70/15/15 by hash]")  # fmt: skip
@click.option("--split-seed", type=click.IntRange(min=0),
              help="Another train/validation/test split.  [default: 0]")  # fmt: skip
def command(
    mc: str | None,
    data: str | None,
    output: Path,
    config_file: str | None,
    truth: str | None,
    like: Path | None,
    skip_bad: bool,
    reader: Literal["auto", "fast", "uproot"],
    threads: int | None,
    cluster: str | None,
    workers: int | None,
    **flags: Any,
) -> int:
    """Turn ROOT files (TTree or RNTuple), or files of images, into a tensor file.

    Files of MINERvA's hit images, and trees with branches of hits, are recognised; so are pictures
    with classes: npz and HDF5 files with arrays image and label, MNIST's idx, SVHN's mat, and
    folders of a folder a class.

    MC and DATA are a path, a quoted glob, a comma-separated list, path:tree, a root:// address or a
    .txt list of files. DATA may be left out; with --config both may.
    """
    from hepdann import convert

    if like is not None:
        if data is not None:
            raise click.UsageError("--like takes DATA alone: MC is in the tensor file already")
        if config_file is not None:
            raise click.UsageError("--like and --config exclude each other")
        mc, data = None, mc
    for name in ("features", "spectators", "classes", "event_id"):
        flags[name] = split_list(flags[name])
    flags["size"] = _size(flags["size"])
    pairs = [text.partition(":") for text in flags["objects"]]
    named = [name for name, _, _ in pairs]
    for name in named:
        if not name:
            raise click.UsageError("--objects names no objects: it is NAME or NAME:LIST")
        if named.count(name) > 1:
            raise click.UsageError(f"--objects {name} is given twice; name all lists in one")
    objects: dict[str, dict[str, Any]] = {
        name: {"features": split_list(listed) or None} for name, _, listed in pairs
    }
    for text in flags.pop("object_labels"):
        name, label = _object_label(text)
        objects.setdefault(name, {})["label"] = label
    flags["objects"] = objects
    if workers is not None and cluster is None:
        raise click.UsageError("--workers are of a --cluster; of this machine --threads work")
    workers_on(cluster, workers)
    with counting("convert", "converting", "entries") as progress:
        summary = convert(
            () if mc is None else mc,
            () if data is None else data,
            config=config_file,
            like=like,
            output=output,
            truth=truth,
            skip_bad=skip_bad,
            progress=progress,
            reader=reader,
            threads=threads,
            **flags,
        ).summary
    _show(summary, like)
    for warning in summary.warnings:
        click.echo(f"hepdann: warning: {warning}", err=True)
    if not summary.skipped:
        return 0
    click.echo(
        f"hepdann: warning: bad files skipped: {len(summary.skipped)}, listed in the table; no "
        f"event of theirs is in {summary.output}",
        err=True,
    )
    return 3


def _object_label(text: str) -> tuple[str, dict[str, Any]]:
    """``jets:jet_flavour=0,4,5`` as name and settings."""
    name, _, label = text.partition(":")
    branch, _, values = label.rpartition("=")
    numbers = [value.strip() for value in values.split(",")]
    if not (name and branch and all(one.removeprefix("-").isdecimal() for one in numbers)):
        what = f"--object-label takes NAME:LIST=VALUES, as jets:jet_flavour=0,4,5, not {text!r}"
        raise click.UsageError(what)
    return name, {"branch": branch, "classes": {one: int(one) for one in numbers}}


def _size(text: str | None) -> tuple[int, int] | None:
    """``28`` or ``28,32`` as rows and columns."""
    if text is None:
        return None
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words) or len(words) > 2:
        raise click.UsageError(f"--size takes rows and columns, as 28 or 28,32, not {text!r}")
    return int(words[0]), int(words[-1])


def _show(summary: ConversionSummary, like: Path | None) -> None:
    console = tables.console(_PLAIN_WIDTH)
    for title, heads, left, rows in _sections(summary):
        table = tables.table(title, *heads, left=left, rows=rows)
        table.title_style, table.pad_edge = "bold", False
        if not sys.stdout.isatty():
            table.box = None
        if rows:
            console.print(table)
            console.print()
    reasons: dict[str, list[str]] = {}
    for branch in summary.left_out:
        reasons.setdefault(branch.reason, []).append(branch.name)
    for reason, names in reasons.items():
        console.print(f"not a feature, {reason}: {', '.join(names)}")
    if summary.label is not None and like is None:
        console.print(f"label: {summary.label}")
    for note in summary.notes:
        console.print(f"note: {note}")
    size = summary.output.stat().st_size / 1e6
    width = len(summary.columns)
    counts = [
        f"{summary.passed(domain):,} {what} events"
        for domain, what in (("mc", "MC"), ("data", "data"))
        if any(file.domain == domain for file in summary.files)
    ]
    if width or not (summary.images or summary.objects):
        counts.append(f"{width} feature{'s' * (width != 1)}")
    if summary.images:
        views = {image.view for images in summary.images.values() for image in images}
        counts.append(f"images of {len(views)} view{'s' * (len(views) != 1)}")
    collections = (one.collection for one in next(iter(summary.objects.values()), ()))
    counts += dict.fromkeys(collections)
    console.print(f"{summary.output}: {', '.join(counts)}, {size:.1f} MB")
    data = any(file.domain == "data" for file in summary.files)
    pseudo = "energy-scale" if summary.images else "gaussian"
    pseudo = "missing-objects" if summary.objects else pseudo
    shift = [] if data else ["--shift", pseudo, "--t", "8"]
    files = [str(summary.output)] if like is None else [str(like), str(summary.output)]
    if data or summary.label != PICTURES:  # which no shift acts on
        console.print(f"next: {command_line('train', *files, *shift)}")


def _sections(summary: ConversionSummary) -> Iterator[tuple[str, Sequence[str], int, list[Row]]]:
    """Title, headings, number of columns of text, and rows of each table."""
    yield _files(summary)
    yield "Yields", ("", "sample", "events", "sum of weights"), 2, _yields(summary)
    total = sum(entry.events for entry in summary.classes)
    yield "Classes", ("label", "class", "events", "share", "sum of weights"), 2, [
        (str(one.label), one.name, f"{one.events:,}", f"{100 * one.events / total:.1f} %",
         tables.plus_minus(one.sum_weight, one.error))
        for one in summary.classes
    ]  # fmt: skip
    imputed = dict(zip(summary.columns, summary.impute, strict=True))
    heads: Row = ("feature", "", "min", "weighted mean", "max", "missing", "non-finite", "imputed")
    features = (one.name for one in summary.of("mc") or summary.of("data"))
    yield "Features", heads, 2, [
        (one.name if first else "", one.domain, *map(_short, (one.minimum, one.mean, one.maximum)),
         f"{one.missing:,}", f"{one.nonfinite:,}", _short(imputed[one.name]) if first else "")
        for name in features
        for first, one in _first(one for one in summary.features if one.name == name)
    ]  # fmt: skip
    heads = ("view", "", "min", "mean of hits", "max", "hits/event", "empty")
    yield "Images", heads, 2, [
        (f"{one.view} {one.channel}" if first else "", domain,
         *map(_short, (one.minimum, one.mean, one.maximum, one.hits)), f"{one.empty:,}")
        for images in zip(*summary.images.values(), strict=True)
        for first, (domain, one) in _first(zip(summary.images, images, strict=True))
    ]  # fmt: skip
    rows, shown = [], set[str]()
    for pair in zip(*summary.objects.values(), strict=True):
        for first, (domain, one) in _first(zip(summary.objects, pair, strict=True)):
            events = f"{one.collection} {domain}" not in shown
            shown.add(f"{one.collection} {domain}")
            rows.append((
                *((one.collection, one.feature) if first else ("", "")), domain,
                *map(_short, (one.minimum, one.mean, one.maximum)), f"{one.missing:,}",
                "" if one.objects is None or not events else _short(one.objects),
                f"{one.empty:,}" if events else "",
            ))  # fmt: skip
    heads = ("objects", "feature", "", "min", "mean", "max", "missing", "objects/event",
             "events without")  # fmt: skip
    yield "Objects", heads, 3, rows
    yield (
        "Skipped files",
        ("", "sample", "file", "reason"),
        4,
        [(file.domain, file.sample, file.path, file.reason) for file in summary.skipped],
    )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _first(entries: Iterable[Any]) -> Iterator[tuple[bool, Any]]:
    """Entries, the first one marked: it carries what all of them have in common."""
    return ((number == 0, one) for number, one in enumerate(entries))


def _files(summary: ConversionSummary) -> tuple[str, Sequence[str], int, list[Row]]:
    reasons = {"not certified": "outside_mask", "duplicates": "duplicates"}
    reasons = {n: key for n, key in reasons.items() if any(getattr(f, key) for f in summary.files)}
    heads = ("", "sample", "file", "tree", "read", *reasons, "passed", "")
    many = len(summary.files) > _MANY_FILES
    unique = len({Path(f.path).name for f in summary.files}) == len({f.path for f in summary.files})
    samples = Counter(file.sample for file in summary.files)
    counts: dict[Row, list[int]] = {}
    for file in summary.files:
        name = Path(file.path).name if unique else file.path
        files = f"{samples[file.sample]} files" if many else name
        counted = [file.read, *(getattr(file, key) for key in reasons.values()), file.passed]
        for row in ((file.domain, file.sample, files, file.tree), (file.domain, "total", "", "")):
            before = counts.get(row, [0] * len(counted))
            counts[row] = [a + b for a, b in zip(before, counted, strict=True)]
    rows = []
    for texts, counted in sorted(counts.items(), key=lambda row: row[0][1] == "total"):
        share = f"{100 * counted[-1] / counted[0]:.1f} %" if counted[0] else "-"
        rows.append((*texts, *(f"{count:,}" for count in counted), share))
    return "Files", heads, 4, rows


def _yields(summary: ConversionSummary) -> list[Row]:
    from hepdann.tensors import yield_ratio

    rows: list[Row] = []
    domains = list(dict.fromkeys(file.domain for file in summary.files))
    for domain in domains:
        yields = summary.yields(domain)
        counts = dict(yields) if len(yields) == 1 else yields | {"together": summary.total(domain)}
        for name, count in counts.items():
            sum_weight = tables.plus_minus(count.sum_weight, count.error)
            rows.append((domain, name, f"{count.events:,}", sum_weight))
    ratio = yield_ratio(summary.total("data"), summary.total("mc")) if len(domains) == 2 else None
    if ratio is not None:
        rows.append(("data/MC", "", "", tables.plus_minus(*ratio)))
    return rows
