"""Tensor files from tensor files: joined, cut, changed or reweighted, a tile of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SchemaError
from ..expressions import parse
from ..provenance import provenance
from .hdf5.checksums import TILE_ROWS
from .layout import DOMAINS, Layout, differing
from .objects import read_jagged
from .reader import Tensors, open_tensors
from .source_and_target import SPLITS
from .writer import PreparedRows, TensorWriter

if TYPE_CHECKING:
    from ..config.samples import ReweightConfig

Change = Callable[[PreparedRows], PreparedRows]
Progress = Callable[[int, int], None]
_IMAGES = 512  # rows of a tile that has images
Floats = NDArray[np.float64]


def merge(
    paths: Sequence[str | Path], output: str | Path, progress: Progress | None = None
) -> Tensors:
    """Join tensor files: the rows of the first, then those of the next.

    Samples of one name become one. Means that stand for missing values are computed anew over the
    training split, as one conversion of all would have them.

    Raises:
        SchemaError: the files differ, which is named; one comes twice; one cannot be read.
    """
    files = [open_tensors(path) for path in paths]
    by_content: dict[str, Path] = {}
    for file in files:
        first = by_content.setdefault(file.content_id(), file.path)
        if first is not file.path:
            what = f"holds the same as {first}, and its events would count twice"
            raise SchemaError(what, where=file.path, mend="name each file once")
    domains = [domain for domain in DOMAINS if any(domain in file.samples for file in files)]
    samples = {
        domain: list(dict.fromkeys(n for f in files for n in f.samples.get(domain, ())))
        for domain in domains
    }
    for file in files:
        like = next(f for f in files if set(f.samples) & set(file.samples))
        difference = _difference(like, file)
        if difference is not None:
            raise SchemaError(
                f"{difference} differ from those of {like.path}",
                where=file.path,
                mend="convert both with the same settings",
            )
    settings = [dict(file.provenance.get("settings", {})) for file in files]
    joined = dict(settings[0])
    if all("samples" in one for one in settings):
        for key in ("samples", "files"):
            joined[key] = [entry for one in settings for entry in one.get(key, ())]
        joined["event_id"] = {n: i for one in settings for n, i in one["event_id"].items()}
    inputs = {i["path"]: i for file in files for i in file.provenance.get("inputs", ())}
    merged = [{"path": str(f.path), "content": f.content_id()} for f in files]
    extra = provenance([*inputs.values()], joined, merged=merged)
    return _write_copy(files, output, samples=samples, extra=extra, progress=progress)


def _difference(first: Tensors, file: Tensors) -> str | None:
    """What keeps two files from being joined, with names; ``None`` if nothing does."""
    kinds = {
        "features": "features",
        "units": "units",
        "feature_info": "the settings of features",
        "spectators": "spectators",
        "views": "images",
        "objects": "objects",
        "split_config": "the rules of the split",
    }
    if "mc" in first.samples and "mc" in file.samples:
        kinds |= {"classes": "classes", "weights": "weights", "variations": "variations"}
    if "data" in first.samples and "data" in file.samples:
        kinds["has_truth"] = "the true labels"
    for kind, title in kinds.items():
        one, other = getattr(first, kind), getattr(file, kind)
        if one == other:
            continue
        if kind in ("features", "spectators", "classes", "weights", "variations"):
            return f"{title} ({differing(one, other)})"
        if kind in ("units", "feature_info"):
            names = [n for n, a, b in zip(file.features, one, other, strict=True) if a != b]
            return f"{title} ({', '.join(names)})"
        return title
    return None


def slice_rows(
    path: str | Path,
    output: str | Path,
    *,
    cut: str | None = None,
    domain: str | None = None,
    progress: Progress | None = None,
) -> Tensors:
    """Write the events of a tensor file that pass a cut; ids, splits and imputed values stay.

    A cut is of features, spectators, ``weight``, ``event_id``, ``split``, ``sample`` (a number),
    and of MC ``label``; events of MC and of data must pass it. ``domain`` keeps "mc" or "data"
    alone.

    Raises:
        SchemaError: no such domain, or nothing passes.
        ConfigError: the cut names what is not there.
    """
    file = open_tensors(path)
    domains = file.domains if domain is None else (domain,)
    if domain is not None and domain not in file.domains:
        raise SchemaError(f"holds no {domain}", where=file.path)
    expression = None if cut is None else parse(cut, what="cut")

    def keep(tile: PreparedRows) -> PreparedRows:
        if expression is None:
            return tile
        columns = columns_of(file, tile)
        absent = [name for name in expression.names if name not in columns]
        if absent:
            raise ConfigError(
                f"no column '{absent[0]}' in {tile.domain}",
                where=expression.where,
                mend=f"there are {', '.join(columns)}",
            )
        return tile.take(expression.condition(columns.__getitem__, tile.count))

    extra = {**file.provenance, "sliced": {"path": str(file.path), "cut": cut, "domain": domain}}
    return _write_copy([file], output, domains=domains, change=keep, extra=extra, progress=progress)


def columns_of(file: Layout, tile: PreparedRows) -> dict[str, NDArray[Any]]:
    """The columns of a tile by their names; true labels of data are none of them."""
    scalars = ("weight", "event_id", "split", "sample")
    columns = {n: tile.column(n) for n in (*scalars, *(("label",) * (tile.domain == "mc")))}
    for table in ("spectators", "features"):
        columns |= dict(zip(getattr(file, table), tile.column(table).T, strict=True))
    return columns


def _read_tiles(file: Tensors, domain: str) -> Iterator[PreparedRows]:
    """The rows of a domain in pieces."""
    paths = {column.path for column in file.all_datasets(domain)}
    with file.read() as h5:
        held: list[str] = []
        h5[domain].visititems(
            lambda name, item: held.append(name) if hasattr(item, "shape") else None
        )
        unknown = {f"{domain}/{name}" for name in held} - paths
        if unknown:
            raise SchemaError(f"cannot copy {min(unknown)}", where=file.path)
        step = _IMAGES if file.views else TILE_ROWS
        for start in range(0, file.rows(domain), step):
            yield read_tile(file, h5, domain, start, min(start + step, file.rows(domain)))


def read_tile(file: Tensors, h5: Any, domain: str, first: int, last: int) -> PreparedRows:
    """The rows ``first`` to ``last`` - 1 of a domain, of a file that is open as ``h5``.

    Raises:
        SchemaError: objects are damaged.
    """
    rows = {c.path: np.asarray(h5[c.path][first:last]) for c in file.datasets(domain)}
    objects = {
        one.name: read_jagged(h5[f"{domain}/objects/{one.name}"], first, last, file.path)
        for one in file.objects
    }
    return PreparedRows(domain, last - first, rows, objects)


def _write_copy(
    files: Sequence[Tensors],
    output: str | Path,
    *,
    extra: Mapping[str, Any],
    domains: Sequence[str] | None = None,
    samples: Mapping[str, Sequence[str]] | None = None,
    weights: Sequence[str] | None = None,
    change: Change = lambda tile: tile,
    progress: Progress | None = None,
) -> Tensors:
    """Write the rows of files one after the other."""
    first, samples = files[0], samples or files[0].samples
    samples = {domain: tuple(samples[domain]) for domain in domains or samples}
    mc = next((file for file in files if "mc" in file.samples), first)
    kept = {domain: sum(file.rows(domain) for file in files) for domain in samples}
    means, done, total = _Means(first), 0, sum(kept.values())
    of_mc: dict[str, Any] = {n: getattr(mc, n) for n in ("classes", "weights", "variations")}
    if weights is not None:
        of_mc["weights"] = weights
    layout = Layout(
        **{field.name: getattr(first, field.name) for field in fields(Layout)}
        | (of_mc if "mc" in samples else dict.fromkeys(of_mc, ()))
        | {
            "samples": samples,
            "has_truth": "data" in samples and any(file.has_truth for file in files),
        }
    )
    with first.read() as h5:
        compress = h5.attrs.get("compress", "none")
    with TensorWriter(
        output, layout, capacity=kept, split=first.split_config, compress=compress
    ) as writer:
        for domain in layout.domains:
            rows = 0
            for file in files:
                numbers = [samples[domain].index(name) for name in file.samples.get(domain, ())]
                for tile in _read_tiles(file, domain) if domain in file.samples else ():
                    done += tile.count
                    tile = change(tile)
                    sample = np.array(numbers, np.uint16)[tile.column("sample")]
                    writer.put(replace(tile, rows=tile.rows | {f"{domain}/sample": sample}))
                    if domain == layout.domains[0]:
                        means.add(tile.column("features"), tile.column("split"))
                    rows += tile.count
                    if progress is not None:
                        progress(done, total)
            if not rows:
                raise SchemaError(
                    f"no event of {domain} is left", where=output, mend="loosen the cut"
                )
        writer.finish(extra, impute=means.values() if len(files) > 1 else first.impute.tolist())
    return open_tensors(output)


class _Means:
    """Means of the features over the training split, or over all events where it has no value."""

    def __init__(self, file: Tensors) -> None:
        self._file = file
        self._sums = np.zeros((2, 2, len(file.features)), np.longdouble)  # Σ x, n; of all, of train

    def add(self, features: NDArray[np.float32], split: NDArray[np.uint8]) -> None:
        finite = np.isfinite(features)
        x = np.where(finite, features, 0).astype(np.float64)
        train = split == SPLITS.index("train")
        for number, rows in enumerate((slice(None), train)):
            self._sums[0, number] += x[rows].sum(axis=0)
            self._sums[1, number] += finite[rows].sum(axis=0)

    def values(self) -> list[float]:
        (all_x, train_x), (all_n, train_n) = self._sums
        use = train_n > 0
        mean = np.where(use, train_x, all_x) / np.maximum(np.where(use, train_n, all_n), 1)
        fixed = [info.get("impute", "mean") != "mean" or bool(info.get("indicator_of"))
                 for info in self._file.feature_info]  # fmt: skip
        rounded = mean.astype(np.float32).astype(np.float64)
        return [float(value) for value in np.where(fixed, self._file.impute, rounded)]


def reweight(
    path: Tensors | str | Path, output: str | Path, settings: Sequence[ReweightConfig]
) -> list[str]:
    """Write a tensor file with other weights of MC, whose sum stays.

    In each bin the factor is the share of the target there over that of the classes to be
    reweighted, clipped; it is 1 where these have no positive sum of weights. Bins beyond the first
    and last edge and one for missing values belong to each variable; an upper edge belongs to the
    next bin. Every weight of MC is multiplied, and ``weights/<name>_off`` holds the nominal one
    without this factor. Each of several reweightings acts on the weights that those before it made.

    Returns:
        What was done, a line for each.

    Raises:
        ConfigError: a variable or class that is not there, or a sum of weights is not positive.
        SchemaError: a file cannot be read or written.
    """
    file = open_tensors(path)
    factors: list[_Factor] = []
    for one in settings:
        factors.append(_Factor.fit(file, one, factors))
    names = [f"{one.name}_off" for one in settings]

    def change(tile: PreparedRows) -> PreparedRows:
        if tile.domain != "mc":
            return tile
        each = [factor.of(file, tile) for factor in factors]
        total = np.prod(each, axis=0)
        weight = tile.column("weight").astype(np.float64)
        changed = {n: v * total for n, v in tile.rows.items() if n.startswith("mc/weight")}
        for number, name in enumerate(names):
            others = [f for i, f in enumerate(each) if i != number]
            changed[f"mc/weights/{name}"] = weight * np.prod(others, axis=0)
        rows = {name: values.astype(np.float32) for name, values in changed.items()}
        return replace(tile, rows=tile.rows | rows)

    extra = {**file.provenance, "reweighted": [factor.note for factor in factors]}
    _write_copy([file], output, weights=(*file.weights, *names), change=change, extra=extra)
    return [factor.note for factor in factors]


@dataclass(frozen=True, eq=False)
class _Factor:
    """What a reweighting multiplies the weights of its classes with, by bin."""

    settings: ReweightConfig
    labels: tuple[int, ...]
    values: Floats  # of all bins in a row
    note: str

    def of(self, file: Tensors, tile: PreparedRows) -> Floats:
        """(n,) of some MC events."""
        chosen = np.isin(tile.column("label"), self.labels)
        return np.where(chosen, self.values[_bins(self.settings, file, tile)], 1.0)

    @classmethod
    def fit(cls, file: Tensors, settings: ReweightConfig, before: Sequence[_Factor]) -> _Factor:
        """Fill the histograms of both sides, and divide them."""
        where = f"convert.reweight '{settings.name}'"
        known = (*file.features, *file.spectators)
        for kind, names, available in (
            ("feature or spectator", settings.variables, known),
            ("class", settings.classes or (), file.classes),
            ("class", () if settings.to == "data" else (settings.to,), file.classes),
            ("domain", ("data",) if settings.to == "data" else (), file.domains),
        ):
            for name in names:
                if name not in available:
                    mend = f"there are {', '.join(available)}"
                    raise ConfigError(f"no {kind} '{name}'", where=where, mend=mend)
        if f"{settings.name}_off" in file.weights:
            raise ConfigError("there is a weight of that name", where=where, mend="take another")
        classes = [c for c in settings.classes or file.classes if c != settings.to]
        labels = tuple(file.classes.index(name) for name in classes)
        size = int(np.prod([len(edges) + 2 for edges in settings.variables.values()]))
        source, squares, target = np.zeros((3, size))
        for tile in _read_tiles(file, "mc"):
            bins, label = _bins(settings, file, tile), tile.column("label")
            weight = tile.column("weight").astype(np.float64)
            weight *= np.prod([factor.of(file, tile) for factor in before], axis=0)
            reweighted = np.isin(label, labels)
            source += np.bincount(bins[reweighted], weight[reweighted], size)
            squares += np.bincount(bins[reweighted], weight[reweighted] ** 2, size)
            if settings.to != "data":
                other = label == file.classes.index(settings.to)
                target += np.bincount(bins[other], weight[other], size)
        for tile in _read_tiles(file, "data") if settings.to == "data" else ():
            weight = tile.column("weight").astype(np.float64)
            target += np.bincount(_bins(settings, file, tile), weight, size)
        if source.sum() <= 0 or target.sum() <= 0:
            what = ", ".join(classes) if source.sum() <= 0 else settings.to
            raise ConfigError(
                f"the weights of {what or 'no class'} have no positive sum", where=where
            )
        ratio = np.ones(size)
        np.divide(target / target.sum(), source / source.sum(), out=ratio, where=source > 0)
        low, high = settings.clip
        values = np.clip(ratio, low, high)
        cut_off = np.count_nonzero((values != ratio) & (source > 0))
        values *= source.sum() / (source @ values)
        used = values[source != 0]
        effective = (source @ values) ** 2 / (squares @ values**2)
        share = effective / (source.sum() ** 2 / squares.sum())
        note = (
            f"{settings.name}: weights of {', '.join(classes)} follow {settings.to} in "
            f"{' and '.join(settings.variables)}, factors {used.min():.3g} to {used.max():.3g} "
            f"({cut_off} of {np.count_nonzero(source)} bins clipped), {100 * share:.0f} % of the "
            f"effective events are left; weights/{settings.name}_off is without it"
        )
        return cls(settings, labels, values, note)


def _bins(settings: ReweightConfig, file: Tensors, tile: PreparedRows) -> NDArray[np.int64]:
    """(n,) the bin of each event, of all variables in a row."""
    columns, bins = columns_of(file, tile), np.zeros(tile.count, np.int64)
    for name, edges in settings.variables.items():
        values = columns[name].astype(np.float64)
        place = np.searchsorted(edges, values, side="right")  # NaN would share the overflow
        bins = bins * (len(edges) + 2) + np.where(np.isnan(values), len(edges) + 1, place)
    return bins
