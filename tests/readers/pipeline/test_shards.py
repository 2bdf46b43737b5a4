"""A conversion on real worker processes, of which one is killed, equals the serial one."""

from __future__ import annotations

import os
import pickle
import signal
import threading

import h5py
import numpy as np
import pytest

from hepdann.errors import ConfigError, ReadError, RunError
from hepdann.readers.convert import convert

pytest.importorskip("distributed", reason='an extra: pip install "hepdann[cluster]"')


def test_a_conversion_outlives_a_worker_and_is_the_serial_one_to_the_bit(tmp_path, write_root):
    from hepdann.cluster import on_cluster

    random = np.random.default_rng(0)
    mc = []
    for i in range(6):
        columns = {"x": random.normal(size=900), "y": np.arange(900) % 2}
        columns["event"] = np.arange(900) + i
        mc.append(str(write_root(tmp_path / f"mc{i}.root", columns, parts=3)))
    data = {"x": random.normal(size=500), "event": np.arange(500)}
    settings = {"data": str(write_root(tmp_path / "data.root", data)), "label": "y",
                "drop_duplicates": True, "cut": "x > -1"}  # fmt: skip
    serial = convert(mc, output=tmp_path / "serial.h5", **settings)
    with on_cluster("local", 2) as cluster:
        killed: list[int] = []

        def kill(*_: int) -> None:
            if not killed:
                killed.extend(cluster.client.run(os.getpid).values())
                os.kill(killed[0], signal.SIGKILL)

        made = convert(mc, output=tmp_path / "cluster.h5", progress=kill, **settings)
        with pytest.raises(ConfigError, match="leave --cluster out"):
            convert(mc, output=tmp_path / "t.h5", truth=mc[0], **settings)
    assert len(killed) == 2
    assert made.summary.files == serial.summary.files
    assert made.summary.features == serial.summary.features
    with h5py.File(serial.path) as one, h5py.File(made.path) as two:
        names: list[str] = []
        one.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        for name in names:
            assert one[name][...].tobytes() == two[name][...].tobytes(), name
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_what_is_wrong_on_a_worker_is_an_error_of_the_file_here():
    error = pickle.loads(pickle.dumps(ReadError("is bad", where="a.root", mend="copy it")))
    assert (str(error), error.where) == ("a.root: is bad; copy it", "a.root")


def test_jobs_that_the_farm_has_ended_are_submitted_again(monkeypatch):
    from hepdann import cluster

    ended, asked = threading.Event(), []

    class Farm:
        def scale(self, jobs):
            asked.append(jobs)
            if len(asked) == 2:
                ended.set()

    monkeypatch.setattr(cluster, "_REFILL", 0.01)
    cluster._refill(Farm(), 3, ended)
    assert asked == [3, 3]


def test_workers_that_do_not_come_are_counted_at_growing_intervals(monkeypatch):
    from hepdann import cluster

    waits, lines, workers = [], [], iter([0, 1, 1, 3])

    class Client:
        def nthreads(self):
            return dict.fromkeys(range(next(workers)), 1)

    class Ended:
        def wait(self, seconds):
            waits.append(seconds)

    cluster._watch(cluster.Cluster(Client(), 3), lines.append, Ended(), "; see squeue --me")
    assert waits == [30, 60, 120, 240]
    assert lines[0] == "0 of 3 workers have begun after 30 s; see squeue --me"
    assert [line[:40] for line in lines[1:]] == [
        "1 of 3 workers have begun after 90 s; se",
        "1 of 3 workers have begun after 210 s; s",
    ]


def test_a_scheduler_without_workers_is_waited_for_aloud(monkeypatch):
    import distributed

    from hepdann import cluster

    monkeypatch.setattr(cluster, "_PATIENCE", 0.05)
    said, lines = threading.Event(), []

    def tell(line):
        lines.append(line)
        said.set()

    local = {"n_workers": 0, "dashboard_address": ":0", "silence_logs": 50}
    with (
        distributed.LocalCluster(**local) as scheduler,
        cluster.on_cluster(scheduler.scheduler_address, 2, tell),
    ):
        assert said.wait(20)
    assert lines[0].startswith("0 of 2 workers have begun")


def test_a_cluster_that_cannot_be_used_is_refused_in_a_line(monkeypatch):
    import dask

    from hepdann.cluster import on_cluster

    with pytest.raises(RunError, match="--cluster slurm: how many jobs"), on_cluster("slurm"):
        pass
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(RunError, match="there is no sbatch on this machine"),
        on_cluster("slurm", 2),
    ):
        pass
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.1s"}),
        pytest.raises(RunError, match=r"--cluster tcp://127\.0\.0\.1:9: cannot be used"),
        on_cluster("tcp://127.0.0.1:9"),
    ):
        pass


def test_half_an_address_is_one_line(hepdann):
    done = hepdann("predict", "run", "x.root", "-o", "scores", "--cluster", "foo")
    assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "--cluster foo: cannot be used (missing port number" in done.stderr
