"""What a generator draws, as a tensor file or as a ROOT file that ``convert`` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config.samples import SplitConfig
from ..errors import ConfigError
from ..outputs import replacing
from ..provenance import describe_file, provenance
from ..samples.showers import shower_tree
from ..tensors import Block, TensorWriter, View
from ..tensors.hashing import event_ids
from .model import Generator

_AT_ONCE = 10_000  # events in memory
Drawn = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]


def write_generated(
    generator: Generator,
    path: str | Path,
    columns: NDArray[np.float32],
    label: NDArray[np.int32],
    *,
    seed: int = 0,
    source: str | Path | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Draw events for conditions and write them, block by block.

    Args:
        generator: draws.
        path: ends with ``.root``, of showers alone, or is a tensor file.
        columns: (n, K) conditions.
        label: (n,) classes.
        seed: of the noise.
        source: file of the generator, for the provenance.
        progress: called with the events written and to be written.

    Raises:
        ConfigError: pictures as ROOT file.
        OSError, SchemaError: the file cannot be written.
    """
    path, header = Path(path), generator.header
    names = header.settings.conditions

    def blocks() -> Iterator[Drawn]:
        for number, start in enumerate(range(0, len(label), _AT_ONCE)):
            rows = slice(start, start + _AT_ONCE)
            of_block = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            yield columns[rows], label[rows], generator.draw(columns[rows], label[rows], of_block)
            progress(min(start + _AT_ONCE, len(label)), len(label))

    if path.suffix == ".root":
        if header.pictures:
            raise ConfigError(
                "pictures are written as tensor files", where=path, mend="let its name end with .h5"
            )
        with replacing(path) as part, shower_tree(part, names) as append:
            for values, of_class, images in blocks():
                known = dict(zip(names, values.T, strict=True))
                append((known | {"particle": of_class}, images[:, 0]))
        return
    channels, height, width = header.shape
    view = View(header.view, channels, height, width,
                dtype="|u1" if header.pictures else "<f4")  # fmt: skip
    with TensorWriter(
        path, features=(), units=(), spectators=names, classes=header.classes,
        samples={"mc": ("generated",)}, capacity={"mc": len(label)}, split=SplitConfig(),
        views=[view],
    ) as writer:  # fmt: skip
        done = 0
        for values, of_class, images in blocks():
            n = len(of_class)
            pixels = np.rint(255 * images).astype(np.uint8) if header.pictures else images
            identity = [np.full(n, seed), np.arange(done, done + n)]
            block = Block(
                np.empty((n, 0), np.float32), values, np.ones(n, np.float32),
                np.zeros(n, np.uint16), event_ids("generated", identity), of_class,
                views={header.view: pixels},
            )  # fmt: skip
            writer.append("mc", block)
            done += n
        inputs = [] if source is None else [describe_file(Path(source))]
        writer.finish(provenance(inputs, {"seed": seed, "events": len(label)}))
