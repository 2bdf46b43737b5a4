"""Write a tensor file from blocks of events, in constant memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from ..outputs import replacing, writing
from .hdf5.allocation import ContiguousStore
from .hdf5.checksums import TILE_ROWS, TileHasher, seal, store_checksums
from .hdf5.chunks import ChunkSpool, Compression, check_codec
from .layout import FORMAT, FORMAT_VERSION, Block, Layout
from .objects import Jagged
from .source_and_target import split_of

if TYPE_CHECKING:
    from ..config.samples import SplitConfig


@dataclass(frozen=True, eq=False)
class PreparedRows:
    """Some events as they stand in the file, checked, without their place.

    Attributes:
        domain: "mc" or "data".
        count: number of events.
        rows: by the path of the dataset, each with ``count`` rows.
        objects: by name of the collection.
    """

    domain: str
    count: int
    rows: dict[str, NDArray[Any]]
    objects: dict[str, Jagged]

    def take(self, chosen: NDArray[np.bool_]) -> Self:
        """The events of a mask."""
        return type(self)(
            self.domain,
            int(np.count_nonzero(chosen)),
            {path: values[chosen] for path, values in self.rows.items()},
            {name: part.take(chosen) for name, part in self.objects.items()},
        )

    def column(self, name: str) -> NDArray[Any]:
        """A dataset of the domain by its name within it."""
        return self.rows[f"{self.domain}/{name}"]


class TensorWriter:
    """Context manager that fills a tensor file block by block.

    The file is written beside ``path`` and takes its name at a clean exit after :meth:`finish`;
    any exception removes it and leaves an earlier file at ``path`` as it was.

    Args:
        path: the tensor file.
        layout: its columns.
        capacity: domain to an upper bound of its rows; fewer may come.
        split: shares and salt of the splits.
        compress: "gzip" or "zstd" for chunks of shuffled rows; images are compressed anyway.
        threads: how many compress.

    Raises:
        SchemaError: capacity for other domains; on entering, a place that cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        layout: Layout,
        *,
        capacity: Mapping[str, int],
        split: SplitConfig,
        compress: Compression = "none",
        threads: int = 2,
    ) -> None:
        check_codec(compress, where=path)
        self.path, self.layout = Path(path), layout
        if set(capacity) != set(layout.domains):
            raise SchemaError(
                f"capacity is given for {[*capacity]}, samples for {[*layout.samples]}"
            )
        self._capacity, self._split = dict(capacity), split
        self._rows, self._finished = dict.fromkeys(layout.domains, 0), False
        stored = (one for d in layout.domains for one in layout.all_datasets(d))
        self._columns = [column.compressed(compress) for column in stored]
        self._hashers = {c.path: TileHasher(c.chunk or TILE_ROWS) for c in self._columns}
        self._chunked = {column.path: column for column in self._columns if column.chunk}
        self._compress, self._threads, self._cleanup = compress, threads, ExitStack()
        self._temporary: Path | None = None
        self._store: ContiguousStore | None = None
        self._spool: ChunkSpool | None = None

    def __enter__(self) -> Self:
        with writing(self.path, kind=SchemaError), ExitStack() as stack:
            self._temporary = stack.enter_context(replacing(self.path))
            self._store = stack.enter_context(self._new_store(self._temporary, self._capacity))
            spool = ChunkSpool(self._temporary.parent, [*self._chunked.values()], self._threads)
            self._spool = stack.enter_context(spool)
            for offsets in (path for path in self._hashers if path.endswith("/offsets")):
                self._put(offsets, 0, np.zeros(1, "<i8"))
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._cleanup.__exit__(kind, error, trace)
        elif self._finished:
            with writing(self.path, kind=SchemaError):
                self._cleanup.close()
        else:
            error = RuntimeError(f"{self.path}: finish() was not called, nothing is written")
            self._cleanup.__exit__(RuntimeError, error, None)
            raise error

    def append(self, domain: str, block: Block) -> None:
        """Add a block of MC or data, of any size; the split follows from ``event_id``.

        Raises:
            SchemaError: more events than announced, an index out of range, or a full disk.
            ValueError: an array of the block is missing or of the wrong shape.
        """
        self.put(self.prepare(domain, block, split_of(block.event_id, self._split)))

    def prepare(self, domain: str, block: Block, split: NDArray[np.uint8]) -> PreparedRows:
        """The first half of :meth:`append`, for any thread; ``split`` is of :func:`.split_of`."""
        rows = self.layout.arrays(domain, block, split)
        return PreparedRows(domain, len(block), rows, block.objects)

    def put(self, prepared: PreparedRows) -> None:
        """The second half of :meth:`append`: the rows go behind those that are there."""
        if self._store is None or self._spool is None or self._finished:
            raise RuntimeError("append() works inside `with`, before finish()")
        domain, start = prepared.domain, self._rows[prepared.domain]
        stop = start + prepared.count
        if stop > self._capacity[domain]:
            what = f"more than the announced {self._capacity[domain]} {domain} events came"
            raise SchemaError(what, where=self.path, mend="did an input file grow meanwhile?")
        with writing(self.path, kind=SchemaError):
            for path, values in prepared.rows.items():
                self._put(path, start, values)
            stored = self.layout.object_datasets(domain)
            for one, (offsets, objects, *label) in zip(self.layout.objects, stored, strict=True):
                part, begin = prepared.objects[one.name], self._rows.get(objects.path, 0)
                self._put(offsets.path, start + 1, part.start[1:] + begin)
                self._put(objects.path, begin, np.ascontiguousarray(part.values, "<f4"))
                for column in label:
                    self._put(column.path, begin, part.numbers["label"].astype("<i4"))
                self._rows[objects.path] = begin + len(part.values)
        self._rows[domain] = stop

    def _put(self, path: str, start: int, values: NDArray[Any]) -> None:
        """Rows of a dataset, of its type, behind those that are there."""
        if path in self._chunked and self._spool is not None:
            self._spool.add(path, values)
        elif self._store is not None:
            self._store.write(path, start, values)
        self._hashers[path].update(values)

    def mark(self) -> dict[str, int]:
        """The rows so far, to which :meth:`rollback` can return; the latest mark alone is good."""
        for hasher in self._hashers.values():
            hasher.mark()
        if self._spool is not None:
            self._spool.mark()
        return dict(self._rows)

    def rollback(self, mark: Mapping[str, int]) -> None:
        """Take back all rows that came after :meth:`mark`."""
        for hasher in self._hashers.values():
            hasher.rollback()
        if self._spool is not None:
            self._spool.rollback()
        self._rows = dict(mark)

    def finish(
        self, provenance: Mapping[str, Any], *, impute: Sequence[float] | None = None
    ) -> None:
        """Cut the datasets to the rows that came and write all that describes them.

        ``provenance`` is JSON-serialisable, ``impute`` what a network sees in place of a missing
        value, per feature; 0 by default.

        Raises:
            SchemaError: a value that is not finite in ``impute``, or a full disk.
        """
        if self._store is None or self._temporary is None or self._finished:
            raise RuntimeError("finish() is called once, inside `with`")
        features = len(self.layout.features)
        values = np.zeros(features) if impute is None else np.asarray(impute, np.float64)
        if values.shape != (features,) or not np.isfinite(values).all():
            what = "impute needs one finite number for each feature"
            raise SchemaError(what, where=self.path)
        with writing(self.path, kind=SchemaError):
            if self._capacity.items() <= self._rows.items():
                self._complete(self._store, values, provenance)
            else:
                with (
                    replacing(self._temporary) as compact,
                    self._new_store(compact, self._rows) as store,
                ):
                    self._store.copy_to(store)
                    self._complete(store, values, provenance)
            self._store.close()
            seal(self._temporary)
        self._finished = True

    def _new_store(self, path: Path, rows: Mapping[str, int]) -> ContiguousStore:
        return ContiguousStore(path, self._columns, self.layout.sizes(rows))

    def _complete(
        self, store: ContiguousStore, impute: NDArray[np.float64], provenance: Mapping[str, Any]
    ) -> None:
        """Add to the rows what came in chunks, and what describes them all."""
        assert self._spool is not None
        sizes = self.layout.sizes(self._rows)
        for path, column in self._chunked.items():
            store.write_chunks(column, sizes[path], self._spool.chunks(path))
        _describe(store.file, self.layout, impute, provenance, self._split, self._compress)
        digests = {path: hasher.digests() for path, hasher in self._hashers.items()}
        store_checksums(store.file, digests, self._columns)
        store.file.attrs["complete"] = True
        store.seal()


def _describe(
    file: Any,
    layout: Layout,
    impute: NDArray[np.float64],
    provenance: Mapping[str, Any],
    split: SplitConfig,
    compress: Compression,
) -> None:
    """Write where the file is from, and names, units and meaning of the columns, as attributes."""
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["provenance"] = json.dumps(dict(provenance))
    file.attrs["split"] = split.model_dump_json()
    if compress != "none":
        file.attrs["compress"] = compress
    if "mc" in layout.domains:
        file["mc"].attrs["classes"] = _texts(layout.classes)
    for domain in layout.domains:
        features = file[domain]["features"].attrs
        features["names"] = _texts(layout.features)
        features["units"] = _texts(layout.units)
        features["info"] = json.dumps(layout.feature_info)
        features["impute"] = impute.astype("<f8")
        file[domain]["spectators"].attrs["names"] = _texts(layout.spectators)
        file[domain]["sample"].attrs["names"] = _texts(layout.samples[domain])
        if layout.views:
            file[domain]["views"].attrs["names"] = _texts([view.name for view in layout.views])
        for view in layout.views:
            images = file[domain]["views"][view.name]
            images.attrs["channels"] = _texts(view.channel_names)
            images.attrs["transforms"] = json.dumps([asdict(one) for one in view.transforms])
        if layout.objects:
            file[domain]["objects"].attrs["names"] = _texts([one.name for one in layout.objects])
        for one in layout.objects:
            objects = file[domain]["objects"][one.name].attrs
            objects["features"], objects["most"] = _texts(one.features), one.most
            if one.classes:
                objects["classes"] = _texts(one.classes)


def _texts(values: Sequence[str]) -> NDArray[Any]:
    import h5py

    return np.array(values, dtype=h5py.string_dtype())  # typed, so that none is still text
