"""The experiment's label, where its style wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.text import Text

from ...config import PlotConfig
from .frame import figure_of, finish, lay_out, save, waiting
from .legend import UPRIGHT, settle
from .styles import readable, scaled, style

_SIZES = (1.3, 1.0, 0.95, 0.8)  # experiment, text, luminosity, supplement

# Where mplhep puts the experiment's name: 0 above the axes, 1 and 4 inside, at the top left.
_PLACES = {"ATLAS": 4, "LHCb": 1, "LHCb2": 1, "ALICE": 1}
_FONT_STYLES = {
    "ATLAS": ("italic", "normal", "normal", "normal"),
    "LHCb": ("normal",) * 4,
    "LHCb2": ("normal",) * 4,
    "ALICE": ("normal",) * 4,
    "DUNE": ("normal",) * 4,
}


def experiment_label(
    ax: Axes,
    experiment: str | None = None,
    *,
    text: str | None = None,
    lumi: float | None = None,
    com: float | None = None,
    year: int | str | None = None,
    simulation: bool = False,
    style: str = "ROOT",
) -> None:
    """Print the experiment's label where its style wants it, and only what was given.

    Args:
        ax: the uppermost axes of the figure; its legend moves out of the way.
        experiment: name, e.g. ``"CMS"``; without it no ``Simulation`` is printed either.
        text: e.g. ``"Preliminary"``.
        lumi: integrated luminosity in 1/fb; that of data, so a simulation has none.
        com: centre-of-mass energy in TeV.
        year: of data taking.
        simulation: print ``Simulation`` after the name: no detector data in the figure.
        style: the style in force.
    """
    lumi = None if simulation else lumi
    waits, title = waiting(ax)
    if all(given is None for given in (experiment, text, lumi, com, year)):
        if waits:
            finish(ax, title)
        return
    inside = (experiment or text) and not _covered(ax)
    place = _PLACES.get(style, 0) if inside else 0
    right = any(given is not None for given in (lumi, com, year))
    outside = place == 0 or (place == 1 and right)
    base = min(rcParams["font.size"], scaled(18.0))
    above = 1.35 * _SIZES[0] * base / 72 if outside else 0.0
    lay_out(ax, above)
    already = "simulation" in (text or "").lower()
    words = (["Simulation"] if simulation and experiment and not already else []) + [text or ""]
    for shrink in (1.0, 0.85, 0.7, 0.6):
        artists = _print(
            ax,
            place,
            tuple(shrink * base * factor for factor in _SIZES),
            exp=readable(experiment or ""),
            text=readable(" ".join(words).strip()),
            rlabel=_beam(lumi, com, year, together=place != 4),
            com=None,  # mplhep's default would print 13 TeV where there is no label of the beam
            fontstyle=_FONT_STYLES.get(style, ("normal", "italic", "normal", "normal")),
        )
        if not _collide(ax, artists) or shrink == 0.6:
            break
        for artist in artists:
            artist.remove()
    _below(ax, artists)
    if settle(ax, title):
        lay_out(ax, above)  # a raised axis may have longer numbers


def _covered(ax: Axes) -> bool:
    """Whether images, a map of colours or lying bars fill the axes, or a text stands there."""
    maps = any(isinstance(one, QuadMesh) for one in ax.collections)
    bars = any(getattr(one, "orientation", None) == "horizontal" for one in ax.containers)
    named = any(text.get_transform() == ax.transAxes for text in ax.texts)
    return bool(ax.images or ax.child_axes) or maps or bars or named


def _beam(
    lumi: float | None, com: float | None, year: int | str | None, *, together: bool
) -> str | None:
    """What was recorded, "4.4 fb⁻¹, 2012 (8 TeV)"; the energy comes first if not ``together``.

    mplhep's own has no year in the layout of ATLAS, and begins with a comma without luminosity.
    """
    recorded = [] if lumi is None else [rf"{lumi:g} $\mathrm{{fb^{{-1}}}}$"]
    recorded += [] if year is None else [readable(str(year))]
    if together:
        energy = [] if com is None else [f"({com:g} TeV)"]
        return " ".join([*([", ".join(recorded)] if recorded else []), *energy]) or None
    energy = [] if com is None else [rf"$\sqrt{{s}} = \mathrm{{{com:g}\ TeV}}$"]
    return ", ".join([*energy, *recorded]) or None


def _print(ax: Axes, place: int, sizes: tuple[float, ...], **words: Any) -> list[Text]:
    import mplhep

    with _not_stale(ax):
        artists = mplhep.label.exp_label(
            data=True,  # mplhep's own "Simulation" would appear without an experiment
            loc=place,
            fontsize=sizes,
            scilocator_adjust=False,  # it asks pyplot for the current axes
            ax=ax,
            **words,
        )
    texts = [artist for artist in artists if artist is not None]
    for artist in texts:
        artist.set_in_layout(False)
    return texts


def _collide(ax: Axes, artists: Sequence[Text]) -> bool:
    """Whether two of the texts meet, or one leaves the axes."""
    boxes = [artist.get_window_extent() for artist in artists if artist.get_text()]
    beyond = any(box.x1 > ax.bbox.x1 + 1 or box.x0 < ax.bbox.x0 - 1 for box in boxes)
    return beyond or any(a.overlaps(b) for a, b in combinations(boxes, 2))


def _below(ax: Axes, artists: Sequence[Text]) -> None:
    """Move the names of lines below a label that stands inside the axes."""
    names = [text for text in ax.texts if text.get_gid() == UPRIGHT]
    to_axes = ax.transAxes.inverted()
    inside = [a.get_window_extent().transformed(to_axes) for a in artists if a.get_text()]
    lowest = min((box.y0 for box in inside if box.y0 < 1.0), default=1.0)
    for name in names if lowest < 1.0 else ():
        name.set_y(name.get_position()[1] - (1.0 - lowest))


@contextmanager
def _not_stale(ax: Axes) -> Iterator[None]:
    """Keep mplhep from drawing the whole figure to learn the width of a word."""
    figure, callback = figure_of(ax), ax.stale_callback
    ax.stale_callback = None
    figure.stale = False
    try:
        yield
    finally:
        ax.stale_callback = callback
        figure.stale = True


def label_as(ax: Axes, look: PlotConfig, *, simulation: bool = False) -> None:
    """Print what a configuration wants printed; see :func:`experiment_label`."""
    words: dict[str, Any] = {
        name: getattr(look, name) for name in ("text", "lumi", "com", "year", "style")
    }
    experiment_label(ax, look.experiment, simulation=simulation, **words)


@dataclass(eq=False)
class Album:
    """Figures of one look in a folder; ``made`` are their files so far."""

    folder: Path
    look: PlotConfig
    made: list[Path] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, folder: str | Path, look: PlotConfig | None) -> Iterator[Album]:
        """Draw within it; the folder is made if it is missing."""
        album = cls(Path(folder), look or PlotConfig())
        with style(album.look.style, album.look.size):
            yield album

    def keep(self, ax: Axes, stem: str, *, simulation: bool = False) -> None:
        """Label a figure, and write it under a name."""
        label_as(ax, self.look, simulation=simulation)
        self.made += save(ax, self.folder / stem, self.look.formats)
