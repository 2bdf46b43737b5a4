"""What ``hepdann convert --compress`` costs and saves: size, conversion, reading for a training.

    python benchmarks/speed/compressed.py [--events 3000000] [--rounds 3] [--threads 2]

Seconds are of the processor, best of the rounds; reading is of the whole MC at once, and of blocks
of 8,192 events in random order, as a training on files larger than memory reads them.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from convert import hepdann, write

from hepdann.tensors import EventBlocks, Tensors, open_tensors


def seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def blocks(tensors: Tensors) -> None:
    events = EventBlocks(tensors, "mc", labelled=True)
    for block in np.random.default_rng(1).permutation(len(events)):
        events.train(int(block))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    codecs = ["none", "gzip", *(["zstd"] if importlib.util.find_spec("hdf5plugin") else [])]
    best = {codec: [np.inf] * 3 for codec in codecs}
    with tempfile.TemporaryDirectory() as folder:
        source = f"{folder}/mc.root"
        write(source, given.events, "zlib", "uproot")
        for _ in range(given.rounds):
            for codec in codecs:
                output = f"{folder}/{codec}.h5"
                times = [
                    seconds(lambda o=output, c=codec: hepdann(source, o, given.threads, compress=c))
                ]
                tensors = open_tensors(output)
                times.append(seconds(tensors.source))
                times.append(seconds(lambda t=tensors: blocks(t)))
                best[codec] = [min(pair) for pair in zip(best[codec], times, strict=True)]
        print("| | MB | convert, s | read at once, s | read in blocks, s |")
        print("|---|---:|---:|---:|---:|")
        for codec, times in best.items():
            size = Path(f"{folder}/{codec}.h5").stat().st_size / 1e6
            print(f"| {codec} | {size:.0f} | " + " | ".join(f"{t:.2f}" for t in times) + " |")


if __name__ == "__main__":
    main()
