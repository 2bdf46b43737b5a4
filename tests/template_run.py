"""A run on data with two processes, further weights and a spectator, written by hand."""

from __future__ import annotations

import json

import h5py
import numpy as np

from hepdann.config.samples import SplitConfig
from hepdann.tensors import Block, Layout, TensorWriter, split_of

WEIGHTS = ("pileup", "tune_up", "tune_down", "yield_up", "yield_down")
PROCESSES = ("top", "W jets")


def _events(seed, n):
    generator = np.random.default_rng(seed)
    label = (generator.random(n) < 0.4).astype(np.int32)
    x = (generator.normal(size=n) + 1.5 * label).astype(np.float32)
    weight = np.where(generator.random(n) < 0.1, -1.0, 1.0) * generator.gamma(4.0, 0.25, n)
    event_id = generator.integers(0, 2**63, n).astype(np.uint64)
    return label, x, weight.astype(np.float32), event_id


def write_template_run(folder, n=4000, figures=()):
    """Methods source-only and dann; W jets are background alone; ``njets`` is a spectator."""
    folder.mkdir(parents=True)
    tensors = folder.parent / f"{folder.name}.h5"
    domains = {"mc": _events(1, n), "data": _events(2, n // 2)}
    scores = h5py.File(folder / "scores.h5", "w")
    scores.attrs.update(
        format="hepdann-scores", format_version=1, classes='["background", "signal"]',
        methods='["source-only", "dann"]', features='["x"]', target_kind="data",
    )  # fmt: skip
    layout = Layout(
        features=("x",), spectators=("njets",), classes=("background", "signal"),
        samples={"mc": tuple(PROCESSES), "data": ("data",)}, weights=tuple(WEIGHTS),
    )  # fmt: skip
    capacity = {name: len(one[0]) for name, one in domains.items()}
    with scores, TensorWriter(tensors, layout, capacity=capacity, split=SplitConfig()) as writer:
        for domain, (label, x, weight, event_id) in domains.items():
            mc = domain == "mc"
            njets = (event_id % 4).astype(np.float32)
            sample = np.where((label == 0) & (event_id % 3 == 0), 1, 0).astype(np.uint16)
            if not mc:
                sample[:], weight = 0, np.ones(len(x), np.float32)
            further = dict(zip(WEIGHTS, (
                weight * (1 + 0.1 * np.tanh(x)), weight * (1 + 0.2 * (x > 0)),
                weight * (1 - 0.2 * (x > 0)), weight * 1.1, weight * 0.9,
            ), strict=True))  # fmt: skip
            writer.append(domain, Block(
                features=x[:, None], spectators=njets[:, None], weight=weight, sample=sample,
                event_id=event_id, label=label if mc else None, weights=further if mc else {},
            ))  # fmt: skip
            group = scores.create_group("mc" if mc else "target")
            group["features"], group["weight"], group["event_id"] = x[:, None], weight, event_id
            group["split"] = split_of(event_id, SplitConfig())
            if mc:
                group["label"], group["sample"] = label, sample
                group["sample"].attrs["names"] = list(PROCESSES)
            for method, slope in (("source-only", 1.0), ("dann", 2.0)):
                p = 1 / (1 + np.exp(-slope * (x - 0.75)))
                group[f"score/{method}"] = np.stack([1 - p, p], axis=1).astype(np.float32)
                group[f"members/{method}"] = group[f"score/{method}"][...][None]
        writer.finish({})
        scores.attrs["complete"] = True
    (folder / "origin.json").write_text(json.dumps({"tensors": str(tensors), "data": None}))
    config = {"plots": {"figures": list(figures)}} if figures else {}
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    return folder
