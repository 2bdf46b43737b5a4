"""``hepdann.convert``: the one call behind ``hepdann convert``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from ..config import ConversionConfig, load_config, override
from ..tensors import Tensors, open_tensors
from .convert import convert as convert_files
from .pipeline.entry_ranges import Reader
from .pipeline.summary import ConversionSummary

_SEVERAL = {"features", "spectators", "classes", "event_id"}

ObjectSettings = Sequence[str] | Mapping[str, Sequence[str] | Mapping[str, Any] | None]
Files = str | PathLike[str] | Sequence[str | PathLike[str]]


@dataclass(frozen=True, eq=False, repr=False)
class Converted(Tensors):
    """A tensor file that was just made.

    Attributes:
        summary: what was read, passed, chosen and left out.
    """

    summary: ConversionSummary = field(kw_only=True)


def convert(
    mc: Files = (), data: Files = (), *, output: str | Path = "tensors.h5",
    config: ConversionConfig | str | Path | None = None, tree: str | None = None,
    features: Sequence[str | Mapping[str, Any]] | None = None,
    spectators: Sequence[str] | None = None, label: str | None = None,
    classes: Sequence[str | Mapping[str, Any]] | None = None,
    weight: str | None = None, data_weight: str | None = None, cut: str | None = None,
    missing: float | None = None, event_id: Sequence[str] | None = None,
    objects: ObjectSettings | None = None,
    lumi_mask: str | Path | None = None, drop_duplicates: bool | None = None,
    truth: str | Path | None = None, like: str | Path | None = None, skip_bad: bool = False,
    reader: Reader = "auto", size: tuple[int, int] | None = None,
    colour: Literal["grey", "colour"] | None = None, threads: int | None = None,
    compress: Literal["none", "gzip", "zstd"] | None = None, sha256: bool | None = None,
    split: str | None = None, split_seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:  # fmt: skip
    """Turn ROOT files (TTree or RNTuple), or files of images, into a tensor file.

    Args:
        mc: one or several paths, globs, ``path:tree``, ``root://`` addresses or ``.txt`` lists.
        data: likewise; both may be left out where ``config`` names samples.
        output: the tensor file; an existing one is replaced only by a whole new one.
        config: settings, a YAML file or the name of a shipped one; the arguments override it.
        tree: to read; default the only one, or the largest.
        features: branches or expressions in order; default the numeric ones that look like inputs.
        spectators: kept for plots and cuts, never an input.
        label: of MC; default the one branch in MC alone whose values are small whole numbers.
        classes: names by label value.
        weight: weight branch or expression, of MC; default 1.
        data_weight: of data; default 1.
        cut: selection, for example ``"pt > 20 && abs(eta) < 2.4"``.
        missing: value that marks a missing entry, for example -999.
        objects: names, or features by name, or settings by name as in ``convert.objects``.
        event_id: branches that identify an event; default those so named.
        lumi_mask: JSON file of the certified luminosity blocks, for data.
        drop_duplicates: keep the first row of each event, of all data and of each MC sample.
        truth: file with the true labels of the data, row by row, for simulated studies.
        like: a tensor file; ``data`` alone are converted, into its columns.
        skip_bad: leave out bad files whole; ``summary.skipped`` lists them.
        reader: who decodes; the result is the same.
        size: of pictures, rows and columns; default the largest that the files have.
        colour: of pictures; default colour where any file has it.
        threads: that decode; default the processors, at most 8.
        compress: a smaller file, slower to train on; default none.
        sha256: keep the SHA-256 of every input.
        split: expression of the event id whose 0 is test, 1 validation, all else train.
        split_seed: another train/validation/test split; default 0.
        progress: called with the entries done and in all.

    Returns:
        The tensor file, with ``summary``.

    Raises:
        HepdannError: settings that do not fit the files or leave no events, a file that cannot be
            read or does not fit the others, an output that cannot be written.
    """
    sources = _files(mc), _files(data)
    mask = None if lumi_mask is None else fspath(lumi_mask)
    settings = _settings(
        config, not sources[0], tree=tree, features=features, spectators=spectators, label=label,
        classes=classes, weight=weight, data_weight=data_weight, cut=cut, missing=missing,
        event_id=event_id, lumi_mask=mask, drop_duplicates=drop_duplicates, split_by=split,
        split_seed=split_seed, compress=compress, sha256=sha256, pictures_size=size,
        pictures_colour=colour, objects=_objects(objects),
    )  # fmt: skip
    truth, like = None if truth is None else fspath(truth), None if like is None else Path(like)
    summary = convert_files(
        *sources, output=Path(output), config=settings, skip_bad=skip_bad, progress=progress,
        reader=reader, threads=threads, truth=truth, like=like,
    )  # fmt: skip
    return Converted(**vars(open_tensors(output)), summary=summary)


def _files(given: Files) -> list[str]:
    names = [given] if isinstance(given, str | PathLike) else given
    return [fspath(name) for name in names]


def _settings(
    config: ConversionConfig | str | Path | None, expand: bool, **given: Any
) -> ConversionConfig:
    """The configuration, with the arguments that were given on top."""
    changes = {f"convert.{key}": _plain(key, value) for key, value in given.items()}
    for key in ("seed", "by"):
        changes[f"convert.split.{key}"] = changes.pop(f"convert.split_{key}")
    for key in ("size", "colour"):
        changes[f"convert.pictures.{key}"] = changes.pop(f"convert.pictures_{key}")
    if isinstance(config, str | PathLike):
        return load_config(config, changes=changes, expand=expand)
    return override(config or ConversionConfig(), changes)


def _objects(given: ObjectSettings | None) -> dict[str, Any] | None:
    """Settings of each collection by name; features alone are a short form."""
    if given is None or isinstance(given, Mapping):
        named = dict(given or {})
    else:
        named = dict.fromkeys([given] if isinstance(given, str) else given)
    settings = {
        name: value if isinstance(value, Mapping) else {"features": value and list(value)}
        for name, value in named.items()
    }
    return settings or None


def _plain(key: str, value: Any) -> Any:
    """A sequence as a list; of a setting that takes several, one text is one entry."""
    if isinstance(value, str):
        return [value] if key in _SEVERAL else value
    return list(value) if isinstance(value, Sequence) else value
