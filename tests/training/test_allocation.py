"""What a step frees stays in the process: the next one takes it without the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import ctypes, resource, runpy, sys
if sys.argv[2] == "keep":
    assert runpy.run_path(sys.argv[1])["keep_freed_memory"]() is (len(sys.argv) == 3)
c = ctypes.CDLL(None)
c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def step():
    held = [c.malloc(ctypes.c_size_t(1 << 20)) for _ in range(8)]
    for place in held:
        ctypes.memset(place, 1, 1 << 20)
    for place in held:
        c.free(place)
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")


def faults(root, *words, **variables):
    """Pages that the system has to give a step of eight megabytes."""
    file = root / "hepdann" / "training" / "allocation.py"
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(file), *words],
        check=True, capture_output=True, text=True, env={**os.environ, **variables},
    )  # fmt: skip
    return float(done.stdout)


def test_a_step_takes_the_memory_of_the_last_one(root):
    assert faults(root, "leave") > 1_000
    assert faults(root, "keep") < 10


def test_what_the_environment_says_is_left_as_it_is(root):
    assert faults(root, "keep", "not", MALLOC_TRIM_THRESHOLD_="131072") > 1_000
