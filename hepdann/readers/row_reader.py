"""Every entry of a file in order: its identity and, where a sample takes it, the inputs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import ConversionConfig, ConvertConfig, SampleConfig
from ..errors import ConfigError, ReadError
from ..inputs import file_stamp
from ..tensors import Jagged, View, event_ids
from .conversion_record import Conversion, ConvertedSample, EarlierConversion
from .files import FileRef
from .pictures.convert import COLOUR, GREY, VIEW, image_blocks, picture_ids
from .pictures.files import open_pictures
from .pipeline.entry_ranges import Unit, choose_reader, unit_reader
from .pipeline.events import column_names, make_events
from .pipeline.job_stream import JobStream
from .planning.columns import looks_like
from .planning.conversion import plan_conversion
from .planning.images import plan_images
from .planning.input_samples import Input, Skips, gather
from .planning.plan import Plan
from .prescan import Branch, FileScan, scan, suggest
from .root.baskets import Locations

Result = TypeVar("Result")
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of some of the entries.

    Attributes:
        simulated: whether they are MC, or a template; else data.
        rows: (m,) which entries of the block, increasing.
        features: (m, columns) as in the tensor file, NaN where missing.
        views: by name (m, C, H, W) images; empty of tables.
        objects: by name of the collection; empty of tables.
    """

    simulated: bool
    rows: NDArray[np.intp]
    features: NDArray[np.float32]
    views: dict[str, NDArray[np.float32]]
    objects: dict[str, Jagged]


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive entries of a file.

    Attributes:
        start: the first one.
        event_id: (n,) of each, whether it is selected or not.
        inputs: of those that a sample takes; an entry is in one of them at most.
        kept: by branch (n, …), branches that are passed through.
    """

    start: int
    event_id: NDArray[np.uint64]
    inputs: tuple[Inputs, ...]
    kept: dict[str, NDArray[Any]]


class RowReader:
    """Reads a file as a conversion did.

    Args:
        ref: the file; a tree that is named there goes before the conversion's.
        conversion: what was done to the files of the run.
        sample: name of the sample that a file which was not converted is like; default the data.
        keep: branches to pass through.
        block: entries read at a time.

    Attributes:
        file: the pre-scan.
        samples: that take events of it, the first of them before the others.
        known: whether the conversion read this file.
        identified: whether event ids can be compared with those of the conversion.
        columns: names of the features.

    Raises:
        ReadError: the file cannot be read, or has no such tree or branch.
        ConfigError: an expression does not fit the branches, or no sample has that name.
    """

    def __init__(
        self,
        ref: FileRef,
        conversion: Conversion,
        *,
        sample: str | None = None,
        keep: Sequence[str] = (),
        block: int = 50_000,
    ) -> None:
        self._block, self._keep = block, tuple(keep)
        self.file = _scan(ref, conversion)
        taken = conversion.samples_of(self.file, sample)
        at = [s for s in taken if any(f.tree in (self.file.tree, None) for f in s.files)]
        self.samples = tuple(at or taken)
        self.known = any(sample.files for sample in self.samples)
        self.identified = True
        self._plans = [self._planned(conversion, sample) for sample in self.samples]
        self.columns = column_names(self._plans[0].features)
        self.kept = {name: self._kept(name) for name in self._keep}

    def _planned(self, conversion: Conversion, sample: ConvertedSample) -> Plan:
        ids = self._identity(sample)
        if ids is not None and not all(looks_like(name) == "an event id" for name in ids):
            ids = None  # all scalars together identify them
        convert = ConvertConfig(
            # none where events are images, or objects alone
            features=conversion.features or ([] if conversion.objects else None),
            images=conversion.images,
            objects=conversion.objects,
            event_id=ids,
            split=conversion.split,
            block_size=self._block,
        )
        # as data, whatever it is: label and weight of MC are not needed to score it
        config = SampleConfig(name=sample.name, files=[self.file.path], role="data", cut=sample.cut)
        entry = Input(config, (self.file,), "data", True, f"sample '{sample.name}'")
        whole = ConversionConfig(convert=convert)
        earlier = EarlierConversion(whole, None, (), {})
        return plan_conversion([entry], whole, earlier, choose_reader("auto"), Skips())

    def _identity(self, sample: ConvertedSample) -> list[str] | None:
        """The branches that identify its events; ``None``: others than those of the conversion."""
        scalars = {name for name, branch in self.file.branches.items() if branch.scalar}
        absent = [name for name in sample.event_id if name not in scalars]
        if not absent:
            return list(sample.event_id)
        if sample.files or all(looks_like(name) == "an event id" for name in sample.event_id):
            raise ReadError(
                f"no scalar branch '{absent[0]}', by which the run identifies events",
                where=f"{self.file.path}:{self.file.tree}",
                mend=suggest(absent[0], list(self.file.branches), what="branches"),
            )
        self.identified = False  # by all the scalars there were, and here are others
        return None

    def _kept(self, name: str) -> Branch:
        branch = self.file.branches.get(name)
        where = f"{self.file.path}:{self.file.tree}"
        if branch is None:
            mend = suggest(name, list(self.file.branches), what="branches")
            raise ReadError(f"no branch '{name}', of --keep", where=where, mend=mend)
        if branch.dtype is None:
            raise ConfigError(
                f"branch '{name}' ({branch.typename}) cannot be kept: {branch.reason}",
                where=where,
                mend="leave it out: the output runs along the input, row by row",
            )
        return branch

    def read(self, then: Callable[[Rows], Result], threads: int = 1) -> Iterator[Result]:
        """What becomes of every entry, in order.

        Args:
            then: is done with each block, in any thread.
            threads: that decode.

        Raises:
            ReadError: something cannot be read, or the file changed meanwhile.
        """
        units = unit_reader("auto", self._plans[0].images)
        plans = [sample for plan in self._plans for sample in plan.samples]
        branches = [*self._keep, *(name for plan in plans for name in plan.branches)]
        wanted = list(dict.fromkeys(branches))

        def whole(unit: Unit) -> tuple[Unit, Result]:
            return unit, then(self._rows(unit))

        def jobs() -> Iterator[tuple[int, Callable[[], tuple[Unit, Result]]]]:
            for unit in units(self.file, wanted, self._block):
                yield 0, partial(whole, unit)

        done = 0
        with JobStream(jobs(), threads) as stream:
            for unit, result in stream.take(0):
                if unit.start != done:
                    raise ReadError(f"entry {done} was not read", where=self.file.path)
                done = unit.stop
                yield result
        if done != self.file.entries:
            raise ReadError(f"{done} of {self.file.entries} entries read", where=self.file.path)
        self.file.check_unchanged()

    def _rows(self, unit: Unit) -> Rows:
        raw = unit.read(np.empty)
        size = len(raw)
        ids: NDArray[np.uint64] | None = None
        free = np.ones(size, np.bool_)
        inputs: list[Inputs] = []
        for sample, whole in zip(self.samples, self._plans, strict=True):
            (plan,) = whole.samples
            identity = self._identity(sample) or plan.id_branches
            events = make_events(whole, plan, self.file, raw)
            identities = events.block.event_id
            if events.passed is not None or tuple(identity) != tuple(plan.id_branches):
                identities = event_ids(sample.name, [raw.columns[name] for name in identity])
            rows = np.arange(size) if events.passed is None else np.flatnonzero(events.passed)
            features, views, objects = (
                getattr(events.block, name) for name in ("features", "views", "objects")
            )
            if len(inputs) and not free[rows].all():  # an earlier sample took some of them
                chosen = free[rows]
                rows, features = rows[chosen], features[chosen]
                views = {name: images[chosen] for name, images in views.items()}
                objects = {name: part.take(chosen) for name, part in objects.items()}
            ids = identities if ids is None else ids
            if ids is not identities:
                ids[rows] = identities[rows]
            free[rows] = False
            inputs.append(Inputs(sample.role != "data", rows, features, views, objects))
        assert ids is not None
        columns = {name: raw.columns[name] for name in self._keep}
        kept = {
            name: c.astype(c.dtype.newbyteorder("="), copy=False) for name, c in columns.items()
        }
        return Rows(raw.start, ids, tuple(inputs), kept)


def _scan(ref: FileRef, conversion: Conversion) -> FileScan:
    """The tree that is named, that the conversion read of this very file, or of most files."""
    (file,) = scan([ref], prefer=conversion.tree, locations=Locations())
    if ref.tree is not None or file.kind == "HDF5":
        return file
    known = [f for s in conversion.samples for f in s.files if f.is_the_file(file)]
    tree = next((f.tree for f in known if f.tree), conversion.tree)
    if tree in (None, file.tree):
        return file
    if tree not in file.trees:
        raise ReadError(
            f"no tree '{tree}', which the run was converted from",
            where=file.path,
            mend=f"{suggest(tree, file.trees, what='trees')}; name it with --tree",
        )
    return scan([ref], tree, locations=Locations())[0]


class PictureRows(RowReader):
    """Reads pictures as a conversion did; likewise :class:`.RowReader`.

    Args:
        ref: a file, ``path:part``, or a folder.
        conversion: what was done to the pictures of the run.
        sample: name of the sample that a file which was not converted is like; default the data.
        keep: nothing, for a picture has no branches.

    Raises:
        ReadError: there are no pictures, or they are damaged.
        ConfigError: no sample has that name, or branches are to be kept.
    """

    def __init__(
        self,
        ref: FileRef,
        conversion: Conversion,
        *,
        sample: str | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        if keep:
            raise ConfigError("pictures have no branches", where="--keep", mend="leave it out")
        settings = conversion.pictures
        assert settings is not None
        assert settings.size is not None
        names = COLOUR if settings.colour == "colour" else GREY
        self._view = View(VIEW, len(names), *settings.size, names, dtype="|u1")
        self._settings = settings
        self._pictures = open_pictures(ref)
        self.file = FileScan(
            ref.path, self._pictures.part, "HDF5", self._pictures.count, {}, {}, _stamp(ref.path)
        )
        self.samples = tuple(conversion.samples_of(self.file, sample)[:1])
        self.known = bool(self.samples[0].files)
        self.identified, self.columns, self.kept = True, (), {}

    def read(self, then: Callable[[Rows], Result], threads: int = 1) -> Iterator[Result]:
        """What becomes of every picture, in order; one thread reads."""
        del threads
        start, simulated = 0, self.samples[0].role != "data"
        for images in image_blocks(self._pictures, self._view, self._settings):
            rows = np.arange(len(images))
            pixels = {VIEW: images * np.float32(1 / 255)}
            ids = picture_ids(self._pictures, start, images)
            inputs = Inputs(simulated, rows, np.empty((len(rows), 0), np.float32), pixels, {})
            yield then(Rows(start, ids, (inputs,), {}))
            start += len(images)


def _stamp(path: str) -> tuple[int, ...] | None:
    """What tells whether a file, or one in a folder, has changed since."""
    if not Path(path).is_dir():
        return file_stamp(path)
    status = [file.stat() for file in Path(path).rglob("*") if file.is_file()]
    return sum(one.st_size for one in status), max((one.st_mtime_ns for one in status), default=0)


def first_events(path: str, n: int, *, start: int = 0) -> tuple[str, Columns, Columns]:
    """Read events of an HDF5 file of images, or of a ROOT tree of hits.

    Args:
        path: the file, or ``path:tree``.
        n: how many events.
        start: the first of them.

    Returns:
        What the pixels are, ``energy`` or, where there is none, ``time``; by view the images
        (n, strips, planes); and by name every scalar column (n,). Fewer where the file ends.

    Raises:
        ReadError: the file cannot be read, holds no images, or no events there.
    """
    config = ConversionConfig()
    inputs = gather([path], [], config)
    plan = plan_images(inputs, config, Skips())
    file = inputs[0].files[0]
    if plan is None:
        raise ReadError("holds neither images nor hits", where=path)
    if not 0 <= start < file.entries:
        raise ReadError(f"has no event {start}, but {file.entries} events", where=path)
    names = [name for name, branch in file.branches.items() if branch.scalar]
    images: dict[str, list[NDArray[Any]]] = {view.name: [] for view in plan.views}
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for unit in unit_reader("auto", plan)(file, names, min(start + n, 512)):
        if unit.start >= start + n:
            break
        if unit.stop <= start:
            continue
        block = unit.read(np.empty)
        rows = slice(max(start - unit.start, 0), start + n - unit.start)
        for name, kept in images.items():
            kept.append(block.views[name][rows, 0])
        for name, column in columns.items():
            column.append(block.columns[name][rows])
    return (
        plan.views[0].channel_names[0],
        {name: np.concatenate(parts) for name, parts in images.items()},
        {name: np.concatenate(parts) for name, parts in columns.items()},
    )
