"""Devices that are not here are refused in words; what no device but the CPU can is not asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from hepdann.config import TrainConfig
from hepdann.errors import ConfigError
from hepdann.runs.stacks.plan import resolve_auto

MPS, CUDA = torch.backends.mps, torch.cuda


def device(name, **settings):
    return resolve_auto(TrainConfig(device=name, **settings), 1000).device


@pytest.fixture
def there(monkeypatch):
    """Says which devices torch sees."""

    def say(*names):
        for name, place in (("mps", MPS), ("cuda", CUDA)):
            monkeypatch.setattr(place, "is_available", lambda name=name: name in names)

    return say


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(there, name):
    there()
    with pytest.raises(ConfigError, match=f"train.device: torch sees no {name} device here"):
        device(name)
    assert device("auto") == "cpu"


@pytest.mark.skipif(MPS.is_available() or CUDA.is_available(), reason="they work here")
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_does_not_work_is_refused(there, name):
    """As with a driver that is too old, or a torch that was built without it."""
    there(name)
    with pytest.raises(ConfigError, match=f"torch cannot use the {name} device: .*use auto or cpu"):
        device(name)


def test_mps_is_taken_where_it_is_asked_for_alone(there, monkeypatch):
    there("mps")
    assert device("auto") == "cpu"
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)
    assert device("mps") == "mps"


def test_auto_leaves_a_gpu_to_others_where_workers_are_wanted(there):
    there("cuda")
    assert device("auto", workers=2) == "cpu"


def test_double_precision_is_for_the_cpu_alone(root):
    """MPS has none: figures come to the CPU before they are made double."""
    for file in (root / "hepdann" / "training").rglob("*.py"):
        text = Path(file).read_text(encoding="utf-8")
        for found in re.finditer(r"(\S*)\.double\(\)", text):
            assert found[1].endswith(".cpu()"), f"{file.name}: {found[0]}"
