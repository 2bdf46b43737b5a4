"""What ``hepdann convert`` does with broken files and broken days, counted.

    python benchmarks/checks/faults.py [--cases 1500] [--kills 50] [--data DIR] [--json FILE]

* mutations: small files of every codec, TTree and RNTuple, as uproot writes them and (``--data``)
  as ROOT does, are damaged in one place each and converted; half of them together with a good file
  and ``--skip-bad``, and half with ``--compress``. What comes out is compared with what the whole
  file gives, bit by bit. Each conversion is the real command in a process of its own with a limit
  on time and on memory.
* kills: SIGKILL, SIGTERM and SIGINT at a random moment of a conversion that replaces an earlier
  output.
* races: an input that is cut off or removed while it is read or is still being written, two
  conversions to one output, a disk that fills up (a tmpfs; needs the right to mount one).
* tensor files: a flipped bit anywhere in one, opened and verified; every other one is compressed.

The processes are forked from one that has imported everything, except in ``kills``, where the start
of the program belongs to the moments that count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from fault_files import CODECS, mutate, spots, write
from fault_races import kills, races
from fault_runs import OPTIONS, PACKED, Ended, command, forked, judge, room_in, rows_of, spread

from hepdann.errors import HepdannError
from hepdann.tensors import open_tensors


def mutations(folder: Path, cases: int, data: Path | None, seed: int, jobs: int) -> dict[str, Any]:
    """Damaged inputs; ``wrong values`` are outputs that differ and were not refused."""
    sources: list[tuple[str, str, str, Path]] = []
    for codec in CODECS:
        for kind in ("TTree", "RNTuple"):
            path = folder / f"uproot-{codec}-{kind}.root"
            write(path, 1, codec, kind)
            sources.append(("uproot", codec, kind, path))
    for path in sorted(data.glob("root-*-*.root")) if data else []:
        _, codec, kind = path.stem.split("-")
        sources.append(("ROOT", codec, kind, path))
    good = folder / "good.root"
    write(good, 2, "zlib", "TTree")
    counts: dict[str, Counter[str]] = {}
    faults: list[dict[str, Any]] = []
    slowest, largest = 0.0, 0
    known = {path: _expected(folder, path, good) for *_, path in sources}
    places = {path: spots(path, kind) for _, _, kind, path in sources}

    def one(case: int) -> tuple[str, str, Ended, dict[str, Any] | None]:
        rng = random.Random(f"{seed}-{case}")
        writer, codec, kind, path = sources[case % len(sources)]
        region = list(places[path])[case // len(sources) % len(places[path])]
        content = bytearray(path.read_bytes())
        how = mutate(content, places[path][region], rng)
        skip = rng.random() < 0.5
        with room_in(folder) as room:
            (room / "bad.root").write_bytes(content)
            shutil.copy(good, room / "good.root")
            names = ["good.root,bad.root", "--skip-bad"] if skip else ["bad.root"]
            names += PACKED if rng.random() < 0.5 else []
            ended = forked(room, command(*names, *OPTIONS))
            verdict = judge(room, ended, known[path], skip=skip)
        fault = None
        told = region in ("structure", "basket header") and verdict == "wrong values"
        if verdict not in ("clean error", "skipped", "same values", "wrong values") or told:
            (folder / f"case-{case}.root").write_bytes(content)
            fault = {
                "case": case, "file": path.name, "region": region, "how": how,
                "verdict": verdict, "code": ended.code, "error": ended.error[-2000:],
            }  # fmt: skip
        return f"{writer} {kind} {codec}, {region}", verdict, ended, fault

    for key, verdict, ended, fault in spread(one, cases, jobs):
        counts.setdefault(key, Counter())[verdict] += 1
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.peak)
        faults += [fault] if fault else []
    return {
        "cases": cases,
        "counts": {key: dict(value) for key, value in sorted(counts.items())},
        "slowest_s": round(slowest, 2),
        "largest_mb": round(largest / 1e6),
        "faults": faults,
    }


def _expected(folder: Path, path: Path, good: Path) -> dict[str, dict[str, bytes] | None]:
    """What the whole file gives alone and beside the good one, and the good one alone."""
    result = {}
    with room_in(folder) as room:
        shutil.copy(path, room / "bad.root")
        shutil.copy(good, room / "good.root")
        for key, names in (
            ("alone", "bad.root"), ("both", "good.root,bad.root"), ("good", "good.root"),
        ):  # fmt: skip
            ended = forked(room, command(names, *OPTIONS))
            assert ended.code == 0, ended.error
            result[key] = rows_of(room / "tensors.h5")
    return result


def tensor_files(folder: Path, cases: int, rng: random.Random) -> dict[str, Any]:
    """A flipped bit in the output: refused at opening, or named by ``verify``."""
    write(folder / "t.root", 1, "zlib", "TTree", rows=10_000)
    seen: Counter[str] = Counter()
    with room_in(folder) as room:
        wholes = []
        for more in ([], PACKED):
            ended = forked(room, command("../t.root", *OPTIONS, *more))
            assert ended.code == 0, ended.error
            wholes.append((room / "tensors.h5").read_bytes())
        for case in range(cases):
            whole = wholes[case % 2]
            content = bytearray(whole)
            if rng.random() < 0.8:
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            else:
                mutate(content, [(0, len(content))], rng)
            (room / "damaged.h5").write_bytes(content)

            def look() -> None:
                try:
                    damaged = open_tensors("damaged.h5").verify()
                except HepdannError:
                    raise SystemExit(10) from None
                raise SystemExit(11 if damaged else 12)

            code = forked(room, look).code
            outcome = {10: "refused at opening", 11: "found by verify", 999: "hang"}.get(code)
            if code == 12:
                outcome = "not changed" if bytes(content) == whole else "not noticed"
            seen[outcome or f"crash or traceback ({code})"] += 1
    return {"cases": cases, **dict(seen)}


def table(counts: dict[str, dict[str, int]]) -> str:
    """As Markdown, one row a key."""
    heads = sorted({name for value in counts.values() for name in value})
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    lines += [
        f"| {key} | " + " | ".join(str(value.get(head, 0)) for head in heads) + " |"
        for key, value in counts.items()
    ]
    return "\n".join(lines)


def by_codec(counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Summed over the places inside the file."""
    merged: dict[str, Counter[str]] = {}
    for key, value in counts.items():
        merged.setdefault(key.split(",")[0], Counter()).update(value)
    return {key: dict(value) for key, value in merged.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1500, help="mutated input files")
    parser.add_argument("--kills", type=int, default=50, help="of each signal")
    parser.add_argument("--races", type=int, default=40, help="of each kind")
    parser.add_argument("--tensors", type=int, default=1000, help="mutated tensor files")
    parser.add_argument("--data", type=Path, help="folder of root-<codec>-<kind>.root, by ROOT")
    parser.add_argument("--jobs", type=int, default=2, help="processes for the mutations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the files of failed cases")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    result: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder.resolve()
        result["mutations"] = found = mutations(
            folder, given.cases, given.data, given.seed, given.jobs
        )
        print(table(found["counts"]), "\n", table(by_codec(found["counts"])), sep="\n")
        print(f"slowest {found['slowest_s']} s, largest {found['largest_mb']} MB")
        for fault in found["faults"]:
            print(json.dumps(fault))
        sys.stdout.flush()
        result["tensor files"] = tensor_files(folder, given.tensors, rng)
        print(result["tensor files"])
        result["races"] = races(folder, given.races, rng)
        print(json.dumps(result["races"], indent=1))
        result["kills"] = kills(folder, given.kills, rng)
        print(json.dumps(result["kills"], indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
