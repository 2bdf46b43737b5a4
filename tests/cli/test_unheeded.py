"""A flag that none of the methods heeds is refused, and one that a method heeds is not."""

from __future__ import annotations

import pytest

FLAGS = {
    "--auxiliary sine:3": "hybrid-dann",
    "--adversary per-domain": "hybrid-dann",
    "--family scale": "calibrated",
    "--hold-fractions": "calibrated+dann",
    "--nuisance-weight 3": "disco",
    "--adversary-steps 2": "pivot-alternating",
    "--check-mixtures": "cwola",
    "--mixture x>1 --mixture x<=1": "cwola",
}


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_of_other_methods_is_refused(typed, flag):
    name = flag.split()[0]
    done = typed("train", "none.h5", *flag.split(), "--method", "dann")
    assert (done.code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{name} changes nothing of dann; it is of " in done.stderr
    for both in (("dann", "--method", FLAGS[flag]), (f"dann,{FLAGS[flag]}",)):
        done = typed("train", "none.h5", *flag.split(), "--method", *both)
        assert "none.h5: no such file" in done.stderr


def test_a_scan_refuses_it_too(typed):
    done = typed("scan", "none.h5", "--shift", "sine", "--t", "3", "--nuisance-weight", "2")
    assert done.code == 2
    assert "--nuisance-weight changes nothing of dann; it is of disco" in done.stderr
