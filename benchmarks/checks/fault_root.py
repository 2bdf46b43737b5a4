"""The same small files by ROOT itself, one a codec and kind, for ``faults.py --data DIR``.

pip install root && python benchmarks/checks/fault_root.py DIR
"""

from __future__ import annotations

import sys

import numpy as np
import ROOT

ROWS = 600
CODECS = {"none": ("kZLIB", 0), "zlib": ("kZLIB", 1), "lz4": ("kLZ4", 4), "zstd": ("kZSTD", 5),
    "lzma": ("kLZMA", 5)}  # fmt: skip


def main(folder: str) -> None:
    """Write ``root-<codec>-<kind>.root`` into a folder."""
    rng = np.random.default_rng(5)
    columns = {
        "pt": rng.exponential(30, ROWS).astype("f4"),
        "eta": rng.normal(size=ROWS),
        "njets": rng.integers(0, 9, ROWS, dtype="i4"),
        "isb": (np.arange(ROWS) % 2).astype("i4"),
        "event": np.arange(ROWS),
    }
    frame = ROOT.RDF.FromNumpy(columns)
    for codec, (algorithm, level) in CODECS.items():
        for kind in ("TTree", "RNTuple"):
            options = ROOT.RDF.RSnapshotOptions()
            options.fCompressionAlgorithm = getattr(ROOT.RCompressionSetting.EAlgorithm, algorithm)
            options.fCompressionLevel = level
            options.fOutputFormat = getattr(ROOT.RDF.ESnapshotOutputFormat, f"k{kind}")
            if kind == "TTree":
                options.fAutoFlush = ROWS // 3
            path = f"{folder}/root-{codec}-{kind}.root"
            frame.Snapshot("events", path, list(columns), options)


if __name__ == "__main__":
    main(sys.argv[1])
