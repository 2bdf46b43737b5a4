"""Templates as ROOT histograms, and as a workspace that pyhf and cabinetry open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..evaluation.templates import DATA, NOMINAL
from ..outputs import replacing, write_run_file, writing
from ..stats.histograms import Histogram

if TYPE_CHECKING:
    from ..evaluation import Templates

Floats = NDArray[np.float64]

POI = "mu"
_SIDE = re.compile(r"(.+)_1?((?i:up|down))|(.+[^_\W])(Up|Down)")  # of a weight's name
_FLAT = 1e-7  # relative deviation from a flat ratio that float32 weights may have


def write_histograms(templates: Templates, path: str | Path) -> None:
    """Write templates as TH1D ``region/sample/variation`` with Σw², under- and overflow.

    Data are ``region/data/nominal``. Where bins are blind, their title says so.

    Templates that are there already are replaced whole.

    Raises:
        RunError: the ROOT file cannot be written, or is there and holds something else.
    """
    import uproot

    if Path(path).is_file() and not _are_templates(Path(path)):
        what, mend = "exists, and holds other things than templates", "remove it, or change -o"
        raise RunError(what, where=path, mend=mend)
    with writing(path), replacing(path) as part, uproot.recreate(part) as file:
        for (region, sample), variations in templates.mc.items():
            for variation, one in variations.items():
                file[f"{region}/{sample}/{variation}"] = _th1(one, templates.quantity)
        for region, one in (templates.data or {}).items():
            hidden = ", blind bins are empty" if templates.blind.any() else ""
            file[f"{region}/{DATA}/{NOMINAL}"] = _th1(one, templates.quantity + hidden)


def _are_templates(path: Path) -> bool:
    """Whether a file is ROOT's and holds histograms alone."""
    import uproot

    try:
        with uproot.open(path) as file:
            return set(file.classnames().values()) <= {"TDirectory", "TH1D"}
    except Exception:  # uproot has no class of its own for what it cannot read
        return False


def _th1(one: Histogram, title: str) -> Any:
    """A histogram of boost-histogram, as uproot writes it."""
    import boost_histogram as bh

    made: Any = bh.Histogram(bh.axis.Variable(one.edges), storage=bh.storage.Weight())
    flow = np.array([one.underflow, one.overflow])  # Σw and Σw² of each
    view = made.view(flow=True)
    for place, (name, inner) in enumerate((("value", one.sumw), ("variance", one.sumw2))):
        view[name] = [flow[0, place], *inner, flow[1, place]]
    made.title = title
    return made


def write_workspace(templates: Templates, path: str | Path) -> None:
    """Write :func:`pyhf_workspace` as JSON.

    Raises:
        RunError: as :func:`pyhf_workspace`; or the file cannot be written.
    """
    text = json.dumps(pyhf_workspace(templates), indent=1, allow_nan=False)
    write_run_file(path, text.encode())


def pyhf_workspace(templates: Templates) -> dict[str, Any]:
    """The workspace of a fit of the signal strength, in HistFactory's JSON, for ``pyhf.Workspace``.

    Blind bins are left out. Bins below 0 are 0. Without data, the observations are what MC expects.

    Raises:
        RunError: every bin is blind, no sample that holds events is signal, or data are where no MC
            is expected.
    """
    shown = ~templates.blind
    if not shown.any():
        raise RunError(
            "every bin is blind, and a workspace needs observations",
            mend="narrow the window, or fit MC's expectation with --asimov",
        )
    channels, observations = [], []
    for region in templates.regions:
        channel = _channel(templates, region, shown)
        expected = np.zeros(int(shown.sum()))
        for sample in channel["samples"]:
            expected += sample["data"]
        counts = expected if templates.data is None else templates.data[region].sumw[shown]
        alone = (counts > 0) & ~(expected > 0)
        if not channel["samples"] or alone.any():
            raise RunError(
                f"region {region}: {counts[alone].sum():g} data events in bins without MC, "
                "which no fit describes",
                mend="merge bins, narrow --range, or loosen the cut of the region",
            )
        channels.append(channel)
        observations.append({"name": region, "data": counts.tolist()})
    if not any(m["name"] == POI for c in channels for s in c["samples"] for m in s["modifiers"]):
        names = ", ".join(sample.name for sample in templates.samples)
        raise RunError(
            "no template of the signal holds an event", mend=f"name one of {names} with --signal"
        )
    measurement = {"name": "hepdann", "config": {"poi": POI, "parameters": []}}
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [measurement],
        "version": "1.0.0",
    }


def _channel(templates: Templates, region: str, shown: NDArray[np.bool_]) -> dict[str, Any]:
    """A region; samples without an event there are left out."""
    samples = []
    for sample in templates.samples:
        variations = templates.mc[region, sample.name]
        nominal = variations[NOMINAL]
        if not nominal.sumw2[shown].any():
            continue
        data = np.maximum(nominal.sumw[shown], 0.0)
        error = np.where(data > 0, nominal.error[shown], 0.0)
        modifiers: list[dict[str, Any]] = [
            {"name": f"staterror_{region}", "type": "staterror", "data": error.tolist()}
        ]
        if sample.signal:
            modifiers.insert(0, {"name": POI, "type": "normfactor", "data": None})
        sides = {n: v.sumw[shown] for n, v in variations.items() if n != NOMINAL}
        for name, (low, high) in _pairs(sides, nominal.sumw[shown]).items():
            modifiers += _modifiers(name, data, np.maximum(low, 0.0), np.maximum(high, 0.0))
        samples.append({"name": sample.name, "data": data.tolist(), "modifiers": modifiers})
    return {"name": region, "samples": samples}


def _pairs(sides: Mapping[str, Floats], nominal: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Down and up of each nuisance parameter; the mirror image where one of them is not given."""
    histograms: dict[str, dict[str, Floats]] = {}
    for name, values in sides.items():
        match = _SIDE.fullmatch(name)
        stem, side = (part for part in match.groups() if part) if match else (name, "up")
        given = histograms.setdefault(stem, {})
        if side.lower() in given or stem == POI:
            what = f"weight {name!r} is {side.lower()} of {stem!r}, which something else is"
            raise RunError(
                what, mend="rename it under convert.weights, and convert and train again"
            )
        given[side.lower()] = values
    return {
        name: (given.get("down", 2 * nominal - given.get("up", nominal)),
               given.get("up", 2 * nominal - given.get("down", nominal)))
        for name, given in histograms.items()
    }  # fmt: skip


def _modifiers(name: str, nominal: Floats, low: Floats, high: Floats) -> Iterator[dict[str, Any]]:
    """The yield as ``normsys`` and what else changes as ``histosys``, of one parameter.

    So the yield is interpolated by its logarithm and stays positive. Nothing of what changes
    nothing; all as ``histosys`` where a yield is not positive.
    """
    total, ends = float(nominal.sum()), [low, high]
    factors: Sequence[float] = [float(end.sum()) / total if total > 0 else 0.0 for end in ends]
    if min(factors) > 0:
        if max(abs(f - 1) for f in factors) > _FLAT:
            data = dict(zip(("lo", "hi"), factors, strict=True))
            yield {"name": name, "type": "normsys", "data": data}
        ends = [end / factor for end, factor in zip(ends, factors, strict=True)]
    if any((np.abs(end - nominal) > _FLAT * np.maximum(nominal, _FLAT)).any() for end in ends):
        shape = {f"{side}_data": end.tolist() for side, end in zip(("lo", "hi"), ends, strict=True)}
        yield {"name": name, "type": "histosys", "data": shape}
