"""Files behind XRootD and HTTP, read from real servers on this machine, against the same on disk.

    apt-get install xrootd-server && pip install "hepdann[xrootd,http]"
    python benchmarks/checks/remote.py

Writes a TTree and an RNTuple, serves their folder, and converts ``root://`` and ``http://``
addresses: rows must be the same to the bit, and a file that is not there an error that names it.
"""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import uproot

import hepdann
from hepdann.errors import ReadError


def write(folder: Path) -> None:
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 20_000)
    columns = {f"x{i}": random.normal(y, 1).astype("f4") for i in range(5)}
    columns |= {"y": y.astype("i4"), "event": np.arange(len(y))}
    for name, kind in (("tree.root", "mktree"), ("ntuple.root", "mkrntuple")):
        with uproot.recreate(folder / name) as file:
            tree = getattr(file, kind)("events", {n: v.dtype for n, v in columns.items()})
            for start in range(0, len(y), 7_000):
                tree.extend({n: v[start : start + 7_000] for n, v in columns.items()})
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Answers a request for one range of bytes, as the servers of files do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        content, (first, last) = path.read_bytes(), map(int, asked.groups())
        part = content[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving_http(folder: Path) -> Iterator[str]:
    handler = functools.partial(Ranges, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def serving_xrootd(folder: Path) -> Iterator[str]:
    port, own = free_port(), Path(tempfile.mkdtemp())
    own.chmod(0o777)
    (own / "xrootd.cfg").write_text(
        f"all.export /\noss.localroot {folder}\nxrd.port {port}\n"
        f"all.adminpath {own}\nall.pidpath {own}\n"
    )
    command = ["xrootd", "-c", str(own / "xrootd.cfg"), "-l", str(own / "log")]
    if shutil.os.geteuid() == 0:  # which xrootd refuses to run as
        command += ["-R", "xrootd"]
    server = subprocess.Popen(command)
    try:
        for _ in range(100):
            time.sleep(0.1)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        else:
            raise SystemExit(f"xrootd does not answer; see {own}")
        yield f"root://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def rows(path: Path) -> dict[str, bytes]:
    with h5py.File(path) as file:
        names = ("features", "label", "event_id", "split")
        return {name: file[f"mc/{name}"][...].tobytes() for name in names}


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as made:
        folder, output = Path(made), Path(made) / "t.h5"
        write(folder)
        for serve in (serving_http, serving_xrootd):
            if serve is serving_xrootd and shutil.which("xrootd") is None:
                print("xrootd is not installed, left out")
                continue
            with serve(folder) as address:
                for name in ("tree.root", "ntuple.root"):
                    hepdann.convert(folder / name, output=output, label="y")
                    expected = rows(output)
                    start = time.monotonic()
                    hepdann.convert(f"{address}/{name}", output=output, label="y")
                    same = rows(output) == expected
                    failed += not same
                    took = f"{time.monotonic() - start:.1f} s"
                    print(f"{address}/{name}: {'same' if same else 'OTHER'} rows, {took}")
                try:
                    hepdann.convert(f"{address}/none.root", output=output, label="y")
                    failed += 1
                except ReadError as error:
                    print(f"refused: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
