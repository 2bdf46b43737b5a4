"""Pictures to a tensor file: brought to one size and colour, a byte a pixel, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ...config import ConversionConfig, ConvertConfig, PicturesConfig, SampleConfig, expand_path
from ...errors import ConfigError, HepdannError, ReadError
from ...provenance import describe_file, provenance
from ...tensors import (
    Block,
    Layout,
    Tensors,
    TensorWriter,
    View,
    ViewCounter,
    event_ids,
)
from ..files import FileRef, resolve
from ..pipeline.summary import ClassCount, ConversionSummary, FileCount
from ..planning.input_samples import wanted_samples
from .files import is_pictures, open_labels, open_pictures
from .folders import Pictures, resize_pictures

_OF_TABLES = (
    "tree", "features", "spectators", "label", "weight", "data_weight", "cut", "missing",
    "event_id", "lumi_mask", "drop_duplicates", "reweight", "variations",
)  # fmt: skip
_SIZE = (32, 32)  # of pictures of several sizes
VIEW = "image"
_IDENTITY = "pictures"  # a picture is the same event in MC and in data, so that splits agree
GREY, COLOUR = ("grey",), ("red", "green", "blue")
_GROUP = 512  # pictures that are read one by one and written together


def pictures_of(
    mc: Sequence[str], data: Sequence[str], config: ConversionConfig
) -> list[tuple[SampleConfig, list[FileRef]]] | None:
    """The samples of a conversion with their files, MC first, if these are pictures.

    Args:
        mc: files of the command line; with them, the samples of ``config`` are not used.
        data: likewise.
        config: the configuration.

    Returns:
        ``None`` where the first file holds something else.

    Raises:
        ConfigError: settings that pictures do not have.
        ReadError: a file that is not there, or no picture while others are.
    """
    samples = wanted_samples(mc, data, config)
    if not samples or config.convert.images is not None or not _begins(samples[0].files[0]):
        return None
    defaults = ConvertConfig()
    for name in _OF_TABLES:
        if getattr(config.convert, name) != getattr(defaults, name):
            what = "is of tables, and the files hold pictures"
            raise ConfigError(what, where=f"convert.{name}", mend="leave it out")
    out = []
    for sample in samples:
        refs = [ref for pattern in sample.files for ref in picture_refs(pattern, sample.name)]
        for ref in refs:
            if not is_pictures(ref):
                what = "holds no pictures, and the first file does"
                raise ConfigError(what, where=ref.path, mend="convert files of one kind together")
        out.append((sample, refs))
    return out


def picture_ref(text: str) -> FileRef:
    """The file, part of a file or folder that a user names."""
    return picture_refs(text, "truth")[0]


def _begins(pattern: str) -> bool:
    """Whether the first file of a sample holds pictures; a name that is no file is for others."""
    try:
        refs = picture_refs(pattern, "mc")
    except (HepdannError, ValueError, OSError):  # the reader of tables says what is wrong
        return False
    return bool(refs) and is_pictures(refs[0])


def picture_refs(pattern: str, name: str) -> list[FileRef]:
    """The files, parts of files or folders that a pattern of a sample names."""
    path = expand_path(pattern.strip(), where=f"sample '{name}'")
    if path and Path(path).is_dir():
        return [FileRef(path)]
    return list(resolve([pattern], where=f"sample '{name}'"))


@dataclass(frozen=True, eq=False)
class _PictureSample:
    """The pictures of one sample."""

    config: SampleConfig
    domain: str
    parts: tuple[Pictures, ...]


def convert_pictures(
    samples: Sequence[tuple[SampleConfig, Sequence[FileRef]]],
    *,
    output: Path,
    config: ConversionConfig,
    truth: FileRef | None = None,
    like: Tensors | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConversionSummary:
    """Convert pictures to a tensor file, in bounded memory.

    Args:
        samples: each with its files or folders.
        output: the tensor file.
        config: ``convert.pictures`` names size and colour; default the largest size and colour if
            any picture has it.
        truth: pictures whose labels are those of the data, row by row.
        like: a tensor file that new data are to fit.
        progress: called with the pictures done and the pictures in all.

    Returns:
        What was read and how it was brought together.

    Raises:
        ConfigError: settings that do not fit the files.
        ReadError: a file is damaged, or MC has no labels.
    """
    opened = [
        _PictureSample(
            sample, "data" if sample.role == "data" else "mc", tuple(map(open_pictures, refs))
        )
        for sample, refs in samples
    ]
    if like is not None:
        from ..conversion_record import Conversion

        settings = {"split": like.split_config, "pictures": Conversion.of(like).pictures}
        convert = config.convert.model_copy(update=settings)
        config = config.model_copy(update={"convert": convert})
    view = _view(opened, config)
    classes = like.classes if like is not None else _classes(opened, config)
    labels = _truth(truth, opened, classes)
    conversion = _PictureConversion(opened, view, classes, config, labels, progress)
    return conversion.run(output, [truth] if truth is not None else [])


def _view(samples: Sequence[_PictureSample], config: ConversionConfig) -> View:
    settings = config.convert.pictures
    parts = [part for sample in samples for part in sample.parts]
    sizes = [part.size for part in parts if part.size is not None]
    size = settings.size or (
        (max(h for h, _ in sizes), max(w for _, w in sizes)) if sizes else _SIZE
    )
    colour = any(part.colour for part in parts)
    if settings.colour is not None:
        colour = settings.colour == "colour"
    names = COLOUR if colour else GREY
    return View(VIEW, len(names), *size, names, dtype="|u1")


def _classes(samples: Sequence[_PictureSample], config: ConversionConfig) -> tuple[str, ...]:
    """Names of the classes of MC, numbers in their order; or as ``convert.classes`` names them."""
    names: set[str] = set()
    for sample in samples:
        if sample.domain == "data":
            continue
        if sample.config.class_ is not None:
            names.add(sample.config.class_)
            continue
        for part in sample.parts:
            if part.label is None:
                raise ReadError(
                    "has no labels",
                    where=part.path,
                    mend="name an array label, or give the sample a class",
                )
            names.update(part.classes)
    classes = tuple(sorted(names, key=lambda name: (not name.isdecimal(), name.zfill(20))))
    named = config.convert.class_names
    if named is not None and len(named) != len(classes):
        raise ConfigError(
            f"names {len(named)} classes, and there are {len(classes)}: {', '.join(classes)}",
            where="convert.classes",
            mend="name each of them",
        )
    return classes


def _truth(
    truth: FileRef | None, samples: Sequence[_PictureSample], classes: tuple[str, ...]
) -> NDArray[np.int64] | None:
    if truth is None:
        return None
    names, label = open_labels(truth)
    count = sum(p.count for s in samples if s.domain == "data" for p in s.parts)
    if len(label) != count:
        what = f"has {len(label):,} labels, and there are {count:,} pictures of data"
        raise ReadError(what, where=truth.path, mend="its rows run along those of the data")
    return _indices(names, label, classes, truth.path)


def _indices(
    names: tuple[str, ...], label: NDArray[np.int64], classes: tuple[str, ...], path: str
) -> NDArray[np.int64]:
    """Labels as indices of the classes of the file."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise ReadError(
            f"has pictures of class {', '.join(unknown[:5])}, which MC has not",
            where=path,
            mend="convert MC of all classes",
        )
    table = np.array([classes.index(name) for name in names], np.int64)
    return table[label]


class _PictureConversion:
    """The stream of one conversion, and what is counted on its way."""

    def __init__(
        self,
        samples: Sequence[_PictureSample],
        view: View,
        classes: tuple[str, ...],
        config: ConversionConfig,
        truth: NDArray[np.int64] | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.samples, self.view, self.classes = samples, view, classes
        self.config, self.truth, self.progress = config, truth, progress
        domains = [d for d in ("mc", "data") if any(s.domain == d for s in samples)]
        self.of = {domain: [s for s in samples if s.domain == domain] for domain in domains}
        self.pixels = {domain: ViewCounter([view]) for domain in domains}
        self.per_class = np.zeros((3, len(classes)))  # events, Σw, Σw²
        self.files: list[FileCount] = []
        self.done, self.total = 0, sum(p.count for s in samples for p in s.parts)

    def run(self, output: Path, truths: Sequence[FileRef]) -> ConversionSummary:
        names = {d: tuple(dict.fromkeys(s.config.name for s in of)) for d, of in self.of.items()}
        capacity = {d: sum(p.count for s in of for p in s.parts) for d, of in self.of.items()}
        for domain, count in capacity.items():
            if not count:
                raise ConfigError("holds no pictures", where=self.of[domain][0].parts[0].path)
        named = self.config.convert.class_names or self.classes
        layout = Layout(
            features=(), classes=tuple(named), samples=names, views=(self.view,),
            has_truth=self.truth is not None,
        )  # fmt: skip
        split = self.config.convert.split
        with TensorWriter(output, layout, capacity=capacity, split=split) as writer:
            for domain, samples in self.of.items():
                row = 0
                for sample in samples:
                    for part in sample.parts:
                        self._part(writer, sample, part, names[domain], row)
                        row += part.count
            writer.finish(self._provenance(truths))
        counts = [
            ClassCount(named[i], i, int(n), float(sumw), float(sumw2**0.5))
            for i, (n, sumw, sumw2) in enumerate(self.per_class.T)
            if "mc" in self.of
        ]
        return ConversionSummary(
            output=output, files=tuple(self.files), classes=tuple(counts),
            features=(), impute=(), columns=(), spectators=(),
            label="the class of a picture", left_out=(), notes=tuple(self._notes()),
            images={domain: counter.summary() for domain, counter in self.pixels.items()},
        )  # fmt: skip

    def _part(
        self,
        writer: TensorWriter,
        sample: _PictureSample,
        part: Pictures,
        names: tuple[str, ...],
        row: int,
    ) -> None:
        """Write the pictures of a file, of which ``row`` is the first one's in the domain."""
        labels = truth = None
        if sample.domain == "data":
            truth = None if self.truth is None else self.truth[row : row + part.count]
        elif sample.config.class_ is not None:
            labels = np.full(part.count, self.classes.index(sample.config.class_), np.int64)
        else:
            assert part.label is not None
            labels = _indices(part.classes, part.label, self.classes, part.path)
        at, scale = 0, float(sample.config.scale)
        for images in image_blocks(part, self.view, self.config.convert.pictures):
            n = len(images)
            rows = slice(at, at + n)
            block = Block(
                features=np.empty((n, 0), np.float32),
                spectators=np.empty((n, 0), np.float32),
                weight=np.full(n, scale, np.float32),
                sample=np.full(n, names.index(sample.config.name), np.uint16),
                event_id=picture_ids(part, at, images),
                label=None if labels is None else labels[rows].astype(np.int32),
                truth=None if truth is None else truth[rows].astype(np.int32),
                views={VIEW: images},
            )
            writer.append(sample.domain, block)
            self.pixels[sample.domain].add({VIEW: images * np.float32(1 / 255)})
            if block.label is not None:
                counts = np.bincount(block.label, minlength=len(self.classes))
                self.per_class += np.outer([1.0, scale, scale**2], counts)
            self.done += n
            if self.progress is not None:
                self.progress(self.done, self.total)
            at += n
        if at != part.count:
            raise ReadError(f"has {at:,} of {part.count:,} pictures", where=part.path)
        sums = at * scale, at * scale**2
        self.files.append(
            FileCount(sample.domain, sample.config.name, part.path, part.part, at, at, *sums)
        )

    def _notes(self) -> list[str]:
        """What was done to which pictures."""
        height, width, names = self.view.height, self.view.width, self.view.channel_names
        notes = [f"pictures of {height} × {width} pixels, {', '.join(names)}"]
        if self.config.convert.pictures.contrast is not None:
            notes.append("brightness and contrast of every picture standardised")
        for sample in self.samples:
            for part in sample.parts:
                done = []
                if part.size != (height, width):
                    was = "several sizes" if part.size is None else "{} × {}".format(*part.size)
                    done.append(f"resized from {was}")
                if part.colour != (self.view.channels == 3):
                    done.append("colour made grey" if part.colour else "grey in three channels")
                if done:
                    notes.append(f"{sample.config.name}: {', '.join(done)}")
        if any(part.identity for sample in self.samples for part in sample.parts):
            notes.append("pictures are identified by event_id, or by class and track")
        return list(dict.fromkeys(notes))

    def _provenance(self, truths: Sequence[FileRef]) -> dict[str, Any]:
        view = self.view
        size, colour = (view.height, view.width), "colour" if view.channels == 3 else "grey"
        convert = self.config.convert
        pictures = convert.pictures.model_copy(update={"size": size, "colour": colour})
        convert = convert.model_copy(update={"pictures": pictures})
        settings = {
            "samples": [s.config.model_dump(mode="json", by_alias=True) for s in self.samples],
            "convert": convert.model_dump(mode="json", by_alias=True),
            "features": {},
            "label": "label",
            "classes": list(self.classes),
            "event_id": {},
            "files": [[{"path": p.path, "tree": p.part} for p in s.parts] for s in self.samples],
        }
        paths = [p.path for s in self.samples for p in s.parts] + [ref.path for ref in truths]
        inputs = [
            {"path": path, "size": None, "modified": None, "sha256": None}
            if Path(path).is_dir()
            else describe_file(path, sha256=convert.sha256)
            for path in dict.fromkeys(paths)
        ]
        return provenance(inputs, settings, notes=self._notes(), skipped=[])


def picture_ids(part: Pictures, start: int, images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n,) event ids of the pictures of a file from ``start`` on."""
    rows = slice(start, start + len(images))
    columns: list[NDArray[Any]] = [column[rows] for column in part.identity]
    if not columns:
        hashes = [xxhash.xxh64_intdigest(image.tobytes()) for image in images]
        columns = [np.array(hashes, np.uint64)]
    return event_ids(_IDENTITY, columns)


def image_blocks(
    part: Pictures, view: View, settings: PicturesConfig
) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a file as the tensor file has them, those of a folder in groups."""
    held: list[NDArray[np.uint8]] = []
    size, standardise = (view.height, view.width), settings.contrast is not None
    for pictures in part.blocks():
        held.append(resize_pictures(pictures, size, view.channels, standardise=standardise))
        if len(pictures) > 1 or len(held) == _GROUP:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)
