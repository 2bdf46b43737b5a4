"""Conversion against what one would write by hand, and against decompression alone.

    python benchmarks/speed/convert.py [--root PYTHON] [--kind tree|rntuple] [--events 3000000]
        [--rounds 5] [-o convert.json]

Files of 32 float branches, a label and an event number are written by uproot and, with ``--root``
(a Python that has ROOT, for example after ``pip install root``), by ROOT. Each round runs every
route once, in turn, each in a process of its own that is pinned to ``--threads`` processors. Clock
and CPU time are those of the conversion without the imports, ``whole process`` with them, of
hepdann that of the command; figures are medians over the rounds, and ratios are taken round by
round. On a machine with other work the quickest of the rounds (``best``) and the CPU time say more
than the median; ``free`` is what the conversion would take if each of its threads had a processor
while it can run, by the clocks of the threads. The routes:

* plain: ``tree.arrays()``, ``numpy.stack``, ``h5py``; features and label alone
* threaded: the same with uproot's threads and isal
* tuned: ``tree.iterate`` with threads and isal, blocks into an HDF5 dataset made beforehand
* decode: read and decompress every basket with the decoders of hepdann, keep nothing
* hepdann: the whole conversion (label found, identities, splits, statistics, checksums, provenance)
* hashed: the same, where no branch names the event, so that all branches are hashed
* packed: the same as hepdann with ``--compress gzip``
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

HEPDANN = str(Path(sysconfig.get_path("scripts")) / "hepdann")
BRANCHES = [f"x{index}" for index in range(32)]
_MOST = 20_000_000  # events of a file
LEVELS = {"zlib": 1, "lz4": 4, "zstd": 5}


def columns(events: int) -> dict[str, np.ndarray]:
    """A quarter each: all bits random, mantissa cut to 10 bits, three decimals, small integers."""
    random = np.random.default_rng(1)
    found = {}
    for index, name in enumerate(BRANCHES):
        if index % 4 == 0:
            values = random.normal(size=events).astype("f4")
        elif index % 4 == 1:
            bits = random.exponential(30, events).astype("f4").view("u4")
            values = (bits & np.uint32(0xFFFFE000)).view("f4")
        elif index % 4 == 2:
            values = np.round(random.normal(size=events), 3).astype("f4")
        else:
            values = random.integers(0, 12, events).astype("f4")
        found[name] = values
    found["label"] = (random.random(events) < 0.3).astype("i4")
    found["event"] = np.arange(events, dtype="i8")
    return found


def write(path: str, events: int, codec: str, writer: str, kind: str) -> None:
    values = columns(events)
    if writer == "root":
        import ROOT

        options = ROOT.RDF.RSnapshotOptions()
        codecs = ROOT.RCompressionSetting.EAlgorithm
        options.fCompressionAlgorithm = getattr(codecs, f"k{codec.upper()}")
        options.fCompressionLevel = LEVELS[codec]
        if kind == "rntuple":
            options.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kRNTuple
        ROOT.RDF.FromNumpy(values).Snapshot("events", path, list(values), options)
        return
    import uproot

    compression = getattr(uproot, codec.upper())(LEVELS[codec])
    with uproot.recreate(path, compression=compression) as file:
        make = file.mktree if kind == "tree" else file.mkrntuple
        tree = make("events", {name: column.dtype for name, column in values.items()})
        for start in range(0, events, 100_000):
            tree.extend({n: column[start : start + 100_000] for n, column in values.items()})


def plain(path: str, output: str, threads: int, **more: Any) -> None:  # noqa: ARG001
    import h5py
    import uproot

    with uproot.open(path) as file:
        arrays = file["events"].arrays([*BRANCHES, "label"], library="np", **more)
    features = np.stack([arrays[name] for name in BRANCHES], axis=1)
    with h5py.File(output, "w") as out:
        out["features"], out["label"] = features, arrays["label"]


def threaded(path: str, output: str, threads: int) -> None:
    import uproot

    uproot.compression._decompress_ZLIB.library = "isal"
    pool = uproot.ThreadPoolExecutor(threads)
    plain(path, output, threads, decompression_executor=pool, interpretation_executor=pool)


def tuned(path: str, output: str, threads: int) -> None:
    import h5py
    import uproot

    uproot.compression._decompress_ZLIB.library = "isal"
    workers = uproot.ThreadPoolExecutor(threads)
    with uproot.open(path) as file, h5py.File(output, "w") as out:
        tree, at = file["events"], 0
        features = out.create_dataset("features", (tree.num_entries, len(BRANCHES)), "f4")
        label = out.create_dataset("label", (tree.num_entries,), "i4")
        for part in tree.iterate(
            [*BRANCHES, "label"],
            step_size=200_000,
            library="np",
            decompression_executor=workers,
            interpretation_executor=workers,
        ):
            stop = at + len(part["label"])
            features[at:stop] = np.stack([part[name] for name in BRANCHES], axis=1)
            label[at:stop] = part["label"]
            at = stop


def decode(path: str, output: str, threads: int) -> None:  # noqa: ARG001
    import uproot

    from hepdann.readers.root.baskets import locate, titles
    from hepdann.readers.root.pages import locate_pages

    with uproot.open(path) as file:
        tree = file["events"]
        if hasattr(tree, "page_link_list"):
            found = list(locate_pages(tree, tree.field_names).values())
        else:
            others = titles(tree)
            found = [locate(branch, branch.name, tree.num_entries, others) for branch in tree]

    def read(one: Any) -> None:
        for number in range(len(one.seeks)):
            one.decode(stream.fileno(), number)  # dropped before the next: nothing is kept

    with Path(path).open("rb") as stream, ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, found))


def hepdann(path: str, output: str, threads: int, **more: Any) -> None:
    from hepdann.config import Config
    from hepdann.readers import convert_files

    config = Config(convert={"label": "label", "features": BRANCHES, **more})
    convert_files([path], output=Path(output), config=config, threads=threads)


def hashed(path: str, output: str, threads: int) -> None:
    from hepdann.readers.planning import plan

    plan.event_id_branches = lambda _: ()  # as if the event number had another name
    hepdann(path, output, threads)


def packed(path: str, output: str, threads: int) -> None:
    hepdann(path, output, threads, compress="gzip")


ROUTES: dict[str, Callable[[str, str, int], None]] = {
    "plain": plain,
    "threaded": threaded,
    "tuned": tuned,
    "decode": decode,
    "hepdann": hepdann,
    "hashed": hashed,
    "packed": packed,
}


def clocks() -> Callable[[], float]:
    """Follow the threads of a conversion; the result tells what free processors would take.

    Before the stream and after it one thread works; in it the workers share the units, and the
    caller hashes and writes beside them.
    """
    from hepdann.readers import convert
    from hepdann.readers.pipeline import range_task

    made = convert._TableConversion
    do, stream = range_task.Work._do, made._convert
    workers: dict[int, float] = {}
    caller: list[float] = [time.thread_time()]

    def timed(*arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return do(*arguments)
        finally:
            me = threading.get_ident()
            workers[me] = workers.get(me, 0) + time.thread_time() - began

    def bounded(*arguments: Any) -> None:
        caller.append(time.thread_time())
        stream(*arguments)
        caller.append(time.thread_time())

    range_task.Work._do, made._convert = timed, bounded

    def free() -> float:
        caller.append(time.thread_time())
        alone, beside = caller[1] - caller[0] + caller[3] - caller[2], caller[2] - caller[1]
        if threading.get_ident() in workers:  # one thread does it all
            return alone + beside
        total = sum(workers.values())
        return alone + max(total / len(workers), beside, (total + beside) / len(workers))

    return free


def child(route: str, path: str, threads: int) -> None:
    """One route in this process; prints seconds, CPU seconds and the peak of the memory."""
    import h5py  # noqa: F401
    import uproot  # noqa: F401

    if route not in ("plain", "threaded", "tuned"):
        import hepdann.config
        import hepdann.readers  # noqa: F401

    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        free = clocks() if route in ("hepdann", "hashed") else time.process_time
        clock, cpu = time.perf_counter(), time.process_time()
        ROUTES[route](path, f"{folder}/out.h5", threads)
        clock, cpu, least = time.perf_counter() - clock, time.process_time() - cpu, free()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    if route not in ("hepdann", "hashed"):
        least = cpu  # of plain, which has one thread; no claim of the others
    print(json.dumps({"seconds": clock, "cpu": cpu, "free": least, "peak_mb": peak}))


def run(route: str, path: Path, threads: int, processors: list[int]) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", route, str(path), "--threads", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def timed(command: list[str]) -> tuple[bytes, float]:
        began = time.perf_counter()
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, processors[:threads]),
        )
        return done.stdout, time.perf_counter() - began

    said, process = timed(command)
    if route == "hepdann":
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            process = timed(
                [HEPDANN, "convert", str(path), "--label", "label", "--features",
                 ",".join(BRANCHES), "--threads", str(threads), "-o", f"{folder}/t.h5"]
            )[1]  # fmt: skip
    result: dict[str, float] = json.loads(said)
    return result | {"process": process}


def make(folder: Path, writer: str, codec: str, options: argparse.Namespace, times: int) -> Path:
    path = folder / f"{writer}_{options.kind}_{codec}_{times * options.events}.root"
    if not path.exists():
        python = options.root if writer == "root" else sys.executable
        arguments = [str(path), codec, writer, options.kind]
        arguments += ["--events", str(times * options.events)]
        subprocess.run([python, "-W", "ignore", __file__, "--write", *arguments], check=True)
    return path


def measure(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of every route, and medians of the rounds' ratios to hepdann."""
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for route in options.routes:
            runs.setdefault(route, []).append(run(route, path, options.threads, options.processors))
        for route in ("plain", "hepdann"):
            runs.setdefault(f"{route}, 1 thread", []).append(
                run(route, path, 1, options.processors)
            )
    middle = {
        route: {key: statistics.median(one[key] for one in ones) for key in ones[0]}
        | {"best": min(one["seconds"] for one in ones)}
        for route, ones in runs.items()
    }

    def ratio(first: str, second: str, key: str) -> float:
        return statistics.median(
            a[key] / b[key] for a, b in zip(runs[first], runs[second], strict=True)
        )

    ratios = {f"{route} / hepdann": ratio(route, "hepdann", "seconds") for route in options.routes}
    ratios["plain / hepdann, CPU, 1 thread"] = ratio("plain, 1 thread", "hepdann, 1 thread", "cpu")
    ratios["plain / hepdann, whole process"] = ratio("plain", "hepdann", "process")
    ratios["hepdann, 1 thread / hepdann"] = ratio("hepdann, 1 thread", "hepdann", "seconds")
    ratios["plain / hepdann, free"] = ratio("plain", "hepdann", "free")
    for route in {"plain", "threaded", "tuned", "decode"} & set(options.routes):
        ratios[f"{route} / hepdann, CPU"] = ratio(route, "hepdann", "cpu")
        ratios[f"{route} / hepdann, best"] = middle[route]["best"] / middle["hepdann"]["best"]
    return {"routes": middle, "ratios": ratios, "file_mb": path.stat().st_size / 1e6}


def show(name: str, figures: dict[str, Any]) -> None:
    print(f"\n### {name}, {figures['file_mb']:.0f} MB\n")
    print("| route | s | best s | CPU s | peak MB | s / s of hepdann |")
    print("|---|---:|---:|---:|---:|---:|")
    for route, row in figures["routes"].items():
        ratio = figures["ratios"].get(f"{route} / hepdann")
        shown = "" if ratio is None else f"{ratio:.2f}"
        print(
            f"| {route} | {row['seconds']:.2f} | {row['best']:.2f} | {row['cpu']:.2f} "
            f"| {row['peak_mb']:.0f} | {shown} |"
        )
    for key, value in figures["ratios"].items():
        if "," in key:
            print(f"\n{key}: {value:.2f}", end="")
    print(flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--root", metavar="PYTHON", help="a Python that can import ROOT")
    parser.add_argument("--kind", choices=["tree", "rntuple"], default="tree")
    parser.add_argument("--codecs", nargs="+", default=list(LEVELS), choices=list(LEVELS))
    parser.add_argument("--routes", nargs="+", default=list(ROUTES), choices=list(ROUTES),
                        help="plain and hepdann among them")  # fmt: skip
    parser.add_argument("--folder", type=Path, help="where the files are kept, else a new one")
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        path, codec, writer, kind = options.write
        write(path, options.events, codec, writer, kind)
        return 0
    if options.child:
        child(*options.child, options.threads)
        return 0
    options.processors = sorted(os.sched_getaffinity(0))[-options.threads :]
    result: dict[str, Any] = {"machine": {"python": platform.python_version(),
                              "processors": options.threads}, "events": options.events}  # fmt: skip
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        for writer in ("root", "uproot") if options.root else ("uproot",):
            for codec in options.codecs:
                path = make(folder, writer, codec, options, 1)
                result[f"{writer} {codec}"] = measure(path, options)
                show(f"{writer}, {codec}", result[f"{writer} {codec}"])
        codec = options.codecs[0]
        peaks = {
            times: run("hepdann", make(folder, "uproot", codec, options, times), options.threads,
                       options.processors)["peak_mb"]
            for times in (1, 6) if times * options.events <= _MOST
        }  # fmt: skip
    result["peak_mb"] = peaks
    shown = ", ".join(f"{peak:.0f} MB of {times} x the events" for times, peak in peaks.items())
    print(f"\npeak of the memory: {shown}")
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
