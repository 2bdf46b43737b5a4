"""Which entries of a file become events: certified luminosity blocks, the cut, no duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...config import ConvertConfig, expand_path
from ...errors import ConfigError
from ...expressions import Expression
from ...inputs import regular_file
from ...tensors import event_ids
from ..prescan import Branch, FileScan
from .columns import Columns, looks_like, lumi_branches
from .input_samples import Skips

if TYPE_CHECKING:
    from ..pipeline.blocks import BlockReader
    from .plan import SamplePlan

_LARGEST = 1 << 26  # bytes of a mask; all of Run 2 are 100 kB
_MOST = 1 << 32  # a run and a luminosity block have 32 bits


@dataclass(frozen=True, eq=False)
class LumiMask:
    """Certified luminosity blocks, as intervals of ``run << 32 | block`` that do not overlap.

    Attributes:
        first: (n,) uint64 of each interval, rising.
        last: (n,) likewise, inclusive.
        branches: of the run and of the luminosity block.
    """

    first: NDArray[np.uint64]
    last: NDArray[np.uint64]
    branches: tuple[str, str]

    @classmethod
    def read(cls, path: str, branches: Mapping[str, Branch], where: str) -> LumiMask:
        """Read the JSON of CMS: ``{"run": [[first, last], …], …}``, both ends certified.

        Args:
            path: the file.
            branches: of the data.
            where: the data file, for errors.

        Raises:
            ConfigError: no such file, another format, or data without run or luminosity block.
        """
        key = "convert.lumi_mask"
        named = lumi_branches(branches)
        if named is None:
            raise ConfigError(
                f"no branches of the run and the luminosity block, of {key}",
                where=where,
                mend="call them run and luminosityBlock, or leave the mask out",
            )
        file = regular_file(expand_path(path, where=key), ConfigError)
        try:
            with file.open("rb") as stream:
                content = stream.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise ValueError("it is too large")
            intervals = sorted(_intervals(json.loads(content)))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            mend = 'a mask is {"run": [[first, last], …], …}'
            what = f"is no lumi mask ({getattr(error, 'strerror', None) or error})"
            raise ConfigError(what, where=f"{key} {file}", mend=mend) from error
        merged: list[list[int]] = []
        for low, high in intervals:
            if merged and low <= merged[-1][1] + 1:
                merged[-1][1] = max(high, merged[-1][1])
            else:
                merged.append([low, high])
        first, last = np.array(merged, np.uint64).reshape(-1, 2).T
        return cls(first, last, named)

    def passes(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """(n,) whether the block of each entry is certified; arrays are of the branches."""
        run, block = (arrays[name].astype(np.uint64) for name in self.branches)
        key = (run << np.uint64(32)) | block
        at = np.searchsorted(self.first, key, side="right") - 1
        known = (at >= 0) & (block < _MOST)
        passes: NDArray[np.bool_] = known & (key <= self.last[at] if len(self.last) else known)
        return passes


def _intervals(mask: Mapping[str, Sequence[Sequence[int]]]) -> Iterator[tuple[int, int]]:
    for run, pairs in mask.items():
        for low, high in pairs:
            if not (0 <= int(run) < _MOST and isinstance(low + high, int) and 0 <= low < _MOST):
                raise ValueError(f"run {run} has the block {low!r}")
            base = int(run) << 32
            if low <= high:
                yield base | low, base | min(high, _MOST - 1)


@dataclass(frozen=True, eq=False)
class Selection:
    """What the entries of a sample must pass to become events.

    Attributes:
        columns: what its branches offer.
        cut: of the sample; ``None`` for none.
        mask: certified luminosity blocks; ``None`` for all.
        duplicates: by path and tree of a file the rising numbers of the entries whose event came
            before; filled by :func:`mark_duplicates`.
    """

    columns: Columns
    cut: Expression | None
    mask: LumiMask | None = None
    duplicates: dict[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)

    @property
    def branches(self) -> tuple[str, ...]:
        """What is read for it."""
        return (*self.columns.reads(self.cut), *(self.mask.branches if self.mask else ()))

    def passing(
        self, file: FileScan, start: int, arrays: Mapping[str, Any], size: int
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.int64]]:
        """Which of consecutive entries pass.

        Args:
            file: that they are of.
            start: the first one.
            arrays: the branches that are read.
            size: how many they are.

        Returns:
            (size,) bool, ``None`` for all; and how many the mask leaves out, how many that pass
            mask and cut are duplicates.
        """
        passed, left_out = None, np.zeros(2, np.int64)
        if self.mask is not None:
            passed = self.mask.passes(arrays)
            left_out[0] = size - np.count_nonzero(passed)
        if self.cut is not None:
            cut = self.cut.condition(self.columns.lookup(arrays), size)
            passed = cut if passed is None else passed & cut
        again = self.duplicates.get((file.path, file.tree))
        if again is not None:
            low, high = np.searchsorted(again, (start, start + size))
            passed = np.ones(size, np.bool_) if passed is None else passed.copy()
            passed[again[low:high] - start] = False
            left_out[1] = high - low
        return passed, left_out


def mark_duplicates(
    samples: Sequence[SamplePlan], convert: ConvertConfig, read: BlockReader, skips: Skips
) -> None:
    """Find the entries whose event an earlier one that passes has: in all data, in each MC sample.

    16 bytes are held of every entry that passes.

    Args:
        samples: in order; the first wins. What is found goes into their selections.
        convert: its block size, and whether it names the event ids.
        read: reads branches.
        skips: what to do with a bad file.

    Raises:
        ConfigError: no branch numbers the events of a sample.
        ReadError: a file cannot be read.
    """
    groups: dict[str, list[SamplePlan]] = {}
    for sample in samples:
        source = sample.source
        if convert.event_id is None and {*map(looks_like, sample.id_branches)} != {"an event id"}:
            raise ConfigError(
                "no branches number the events, so that duplicates cannot be found",
                where=f"{source.files[0].path}:{source.files[0].tree}",
                mend="name run, luminosity block and event (--event-id)",
            )
        group = "" if source.domain == "data" else source.config.name
        groups.setdefault(group, []).append(sample)
    for together in groups.values():
        found: list[tuple[SamplePlan, FileScan, NDArray[np.uint64], NDArray[np.int64]]] = []
        for sample in together:
            for file in skips.left(sample.source):
                with skips.using(sample.source, file):
                    keys, entries = zip(
                        *_passing(sample, file, read, convert.block_size), strict=True
                    )
                    found.append((sample, file, np.concatenate(keys), np.concatenate(entries)))
        every = np.concatenate([np.empty(0, np.uint64), *(keys for _, _, keys, _ in found)])
        again = np.ones(len(every), np.bool_)
        again[np.unique(every, return_index=True)[1]] = False
        for sample, file, _, numbers in found:
            marked, again = again[: len(numbers)], again[len(numbers) :]
            sample.selection.duplicates[file.path, file.tree] = numbers[marked]


def _passing(
    sample: SamplePlan, file: FileScan, read: BlockReader, size: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Identity, whatever the sample is called, and number of the entries that pass."""
    yield np.empty(0, np.uint64), np.empty(0, np.int64)
    for block in read(
        file, [*dict.fromkeys([*sample.id_branches, *sample.selection.branches])], size
    ):
        passed, _ = sample.selection.passing(file, block.start, block.columns, len(block))
        keys = event_ids("", [block.columns[name] for name in sample.id_branches])
        entries = np.arange(block.start, block.start + len(block))
        yield (keys, entries) if passed is None else (keys[passed], entries[passed])
