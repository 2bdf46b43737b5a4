"""The files of a sample: checked, written block by block, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ConfigError
from ..outputs import replacing, writing

Domain = Literal["mc", "data"]
DOMAINS: tuple[Domain, Domain] = ("mc", "data")
Columns = dict[str, NDArray[Any]]
_Block = TypeVar("_Block")
_IMAGES, _ROWS = 64, 8192  # of an HDF5 file that are compressed as one


def check_request(events: int, seed: int) -> None:
    """Whether a sample can have so many events and that seed.

    Raises:
        ConfigError: no events, or a negative seed.
    """
    if events < 1:
        raise ConfigError(f"a sample has at least one event, not {events}", where="events")
    if seed < 0:
        raise ConfigError(f"a seed is not negative, but {seed} is", where="seed")


def block_generators(
    domain: Domain, events: int, seed: int, size: int
) -> Iterator[tuple[int, int, np.random.Generator]]:
    """Of each block of ``size`` events its first, how many are wanted, and its random numbers.

    Each block is drawn whole, in a fixed order, so that any prefix of a sample is the same.
    """
    for number, start in enumerate(range(0, events, size)):
        words = np.random.SeedSequence(seed, spawn_key=(DOMAINS.index(domain), number))
        yield start, min(size, events - start), np.random.default_rng(words)


def joined_columns(blocks: Sequence[Mapping[str, NDArray[Any]]]) -> Columns:
    """The columns of at least one block, one block after the other."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def sample_paths(folder: str | Path, suffix: str, truth: bool) -> dict[str, Path]:
    """The files of a sample by kind: ``mc``, ``data`` and, if wanted, ``truth``.

    Raises:
        ConfigError: the folder holds a truth that would not belong to the new data.
    """
    folder = Path(folder)
    if not truth and (folder / f"truth.{suffix}").exists():
        raise ConfigError(
            "is the truth of an earlier sample and would not fit the new data",
            where=folder / f"truth.{suffix}",
            mend="write the new truth as well (--truth), or remove the file",
        )
    kinds = ("mc", "data", "truth") if truth else ("mc", "data")
    return {kind: folder / f"{kind}.{suffix}" for kind in kinds}


def write_files(
    paths: Mapping[str, Path],
    blocks: Callable[[Domain], Iterable[tuple[_Block, int]]],
    new_file: Callable[[str, Path], AbstractContextManager[Callable[[_Block], object]]],
    progress: Callable[[int, int], None] | None,
    total: int,
) -> list[Path]:
    """Write the files of a sample in constant memory; all appear together when all are whole.

    ``blocks`` of a domain come with their number of events; the data's are its truth's too.
    ``new_file`` is the context of a file of a kind, which gives what appends a block to it.

    Returns:
        The paths.

    Raises:
        ConfigError: the folder or a file cannot be written.
    """
    done, folder = 0, next(iter(paths.values())).parent
    with writing(folder, kind=ConfigError), ExitStack() as whole:
        whole.enter_context(_making(folder))
        drafts = {kind: whole.enter_context(replacing(path)) for kind, path in paths.items()}
        for domain in DOMAINS:
            kinds = [kind for kind in drafts if (kind == "mc") == (domain == "mc")]
            with ExitStack() as stack:
                files = [stack.enter_context(new_file(kind, drafts[kind])) for kind in kinds]
                for block, events in blocks(domain):
                    for append in files:
                        append(block)
                    done += events
                    if progress is not None:
                        progress(done, total)
    return list(paths.values())


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    """Make a folder; what was made goes again where the block fails and nothing else is in it."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in made:
            with suppress(OSError):
                place.rmdir()
        raise


def write_trees(
    folder: str | Path,
    tree: str,
    branches: Mapping[str, Mapping[str, DTypeLike]],
    blocks: Callable[[Domain], Iterable[tuple[Mapping[str, Any], int]]],
    progress: Callable[[int, int], None] | None,
    events: int,
    *,
    truth: bool,
    records: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write MC and data as ROOT files of one tree, see :func:`write_files`.

    ``branches`` are types by kind of file, and a block may have more columns; ``records`` are of MC
    and data, what an event has many of, see :func:`new_tree`.
    """

    @contextmanager
    def new_file(kind: str, path: Path) -> Iterator[Callable[[Mapping[str, Any]], object]]:
        types, jagged = branches[kind], {} if kind == "truth" else records or {}
        with new_tree(path, tree, types, jagged) as file:
            yield lambda block: file.extend(
                {name: block[name].astype(type_) for name, type_ in types.items()}
                | {name: block[name] for name in jagged}
            )

    return write_files(sample_paths(folder, "root", truth), blocks, new_file, progress, 2 * events)


@contextmanager
def new_arrays(path: Path) -> Iterator[Callable[[Mapping[str, NDArray[Any]]], None]]:
    """Create an HDF5 file of compressed arrays; gives what appends rows to them by name."""
    import h5py

    with h5py.File(path, "w", libver=("v110", "v110")) as file:

        def append(block: Mapping[str, NDArray[Any]]) -> None:
            for name, values in block.items():
                if name not in file:
                    chunk = _ROWS if values.ndim == 1 else _IMAGES
                    file.create_dataset(
                        name, (0, *values.shape[1:]), values.dtype, compression="gzip",
                        maxshape=(None, *values.shape[1:]), compression_opts=1,
                        chunks=(chunk, *values.shape[1:]),
                    )  # fmt: skip
                dataset, start = file[name], len(file[name])
                dataset.resize(start + len(values), axis=0)
                dataset[start:] = values

        yield append


@contextmanager
def new_tree(
    path: Path,
    tree: str,
    branches: Mapping[str, DTypeLike],
    jagged: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Create a file with one zstd-compressed TTree.

    ``jagged`` are types of records that an event has many of, ``{"hit": "{strip: int32, …}"}``:
    their fields become the branches ``hit_strip`` … with one counter ``nhit``.

    Yields:
        uproot's writable tree: ``extend({branch: array})`` appends a block.
    """
    import uproot

    with uproot.recreate(path, compression=uproot.ZSTD(5)) as file:
        types: dict[str, Any] = {name: np.dtype(type_) for name, type_ in branches.items()}
        types |= {name: f"var * {record}" for name, record in (jagged or {}).items()}
        # mktree, for `file[name] = ...` would write an RNTuple
        yield file.mktree(tree, types)
