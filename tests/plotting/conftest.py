"""A run folder of believable numbers: six ALEPH-like inputs, four methods, five members."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

FEATURES = ("prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel")
COLUMNS = (
    "method", "member", "seed", "lambda", "epoch", "step", "learning_rate", "grl", "loss_label",
    "loss_domain", "domain_accuracy", "validation_loss", "validation_accuracy",
    "validation_loss_domain", "validation_domain_accuracy", "target_accuracy",
)  # fmt: skip


def jets(rng, label):
    """Six inputs in the likeness of the ALEPH b jets."""
    n, b = len(label), label.astype(float)
    prob = rng.beta(1.2 + 2.0 * b, 2.0, n)
    spheri = rng.gamma(1.6 + 0.8 * b, 0.08, n)
    pt2 = rng.gamma(1.5, 0.25 + 0.25 * b, n)
    multip = rng.poisson(9 + 3 * b, n).astype(float)
    bqv = rng.normal(0.35 + 0.18 * b, 0.12, n)
    lepton = rng.random(n) < 0.1 + 0.2 * b
    ptl = np.where(lepton, rng.exponential(0.6 + 0.5 * b, n), 0.0)
    return np.column_stack([prob, spheri, pt2, multip, bqv, ptl]).astype(np.float32)


def network(rng, x, sharpness, offset, members, classes):
    """(K, N, C) probabilities of a linear classifier, its members slightly apart."""
    z = (x - [0.45, 0.16, 0.5, 10, 0.4, 0.15]) / [0.25, 0.1, 0.4, 3.5, 0.14, 0.4]
    weights = np.array([0.9, 0.4, 0.5, 0.7, 1.1, 0.4]) * sharpness
    slopes = weights * (1 + 0.08 * rng.normal(size=(members, 6)))
    logit = np.einsum("nf,kf->kn", z, slopes) - 1.6 + offset + 0.1 * rng.normal(size=(members, 1))
    signal = 1 / (1 + np.exp(-logit))
    if classes == 2:
        return np.stack([1 - signal, signal], axis=-1).astype("f4")
    return np.stack([1 - signal, 0.7 * signal, 0.3 * signal], axis=-1).astype("f4")


def write_history(path, methods, epochs=20, members=5):
    rng = np.random.default_rng(4)
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        for method in methods:
            lambda_ = 0.0 if method in ("source-only", "oracle") else 1.0
            for member in range(members):
                floor = 0.24 + 0.01 * lambda_ + 0.005 * rng.normal()
                for epoch in range(1, epochs + 1):
                    p = epoch / epochs
                    falling = floor + 0.35 * np.exp(-epoch / 3) + 0.004 * rng.normal()
                    seen = 0.97 - lambda_ * 0.42 * p + 0.01 * rng.normal()
                    rows.writerow(
                        dict.fromkeys(COLUMNS, "")
                        | {
                            "method": method,
                            "member": member,
                            "seed": member,
                            "lambda": lambda_,
                            "epoch": epoch,
                            "step": 100 * epoch,
                            "learning_rate": 1e-3,
                            "grl": lambda_ * (2 / (1 + np.exp(-10 * p)) - 1),
                            "loss_label": falling,
                            "loss_domain": 0.6,
                            "domain_accuracy": seen,
                            "validation_loss": falling + 0.015,
                            "validation_accuracy": 0.9,
                            "validation_loss_domain": 0.6,
                            "validation_domain_accuracy": seen - 0.01,
                        }
                    )


def write_run(
    folder,
    *,
    kind="pseudo-data",
    n=12_000,
    samples=("qqbar",),
    classes=2,
    weighted=False,
    features=FEATURES,
):
    """Write scores.h5, history.csv, metrics.json and config.yaml as a training leaves them."""
    rng = np.random.default_rng(11)
    folder.mkdir(parents=True)
    pseudo = kind == "pseudo-data"
    methods = ["source-only", "quantile", "dann"] + (["oracle"] if pseudo else [])
    names = ["background", "signal"] if classes == 2 else ["uds", "c", "b"]
    share = [0.775, 0.225] if classes == 2 else [0.6, 0.18, 0.22]
    with h5py.File(folder / "scores.h5", "w") as file:
        file.attrs.update(
            format="hepdann-scores",
            format_version=1,
            classes=json.dumps(names),
            methods=json.dumps(methods),
            features=json.dumps(features),
            target_kind=kind,
        )
        for domain in ("mc", "target"):
            group = file.create_group(domain)
            label = rng.choice(classes, n, p=share).astype("i4")
            raw = jets(rng, (label > 0).astype(int))
            x = (
                raw
                if domain == "mc"
                else (raw * [1.12, 1.1, 1.1, 1, 1, 1.1] + [0, 0, 0, 0, 0.07, 0])
            )
            x = x.astype("f4")
            weight = rng.normal(1.19, 0.2, n) * rng.choice([-1, 1], n, p=[0.08, 0.92])
            use = weighted and domain == "mc"
            group["weight"] = (weight if use else np.ones(n)).astype("f4")
            group["event_id"] = np.arange(n, dtype="u8") + (0 if domain == "mc" else n)
            group["split"] = rng.choice(3, n, p=[0.7, 0.15, 0.15]).astype("u1")
            group["features"] = x[:, : len(features)]
            if domain == "mc":
                group["label"] = label
                group["sample"] = rng.integers(len(samples), size=n).astype("u2")
                group["sample"].attrs["names"] = json.dumps(samples)
            else:
                group["aligned/quantile"] = raw[:, : len(features)]
                if pseudo:
                    file["truth/target/label"] = label
            for method in methods:
                seen = raw if method in ("quantile", "dann", "oracle") else x
                sharp = {"dann": 1.0, "oracle": 1.25}.get(method, 1.1)
                members = network(rng, seen, sharp, 0.0, 5, classes)
                group[f"members/{method}"] = members
                group[f"score/{method}"] = members.mean(axis=0)
                group[f"domain_score/{method}"] = rng.random(n).astype("f4")
        file.attrs["complete"] = True
    write_history(folder / "history.csv", [m for m in methods if m != "quantile"])
    target = {"kind": kind, "shift": {"name": "sine", "t": 3} if pseudo else None}
    (folder / "metrics.json").write_text(
        json.dumps({"format_version": 1, "target": target, "methods": {m: {} for m in methods}})
    )
    (folder / "config.yaml").write_text(
        "convert:\n  features:\n"
        "  - {name: prob_b, title: '$P_b$'}\n  - spheri\n"
        "  - {name: pt2rel, title: '$\\sum p_T^2$', unit: 'GeV$^2$'}\n  - multip\n  - bqvjet\n"
        "  - {name: ptlrel, title: 'lepton $p_T^{rel}$', unit: GeV}\n"
        "train:\n  methods: [dann]\n" + ("  shift: {name: sine, t: 3}\n" if pseudo else "")
    )
    return folder


@pytest.fixture
def make_run():
    """Writes a run to taste."""
    return write_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A binary run on pseudo-data, one process."""
    return write_run(tmp_path_factory.mktemp("runs") / "sine-t3-1")


@pytest.fixture(scope="session")
def data_run(tmp_path_factory):
    """A run on data, three processes, weights of both signs."""
    folder: Path = tmp_path_factory.mktemp("runs") / "data-1"
    return write_run(folder, kind="data", samples=("Z to ll", "W+jets", "ttbar"), weighted=True)
