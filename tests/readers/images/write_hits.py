"""Writes hit images in the two schemas of the collaboration, and as ROOT hits.

h5py and numpy (and uproot for ROOT) alone: nothing of hepdann is used, so that what hepdann makes
of these files can be compared with what was meant.

    python write_hits.py FOLDER [EVENTS]
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import h5py
import numpy as np

VIEWS = ("x", "u", "v")
SMALL = {"x": (127, 50), "u": (127, 25), "v": (127, 25)}
LARGE = {"x": (127, 94), "u": (127, 47), "v": (127, 47)}


def make_events(events, seed=1, sizes=SMALL, first_run=2000, planes=67):
    """Images of energy and time by view, and the numbers of each event."""
    rng = np.random.default_rng(seed)
    images = {}
    for view, (height, width) in sizes.items():
        hit = rng.random((events, 1, height, width)) < 0.01
        energy = np.where(hit, rng.exponential(4, hit.shape) + 0.1, 0)
        time = np.where(hit, rng.normal(0, 5, hit.shape), 0)
        images[view] = np.concatenate([energy, time], axis=1).astype(np.float32)
    planecodes = rng.integers(1, planes + 1, events)
    numbers = np.arange(events)
    return {
        "images": images,
        "run": first_run + numbers // 500,
        "subrun": 1 + numbers // 100 % 5,
        "gate": 7 * (numbers % 100),
        "slice": numbers % 3,
        "planecodes": planecodes,
        "segments": segments(planecodes),
        "zs": 4000 + 22.0 * planecodes,
        "W": rng.exponential(1000, events),
    }


def segments(planecodes):
    """1-8 -> 0, 9 -> 1, 10-17 -> 2, 18 -> 3, 19-26 -> 4, 27 -> 5, 28-43 -> 6, 44 -> 7, ..."""
    result = np.full(len(planecodes), 10)
    for segment, (low, high) in enumerate([(1, 8), (9, 9), (10, 17), (18, 18), (19, 26), (27, 27),
                                           (28, 43), (44, 44), (45, 48), (49, 49)]):  # fmt: skip
        result[(planecodes >= low) & (planecodes <= high)] = segment
    return result


def eventids(events):
    """run | subrun(4) | gate(4) | slice(2), in decimal digits."""
    return np.array(
        [
            int(f"{run}{subrun:04d}{gate:04d}{cut:02d}")
            for run, subrun, gate, cut in zip(
                events["run"], events["subrun"], events["gate"], events["slice"], strict=True
            )
        ],
        dtype="u8",
    )


def write_flat(path, events, *, split=False, vertex=True):
    """One dataset a view at the top; ``split`` writes hits-* and times-* in place of hitimes-*."""
    with h5py.File(path, "w") as file:
        for view, images in events["images"].items():
            how = {"chunks": (min(100, len(images)), *images.shape[1:]), "compression": "gzip"}
            if split:
                file.create_dataset(f"hits-{view}", data=images[:, :1], chunks=True)
                file.create_dataset(f"times-{view}", data=images[:, 1:], chunks=True)
            else:
                file.create_dataset(f"hitimes-{view}", data=images, **how)
        file["eventids"] = eventids(events)
        if vertex:
            file["planecodes"] = events["planecodes"].astype("u2")
            file["segments"] = events["segments"].astype("u1")
            file["zs"] = events["zs"].astype("f4")
    return path


def write_grouped(path, events, *, vertex=True):
    """``event_data``, ``vtx_data``, ``img_data`` and ``gen_data``, columns as (N, 1)."""
    with h5py.File(path, "w") as file:
        file["event_data/eventids"] = eventids(events)[:, None]
        for view, images in events["images"].items():
            file.create_dataset(
                f"img_data/hitimes-{view}", data=images, compression="gzip", shuffle=True
            )
        file["gen_data/W"] = events["W"].astype("f4")
        if vertex:
            file["vtx_data/planecodes"] = events["planecodes"].astype("u2")[:, None]
            file["vtx_data/segments"] = events["segments"].astype("u1")[:, None]
            file["vtx_data/zs"] = events["zs"].astype("f4")[:, None]
    return path


def jagged(events):
    """The hits behind the images: for each event, lists of view, plane, strip, energy, time."""
    names = ("hit_view", "hit_plane", "hit_strip", "hit_energy", "hit_time")
    lists = {name: [] for name in names}
    for row in range(len(events["run"])):
        parts = {name: [] for name in names}
        for number, view in enumerate(VIEWS):
            energy, time = events["images"][view][row]
            strip, plane = np.nonzero(energy)
            parts["hit_view"].append(np.full(len(strip), number))
            parts["hit_plane"].append(plane)
            parts["hit_strip"].append(strip)
            parts["hit_energy"].append(energy[strip, plane])
            parts["hit_time"].append(time[strip, plane])
        for name in names:
            lists[name].append(np.concatenate(parts[name]))
    return lists


def write_root(path, events, *, vertex=True, kind="TTree", parts=2):
    """One tree ``minerva`` with scalars and jagged hits."""
    import awkward
    import uproot

    columns = {
        name: awkward.values_astype(
            awkward.Array([list(part) for part in lists]),
            np.float32 if name in ("hit_energy", "hit_time") else np.int32,
        )
        for name, lists in jagged(events).items()
    }
    for name in ("run", "subrun", "gate", "slice"):
        columns[name] = events[name].astype(np.int32)
    columns["W"] = events["W"].astype(np.float32)
    columns["weight"] = np.ones(len(events["run"]), np.float32)
    if vertex:
        columns["planecode"] = events["planecodes"].astype(np.int32)
        columns["segment"] = events["segments"].astype(np.int32)
        columns["vtx_z"] = events["zs"].astype(np.float32)
    edges = np.linspace(0, len(events["run"]), parts + 1).astype(int)
    chunks = [{n: v[a:b] for n, v in columns.items()} for a, b in itertools.pairwise(edges)]
    with uproot.recreate(path) as file:
        if kind == "RNTuple":
            tree = file.mkrntuple("minerva", chunks.pop(0))
        else:
            tree = file.mktree("minerva", {
                name: (f"var * {'float32' if name in ('hit_energy', 'hit_time') else 'int32'}"
                       if name.startswith("hit_") else values.dtype)
                for name, values in columns.items()
            })  # fmt: skip
        for chunk in chunks:
            tree.extend(chunk)
    return path


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    folder.mkdir(parents=True, exist_ok=True)
    mc, data = make_events(count), make_events(count, 2, first_run=3000)
    for write, name in ((write_flat, "flat"), (write_grouped, "grouped")):
        write(folder / f"{name}_mc.h5", mc)
        write(folder / f"{name}_data.h5", data)
    write_root(folder / "mc.root", mc)
    write_root(folder / "data.root", data, vertex=False)
