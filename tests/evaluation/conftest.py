"""A run folder and a tensor file with known truth."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from dataclasses import replace

import h5py
import numpy as np
import pytest

from hepdann.config.samples import SplitConfig
from hepdann.criteria import Residual, recommend
from hepdann.errors import HepdannError
from hepdann.evaluation import diagnose, open_scores
from hepdann.outputs import jsonable
from hepdann.stats import separation
from hepdann.tensors import Block, Layout, TensorWriter, split_of

HISTORY = [
    "method", "member", "seed", "lambda", "epoch", "step", "learning_rate", "grl", "loss_label",
    "loss_domain", "domain_accuracy", "validation_loss", "validation_accuracy",
    "validation_loss_domain", "validation_domain_accuracy", "target_accuracy",
]  # fmt: skip


def events(seed, n, shift=0.0, classes=2):
    """Gaussian classes in three features; ``shift`` moves the first one."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, classes, n).astype(np.int32)
    x = generator.normal(size=(n, 3)) + label[:, None]
    x[:, 0] += shift
    event_id = generator.integers(0, 2**63, n).astype(np.uint64)
    weight = np.where(generator.random(n) < 0.1, -1.0, 1.0) * generator.gamma(4.0, 0.25, n)
    return x.astype(np.float32), label, weight.astype(np.float32), event_id


def classify(x, classes, tilt=0.0):
    logits = 1.2 * (x.sum(axis=1, keepdims=True) + tilt) * np.arange(classes)
    logits = logits - 1.8 * np.arange(classes) ** 2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def write_run(folder, *, kind="pseudo-data", classes=2, n=3000, shift=1.0, complete=True, k=3):
    """A run with methods source-only, quantile, dann and, with truth, oracle."""
    folder.mkdir(parents=True)
    methods = ["source-only", "quantile", "dann"] + ["oracle"] * (kind == "pseudo-data")
    with h5py.File(folder / "scores.h5", "w") as file:
        file.attrs.update(
            format="hepdann-scores",
            format_version=1,
            classes=json.dumps([f"c{i}" for i in range(classes)]),
            methods=json.dumps(methods),
            features=json.dumps(["x", "y", "z"]),
            target_kind=kind,
        )
        for domain, moved, seed in (("mc", 0.0, 1), ("target", shift, 2)):
            x, label, weight, event_id = events(seed, n, moved, classes)
            split = split_of(event_id, SplitConfig())
            group = file.create_group(domain)
            group["features"], group["weight"] = x, weight
            group["event_id"], group["split"] = event_id, split
            aligned = x - np.array([moved, 0, 0], dtype=np.float32)
            if domain == "mc":
                group["label"] = label
                group["sample"] = np.zeros(n, np.uint16)
                group["sample"].attrs["names"] = ["toy"]
            else:
                group["aligned/quantile"] = aligned
                if kind == "pseudo-data":
                    file["truth/target/label"] = label
            for method in methods:
                inputs = x if method in ("source-only", "dann") else aligned
                stack = [classify(inputs, classes, 0.1 * m) for m in range(k)]
                group[f"members/{method}"] = np.stack(stack)
                group[f"score/{method}"] = np.mean(stack, axis=0)
            group["domain_score/dann"] = 1 / (1 + np.exp(-x[:, 0]))
            group["latent/dann"] = inputs[split == 2][:200]
        if complete:
            file.attrs["complete"] = True
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY, restval="")
        writer.writeheader()
        for method in ("source-only", "dann"):
            for epoch in (1, 2, 3):
                seen = "" if kind == "data" else 0.6 + 0.1 * (epoch == 2)
                writer.writerow(
                    {"method": method, "member": 0, "epoch": epoch, "target_accuracy": seen}
                )
    made = {"name": "sine", "t": 3.0, "quantile": 1.0} if kind == "pseudo-data" else None
    (folder / "config.yaml").write_text(json.dumps({"train": {"shift": made}}))  # JSON is YAML
    if complete:
        judge(folder)
    return folder


def judge(folder):
    """Write what a training finds out before and behind it: diagnosis and recommendation."""
    scores, found = open_scores(folder), None
    with suppress(HepdannError):  # too few events
        found = diagnose(scores.events("mc"), scores.events("target"), scores.features)
        (folder / "diagnosis.json").write_text(json.dumps(found.to_json()))
    rows = [scores.rows(domain, "train", "validation") for domain in ("mc", "target")]
    left = {}
    with suppress(HepdannError):
        for name, aligned in (("source-only", None), ("quantile", "quantile")):
            pair = scores.events("mc"), scores.events("target", aligned)
            figure = separation(*(events.take(r) for events, r in zip(pair, rows, strict=True)))
            left[name] = Residual(figure.value, figure.error)
    left = left if len(left) == 2 else {}
    advice = recommend(left, {}, shift=found and found.shift, fallback="source-only")
    if advice.parts:  # a mean that nobody scored
        advice = replace(advice, method=advice.teacher, parts=(), weights=())
    (folder / "recommendation.json").write_text(json.dumps(jsonable(advice)))


def write_tensors(path, *, shift=0.0, n=4000, truth=True, data=True, seed=0):
    samples = {"mc": ("toy",)} | ({"data": ("toy",)} if data else {})
    layout = Layout(
        features=("x", "y", "z"),
        classes=("background", "signal"),
        samples=samples,
        has_truth=truth and data,
    )
    capacity = dict.fromkeys(samples, n)
    with TensorWriter(path, layout, capacity=capacity, split=SplitConfig()) as writer:
        for domain, moved, offset in (("mc", 0.0, 1), ("data", shift, 2))[: 1 + data]:
            x, label, weight, event_id = events(10 * seed + offset, n, moved)
            mc = domain == "mc"
            block = Block(
                features=x,
                spectators=np.empty((n, 0), np.float32),
                weight=weight if mc else np.ones(n, np.float32),
                sample=np.zeros(n, np.uint16),
                event_id=event_id,
                label=label if mc else None,
                truth=label if truth and not mc else None,
            )
            writer.append(domain, block)
        writer.finish({})
    return path


@pytest.fixture(scope="session")
def make_run():
    return write_run


@pytest.fixture(scope="session")
def make_tensors():
    return write_tensors


@pytest.fixture(scope="session")
def pseudo_run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "pseudo")


@pytest.fixture(scope="session")
def data_run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "data", kind="data", shift=0.0)
