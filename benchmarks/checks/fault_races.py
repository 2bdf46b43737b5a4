"""Signals, disks and files that change under a conversion, for ``faults.py``."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uproot
from fault_files import columns, write
from fault_runs import OPTIONS, PACKED, command, forked, judge, room_in, rows_of

from hepdann.errors import HepdannError
from hepdann.tensors import open_tensors


def kills(folder: Path, count: int, rng: random.Random) -> dict[str, Any]:
    """Signals at random moments of the real program; every other one compresses."""
    write(folder / "kill.root", 1, "zlib", "TTree", rows=200_000, parts=20)
    program = [sys.executable, "-m", "hepdann_cli.main", "convert", "../kill.root", *OPTIONS]
    result: dict[str, Any] = {}
    with room_in(folder) as room:
        began = time.monotonic()
        subprocess.run(program, cwd=room, check=True, capture_output=True)
        length = time.monotonic() - began
        whole = rows_of(room / "tensors.h5")
    for name, number in (("SIGKILL", 9), ("SIGTERM", 15), ("SIGINT", 2)):
        seen: Counter[str] = Counter()
        for case in range(count):
            with room_in(folder) as room:
                (room / "tensors.h5").write_bytes(b"an earlier result")
                process = subprocess.Popen(
                    [*program, *(PACKED if case % 2 else [])],
                    cwd=room,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                time.sleep(rng.uniform(0, 1.05 * length))
                process.send_signal(number)
                _, error = process.communicate(timeout=60)
                seen.update(_after_signal(room, process.returncode, error, number, whole))
                subprocess.run(program, cwd=room, check=True, capture_output=True)
                left = [p for p in room.iterdir() if p.name.endswith(".part")]
                seen["still there after the next conversion"] += len(left)
        result[name] = dict(seen)
    return {"seconds": round(length, 2), "kills": count, **result}


def _after_signal(
    room: Path, code: int, error: str, number: int, whole: dict[str, bytes] | None
) -> Iterator[str]:
    content = (room / "tensors.h5").read_bytes()
    if content == b"an earlier result":
        yield "earlier output kept"
    else:
        yield "whole new output" if rows_of(room / "tensors.h5") == whole else "corrupt output"
    if any(path.name.endswith(".part") for path in room.iterdir()):
        yield "temporary file left"
    begun = re.search(r'cli/main\.py", line \d+, in main', error)
    if "Traceback" in error and not begun:
        yield "traceback of Python's start, before the command began"
    elif "Traceback" in error:
        print(error, file=sys.stderr)
        yield "traceback"
    elif code not in (0, -number, 128 + number):
        yield f"exit code {code}"


def races(folder: Path, count: int, rng: random.Random) -> dict[str, Any]:
    """Inputs that change under the conversion, and two conversions at once."""
    write(folder / "race.root", 1, "zlib", "TTree", rows=100_000, parts=20)
    result = {}
    with room_in(folder) as room:
        shutil.copy(folder / "race.root", room / "bad.root")
        ended = forked(room, command("bad.root", *OPTIONS))
        length, whole = ended.seconds, rows_of(room / "tensors.h5")
    known = {"alone": whole, "both": None, "good": None}
    size = (folder / "race.root").stat().st_size
    actions: dict[str, Callable[[Path], Any]] = {
        "input truncated": lambda path: os.truncate(path, rng.randrange(size)),
        "input removed": Path.unlink,
        "input overwritten": lambda path: path.write_bytes(rng.randbytes(size)),
    }
    for name, action in actions.items():
        seen: Counter[str] = Counter()
        for _ in range(count):
            with room_in(folder) as room:
                shutil.copy(folder / "race.root", room / "bad.root")
                helper = os.fork()
                if helper == 0:
                    time.sleep(rng.uniform(0, length))
                    with contextlib.suppress(OSError):
                        action(room / "bad.root")
                    os._exit(0)
                seen[
                    judge(room, forked(room, command("bad.root", *OPTIONS)), known, skip=False)
                ] += 1
                os.waitpid(helper, 0)
            rng.random()
        result[name] = dict(seen)
    result["two conversions at once"] = _pairs(folder, count, length, rng)
    result["input still being written"] = _growing(folder, count, rng)
    result["disk full"] = _full(folder)
    return result


def _pairs(folder: Path, count: int, length: float, rng: random.Random) -> dict[str, int]:
    seen: Counter[str] = Counter()
    write(folder / "other.root", 2, "zlib", "TTree", rows=100_000, parts=20)
    for _ in range(count):
        with room_in(folder) as room:
            helper = os.fork()
            if helper == 0:
                time.sleep(rng.uniform(0, length / 2))
                (room / "b").mkdir()
                other = forked(
                    room / "b", command("../../other.root", "-o", "../tensors.h5", *OPTIONS)
                )
                os._exit(other.code if other.code >= 0 else 100)
            ended = forked(room, command("../race.root", *OPTIONS))
            _, status = os.waitpid(helper, 0)
            codes = {ended.code, os.waitstatus_to_exitcode(status)}
            inputs = {0: "wrong"}
            with contextlib.suppress(HepdannError):
                tensors = open_tensors(room / "tensors.h5")
                inputs = {len(tensors.verify()): tensors.provenance["inputs"][0]["path"]}
            whole = codes == {0} and 0 in inputs and inputs[0] != "wrong"
            seen["one whole output" if whole else f"corrupt output {codes}"] += 1
            if any(path.name.endswith(".part") for path in room.iterdir()):
                seen["left behind"] += 1
    return dict(seen)


def _growing(folder: Path, count: int, rng: random.Random) -> dict[str, int]:
    """Uproot keeps the file consistent after each extension: some whole number of them is read."""
    seen: Counter[str] = Counter()
    for _ in range(count):
        with room_in(folder) as room:
            helper = os.fork()
            if helper == 0:
                with uproot.recreate(room / "bad.root", compression=None) as file:
                    tree = columns(1, 100)
                    file.mktree("events", {n: v.dtype for n, v in tree.items()})
                    for _ in range(40):
                        file["events"].extend(tree)
                        time.sleep(0.005)
                os._exit(0)
            time.sleep(rng.uniform(0.01, 0.2))
            ended = forked(room, command("bad.root", *OPTIONS))
            os.waitpid(helper, 0)
            if ended.code == 0:
                rows = open_tensors(room / "tensors.h5").rows("mc")
                seen["whole extensions read" if rows % 100 == 0 else "part of an extension"] += 1
            else:
                seen[judge(room, ended, {"alone": None}, skip=False)] += 1
    return dict(seen)


def _full(folder: Path) -> dict[str, int] | str:
    """A small file system that fills up at different moments."""
    seen: Counter[str] = Counter()
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    for size in range(16, 4000, 331):
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)],
            check=False, capture_output=True,
        ).returncode:  # fmt: skip
            return "not tried: no right to mount a tmpfs"
        try:
            with contextlib.suppress(OSError):
                (disk / "tensors.h5").write_bytes(b"an earlier result")
            with room_in(folder) as room:
                ended = forked(
                    room, command("../race.root", "-o", str(disk / "tensors.h5"), *OPTIONS)
                )
            names = [path.name for path in disk.iterdir()]
            kept = (disk / "tensors.h5").read_bytes() == b"an earlier result"
            clean = ended.code == 2 and kept and names == ["tensors.h5"]
            named = "No space left on device" in ended.error and "Traceback" not in ended.error
            outcome = "clean error, earlier output kept" if clean and named else "other"
            seen["fitted" if ended.code == 0 and not kept else outcome] += 1
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return dict(seen)
