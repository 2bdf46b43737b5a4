"""Data against MC: stacked processes with a ratio panel, and score distributions by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.transforms import blended_transform_factory

from ..axes.frame import finish, new_axes
from ..axes.legend import GUIDE, UPRIGHT
from ..axes.styles import class_colours, scaled
from .panels import (
    BAND,
    BEFORE,
    VARIED_NAME,
    Lower,
    Scale,
    common_scale,
    draw_points,
    draw_pulls,
    draw_ratio,
    draw_varied,
    highest,
    share,
    short_name,
    wants_log,
    x_axis,
    y_axis,
)

if TYPE_CHECKING:
    from ...evaluation import DataMC


Flow = Literal["sum", "show", "hide"]

_ALPHA = 0.55  # of classes that are laid over one another


def _notes(
    title: str,
    numbers: DataMC,
    data_name: str,
    folded: bool,
    flow: Flow = "sum",
    sentinels: Sequence[float] = (),
) -> list[str]:
    """What a reader must know beside the legend's entries, a line each."""
    lines = [title] if title else []
    if numbers.scale != 1.0:
        lines.append(f"MC scaled to {short_name(data_name).lower()}")
    if folded:
        lines.append("end bins: incl. under-/overflow")
    if flow == "show":
        lines.append("outermost bins: under-/overflow")
    if numbers.blind is not None:
        lines.append(f"{short_name(data_name)} blinded in the grey window")
    shares = [
        100 * part.missing[0] / part.total.value if part.total.value > 0 else 0.0
        for part in (numbers.mc, numbers.data)
    ]
    if max(shares) >= 0.05 or (sentinels and max(shares) > 0):
        values = f" ({', '.join(f'{value:.3g}' for value in sentinels)})" if sentinels else ""
        lines.append(
            f"missing{values}: MC {shares[0]:.2g}%, "
            f"{short_name(data_name).lower()} {shares[1]:.2g}%"
        )
    return lines


def _draw_stack(ax: Axes, numbers: DataMC, given: Mapping[str, str]) -> None:
    colours = {**class_colours(numbers.names), **given}
    height = np.cumsum([part.sumw for part in numbers.stack], axis=0)
    base = np.zeros_like(numbers.mc.sumw)
    # From the top of the stack, so that the legend has its order.
    for i in reversed(range(len(numbers.stack))):
        below = height[i - 1] if i else base
        ax.stairs(
            height[i],
            numbers.edges,
            baseline=below,
            fill=True,
            facecolor=colours[numbers.names[i]],
            edgecolor="black",
            linewidth=scaled(0.6),
            label=numbers.names[i],
        )
    mc, error = numbers.mc.sumw, numbers.mc.error
    draw_varied(ax, numbers, VARIED_NAME)
    ax.stairs(
        mc + error, numbers.edges, baseline=mc - error, fill=True, label="MC stat. error", **BAND
    )


def data_mc(
    numbers: DataMC,
    name: str,
    *,
    unit: str = "",
    data_name: str = "Data",
    colours: Mapping[str, str] | None = None,
    title: str = "",
    folded: bool = False,
    flow: Flow = "sum",
    log: bool | None = None,
    tests: Sequence[str] = (),
    before: DataMC | None = None,
    lower: Lower = "ratio",
    lower_range: Sequence[float] | None = None,
    scale: Scale | None = None,
    sentinels: Sequence[float] = (),
    ax: Axes | None = None,
    ratio_ax: Axes | None = None,
) -> Axes:
    """Data points over the stack of MC processes, and their ratio or pulls.

    Args:
        numbers: from :func:`hepdann.evaluation.data_mc`.
        name: the quantity, for the axis.
        unit: of the quantity.
        data_name: what the points are; before its first comma in the panel's label.
        colours: of processes, by name; the others take the next of the cycle.
        title: heads the legend.
        folded: the end bins hold what is outside, and the legend says so.
        flow: "show": the outermost bins are those of :func:`hepdann.evaluation.outside_bins`.
        log: logarithmic y axis; by default where one spike would hide all else.
        tests: "chi2" and "ks" are printed with the legend.
        before: an earlier stage in the same bins, of other weights or another map: MC as a dashed
            line, data as open points, in both panels, where they differ.
        lower: what the panel below shows, of a new figure or in ``ratio_ax``.
        lower_range: limits of its y axis; by default they suit nine points of ten.
        scale: y axes that the figure shares with others; by default its own.
        sentinels: values that stand for "there is none" and are not on the axis; the legend says
            what share of the events has none.
        ax: where to draw; by default a new figure with a panel below.
        ratio_ax: where to draw data / MC; with ``ax`` alone, nowhere. A point outside the panel
            becomes an arrow at its edge.
    """
    if ax is None and lower == "none":
        (ax,) = new_axes()
    elif ax is None:
        ax, ratio_ax = new_axes((2.6, 1.0), height=7.0)
    _draw_stack(ax, numbers, colours or {})
    top = highest(numbers)
    if before is not None:
        top = np.maximum(top, highest(before))
        _draw_before(ax, numbers, before, short_name(data_name))
    draw_points(ax, numbers, numbers.data.sumw, numbers.data_error, data_name)
    if log is None:
        log = wants_log(numbers.mc, 30) if scale is None else scale.log
    y_axis(ax, numbers, log=log, top=top, unit=unit)
    if scale is not None:
        share(ax, scale, log)
        lower_range = lower_range or (scale.ratio if lower == "ratio" else None)
    x_axis(ax, ratio_ax, numbers, name, unit)
    if ratio_ax is not None:
        below = draw_pulls if lower == "pull" else draw_ratio
        below(ratio_ax, numbers, short_name(data_name), before, lower_range)
    _mark([ax] if ratio_ax is None else [ax, ratio_ax], numbers, flow)
    notes = _notes(title, numbers, data_name, folded, flow, sentinels)
    notes += _tests(numbers, tests)
    finish(ax, "\n".join(notes))
    return ax


def _draw_before(ax: Axes, numbers: DataMC, before: DataMC, data_name: str) -> None:
    if not np.array_equal(before.mc.sumw, numbers.mc.sumw):
        look = {"color": BEFORE["color"], "linestyle": "--", "linewidth": scaled(1.8)}
        ax.stairs(before.mc.sumw, before.edges, label="MC before", **look)
    if not np.array_equal(before.data.sumw, numbers.data.sumw):
        look, label = BEFORE | {"zorder": 4}, f"{data_name} before"
        draw_points(ax, before, before.data.sumw, before.data_error, label, **look)


def _mark(panels: Sequence[Axes], numbers: DataMC, flow: Flow) -> None:
    """Shade the blind window; separate the bins of under- and overflow by lines."""
    edges = numbers.edges
    for ax in panels:
        if numbers.blind is not None:
            ax.axvspan(*numbers.blind, color="0.6", alpha=0.25, linewidth=0, gid=GUIDE, zorder=0)
        if flow == "show":
            for place in (edges[1], edges[-2]):
                ax.axvline(place, color="black", linewidth=scaled(1.0), linestyle="--", gid=GUIDE)


def _tests(numbers: DataMC, tests: Sequence[str]) -> Iterator[str]:
    def level(p_value: float) -> str:
        return "< 0.001" if p_value < 1e-3 else f"= {p_value:.2g}"

    if "chi2" in tests and numbers.ndf < 1:
        yield r"$\chi^2$: too few events"
    elif "chi2" in tests:
        drawn = int(np.isfinite(numbers.data_error[0]).sum())  # those that are not blind
        merged = "" if numbers.bins == drawn else f" ({drawn} bins as {numbers.bins})"
        value = rf"$\chi^2$/ndf = {numbers.chi2:.1f}/{numbers.ndf}"
        yield f"{value}, p {level(numbers.p_value)}{merged}"
    if "ks" in tests and np.isfinite(numbers.ks):
        yield f"KS = {numbers.ks:.3f}, p {level(numbers.ks_p_value)}"


def scores(
    numbers: DataMC,
    name: str = "Score",
    *,
    data_name: str = "Data",
    title: str = "",
    colours: Mapping[str, str] | None = None,
    log: bool | None = None,
    thresholds: Mapping[str, float] | None = None,
    scale: Scale | None = None,
    ax: Axes | None = None,
    ratio_ax: Axes | None = None,
) -> Axes:
    """Score of each MC class, filled and laid over one another, and of the target, as points.

    ``numbers`` have the classes as processes, normalised to the target, so that the sum of the
    classes can be compared with the points. ``thresholds`` are scores that are marked by a line, by
    what is written beside it (``"70 %"``). Else as in :func:`data_mc`.
    """
    if ax is None:
        ax, ratio_ax = new_axes((2.6, 1.0), height=7.0)
    colour_of = {**class_colours(numbers.names), **(colours or {})}
    for i in reversed(range(len(numbers.stack))):
        ax.stairs(
            numbers.stack[i].sumw,
            numbers.edges,
            fill=True,
            alpha=_ALPHA,
            facecolor=colour_of[numbers.names[i]],
            edgecolor=colour_of[numbers.names[i]],
            linewidth=scaled(1.5),
            label=f"MC {numbers.names[i]}",
        )
    if len(numbers.stack) == 2:
        both = _overlap([colour_of[name] for name in numbers.names])
        ax.fill([], [], facecolor=both, label="MC, both overlaid")
    mc, error = numbers.mc.sumw, numbers.mc.error
    draw_varied(ax, numbers, VARIED_NAME)
    ax.stairs(mc, numbers.edges, color="black", linewidth=scaled(1.3), label="MC total")
    ax.stairs(mc + error, numbers.edges, baseline=mc - error, fill=True, **BAND)
    draw_points(ax, numbers, numbers.data.sumw, numbers.data_error, data_name)
    if scale is None:
        scale = common_scale([numbers], log)
    log = scale.log if log is None else log
    y_axis(ax, numbers, log=log, top=highest(numbers), unit="")
    share(ax, scale, log)
    x_axis(ax, ratio_ax, numbers, name, "")
    if ratio_ax is not None:
        draw_ratio(ratio_ax, numbers, short_name(data_name), None, scale.ratio)
    _mark([ax] if ratio_ax is None else [ax, ratio_ax], numbers, "sum")
    _draw_thresholds(ax, thresholds or {})
    finish(ax, "\n".join(_notes(title, numbers, data_name, folded=False)))
    return ax


def _overlap(colours: Sequence[str]) -> tuple[float, float, float]:
    """The colour that half-transparent areas have where they lie over one another, on white."""
    mixed = np.ones(3)
    for colour in reversed(colours):
        mixed = _ALPHA * np.array(to_rgb(colour)) + (1 - _ALPHA) * mixed
    red, green, blue = mixed.tolist()
    return red, green, blue


def _draw_thresholds(ax: Axes, thresholds: Mapping[str, float]) -> None:
    """Dashed lines with their names upright at the top; close neighbours' stand lower."""
    low, high = ax.get_xlim()
    place_of = blended_transform_factory(ax.transData, ax.transAxes)
    last, step = -np.inf, 0
    for name, place in sorted(thresholds.items(), key=lambda item: item[1]):
        if not low <= place <= high:
            continue
        ax.axvline(place, color="black", linewidth=scaled(1.2), linestyle=(0, (4, 2)), gid=GUIDE)
        step = (step + 1) % 3 if place - last < 0.035 * (high - low) else 0
        last = place
        ax.text(
            place + 0.006 * (high - low),
            0.985 - 0.11 * step,
            name,
            transform=place_of,
            rotation=90,
            ha="left",
            va="top",
            fontsize="x-small",
            gid=UPRIGHT,
        )
