"""Conversion, prediction and scan in jobs of a real batch system, and the job scripts of the docs.

    apt-get install slurm-wlm munge     # or htcondor, which Debian 13 has
    python benchmarks/checks/farm.py slurm     # or htcondor

Starts a batch system of one machine for itself, in a temporary folder: SLURM as root, HTCondor as
the user. All jobs of every command are killed in the middle, and others must come in their place;
files must be those of one process, to the bit. ``docs/farm.md``'s own script trains: it is stopped
(its time ends, or it is evicted), begins again by itself, and must end in the bits of an
undisturbed run. All daemons are ended.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import content, write

TRAIN = "train tensors.h5 --shift sine --t 3 -o runs/sine-3 --resume"
MORE = " --method dann --no-diagnose --alignment quantile --seeds 2 --batch-size 64 --epochs "
BIN = Path(sys.executable).parent
_COMPARED = ".h5", ".csv", ".safetensors", ".root"
SLURM = """\
ClusterName=one
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge/socket
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} CPUs=4 CoresPerSocket=4 RealMemory=16000
PartitionName=batch Nodes=ALL Default=YES State=UP
"""
CONDOR = """\
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:{port}
USE_SHARED_PORT = False
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD
LOCAL_DIR = {folder}
LOG = {folder}/log
SPOOL = {folder}/spool
EXECUTE = {folder}/execute
LOCK = {folder}/lock
RUN = {folder}/run
UID_DOMAIN = farm
FILESYSTEM_DOMAIN = farm
use security:host_based
ALLOW_WRITE = *
ALLOW_READ = *
ALLOW_ADMINISTRATOR = *
ALLOW_DAEMON = *
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
NUM_CPUS = 4
MEMORY = 16000
NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
START = True
PREEMPT = False
SUSPEND = False
KILL = False
RUNBENCHMARKS = False
STARTD_DETECT_GPUS = false
NEGOTIATOR_INTERVAL = 5
NEGOTIATOR_MIN_INTERVAL = 2
SCHEDD_INTERVAL = 5
DISCARD_SESSION_KEYRING_ON_STARTUP = False
"""


def call(*command: object, **more: object) -> str:
    """What a command prints; its own words where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def until(what: str, true: Callable[[], object], seconds: float = 900) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"after {seconds:.0f} s still waiting for {what}")
        time.sleep(0.1)


@dataclass(frozen=True)
class Farm:
    """How a batch system is spoken to.

    Attributes:
        running: prints the numbers of jobs that run.
        kill: ends a job for good.
        submit: prints the number of a job that does a script.
        stop: has a job end as the batch system would, so that it begins again.
    """

    name: str
    running: tuple[str, ...]
    kill: tuple[str, ...]
    submit: tuple[str, ...]
    stop: Callable[[str], None]

    def jobs(self) -> list[str]:
        """Numbers of the jobs that run."""
        return call(*self.running).split()


@contextmanager
def slurm(folder: Path) -> Iterator[Farm]:
    """A SLURM of this machine."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    key, conf = folder / "munge/key", folder / "slurm.conf"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    conf.write_text(SLURM.format(host=socket.gethostname(), folder=folder))
    os.environ["SLURM_CONF"] = str(conf)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log",
             "seed-file": "seed"}  # fmt: skip
    try:
        call("munged", "--force", *(f"--{k}={folder}/munge/{v}" for k, v in files.items()))
        call("slurmctld")
        call("slurmd")
        until("the node", lambda: "idle" in call("sinfo", "-h", "-o", "%T"))
        yield Farm(
            "slurm",
            ("squeue", "-h", "-t", "running", "-o", "%i"),
            ("scancel",),
            ("sbatch", "--parsable"),
            end_of_time,
        )
    finally:
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            end(folder / name)


def end_of_time(job: str) -> None:
    """Let the time of a job of SLURM end within two minutes."""
    minutes = call("squeue", "-h", "-j", job, "-o", "%M").split(":")[-2]
    call("scontrol", "update", f"JobId={job}", f"TimeLimit={int(minutes) + 2}")
    until("the requeue", lambda: "PENDING" in call("squeue", "-h", "-j", job, "-o", "%T"))
    call("scontrol", "update", f"JobId={job}", "TimeLimit=60", "StartTime=now")


@contextmanager
def htcondor(folder: Path) -> Iterator[Farm]:
    """An HTCondor of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("log", "spool", "execute", "lock", "run"):
        (folder / name).mkdir(mode=0o755)
    (folder / "execute").chmod(0o1777)
    conf = folder / "condor_config"
    conf.write_text(CONDOR.format(folder=folder, port=port))
    os.environ["CONDOR_CONFIG"] = str(conf)
    try:
        call("condor_master", "-pidfile", folder / "pid")
        until("the slot", lambda: "Unclaimed" in call("condor_status", "-af", "State"))
        yield Farm(
            "htcondor",
            ("condor_q", "-constraint", "JobStatus == 2", "-af", "ClusterId"),
            ("condor_rm",),
            ("condor_submit", "-terse"),
            lambda job: print(call("condor_vacate_job", job), end=""),
        )
    finally:
        end(folder / "pid")


def end(pid: Path) -> None:
    """End a daemon, by the number in its file."""
    if not pid.exists():
        return
    number = int(pid.read_text())
    os.kill(number, signal.SIGTERM)
    until(f"the end of {pid.name}", lambda: not Path(f"/proc/{number}").exists(), 60)


def bits(path: Path) -> dict[str, bytes]:
    """What is in a file or folder, without times and speeds."""
    if path.is_dir():
        known = (p for p in path.rglob("*") if p.suffix in _COMPARED)
        parts = [p for p in sorted(known) if "checkpoint" not in p.parts]
        return {f"{p.relative_to(path)}/{k}": v for p in parts for k, v in bits(p).items()}
    if path.suffix == ".h5":
        return {k: v for k, v in content(path).items() if not k.endswith("@provenance")}
    if path.suffix == ".root":
        import uproot

        with uproot.open(path) as file:
            trees = {
                n: file[n].arrays(library="np")
                for n in file.keys(cycle=False, filter_classname="TTree")
            }
        return {f"{n}/{k}": v.tobytes() for n, tree in trees.items() for k, v in tree.items()}
    return {"": path.read_bytes()}


def with_workers(farm: Farm, folder: Path, line: str, output: str, sign: str) -> dict[str, object]:
    """One command in this process, and in two jobs that are killed.

    Args:
        farm: the batch system.
        folder: where it is done.
        line: the command, with ``{}`` for its output.
        output: name of the output.
        sign: pattern of files that say that some, but not all, is done.
    """
    alone, spread = (output.replace("@", n) for n in ("alone", farm.name))
    call(BIN / "hepdann", *line.format(alone).split(), cwd=folder)
    command = [BIN / "hepdann", *line.format(spread).split()]
    command += ["--cluster", farm.name, "--workers", "2"]
    start = time.monotonic()
    with (folder / f"{farm.name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stderr=log, stdout=log)
        pattern = sign.replace("@", farm.name)
        until("the first result", lambda: any(folder.glob(pattern)) or process.poll() is not None)
        jobs = farm.jobs()
        after = len([*folder.glob(pattern)])
        for job in jobs:
            call(*farm.kill, job)
        code = process.wait(900)
    same = code == 0 and bits(folder / alone) == bits(folder / spread)
    return {"command": line.split()[0], "jobs": jobs, "killed_after_results": after,
            "exit": code, "same_bits": same, "seconds": time.monotonic() - start}  # fmt: skip


def script_of(farm: Farm, docs: Path, epochs: int) -> str:
    """The job script that the page has, for a venv, a training and a time of its own."""
    heading = {"slurm": "SLURM", "htcondor": "HTCondor"}[farm.name]
    text = docs.read_text().split(f"### {heading}\n")[1].split("```")[1].lstrip("\n")
    assert TRAIN in text
    text = text.replace("/path/to/venv/bin", str(BIN)).replace(TRAIN, TRAIN + MORE + str(epochs))
    return text.replace("srun hepdann", f"srun {BIN}/hepdann")


def with_script(farm: Farm, folder: Path, docs: Path, epochs: int) -> dict[str, object]:
    """The page's script, which is stopped and begins again, against an undisturbed training."""
    line = (TRAIN + MORE + str(epochs)).replace("runs/sine-3", "runs/alone")
    call(BIN / "hepdann", *line.split(), cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"})
    (folder / "job").write_text(script_of(farm, docs, epochs))
    submitted = re.match(r"\d+", call(*farm.submit, "job", cwd=folder))
    assert submitted is not None
    job, run = submitted[0], folder / "runs/sine-3"
    until("a checkpoint", lambda: any((run / "checkpoint").glob("*.safetensors")))
    farm.stop(job)
    early = (run / "metrics.json").exists()
    until("the run", lambda: (run / "metrics.json").exists())
    until("the end of the job", lambda: job not in farm.jobs())
    return {"script": farm.name, "ended_before_the_stop": early,
            "same_bits": bits(run) == bits(folder / "runs/alone")}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("farm", choices=("slurm", "htcondor"))
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=40, help="of the job script's training")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    docs = Path(__file__).parents[2] / "docs/farm.md"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # daemons do not outlive it
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        folder.chmod(0o755)
        (folder / "farm").mkdir()
        write(folder, given.files, given.events)
        with {"slurm": slurm, "htcondor": htcondor}[given.farm](folder / "farm") as farm:
            small = "convert mc0.root --label y --cut event<6000 -o tensors.h5"
            call(BIN / "hepdann", *small.split(), cwd=folder)
            convert = "convert mc*.root --label y --cut x0>-1 -o {}"
            done = [with_workers(farm, folder, convert, "@.h5", ".drawing-*/*.h5")]
            done.append(with_script(farm, folder, docs, given.epochs))
            predict = "predict runs/alone mc*.root -o {}"
            done.append(with_workers(farm, folder, predict, "scores-@", "scores-@/*.root"))
            scan = ("scan tensors.h5 --shift sine --t 2,3,5,8 --methods dann --seeds 2 --epochs 4 "
                    "--alignments quantile -o {}")  # fmt: skip
            done.append(
                with_workers(farm, folder, scan, "scan-@", "scan-@/checkpoint/scan/target-*")
            )
    print(json.dumps(done, indent=1))
    if given.output:
        given.output.write_text(json.dumps(done, indent=1))
    return sum(not one["same_bits"] or one.get("ended_before_the_stop", False) for one in done)


if __name__ == "__main__":
    sys.exit(main())
