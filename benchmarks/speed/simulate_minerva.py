"""How fast MINERvA events are simulated, how much memory it takes, and what tracking makes of them.

    OMP_NUM_THREADS=1 python benchmarks/speed/simulate_minerva.py [--events 20000] [-o FILE]

Processor time, on one core, from the first random number to the file on disk, scaled to 10⁵ events;
and the purity and efficiency of the track-based vertex, segment by segment.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hepdann.samples import minerva
from hepdann.samples.minerva.events import blocks


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def speed(events: int) -> dict[str, float]:
    """Processor seconds per 10⁵ events of each step, and of whole files."""
    scale = 1e5 / events
    for _ in blocks("mc", 1, 0):  # tables are built
        pass
    figures = {
        "events": scale * timed(lambda: [None for _ in blocks("mc", events, 1)]),
    }
    parts = list(blocks("mc", min(events, 5000), 1))
    count = sum(len(part) for part in parts)
    figures["tracking"] = 1e5 / count * timed(lambda: [minerva.find_tracks(part) for part in parts])
    with tempfile.TemporaryDirectory() as folder:
        for name, options in (
            ("root", {}),
            ("hdf5", {"form": "hdf5"}),
            ("root 127x94", {"image": "127x94"}),
        ):
            half = max(events // 2, 1)  # MC and data have as many each
            write = lambda options=options, half=half, name=name: minerva.write_minerva(  # noqa: E731
                Path(folder) / name, half, 1, **options
            )
            figures[name] = 1e5 / (2 * half) * timed(write)
            files = [path.stat().st_size for path in (Path(folder) / name).iterdir()]
            figures[f"{name}, kB an event"] = sum(files) / (2 * half) / 1e3
    figures["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return figures


def tracking(events: int) -> dict[str, dict[str, list[float]]]:
    """Accuracy, purity and efficiency of the track-based vertex."""
    table = {}
    for domain in ("mc", "data"):
        counts = np.zeros((11, 11))
        for part in blocks(domain, events, 2):
            track = minerva.find_tracks(part)
            found = track.segment >= 0
            np.add.at(counts, (track.segment[found], part.columns["segment"][found]), 1)
        right = np.diag(counts)
        table[domain] = {
            "accuracy": [float(right.sum() / events)],
            "purity": (right / counts.sum(axis=1)).round(3).tolist(),
            "efficiency": (right / counts.sum(axis=0)).round(3).tolist(),
        }
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    figures = speed(arguments.events)
    for name, value in figures.items():
        unit = "" if "," in name else " s per 100,000 events"
        print(f"{name:24} {value:8.1f}{unit}")
    table = tracking(arguments.events)
    for domain, rows in table.items():
        for name, values in rows.items():
            print(f"tracking, {domain:5} {name:11}", *(f"{value:.3f}" for value in values))
    if arguments.output:
        host = {"python": platform.python_version(), "machine": platform.machine()}
        text = json.dumps({"figures": figures, "tracking": table, "host": host}, indent=2)
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
