"""Kills trainings at random moments, resumes them, and compares what comes out to the bit.

    python benchmarks/checks/kill_training.py [--kills 50] [--most 3] [--seed 1] [--json FILE]

One training runs undisturbed. Others, of the same line with ``--resume``, are sent SIGKILL,
SIGTERM, SIGUSR1 or SIGINT at a random moment between the start of the program and its end, up to
``--most`` times each, and started again until they finish. Options after ``--`` are given to
``hepdann train``. With ``-- --workers N`` single workers are sent SIGKILL too, as a machine does
whose memory runs out; whatever was killed, no process may be left.

Compared are the networks, the history, the scores and every figure of ``metrics.json`` but the
throughput. For each signal the table counts the kills, how the program ended, how long it took to
leave, and what it said.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepdann import samples
from hepdann.config import Config
from hepdann.readers import convert_files

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SAME = ("model.safetensors", "history.csv", "scores.h5")
LINE = ("--shift", "sine", "--t", "3", "--seeds", "2", "--epochs", "30", "--batch-size", "128")


@dataclass(frozen=True)
class Kill:
    """One signal and what came of it."""

    run: int
    signal: str
    after: float
    stage: str
    code: int
    seconds: float
    traceback: bool
    said: str


def make_tensors(folder: Path, events: int) -> None:
    samples.write_bjets(folder, events, 1, False)
    config = Config.model_validate(
        {"convert": {"weight": "weight", "features": list(samples.INPUTS)}}
    )
    files = [str(folder / "mc.root")], [str(folder / "data.root")]
    convert_files(*files, output=folder / "tensors.h5", config=config)


def start(folder: Path, output: str, options: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hepdann_cli.main", "train", "tensors.h5", *LINE, *options]
    return subprocess.Popen(
        [*command, "-o", output, "--resume"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def stage_of(folder: Path) -> str:
    """How far a run was."""
    if (folder / "metrics.json").exists():
        return "finished"
    if "trained" in _read(folder / "log.txt"):
        return "scoring"
    if list(folder.glob("checkpoint/*.safetensors")):
        return "training"
    return "beginning"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def figures(folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if key != "throughput"}


def differences(one: Path, two: Path) -> list[str]:
    """What of two finished runs is not the same."""
    found = [name for name in SAME if (one / name).read_bytes() != (two / name).read_bytes()]
    if figures(one) != figures(two):
        found.append("metrics.json")
    parts = [str(path.relative_to(two)) for path in two.rglob("*.part")]
    return found + parts


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Process ids of the workers of a training."""
    children = _read(Path(f"/proc/{process.pid}/task/{process.pid}/children")).split()
    return [int(pid) for pid in children if _is_worker(int(pid))]


def _is_worker(pid: int) -> bool:
    return "spawn_main" in _read(Path(f"/proc/{pid}/cmdline"))


def strike(process: subprocess.Popen[str], rng: random.Random, workers: bool) -> str:
    """Send a signal; gives its name."""
    kind = rng.choice((*SIGNALS, None) if workers else SIGNALS)
    if kind is None:
        targets = workers_of(process)
        if targets:
            os.kill(rng.choice(targets), signal.SIGKILL)
            return "SIGKILL of a worker"
        kind = signal.SIGKILL
    process.send_signal(kind)
    return kind.name


def left_behind(pids: list[int]) -> list[int]:
    """Which of these processes are still there, half a second later."""
    time.sleep(0.5)
    return [pid for pid in pids if _is_worker(pid)]


def kill(
    folder: Path, number: int, last: float, options: list[str], rng: random.Random
) -> Kill | None:
    """Start or resume a run and send it a signal; ``None`` if it ended before."""
    output, after = f"run-{number}", rng.uniform(0, last)
    process = start(folder, output, options)
    try:
        _, error = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        stage = stage_of(folder / output)
        sent, workers = time.monotonic(), workers_of(process)
        kind = strike(process, rng, "--workers" in options)
        _, error = process.communicate()
        seconds = time.monotonic() - sent
        assert not left_behind(workers), "workers live on"
        said = error.strip().splitlines()[-1:] or [""]
        return Kill(
            number, kind, round(after, 2), stage, process.returncode, round(seconds, 2),
            "Traceback" in error, said[0],
        )  # fmt: skip
    assert process.returncode == 0, error
    return None


def campaign(
    folder: Path, kills: int, most: int, options: list[str], rng: random.Random
) -> dict[str, Any]:
    began = time.monotonic()
    process = start(folder, "straight", options)
    _, error = process.communicate()
    assert process.returncode == 0, error
    last = time.monotonic() - began
    done: list[Kill] = []
    wrong: dict[str, list[str]] = {}
    number = 0
    while len(done) < kills:
        number += 1
        for _ in range(min(rng.randint(1, most), kills - len(done))):
            sent = kill(folder, number, last, options, rng)
            if sent is None:
                break
            done.append(sent)
            print(sent, flush=True)
        process = start(folder, f"run-{number}", options)
        _, error = process.communicate()
        assert process.returncode == 0, error
        differs = differences(folder / "straight", folder / f"run-{number}")
        if differs:
            wrong[f"run-{number}"] = differs
            print(f"run-{number} differs: {differs}", flush=True)
    return {
        "seconds_undisturbed": round(last, 2), "runs": number, "kills": len(done),
        "runs_that_differ": wrong, "all": [vars(one) for one in done],
    }  # fmt: skip


def table(done: list[dict[str, Any]]) -> str:
    """As Markdown, one row a signal."""
    lines = [
        "| signal | kills | while | exit codes | leaves after s, median (most) | tracebacks |",
        "|---|---:|---|---|---:|---:|",
    ]
    for name in dict.fromkeys(one["signal"] for one in done):
        own = [one for one in done if one["signal"] == name]
        seconds = [one["seconds"] for one in own]
        counts = (
            ", ".join(f"{key}: {n}" for key, n in sorted(Counter(o[field] for o in own).items()))
            for field in ("stage", "code")
        )
        middle = f"{statistics.median(seconds):.2f} ({max(seconds):.2f})"
        bad = sum(one["traceback"] for one in own)
        lines.append(f"| {name} | {len(own)} | {' | '.join(counts)} | {middle} | {bad} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--most", type=int, default=3, help="kills of one run")
    parser.add_argument("--events", type=int, default=20_000, help="MC events of the sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("options", nargs="*", help="of hepdann train, after --")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tensors(folder, given.events)
        result = campaign(folder, given.kills, given.most, given.options, random.Random(given.seed))
    print(table(result["all"]))
    print(
        f"{result['kills']} kills of {result['runs']} runs, "
        f"{len(result['runs_that_differ'])} of which differ from an undisturbed one"
    )
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
