"""Training on tensors larger than memory: how fast, against all in memory, and how much it holds.

    python benchmarks/speed/bigger_than_memory.py [--gb 4] [--limit 1.5] [--seconds 40] [--json F]

Writes a tensor file of random events of the given size, and a small one of the same kind. For 1
and 8 members on pseudo-data (``--shift sine --t 3``): the small file in memory, the large one in
blocks, in turn, each for some seconds in a process of its own. The speed is that between the first
report of the training and its last, with reading, shifting and scaling in it; the memory is the
largest resident set of the process. Where control groups may be made (as root), the process in
blocks is held to ``--limit`` GB, the cached pages of the file included, so that the file cannot
be in memory; the table says whether it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FEATURES = 6
PIECE = 1 << 20
BATCH = 1024


def write(path: Path, events: int) -> None:
    """Two classes that differ in every feature, in a file of ``events`` MC events."""
    from hepdann.config import SplitConfig
    from hepdann.tensors import Block, Layout, TensorWriter

    layout = Layout(
        features=tuple(f"x{j}" for j in range(FEATURES)),
        classes=("background", "signal"),
        samples={"mc": ("toy",)},
    )
    with TensorWriter(path, layout, capacity={"mc": events}, split=SplitConfig()) as writer:
        for start in range(0, events, PIECE):
            n = min(PIECE, events - start)
            rng = np.random.default_rng(start)
            label = rng.integers(0, 2, n).astype(np.int32)
            x = rng.standard_normal((n, FEATURES), np.float32) + 0.4 * label[:, None]
            writer.append("mc", Block(
                features=x.astype(np.float32), spectators=np.empty((n, 0), np.float32),
                weight=np.ones(n, np.float32), sample=np.zeros(n, np.uint16),
                event_id=np.arange(start, start + n, dtype=np.uint64), label=label,
            ))  # fmt: skip
        writer.finish({"made": "by bigger_than_memory.py"})


@contextlib.contextmanager
def group(limit: float) -> Iterator[Path | None]:
    """A control group with so many GB of memory, or ``None`` where none can be made."""
    root, name = Path("/sys/fs/cgroup"), f"hepdann-{os.getpid()}"
    for parent, file in ((root / "memory", "memory.limit_in_bytes"), (root, "memory.max")):
        folder = parent / name
        try:
            folder.mkdir()
            (folder / file).write_text(str(int(limit * 1e9)))
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        try:
            yield folder
        finally:
            folder.rmdir()
        return
    yield None


def measure(path: Path, memory: str, seeds: int, seconds: float, limit: float) -> dict[str, Any]:
    """Train for some seconds in a process of its own."""
    held = group(limit) if memory == "blocks" else contextlib.nullcontext()
    with held as folder:
        line = [sys.executable, __file__, "--train", str(path), memory, str(seeds), str(seconds)]
        done = subprocess.run(
            [*line, str(folder or "")], capture_output=True, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "limited": folder is not None}


def train(path: str, memory: str, seeds: int, seconds: float, folder: str) -> None:
    """The training of :func:`measure`; prints what it found as JSON."""
    if folder:
        (Path(folder) / "cgroup.procs").write_text(str(os.getpid()))
    import hepdann

    began = time.perf_counter()
    seen: list[tuple[int, float, float]] = []  # steps, when they were done, by which CPU time

    def report(_: str, progress: Any) -> None:
        if progress is not None:
            seen.append((progress.step, time.perf_counter(), time.process_time()))

    def stop() -> bool:
        return bool(seen) and time.perf_counter() - seen[0][1] > seconds

    with tempfile.TemporaryDirectory() as output:
        run = hepdann.train(
            path, shift=hepdann.shifts.sine(t=3), output=Path(output) / "run", method="source-only",
            seeds=seeds, epochs=100, batch_size=BATCH, memory=memory, oracle=False,
            report=report, stop=stop,
        )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (first, start, cpu_start), (last, end, cpu_end) = seen[0], seen[-1]
    events = (last - first) * BATCH * seeds
    print(json.dumps({
        "events_per_s": events / (end - start),
        "events_per_cpu_s": events / (cpu_end - cpu_start),
        "before_first_step_s": start - began,
        "whole_s": time.perf_counter() - began, "peak_gb": peak * 1024 / 1e9,
        "target_auc": run.metrics["methods"]["source-only"]["target"]["auc"],
    }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--limit", type=float, default=1.5, help="GB for the process in blocks")
    parser.add_argument("--seconds", type=float, default=40.0, help="of training")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="for the files")
    parser.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        path, memory, seeds, seconds, folder = given.train
        train(path, memory, int(seeds), float(seconds), folder)
        return
    row = 4 * FEATURES + 4 + 2 + 8 + 1 + 4
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        small, large = Path(name) / "small.h5", Path(name) / "large.h5"
        write(small, 1_000_000)
        write(large, int(given.gb * 1e9 / row))
        print(f"{large.stat().st_size / 1e9:.2f} GB, {given.gb * 1e9 / row / 1e6:.0f} M events")
        for number in range(given.rounds):
            for seeds in (1, 8):
                for memory, path in (("resident", small), ("blocks", large)):
                    one = measure(path, memory, seeds, given.seconds, given.limit)
                    found.append({"round": number, "members": seeds, "memory": memory, **one})
                    print(found[-1], flush=True)
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


def table(found: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "| members | memory | events/s | of in-memory | by CPU time | most resident GB | held to |",
        "|---:|---|---:|---:|---:|---:|---|",
    ]
    for seeds in (1, 8):
        base: dict[str, float] = {}
        for memory in ("resident", "blocks"):
            own = [o for o in found if o["members"] == seeds and o["memory"] == memory]
            shares = []
            for key in ("events_per_s", "events_per_cpu_s"):
                speed = float(np.median([o[key] for o in own]))
                shares.append(f"{speed / base.setdefault(key, speed):.0%}")
            speed = float(np.median([o["events_per_s"] for o in own]))
            peak = max(o["peak_gb"] for o in own)
            limited = "the limit" if all(o["limited"] for o in own) else "-"
            cells = [str(seeds), memory, f"{speed:,.0f}", *shares, f"{peak:.2f}", limited]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
