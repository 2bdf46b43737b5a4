"""One route of the training benchmark in a process of its own, asked line by line.

    PYTHON benchmarks/training/worker.py ROUTE CORES EVENTS

Each line of the standard input is ``[batch, members, seconds]``; the answer is a line with
``[rate, cpu_rate, epochs]``: source events × members per second of the clock and of the processor.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def measure(route: Any, work: int, seconds: float) -> list[float]:
    """Epochs until ``seconds`` are over, at least one; of ``work`` events each."""
    clock = cpu = 0.0
    epochs = 0
    while clock < seconds:
        start, start_cpu = time.perf_counter(), time.process_time()
        took = route.epoch()
        passed, used = time.perf_counter() - start, time.process_time() - start_cpu
        clock += took
        cpu += took * used / passed
        epochs += 1
    return [work * epochs / clock, work * epochs / cpu, epochs]


def main() -> None:
    name, cores, events = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, cores)  # before any library counts the processors
    os.environ["OMP_NUM_THREADS"] = str(len(cores))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    from peers import PEERS
    from sample import sample

    if name in PEERS:
        make: Any = PEERS[name]
    else:
        from routes import ROUTES

        make = ROUTES[name]
    data, made = sample(events), {}
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        batch, members, seconds = json.loads(line)
        if (batch, members) not in made:
            made[batch, members] = make(data, batch, members, len(cores))
            made[batch, members].epoch()  # warm
        found = measure(made[batch, members], events * members, seconds)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
