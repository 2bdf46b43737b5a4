"""A conversion of many files on Dask workers, of which one is killed, against a serial one.

    python benchmarks/checks/cluster.py [--files 40] [--events 20000] [--workers 4] [-o FILE]

Datasets, attributes and tables must be the same to the bit; the times are by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import uproot

import hepdann
from hepdann.cluster import on_cluster


def write(folder: Path, files: int, events: int) -> list[str]:
    paths = []
    for number in range(files):
        random = np.random.default_rng(number)
        y = random.integers(0, 2, events)
        columns = {f"x{i}": random.normal(y, 1).astype("f4") for i in range(10)}
        columns |= {"y": y.astype("i4"), "event": np.arange(events) + number * events // 2}
        paths.append(str(folder / f"mc{number}.root"))
        with uproot.recreate(paths[-1]) as file:
            file.mktree("events", {n: v.dtype for n, v in columns.items()}).extend(columns)
    return paths


def content(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:

        def see(name: str, item: h5py.Group | h5py.Dataset) -> None:
            found[name] = item[...].tobytes() if isinstance(item, h5py.Dataset) else b""
            found.update({f"{name}@{k}": repr(v).encode() for k, v in item.attrs.items()})

        file.visititems(see)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        files = write(folder, options.files, options.events)
        settings = {"label": "y", "drop_duplicates": True, "cut": "x0 > -1"}
        start = time.monotonic()
        serial = hepdann.convert(files, output=folder / "serial.h5", threads=1, **settings)
        took = {"serial": time.monotonic() - start}
        with on_cluster("local", options.workers) as cluster:
            pids = cluster.client.run(os.getpid)
            start, killed = time.monotonic(), []

            def kill(done: int, total: int) -> None:
                if not killed and done > total / 4:
                    killed.append(next(iter(pids.values())))
                    os.kill(killed[0], signal.SIGKILL)

            made = hepdann.convert(files, output=folder / "cluster.h5", progress=kill, **settings)
            took["cluster"] = time.monotonic() - start
            alive = set(cluster.client.run(os.getpid).values())
        same = content(serial.path) == content(made.path)
        tables = serial.summary.files == made.summary.files
        result = {
            "files": options.files, "events": serial.rows("mc"), "workers": options.workers,
            "killed": bool(killed) and killed[0] not in alive, "same_bits": same,
            "same_tables": tables, "seconds": took,
        }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1))
    if not (same and tables and result["killed"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
